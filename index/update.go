package index

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	bolt "go.etcd.io/bbolt"

	"satchel/store/pack"
)

// Update adds packs, takes packs away, and then covers tie. A pack that is here already,
// the same, is left alone; one with another size or directory is replaced; one that is
// to be taken away and is not here does not matter, so a repeated Update is harmless. A
// pack that is added is no longer under way in any workspace. Each directory must be
// canonical and hash to the pack's Hash, or nothing is changed at all.
//
// Many packs come in several calls, the zero Tie with all but the last; a million chunks
// in a call, for which Update takes about 100 MB, are a good size.
func (x *Index) Update(tie Tie, add []Pack, remove []pack.Key) error {
	x.updating.Lock()
	defer x.updating.Unlock()
	u, err := x.plan(tie, add, remove)
	if err != nil || u == nil {
		return err
	}
	for done := false; !done; {
		err := x.update(func(tx *bolt.Tx) (err error) {
			done, err = u.run(tx)
			return err
		})
		if err != nil {
			return err
		}
		x.state.Store(u.state)
	}
	return nil
}

// update is an Update under way: what is still to be done, in this order.
type update struct {
	tie    Tie
	remove []removal
	rows   []row // ascending
	add    []addition

	step  int    // bytes
	state *state // as the last step left it
	dead  bits   // numbers of packs that are gone
	keys  map[pack.Key]bool
	begun bool // by a step that was not the last: the numbers in add are in the bucket dead
}

type addition struct {
	Pack
	number uint32
	chunks int
	deltas bool
}

type removal struct {
	key    pack.Key
	number uint32
	chunks int
}

