package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

// CheckpointEvery is after how many entries a writer offers a checkpoint.
const CheckpointEvery = 64

var errLost = errors.New("another entry came first")

// Checkpoint appends a checkpoint if CheckpointEvery entries have come since the last: the
// state as an object, and one index segment for the directories that entries carried
// themselves, so that a new device need not read those entries. Losing the race is no error.
func (l *Log) Checkpoint(ctx context.Context, author *seal.Identity) error {
	if l.state.SinceCheckpoint() < CheckpointEvery {
		return nil
	}
	return l.MoveHorizon(ctx, author, l.state.scalars.Horizon, nil)
}

// MoveHorizon appends a checkpoint that moves the horizon: what is registered afterwards by a
// session that began before it is void. Names that are dead since before it leave the state; their
// objects are to be gone. Losing the race is no error.
func (l *Log) MoveHorizon(ctx context.Context, author *seal.Identity, horizon uint64, leave []string) error {
	s := l.state
	c := CheckpointContent{Covers: s.position, Horizon: horizon, Leave: leave}
	payload := s.Payload()
	c.Payload = sha256.Sum256(payload)
	var err error
	if c.Object, err = PutSealed(ctx, l.Store, l.Keys, seal.State, payload, l.Rand); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	for _, payload := range pack.EncodeSegments(l.inline()) {
		h, err := PutSealed(ctx, l.Store, l.Keys, seal.Segment, payload, l.Rand)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		c.Segments = append(c.Segments, h)
	}
	_, err = l.Append(ctx, author, Checkpoint, func(now *State) (any, error) {
		if now.position != c.Covers {
			return nil, errLost
		}
		return c, nil
	})
	if errors.Is(err, errLost) {
		return nil
	}
	return err
}

// StateObjects lists the objects that hold the state of the newest checkpoints, at most n.
func (l *Log) StateObjects(ctx context.Context, n int) (names []string, err error) {
	for at := l.state.scalars.Checkpoint; at > 0 && len(names) < n; {
		raw := l.m.entry(at)
		if raw == nil {
			r, err := l.get(ctx, at)
			if err != nil {
				return nil, err
			}
			raw = r.bytes
		}
		e, err := l.open(raw, at)
		if err != nil {
			return nil, err
		}
		var c CheckpointContent
		if e == nil || canon.Unmarshal(e.Content, &c) != nil {
			return nil, fmt.Errorf("%w: entry %d is no checkpoint", ErrDamaged, at)
		}
		names = append(names, StateName(c.Object))
		at = e.Checkpoint
	}
	return names, nil
}

// inline gathers the directories that entries since the last checkpoint carry; those of
// entries that are void, or tell again of what is known, not.
func (l *Log) inline() []pack.Entry {
	var out []pack.Entry
	for n := l.state.scalars.Checkpoint + 1; n <= l.state.position; n++ {
		packs, _ := l.registered(n)
		for _, r := range packs {
			if p, live := l.state.packs[r.Key]; live && p.Position == n && p.Hash == r.Hash && len(r.Directory) > 0 {
				out = append(out, pack.Entry{Key: r.Key, Size: r.Size, Directory: r.Directory})
			}
		}
	}
	return out
}

// PutSealed seals a payload into an object named by its own SHA-256 (kinds s and i), puts it
// and returns the hash.
func PutSealed(ctx context.Context, s store.Store, keys *seal.Keys, kind seal.Kind, payload []byte, rand io.Reader) (Hash, error) {
	object, err := keys.SealObject(kind, 0, payload, rand)
	if err != nil {
		return Hash{}, err
	}
	h := Hash(sha256.Sum256(object))
	err = s.Put(ctx, fmt.Sprintf("%c/%x", kind, h[:]), object)
	if errors.Is(err, store.ErrExists) {
		err = nil // the salt is random: it is our own, and its answer was lost
	}
	return h, err
}
