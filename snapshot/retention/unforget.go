package retention

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"satchel/index"
	"satchel/snapshot"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// ErrGone says that a forgotten snapshot cannot come back: what it held is deleted.
var ErrGone = errors.New("what it held is deleted")

// Unforget brings forgotten snapshots back, as ledger.Log.Former finds them. Each tree is walked
// first: every chunk has to lie in a registered pack that is there. What lies in packs that are dead
// and not deleted yet is copied into new ones before. It is validated again in each attempt, like a
// commit (R2). Where anything is gone nothing comes back, and the error is ErrGone.
func Unforget(ctx context.Context, p *snapshot.Push, reader *snapshot.Reader, former []ledger.Snapshot) error {
	u := unforget{p, reader, slices.Clone(former)}
	slices.SortFunc(u.back, func(a, b ledger.Snapshot) int { return cmp.Compare(b.Position, a.Position) }) // the newest becomes the head, if there is none
	for range attempts {
		err := u.once(ctx)
		if errors.Is(err, snapshot.ErrMissing) {
			err = u.rescue(ctx)
		}
		if errors.Is(err, store.ErrNotFound) && !errors.Is(err, ErrGone) && moved(ctx, u.Log) {
			err = errMoved
		}
		if serr := snapshot.SyncIndex(ctx, p.Log, p.Index); serr != nil {
			return errors.Join(err, serr)
		}
		if !errors.Is(err, errMoved) {
			return err
		}
	}
	return errMoved
}

// errBack: another device has brought them back meanwhile.
var errBack = errors.New("all of it is there")

type unforget struct {
	*snapshot.Push
	reader *snapshot.Reader
	back   []ledger.Snapshot
}

// once brings them back if all that they need is registered and there.
func (u *unforget) once(ctx context.Context) error {
	r, err := u.walk(ctx, u.Damaged)
	if err != nil {
		return err
	}
	if err := u.there(ctx, r); err != nil {
		return err
	}
	_, err = u.Log.Append(ctx, u.Me, ledger.Unforget, func(s *ledger.State) (any, error) {
		back := slices.DeleteFunc(slices.Clone(u.back), func(v ledger.Snapshot) bool { _, live := s.Snapshot(v.ID); return live })
		if len(back) == 0 {
			return nil, errBack
		}
		for k := range r.marked {
			if _, live := s.Pack(k); !live {
				return nil, errMoved
			}
		}
		return ledger.UnforgetContent{Snapshots: back}, nil
	})
	if errors.Is(err, errBack) {
		return nil
	}
	return err
}

// walk marks all that the snapshots need; packs to avoid are taken where nothing else has a chunk.
func (u *unforget) walk(ctx context.Context, avoid map[pack.Key]bool) (*reach, error) {
	r := &reach{log: u.Log, index: u.Index, reader: u.reader, damaged: avoid, marked: map[pack.Key]*bits{}}
	for _, v := range u.back {
		if err := r.snapshot(ctx, v); err != nil {
			return nil, fmt.Errorf("snapshot %x: %w", v.ID[:4], err)
		}
	}
	return r, nil
}

// there compares the packs that are needed with what the store has.
func (u *unforget) there(ctx context.Context, r *reach) error {
	sizes, err := u.sizes(ctx)
	if err != nil {
		return err
	}
	for k := range r.marked {
		if lp, live := u.Log.State().Pack(k); !live {
			return errMoved
		} else if sizes[k] != lp.Size {
			return pack.GetError(k, store.ErrNotFound)
		}
	}
	return nil
}

// sizes lists the packs that the store has.
func (u *unforget) sizes(ctx context.Context) (map[pack.Key]int64, error) {
	sizes := map[pack.Key]int64{}
	for _, prefix := range []string{"d/", "t/"} {
		for o, err := range u.Store.List(ctx, prefix) {
			if err != nil {
				return nil, fmt.Errorf("listing: %w", err)
			}
			if k, err := pack.ParseName(o.Name); err == nil {
				sizes[k] = o.Size
			}
		}
	}
	return sizes, nil
}

// rescue copies what is needed of dead packs into new ones, which it registers. It reports errMoved:
// what is needed is to be looked for again.
func (u *unforget) rescue(ctx context.Context) error {
	dead, err := u.dead(ctx)
	if err != nil {
		return err
	}
	avoid := map[pack.Key]bool{}
	var known []index.Pack
	for k, rp := range dead {
		avoid[k] = true
		known = append(known, index.Pack{Key: k, Size: rp.pack.Size, Hash: rp.dir.Hash(), Directory: rp.dir.Encoding()})
	}
	if err := u.Index.Update(index.Tie{}, known, nil); err != nil { // until the next SyncIndex
		return err
	}
	r, err := u.walk(ctx, avoid)
	if errors.Is(err, snapshot.ErrMissing) || errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	} else if err != nil {
		return err
	}
	var some []repackPack
	for k, b := range r.marked {
		if rp, ok := dead[k]; ok {
			rp.need = *b
			some = append(some, rp)
		}
	}
	slices.SortFunc(some, func(a, b repackPack) int { return bytes.Compare(a.pack.Key[:], b.pack.Key[:]) })
	p := Prune{Push: u.Push}
	copied, err := u.Copy(ctx, func(add func(seal.Kind, *pack.Frame) error) error { return p.copyAll(ctx, some, add) })
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	} else if err != nil {
		return err
	}
	_, err = u.Log.Append(ctx, u.Me, ledger.Register, func(s *ledger.State) (any, error) {
		if !s.Takes(copied.Refs, copied.Segments) {
			return nil, errMoved
		}
		return ledger.RegisterContent{Packs: copied.Refs, Segments: copied.Segments}, nil
	})
	if err != nil {
		return err
	}
	return errMoved
}

// dead are the packs that are dead and still in the store.
func (u *unforget) dead(ctx context.Context) (map[pack.Key]repackPack, error) {
	sizes, err := u.sizes(ctx)
	if err != nil {
		return nil, err
	}
	dead := map[pack.Key]repackPack{}
	for k, size := range sizes {
		if !u.Log.State().Dead(k.Name()) {
			continue
		}
		d, err := pack.ReadDirectory(ctx, u.Store, u.Keys, k, size)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, pack.ErrDamaged) {
			continue
		} else if err != nil {
			return nil, err
		}
		dead[k] = repackPack{pack: ledger.Pack{Key: k, Size: size}, dir: d}
	}
	return dead, nil
}
