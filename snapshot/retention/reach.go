package retention

import (
	"context"
	"errors"
	"fmt"

	"satchel/index"
	"satchel/snapshot"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// reach is what live snapshots need: for each chunk the one location that is to stay. It takes a
// bit for each chunk of the repository. It stands for State(position), and may hold more than that
// needs, never less.
type reach struct {
	log     *ledger.Log
	index   *index.Index
	reader  *snapshot.Reader
	skip    map[pack.ID]bool  // snapshots that do not count
	damaged map[pack.Key]bool // packs that hold nothing, if another has it too

	position uint64
	marked   map[pack.Key]*bits // nil: all is to be computed anew
	opened   map[role]*bits     // chunks of which all that they name is marked too
	walked   map[pack.ID]bool   // snapshots
}

// A role is what a chunk of a pack is read as: a directory, or a list that has so many levels. The
// same bytes may be the content of a file, which names nothing.
type role struct {
	pack   pack.Key
	levels int
}

const directory = -1

// bits is a set of small numbers.
type bits []uint64

func (b bits) has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }

func (b *bits) set(n int) {
	for n/64 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

// update brings it to the ledger's present state, which the index has too. Where a pack that is
// needed has died since, all is computed anew, as chunks may be elsewhere now (R3). It stops at the first
// thing that is missing.
func (r *reach) update(ctx context.Context) error {
	s := r.log.State()
	for k := range r.marked {
		if _, live := s.Pack(k); !live {
			r.marked = nil
			break
		}
	}
	if r.marked == nil {
		r.marked, r.opened, r.walked = map[pack.Key]*bits{}, nil, map[pack.ID]bool{}
	}
	for _, v := range s.Snapshots(ledger.Workspace{}) {
		if r.walked[v.ID] || r.skip[v.ID] {
			continue
		}
		if err := r.snapshot(ctx, v); err != nil {
			r.marked = nil // what it had opened is not all marked
			return fmt.Errorf("snapshot %x: %w", v.ID[:4], err)
		}
		r.walked[v.ID] = true
	}
	r.position = s.Position()
	return nil
}

func (r *reach) snapshot(ctx context.Context, v ledger.Snapshot) error {
	if _, err := r.mark(v.ID); err != nil {
		return err
	}
	return r.dir(ctx, v.Root, 0)
}

// mark notes that a chunk is needed.
func (r *reach) mark(id pack.ID) (index.Location, error) {
	loc, ok, err := r.index.Lookup(id)
	if err == nil && ok && r.damaged[loc.Pack] {
		loc, err = r.whole(id, loc)
	}
	switch {
	case err != nil:
		return loc, err
	case !ok:
		return loc, fmt.Errorf("%w: %x", snapshot.ErrMissing, id[:])
	}
	b := r.marked[loc.Pack]
	if b == nil {
		b = new(bits)
		r.marked[loc.Pack] = b
	}
	b.set(loc.Chunk)
	return loc, nil
}

// open marks a chunk, and reports whether it is met in a role for the first time.
func (r *reach) open(id pack.ID, levels int) (first bool, err error) {
	loc, err := r.mark(id)
	if err != nil {
		return false, err
	}
	at := role{loc.Pack, levels}
	b := r.opened[at]
	if b == nil {
		if b = new(bits); r.opened == nil {
			r.opened = map[role]*bits{}
		}
		r.opened[at] = b
	}
	first = !b.has(loc.Chunk)
	b.set(loc.Chunk)
	return first, nil
}

// whole prefers a location that is not in a damaged pack.
func (r *reach) whole(id pack.ID, loc index.Location) (index.Location, error) {
	locs, err := r.index.Locations(id)
	for _, l := range locs {
		if !r.damaged[l.Pack] {
			return l, err
		}
	}
	return loc, err
}

// maxLevels of directories, FORMAT.md §5.
const maxLevels = 255

// dir marks a directory and all that is in it. What was opened before is marked with all below.
func (r *reach) dir(ctx context.Context, id pack.ID, level int) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if level > maxLevels {
		return fmt.Errorf("%w: more than %d folders deep", snapshot.ErrTree, maxLevels)
	}
	if first, err := r.open(id, directory); err != nil || !first {
		return err
	}
	var parts error
	es, err := r.reader.EntriesParts(ctx, id, func(part pack.ID) {
		_, err := r.mark(part)
		parts = errors.Join(parts, err)
	})
	if err := errors.Join(err, parts); err != nil {
		return err
	}
	for i := range es {
		e := &es[i]
		var err error
		if e.Type == snapshot.Dir {
			err = r.dir(ctx, e.Node, level+1)
		} else {
			err = r.file(ctx, e)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", e.Name, err)
		}
	}
	return nil
}

// file marks the content of a file and of its alternate streams.
func (r *reach) file(ctx context.Context, e *snapshot.Entry) error {
	if err := r.ids(ctx, e.IDs, int(e.Depth)); err != nil {
		return err
	}
	for i := range e.Streams {
		c := &e.Streams[i].Content
		if err := r.ids(ctx, c.IDs, int(c.Depth)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reach) ids(ctx context.Context, ids []byte, depth int) error {
	for ; len(ids) >= len(pack.ID{}); ids = ids[len(pack.ID{}):] {
		if depth == 0 {
			if _, err := r.mark(pack.ID(ids)); err != nil {
				return err
			}
			continue
		}
		if first, err := r.open(pack.ID(ids), depth); err != nil {
			return err
		} else if !first {
			continue
		}
		list, err := r.reader.Chunk(ctx, pack.ID(ids))
		if err == nil {
			err = r.ids(ctx, list, depth-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stored is how many bytes of a pack are needed. known is false if nobody can tell what it holds.
func (r *reach) stored(k pack.Key) (bytes int64, known bool, err error) {
	b := r.marked[k]
	if b == nil {
		known, err = r.index.Has(k)
		return 0, known, err
	}
	d, known, err := r.index.Directory(k)
	if err != nil || !known {
		return 0, false, err
	}
	for _, f := range d.Frames() {
		for c := f.First; c < f.First+f.Chunks; c++ {
			if b.has(c) {
				bytes += int64(f.Stored)
				break
			}
		}
	}
	return bytes, true, nil
}

// within reports whether no chunk of a pack is needed but those that rp says.
func (r *reach) within(rp repackPack) bool {
	b := r.marked[rp.pack.Key]
	if b == nil {
		return true
	}
	for c := range rp.dir.Len() {
		if b.has(c) && !rp.need.has(c) {
			return false
		}
	}
	return true
}

// moved notes that packs have died of which all that is needed lies elsewhere now: their chunks
// are marked there.
func (r *reach) moved(some []repackPack) error {
	for _, rp := range some {
		b := r.marked[rp.pack.Key]
		delete(r.marked, rp.pack.Key)
		for c := range rp.dir.Len() {
			if b != nil && b.has(c) {
				if _, err := r.mark(rp.dir.ID(c)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
