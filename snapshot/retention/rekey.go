package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"satchel/snapshot"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Rekeyed is what a Rekey did.
type Rekeyed struct {
	Packs   int      // that were sealed anew
	Bytes   int64    // that were sent
	Left    int      // packs that older keys open still
	Damaged []string // packs of these that cannot be read whole
}

// Rekey seals packs anew that were registered before the keys in force were, the oldest first, up to so
// many bytes; 0 is all of them, and then the index segments and the state too. All that is in a pack is copied, and the
// old one condemned by the same entry: nothing has to be known of the snapshots, and a push or prune may go on beside
// it. A prune deletes what was condemned. It may be interrupted anywhere and run again.
func Rekey(ctx context.Context, push *snapshot.Push, limit int64) (*Rekeyed, error) {
	p, out := &Prune{Push: push}, &Rekeyed{}
	var sent int64
	todo := old(push.Log.State())
	for len(todo) > 0 && (limit == 0 || sent < limit) {
		n, size := 0, int64(0)
		for n < len(todo) && (n == 0 || size+todo[n].Size <= repackBatch && (limit == 0 || sent+size+todo[n].Size <= limit)) {
			size += todo[n].Size
			n++
		}
		if err := p.reseal(ctx, todo[:n], out); err != nil {
			return out, err
		}
		todo, sent = todo[n:], sent+size
	}
	if out.Left = len(old(push.Log.State())); out.Left > len(out.Damaged) || limit > 0 {
		return out, nil
	}
	if err := p.replaceSegments(ctx, push.Log.State().Segments()); err != nil && !errors.Is(err, errMoved) {
		return out, err
	}
	return out, push.Log.MoveHorizon(ctx, push.Me, push.Log.State().Horizon(), nil)
}

// old lists the packs that were registered before the keys in force were, in the order of the ledger.
func old(s *ledger.State) (packs []ledger.Pack) {
	_, at := s.KEK(s.Generation())
	for lp := range s.LivePacks() {
		if lp.Position < at {
			packs = append(packs, lp)
		}
	}
	slices.SortFunc(packs, ledger.Pack.Compare)
	return packs
}

// reseal does it for some packs at once, and one by one where one of them is damaged.
func (p *Prune) reseal(ctx context.Context, packs []ledger.Pack, out *Rekeyed) error {
	err := p.resealOnce(ctx, packs, out)
	switch broken := errors.Is(err, pack.ErrDamaged) || errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer); {
	case !broken:
		return err
	case moved(ctx, p.Push.Log): // another prune has taken them
		return snapshot.SyncIndex(ctx, p.Push.Log, p.Push.Index)
	case len(packs) == 1:
		out.Damaged = append(out.Damaged, packs[0].Key.Name())
		return nil
	}
	for i := range packs {
		if err := p.reseal(ctx, packs[i:i+1], out); err != nil {
			return err
		}
	}
	return nil
}

func (p *Prune) resealOnce(ctx context.Context, packs []ledger.Pack, out *Rekeyed) error {
	var some []repackPack
	for _, lp := range packs {
		d, ok, err := p.Push.Index.Directory(lp.Key)
		if err != nil {
			return err
		} else if !ok {
			return &pack.Error{Pack: lp.Key, What: "directory", Err: pack.ErrDamaged}
		}
		rp := repackPack{pack: lp, dir: d}
		for i := range d.Len() {
			rp.need.set(i)
		}
		some = append(some, rp)
	}
	copied, err := p.Push.Copy(ctx, func(add func(seal.Kind, *pack.Frame) error) error { return p.copyAll(ctx, some, add) })
	if err != nil {
		return fmt.Errorf("rekey: %w", err)
	}
	n := 0
	_, err = p.Push.Log.Append(ctx, p.Push.Me, ledger.Condemn, func(s *ledger.State) (any, error) {
		c := ledger.CondemnContent{Packs: copied.Refs, Segments: copied.Segments}
		for _, lp := range packs {
			if _, live := s.Pack(lp.Key); live {
				c.Names = append(c.Names, lp.Key.Name())
			}
		}
		if n = len(c.Names); n == 0 || !s.Takes(copied.Refs, copied.Segments) {
			return nil, errMoved
		}
		slices.Sort(c.Names)
		return c, nil
	})
	if errors.Is(err, errMoved) {
		return nil // another prune has taken them, or our copies: the next run sees what is left
	} else if err != nil {
		return err
	}
	out.Packs += n
	out.Bytes += copied.Bytes
	return snapshot.SyncIndex(ctx, p.Push.Log, p.Push.Index)
}