// plan checks everything that Update is given. It returns nil if there is nothing to do.
func (x *Index) plan(tie Tie, add []Pack, remove []pack.Key) (*update, error) {
	u := &update{tie: tie, step: x.step, keys: make(map[pack.Key]bool, len(add))}
	err := x.view(func(tx *bolt.Tx) error {
		// Not the published state: a Commit that failed may have landed.
		if err := x.loadState(tx, x.state.Load().repo); err != nil {
			return err
		}
		u.state = x.state.Load()
		if err := u.loadDead(tx); err != nil {
			return err
		}
		for _, k := range remove {
			if err := u.planRemoval(x, tx, k); err != nil {
				return err
			}
		}
		for i := range add {
			if err := u.planAddition(x, tx, &add[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(add) == 0 && len(u.remove) == 0 && tie == u.state.tie {
		return nil, nil
	}
	slices.SortFunc(u.rows, row.compare)
	return u, nil
}

func (u *update) loadDead(tx *bolt.Tx) error {
	c := tx.Bucket(bDead).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if b, ok := cutCRC(k, v); !ok || len(b) != 0 || len(k) != 4 {
			return torn("dead %x", k)
		}
		if n := binary.BigEndian.Uint32(k); n < u.state.next {
			u.dead.set(n)
		}
	}
	return nil
}

func (u *update) planRemoval(x *Index, tx *bolt.Tx, k pack.Key) error {
	l, ok, err := findPack(tx.Bucket(bPacks), k)
	if err != nil || !ok || u.dead.has(l.number) {
		return err
	}
	_, enc, ok, err := x.directory(tx, l.number)
	if err != nil {
		return err
	}
	if !ok {
		return torn("directory %d is dead and listed", l.number)
	}
	d, err := pack.ParseDirectory(enc)
	if err != nil {
		return torn("directory %d: %v", l.number, err)
	}
	u.dead.set(l.number)
	u.remove = append(u.remove, removal{k, l.number, d.Len()})
	return nil
}

func (u *update) planAddition(x *Index, tx *bolt.Tx, p *Pack) error {
	d, err := p.check()
	if err != nil {
		return err
	}
	if u.keys[p.Key] {
		return fmt.Errorf("pack %s: added twice", p.Key.Name())
	}
	u.keys[p.Key] = true
	l, ok, err := findPack(tx.Bucket(bPacks), p.Key)
	if err != nil {
		return err
	}
	if ok && !u.dead.has(l.number) {
		if l.size == p.Size && l.hash == p.Hash {
			return nil
		}
		if err := u.planRemoval(x, tx, p.Key); err != nil {
			return err
		}
	}
	if uint64(u.state.next)+uint64(len(u.add)) >= math.MaxUint32 {
		return torn("no pack numbers are left")
	}
	a := addition{Pack: *p, number: u.state.next + uint32(len(u.add)), chunks: d.Len()}
	a.deltas = slices.ContainsFunc(d.Frames(), func(f pack.FrameInfo) bool { return f.Coding.Delta() })
	u.add = append(u.add, a)
	u.rows = slices.Grow(u.rows, d.Len())
	for c := range d.Len() {
		u.rows = append(u.rows, makeRow(d.ID(c), a.number, c))
	}
	return nil
}

// run does about step bytes of the work in a transaction.
func (u *update) run(tx *bolt.Tx) (done bool, err error) {
	s := *u.state
	left := u.step
	if !u.begun {
		s.next += uint32(len(u.add))
	}
	if err := u.stepRemove(tx, &s, &left); err != nil {
		return false, err
	}
	if err := u.stepRows(tx, &s, &left); err != nil {
		return false, err
	}
	if err := u.stepAdd(tx, &s, &left); err != nil {
		return false, err
	}
	done = len(u.remove) == 0 && len(u.rows) == 0 && len(u.add) == 0
	if done {
		s.tie = u.tie
		err = dropUnderway(tx, u.keys)
	} else {
		s.tie = Tie{}
		err = u.mark(tx)
	}
	if err != nil {
		return false, err
	}
	err = putState(tx, &s, s.prefixes != u.state.prefixes)
	u.state, u.begun = &s, true
	return done, err
}

// mark says of the packs that are still to be added that their rows mean nothing yet.
func (u *update) mark(tx *bolt.Tx) error {
	if u.begun {
		return nil
	}
	for _, a := range u.add {
		if err := putDead(tx, a.number); err != nil {
			return err
		}
	}
	return nil
}

func putDead(tx *bolt.Tx, number uint32) error {
	k := numberKey(number)
	return tx.Bucket(bDead).Put(k, appendCRC(k, nil))
}

func (u *update) stepRemove(tx *bolt.Tx, s *state, left *int) error {
	for ; len(u.remove) > 0 && *left > 0; u.remove = u.remove[1:] {
		r := u.remove[0]
		if err := tx.Bucket(bPacks).Delete(r.key[:]); err != nil {
			return err
		}
		if err := tx.Bucket(bDirectories).Delete(numberKey(r.number)); err != nil {
			return err
		}
		if err := putDead(tx, r.number); err != nil {
			return err
		}
		s.packs--
		s.chunks -= uint64(r.chunks)
		*left -= 2 * pageSize
	}
	return nil
}

func (u *update) stepRows(tx *bolt.Tx, s *state, left *int) error {
	b := tx.Bucket(bRows)
	for last := 0; len(u.rows) > 0 && *left > 0; {
		prefix := u.rows[0].prefix()
		n := 1
		for n < len(u.rows) && u.rows[n].prefix() == prefix {
			n++
		}
		key, old := prefixKey(prefix), rows{prefix: prefix}
		if v := b.Get(key); v != nil {
			var err error
			if old, err = decodeRows(prefix, v); err != nil {
				return err
			}
		} else if s.prefixes.has(prefix) {
			return torn("rows %04x are lost", prefix)
		}
		if !s.prefixes.has(prefix) {
			if s.prefixes == u.state.prefixes {
				p := *s.prefixes
				s.prefixes = &p
			}
			s.prefixes.set(prefix)
		}
		value, err := merge(old, u.rows[:n], u.dead.has)
		if err != nil {
			return err
		}
		if err := b.Put(key, value); err != nil {
			return err
		}
		// What lies between is written too, up to a page.
		*left -= min(pageSize, (int(prefix)-last+1)*(len(value)+elemSize+len(key)))
		last = int(prefix)
		u.rows = u.rows[n:]
	}
	return nil
}

func (u *update) stepAdd(tx *bolt.Tx, s *state, left *int) error {
	packs, b := tx.Bucket(bPacks), tx.Bucket(bDirectories)
	packs.FillPercent, b.FillPercent = 0.9, 0.95 // sessions and numbers ascend
	for ; len(u.rows) == 0 && len(u.add) > 0 && *left > 0; u.add = u.add[1:] {
		a := &u.add[0]
		l := listing{a.number, a.Size, a.Hash}
		if err := packs.Put(a.Key[:], l.encode(a.Key)); err != nil {
			return err
		}
		if err := b.Put(numberKey(a.number), encodeDirectory(a.number, &a.Pack, a.deltas)); err != nil {
			return err
		}
		if u.begun {
			if err := tx.Bucket(bDead).Delete(numberKey(a.number)); err != nil {
				return err
			}
		}
		s.packs++
		s.chunks += uint64(a.chunks)
		*left -= len(a.Directory) + 1024
	}
	return nil
}
