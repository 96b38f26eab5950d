package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Directories finds the directories of packs, each from the cheapest place that has it: the
// entry that registered the pack, an index segment, the pack's own end. Each is handed to
// yield once, verified against the hash in the state. A pack of which none can be had is an
// error that wraps pack.ErrDamaged or store.ErrNotFound, and comes when all others were
// handed on. What entries of this device's mirror have comes in the order of the ledger, so that
// two devices number packs alike, and prefer the same of a chunk's locations.
func (l *Log) Directories(ctx context.Context, want []Pack, yield func(p Pack, encoding []byte) error) error {
	missing := make(map[pack.Key]int, len(want)) // index in want
	byEntry := map[uint64]bool{}
	for i, p := range want {
		missing[p.Key] = i
		byEntry[p.Position] = true
	}
	found := func(k pack.Key, enc []byte) error {
		i, ok := missing[k]
		if !ok || len(enc) == 0 || Hash(sha256.Sum256(enc)) != want[i].Hash {
			return nil
		}
		delete(missing, k)
		return yield(want[i], enc)
	}
	segments := map[Hash]bool{}
	for _, n := range slices.Sorted(maps.Keys(byEntry)) {
		packs, names := l.registered(n)
		for _, h := range names {
			segments[h] = true
		}
		for _, r := range packs {
			if err := found(r.Key, r.Directory); err != nil {
				return err
			}
		}
	}
	if err := l.fromSegments(ctx, segments, len(missing) > len(segments), missing, found); err != nil {
		return err
	}
	var lost []error
	for _, p := range want {
		if _, still := missing[p.Key]; !still {
			continue
		}
		delete(missing, p.Key)
		d, err := l.fromPack(ctx, p)
		if errors.Is(err, pack.ErrDamaged) || errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
			lost = append(lost, err)
		} else if err != nil {
			return err
		} else if err := yield(p, d.Encoding()); err != nil {
			return err
		}
	}
	return errors.Join(lost...)
}

// fromPack reads a directory from the pack's own end.
func (l *Log) fromPack(ctx context.Context, p Pack) (*pack.Directory, error) {
	d, err := pack.ReadDirectory(ctx, l.Store, l.Keys, p.Key, p.Size)
	if err == nil && d.Hash() != p.Hash {
		return nil, &pack.Error{Pack: p.Key, What: "directory", Err: errors.New("it is not the one that was registered")}
	}
	return d, err
}

// fromSegments reads the named segments, and where all is set every live one, until
// nothing is missing. A segment that is lost or damaged is passed over: packs describe themselves.
func (l *Log) fromSegments(ctx context.Context, named map[Hash]bool, all bool, missing map[pack.Key]int, found func(pack.Key, []byte) error) error {
	for _, h := range l.state.Segments() {
		if len(missing) == 0 {
			return nil
		}
		if !all && !named[h] {
			continue
		}
		object, err := l.Store.Get(ctx, SegmentName(h), 0, -1)
		if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
			continue
		} else if err != nil {
			return fmt.Errorf("index segment: %w", err)
		}
		payload, err := l.Keys.OpenObject(seal.Segment, 0, object)
		if err != nil {
			continue
		}
		entries, err := pack.ParseSegment(payload)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if err := found(e.Key, e.Directory); err != nil {
				return err
			}
		}
	}
	return nil
}

// registered returns what entry n registered, if this device has kept the entry.
func (l *Log) registered(n uint64) ([]PackRef, []Hash) {
	raw := l.raw[n]
	if raw == nil {
		raw = l.m.entry(n)
	}
	if raw == nil {
		return nil, nil
	}
	e, err := openEntry(raw, n, l.Keys)
	if err != nil || e.newer {
		return nil, nil
	}
	switch e.Kind {
	case Commit:
		var c CommitContent
		if canon.Unmarshal(e.Content, &c) == nil {
			return c.Packs, c.Segments
		}
	case Register:
		var c RegisterContent
		if canon.Unmarshal(e.Content, &c) == nil {
			return c.Packs, c.Segments
		}
	}
	return nil, nil
}
