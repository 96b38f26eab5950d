package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/seal"
)

// begin makes the first state of a new device: that of the newest checkpoint which can be
// verified, else State(0). Its anchor is the hash of entry 1.
func (l *Log) begin(ctx context.Context, head uint64) (*State, error) {
	l.begun = map[uint64]rawEntry{}
	first, err := l.read(ctx, 1)
	if err != nil {
		return nil, err
	}
	if l.begun[1].hash != l.Genesis {
		return nil, fmt.Errorf("%w: its first entry is another one", ErrRollback)
	}
	at := uint64(0)
	for n := head; n > 1 && !l.Whole; n-- {
		e, err := l.read(ctx, n)
		if err != nil {
			return nil, err
		}
		if e == nil || e.newer || e.Checkpoint >= n { // who lies about one thing says nothing about others
			continue
		}
		if at = e.Checkpoint; e.Kind == Checkpoint {
			at = n
		}
		break
	}
	for at > 1 {
		s, earlier, err := l.fromCheckpoint(ctx, at, first)
		if s != nil || err != nil {
			return s, err
		}
		at = earlier
	}
	return newState(l.Repository, l.Keyring.Balance), nil
}

// read reads and opens an entry, and remembers it until the state has come to it.
func (l *Log) read(ctx context.Context, n uint64) (*Entry, error) {
	r, err := l.get(ctx, n)
	if err != nil {
		return nil, err
	}
	l.begun[n] = r
	e, err := l.open(r.bytes, n)
	if missing := (*seal.GenerationError)(nil); errors.As(err, &missing) {
		return nil, nil // the replay will tell whether it counts
	}
	return e, err
}

// fromCheckpoint verifies the checkpoint at position n and returns State(n). Where it does
// not hold it returns the position of the one before.
func (l *Log) fromCheckpoint(ctx context.Context, n uint64, first *Entry) (*State, uint64, error) {
	e, err := l.read(ctx, n)
	if err != nil || e == nil || e.newer {
		return nil, 0, err
	}
	earlier := e.Checkpoint
	if earlier >= n {
		earlier = 0
	}
	var c CheckpointContent
	if e.Kind != Checkpoint || canon.Unmarshal(e.Content, &c) != nil {
		return nil, earlier, nil
	}
	object, err := l.Store.Get(ctx, StateName(c.Object), 0, -1)
	if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
		return nil, earlier, nil
	} else if err != nil {
		return nil, 0, fmt.Errorf("state of entry %d: %w", n, err)
	}
	payload, err := l.Keys.OpenObject(seal.State, 0, object)
	if err != nil || sha256.Sum256(object) != c.Object || sha256.Sum256(payload) != c.Payload {
		return nil, earlier, nil
	}
	s, err := parseState(payload, n-1, l.Repository, l.Keyring.Balance)
	if errors.Is(err, ErrTooNew) {
		return nil, 0, err
	} else if err != nil {
		return nil, earlier, nil
	}
	s.head, s.broken = e.Prev, l.broken
	if reason, err := s.step(e, l.begun[n].hash); err != nil {
		return nil, 0, err
	} else if reason != "" {
		return nil, earlier, nil
	}
	if ok, err := l.rooted(ctx, s, e.Author, first); err != nil || !ok {
		return nil, earlier, err
	}
	l.raw[n] = l.begun[n].bytes
	return s, 0, nil
}

// rooted reports whether the enrolment of a member, and of who enrolled it, and so on, leads
// back to the first entry. A checkpoint's state says itself who its members are: without
// this, whoever holds the keys could make one up, and holding the keys authorises nothing.
func (l *Log) rooted(ctx context.Context, s *State, id seal.ID, first *Entry) (bool, error) {
	for before := s.position; ; {
		m, ok := s.members[id]
		switch {
		case !ok || m.Enrolled == 0 || m.Enrolled >= before:
			return false, nil
		case m.Enrolled == 1:
			var c GenesisContent
			if first == nil || canon.Unmarshal(first.Content, &c) != nil {
				return false, nil
			}
			for _, p := range c.Principals {
				if grew(p, m.Principal) {
					return true, nil
				}
			}
			return false, nil
		}
		e, err := l.read(ctx, m.Enrolled)
		if err != nil || e == nil || e.newer {
			return false, err
		}
		var c EnrolContent
		sponsor := s.members[e.Author].Principal
		if e.Kind != Enrol || canon.Unmarshal(e.Content, &c) != nil || !grew(c.Principal, m.Principal) ||
			sponsor.Rights&seal.Enrol == 0 || !e.signedBy(0, sponsor) || !e.signedBy(1, m.Principal) {
			return false, nil
		}
		before, id = m.Enrolled, e.Author
	}
}
