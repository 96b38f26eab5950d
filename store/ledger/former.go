package ledger

import (
	"context"
	"crypto/sha256"
	"fmt"

	"golang.org/x/sync/errgroup"

	"satchel/store/canon"
	"satchel/store/pack"
)

// Former finds the snapshots that were forgotten and whose id matches, oldest first, each as the
// state had it: what an UNFORGET brings back. It folds the ledger anew, from this device's copy
// and, where that begins later than the ledger, from the store.
func (l *Log) Former(ctx context.Context, match func(pack.ID) bool) ([]Snapshot, error) {
	s := newState(l.Repository, l.Keyring.Balance)
	former := map[pack.ID]bool{}
	var out []Snapshot
	for from := uint64(1); from <= l.state.position; from += batch {
		raws, err := l.copies(ctx, from, min(from+batch-1, l.state.position))
		if err != nil {
			return nil, err
		}
		for _, r := range raws {
			e, err := l.openAfter(s, r.bytes)
			if err != nil {
				return nil, err
			}
			if reason, err := s.step(e, r.hash); err != nil {
				return nil, err
			} else if reason != "" || e.Kind != Commit {
				continue
			}
			var c CommitContent
			if canon.Unmarshal(e.Content, &c) == nil && match(c.Snapshot) && !former[c.Snapshot] {
				former[c.Snapshot] = true
				out = append(out, s.snapshots[c.Snapshot])
			}
		}
	}
	if s.head != l.state.head {
		return nil, fmt.Errorf("%w: the entries before entry %d are not those that it was written after", ErrDamaged, l.state.position)
	}
	var gone []Snapshot
	for _, v := range out {
		if _, live := l.state.snapshots[v.ID]; !live {
			gone = append(gone, v)
		}
	}
	return gone, nil
}

// copies returns the raw entries from to to, as kept here or else as in the store.
func (l *Log) copies(ctx context.Context, from, to uint64) ([]rawEntry, error) {
	raws := make([]rawEntry, to-from+1)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for i := range raws {
		n := from + uint64(i)
		if raw := l.m.entry(n); raw != nil {
			raws[i] = rawEntry{raw, sha256.Sum256(raw)}
			continue
		}
		g.Go(func() (err error) {
			raws[i], err = l.get(gctx, n)
			return err
		})
	}
	return raws, g.Wait()
}
