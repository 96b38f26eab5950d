package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// RepairLost puts entries that the store has lost and this device has kept back where they
// were, byte for byte, and returns their positions. Only free positions are written: where
// another entry lies than the one kept here nothing is written at all, and the error
// is ErrRollback. Entries after the store's newest are put back only if above is set: a store that
// was rolled back is for a person to look at first, and where it has moved on its branch
// wins. An entry that is there and was changed cannot be put back, as nothing is ever
// overwritten: the error is then ErrDamaged, and what was lost elsewhere is back all the same.
func (l *Log) RepairLost(ctx context.Context, above bool) (restored []uint64, err error) {
	l.begun = nil
	there, head, err := l.positions(ctx)
	if err != nil {
		return nil, err
	}
	lost, changed, err := l.compare(ctx, there)
	if err != nil {
		return nil, err
	}
	if len(lost) > 0 && lost[len(lost)-1] > head && !above {
		return nil, fmt.Errorf("%w: it ends at entry %d, this device has seen entry %d; nothing was written", ErrRollback, head, lost[len(lost)-1])
	}
	for _, n := range lost { // ascending: at no moment is there a gap that was not there before
		if err := l.putBack(ctx, n); err != nil {
			return restored, err
		}
		restored = append(restored, n)
	}
	if len(changed) > 0 {
		return restored, fmt.Errorf("%w: entry %d (%s) was changed, and nothing is ever overwritten: take that object away by hand and repair again, this device has its bytes", ErrDamaged, changed[0], Name(changed[0]))
	}
	return restored, nil
}

// compare reads every entry that is both here and there. It returns the positions that the
// store has lost, and those whose bytes no longer open.
func (l *Log) compare(ctx context.Context, there map[uint64]bool) (lost, changed []uint64, err error) {
	kept, err := l.m.positions()
	if err != nil {
		return nil, nil, err
	}
	for len(kept) > 0 {
		i := 1
		for i < len(kept) && kept[i] < kept[0]+batch {
			i++
		}
		raws, err := l.fetch(ctx, kept[0], kept[i-1], there)
		if err != nil {
			return nil, nil, err
		}
		for _, n := range kept[:i] {
			ours := l.m.entry(n)
			switch r := raws[n-kept[0]]; {
			case r == nil:
				if err := l.follows(ctx, n, ours); err != nil {
					return nil, nil, err
				}
				lost = append(lost, n)
			case r.hash == sha256.Sum256(ours):
			default:
				if e, _ := openEntry(r.bytes, n, l.Keys); e != nil {
					return nil, nil, fmt.Errorf("%w: another entry %d (%s) lies there than the one kept here; nothing was written", ErrRollback, n, Name(n))
				}
				changed = append(changed, n)
			}
		}
		kept = kept[i:]
	}
	return lost, changed, nil
}

// follows checks that the raw entry n kept here was written after the store's entry before
// it, if this device has not kept that one too.
func (l *Log) follows(ctx context.Context, n uint64, raw []byte) error {
	if n == 1 || l.m.entry(n-1) != nil {
		return nil
	}
	before, err := l.get(ctx, n-1)
	if errors.Is(err, ErrDamaged) {
		return nil // lost as well, and not kept
	} else if err != nil {
		return err
	}
	b, err := openEntry(before.bytes, n-1, l.Keys)
	if err != nil {
		return nil // it says nothing of those before it, so the chain is not known
	}
	if e, err := openEntry(raw, n, l.Keys); err == nil && e.Prev != link(b.Prev, before.hash) {
		return fmt.Errorf("%w: entry %d, kept here, was written after another entry %d; nothing was written", ErrRollback, n, n-1)
	}
	return nil
}

// putBack creates entry n as it was kept.
func (l *Log) putBack(ctx context.Context, n uint64) error {
	raw := l.m.entry(n)
	err := l.Store.Put(ctx, Name(n), raw)
	if err == nil {
		return nil
	}
	switch there, rerr := l.get(ctx, n); {
	case rerr == nil && bytes.Equal(there.bytes, raw):
		return nil // the answer was lost, or another device was first
	case rerr == nil:
		return fmt.Errorf("%w: another entry %d (%s) came just now", ErrRollback, n, Name(n))
	}
	return fmt.Errorf("ledger entry %d: %w", n, err)
}

// positions lists the entries that are kept, ascending.
func (m *mirror) positions() (out []uint64, err error) {
	err = m.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketEntries).ForEach(func(k, _ []byte) error {
			out = append(out, getU64(k))
			return nil
		})
	})
	return out, err
}
