package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/seal"
)

// Config is what a Log needs.
type Config struct {
	Store      store.Store
	Keys       *seal.Keys
	Keyring    *seal.Keyring
	Repository seal.RepoID
	Genesis    Hash    // of the raw bytes of entry 1, as pinned
	Me         seal.ID // this device, zero if it is not enrolled
	Path       string  // of this device's copy
	Rand       io.Reader
}

// Log is the ledger as this device knows it.
type Log struct {
	Config
	m     *mirror
	state *State
	raw   map[uint64][]byte // read since the last save
	fresh bool              // this copy has just begun: it cannot know its own entries
	voids []Void
}

// Void is an entry that was skipped, and why.
type Void struct {
	Position uint64
	Reason   string
}

// Open opens this device's copy of the ledger; it asks the store nothing. Call Sync next.
func Open(c Config) (*Log, error) {
	m, err := openMirror(c.Path, c.Repository)
	if err != nil {
		return nil, err
	}
	l := &Log{Config: c, m: m, raw: map[uint64][]byte{}}
	if l.state, err = m.load(c.Repository, c.Keyring.Balance); err != nil {
		m.db.Close()
		return nil, fmt.Errorf("ledger copy %s: %w", c.Path, err)
	}
	return l, nil
}

// Close releases the device's copy.
func (l *Log) Close() error { return l.m.db.Close() }

// State is the fold up to the newest entry that Sync or Append has seen; nil before the first
// Sync on a new device.
func (l *Log) State() *State { return l.state }

// Voids lists the entries that Sync has skipped since Open.
func (l *Log) Voids() []Void { return l.voids }

// fetchers is how many entries are read at once, batch how many are held.
const (
	fetchers = 16
	batch    = 64
)

// Sync reads what is new: one listing, and one read per new entry. It reports ErrDamaged,
// ErrRollback, ErrTooNew, ErrCloned, or store.ErrNotFound where there is no ledger at all.
func (l *Log) Sync(ctx context.Context) error {
	head, err := l.newest(ctx)
	if err != nil {
		return err
	}
	if l.state == nil {
		l.fresh = true
		if l.state, err = l.begin(ctx, head); err != nil {
			return err
		}
	}
	if head < l.state.position {
		return fmt.Errorf("%w: it ends at entry %d, this device has seen entry %d", ErrRollback, head, l.state.position)
	}
	for from := l.state.position + 1; from <= head; from += batch {
		if err := l.replay(ctx, from, min(from+batch-1, head)); err != nil {
			return err
		}
	}
	l.fresh = false
	return l.save()
}

func (l *Log) save() error {
	if len(l.raw) == 0 {
		return nil
	}
	if err := l.m.save(l.state, l.raw); err != nil {
		return fmt.Errorf("ledger copy %s: %w", l.Path, err)
	}
	clear(l.raw)
	return nil
}

// newest is the position of the newest entry: the first of the listing.
func (l *Log) newest(ctx context.Context) (uint64, error) {
	for o, err := range l.Store.List(ctx, Prefix) {
		if err != nil {
			return 0, fmt.Errorf("ledger: %w", err)
		}
		n, ok := ParseName(o.Name)
		if !ok || n == 0 {
			return 0, fmt.Errorf("%w: a stranger lies among its entries: %s", ErrDamaged, o.Name)
		}
		return n, nil
	}
	return 0, fmt.Errorf("ledger: no entry: %w", store.ErrNotFound)
}

// get reads the raw bytes of entry n; one that is missing is a gap.
func (l *Log) get(ctx context.Context, n uint64) ([]byte, error) {
	raw, err := l.Store.Get(ctx, Name(n), 0, -1)
	if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
		return nil, fmt.Errorf("%w: entry %d (%s) is missing", ErrDamaged, n, Name(n))
	} else if err != nil {
		return nil, fmt.Errorf("ledger entry %d: %w", n, err)
	}
	return raw, nil
}

// open opens an entry; nil where it is void because it does not open.
func (l *Log) open(raw []byte, n uint64) (*Entry, error) {
	e, err := openEntry(raw, n, l.Keys)
	switch {
	case err == nil:
		return e, nil
	case errors.Is(err, seal.ErrTooNew), errors.Is(err, canon.ErrUnknownKey):
		return nil, fmt.Errorf("%w: %w", ErrTooNew, err)
	case errors.Is(err, seal.ErrNoKey):
		return nil, err
	}
	return nil, nil
}

// replay folds entries from to to, which are read from the store.
func (l *Log) replay(ctx context.Context, from, to uint64) error {
	raws := make([][]byte, to-from+1)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for i := range raws {
		g.Go(func() (err error) {
			raws[i], err = l.get(gctx, from+uint64(i))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	opened := true
	for i, raw := range raws {
		n := from + uint64(i)
		e, err := l.open(raw, n)
		if err != nil {
			return err
		}
		if e != nil && !opened && e.Prev != l.state.head {
			return fmt.Errorf("%w: entry %d (%s) is not the one that entry %d was written after", ErrDamaged, n-1, Name(n-1), n)
		}
		opened = e != nil
		if err := l.fold(e, raw); err != nil {
			return err
		}
	}
	return nil
}

// fold folds one entry that the store holds at the next position.
func (l *Log) fold(e *Entry, raw []byte) error {
	n := l.state.position + 1
	if n == 1 && sha256.Sum256(raw) != l.Genesis {
		return fmt.Errorf("%w: its first entry is another one", ErrRollback)
	}
	reason, err := l.state.step(e, sha256.Sum256(raw))
	if err != nil {
		return err
	}
	if reason != "" {
		l.voids = append(l.voids, Void{n, reason})
	} else if !l.fresh && e.Author == l.Me && !l.m.wrote(e.Nonce, n) {
		return fmt.Errorf("%w: entry %d was written with it elsewhere; enrol one of the two again", ErrCloned, n)
	}
	l.raw[n] = raw
	return nil
}

// begin makes the first state of a new device: that of the newest checkpoint which can be
// verified, else State(0). Its anchor is the hash of entry 1.
func (l *Log) begin(ctx context.Context, head uint64) (*State, error) {
	first, err := l.get(ctx, 1)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(first) != l.Genesis {
		return nil, fmt.Errorf("%w: its first entry is another one", ErrRollback)
	}
	at := uint64(0)
	for n := head; n > 1 && at == 0; n-- {
		raw, err := l.get(ctx, n)
		if err != nil {
			return nil, err
		}
		e, err := l.open(raw, n)
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		if at = e.Checkpoint; e.Kind == Checkpoint {
			at = n
		}
		break
	}
	for at > 1 {
		s, earlier, err := l.fromCheckpoint(ctx, at)
		if s != nil || err != nil {
			return s, err
		}
		at = earlier
	}
	return newState(l.Repository, l.Keyring.Balance), nil
}

// fromCheckpoint verifies the checkpoint at position n and returns State(n). Where it does
// not hold it returns the position of the one before.
func (l *Log) fromCheckpoint(ctx context.Context, n uint64) (*State, uint64, error) {
	raw, err := l.get(ctx, n)
	if err != nil {
		return nil, 0, err
	}
	e, err := l.open(raw, n)
	if err != nil || e == nil {
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
	if errors.Is(err, store.ErrNotFound) {
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
	s.head = e.Prev
	if reason, err := s.step(e, sha256.Sum256(raw)); err != nil {
		return nil, 0, err
	} else if reason != "" {
		return nil, earlier, nil
	}
	l.raw[n] = raw
	return s, 0, nil
}
