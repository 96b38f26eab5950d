package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"satchel/store"
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
	Whole      bool    // a first copy begins with entry 1, and trusts no checkpoint
	User       string  // who sits here, for the journal; "" if that is not known
	Path       string  // of this device's copy
	Rand       io.Reader
}

// Log is the ledger as this device knows it.
type Log struct {
	Config
	kept
	m      *mirror
	raw    map[uint64][]byte   // entries that the mirror does not have yet
	begun  map[uint64]rawEntry // read to begin, for replay
	first  uint64              // the first entry that this Sync folds
	fresh  bool                // this copy has just begun: it cannot know its own entries
	dirty  bool                // the mirror has an older state
	failed error               // of the last Sync
	broken breach
	meddle func(Kind, builder) builder // for tests, with what Append is given
	voids  []Void
}

// Void is an entry that was skipped, and why.
type Void struct {
	Position uint64
	Reason   string
}

// Open opens this device's copy of the ledger; it asks the store nothing. Call Sync next.
func Open(c Config) (*Log, error) {
	m, k, err := openMirror(c.Path, c.Repository, c.Keyring.Balance)
	if err != nil {
		return nil, err
	}
	return &Log{Config: c, kept: k, m: m, raw: map[uint64][]byte{}}, nil
}

// Close releases the device's copy.
func (l *Log) Close() error { return l.m.close() }

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
//
// A store that holds the same number of entries as this device costs no read as long as
// the newest is of the size and time that it had. Where the first new entry is void, the
// entries before it are compared with those that this device has kept.
func (l *Log) Sync(ctx context.Context) error {
	l.failed = l.sync(ctx)
	return l.failed
}

// Confirm is Sync, and reads the newest entry from the store although it seems to be the one
// that this device knows: whatever was appended before is there, or this is an error.
func (l *Log) Confirm(ctx context.Context) error {
	l.seen = sight{}
	return l.Sync(ctx)
}

func (l *Log) sync(ctx context.Context) error {
	head, row, err := l.newest(ctx)
	if l.state != nil && errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
		return fmt.Errorf("%w: this device has seen entry %d: %w", ErrRollback, l.state.position, err)
	} else if err != nil {
		return err
	}
	if l.state == nil {
		l.fresh, l.dirty = true, true
		if l.state, err = l.begin(ctx, head); err != nil {
			return err
		}
	}
	l.state.broken = l.broken
	l.first = l.state.position + 1
	if head < l.state.position {
		return fmt.Errorf("%w: it ends at entry %d, this device has seen entry %d", ErrRollback, head, l.state.position)
	}
	if head == l.state.position && !l.seen.like(sightOf(row)) {
		if err := l.same(ctx, head); err != nil {
			return err
		}
		l.dirty = true
	}
	for from := l.first; from <= head; from += batch {
		if err := l.replay(ctx, from, min(from+batch-1, head)); err != nil {
			return err
		}
	}
	l.fresh, l.begun = false, nil
	if !l.dirty {
		return nil
	}
	l.seen = sightOf(row)
	return l.save()
}

// save brings the mirror up to date.
func (l *Log) save() error {
	err := l.copied(l.m.save(l.kept, l.raw))
	l.dirty = err != nil
	return err
}

// copied ends a transaction that has taken up what was read.
func (l *Log) copied(err error) error {
	if err != nil {
		return fmt.Errorf("ledger copy %s: %w", l.Path, err)
	}
	clear(l.raw)
	return nil
}

// newest is the position of the newest entry: the first of the listing.
func (l *Log) newest(ctx context.Context) (uint64, store.Object, error) {
	for o, err := range l.Store.List(ctx, Prefix) {
		if err != nil {
			return 0, o, fmt.Errorf("ledger: %w", err)
		}
		n, ok := ParseName(o.Name)
		if !ok || n == 0 {
			return 0, o, fmt.Errorf("%w: a stranger lies among its entries: %s", ErrDamaged, o.Name)
		}
		return n, o, nil
	}
	return 0, store.Object{}, fmt.Errorf("ledger: no entry: %w", store.ErrNotFound)
}

// rawEntry is an entry as the store has it; bytes is nil if there are too many for an entry.
type rawEntry struct {
	bytes []byte
	hash  Hash
}

// get reads the raw bytes of entry n; one that is missing is a gap.
func (l *Log) get(ctx context.Context, n uint64) (rawEntry, error) {
	if r, ok := l.begun[n]; ok {
		return r, nil
	}
	raw, err := l.Store.Get(ctx, Name(n), 0, -1)
	if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
		return rawEntry{}, fmt.Errorf("%w: entry %d (%s) is missing", ErrDamaged, n, Name(n))
	} else if err != nil {
		return rawEntry{}, fmt.Errorf("ledger entry %d: %w", n, err)
	}
	r := rawEntry{raw, sha256.Sum256(raw)}
	if len(raw) > maxEntry {
		r.bytes = nil
	}
	return r, nil
}

// same reports ErrRollback unless the store's entry n is the one that this device's state
// ends with.
func (l *Log) same(ctx context.Context, n uint64) error {
	kept := l.m.entry(n)
	if kept == nil {
		return nil // too large to be kept: what comes after it will tell
	}
	r, err := l.get(ctx, n)
	if err == nil && r.hash != sha256.Sum256(kept) {
		err = fmt.Errorf("%w: entry %d (%s) is another one", ErrRollback, n, Name(n))
	}
	return err
}

// open opens an entry; nil where it is void because it does not open.
func (l *Log) open(raw []byte, n uint64) (*Entry, error) {
	e, err := openEntry(raw, n, l.Keys)
	var missing *seal.GenerationError
	switch {
	case err == nil:
		return e, nil
	case errors.Is(err, seal.ErrTooNew):
		return nil, fmt.Errorf("%w: %w", ErrTooNew, err)
	case errors.As(err, &missing) && missing.Generation > l.Keys.Generation():
		return nil, err
	}
	return nil, nil
}

// openAfter opens the entry that comes after a state. One of a generation that was not put in force
// yet does not open; one of a generation in force whose keyring is not here is an error.
func (l *Log) openAfter(s *State, raw []byte) (*Entry, error) {
	e, err := l.open(raw, s.position+1)
	if missing := (*seal.GenerationError)(nil); errors.As(err, &missing) && missing.Generation > s.scalars.Generation {
		return nil, nil
	}
	return e, err
}

// replay folds entries from to to, which are read from the store.
func (l *Log) replay(ctx context.Context, from, to uint64) error {
	raws := make([]rawEntry, to-from+1)
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
	for _, r := range raws {
		e, err := l.openAfter(l.state, r.bytes)
		if err == nil {
			err = l.fold(ctx, e, r)
		}
		if err != nil {
			return err
		}
	}
	return l.copied(l.m.keep(l.raw))
}

// fold folds one entry that the store holds at the next position. After an error the state
// is as it was.
func (l *Log) fold(ctx context.Context, e *Entry, r rawEntry) error {
	n := l.state.position + 1
	if n == 1 && r.hash != l.Genesis {
		return fmt.Errorf("%w: its first entry is another one", ErrRollback)
	}
	effect, reason, err := l.state.verdict(e)
	if err != nil {
		return err
	}
	if reason != "" {
		if err := l.doubt(ctx, e, n); err != nil {
			return err
		}
		l.voids = append(l.voids, Void{n, reason})
	} else {
		if err := l.own(e, n); err != nil {
			return err
		}
		l.newer = l.newer || seal.ReadOnly(r.bytes)
	}
	l.state.advance(effect, r.hash)
	l.dirty = true
	if r.bytes != nil {
		l.raw[n] = r.bytes
	}
	return nil
}

// own reports ErrCloned for an entry in this device's name that is not its work.
func (l *Log) own(e *Entry, n uint64) error {
	if l.fresh || e.Author != l.Me {
		return nil
	}
	wrote, err := l.m.wrote(e.Nonce)
	if err == nil && !wrote {
		err = fmt.Errorf("%w: entry %d was written with it elsewhere; enrol one of the two again", ErrCloned, n)
	}
	return err
}

// doubt asks, before entry n is skipped, whether the fault lies before it: the store may
// have another branch than the one that this device has kept, or entry n−1 did not open
// and was another one when n was written, or one before it that did not open either.
func (l *Log) doubt(ctx context.Context, e *Entry, n uint64) error {
	if n == l.first {
		for p := n - 1; p > 0 && p+batch >= n; p-- {
			kept := l.m.entry(p)
			if kept == nil {
				break
			}
			r, err := l.get(ctx, p)
			if err != nil {
				return err
			}
			if r.hash != sha256.Sum256(kept) {
				return fmt.Errorf("%w: entry %d (%s) is another one", ErrRollback, p, Name(p))
			}
		}
	}
	if n == 1 || e == nil || e.newer || e.Prev == l.state.head {
		return nil
	}
	first := n // of the run of entries before n that do not open: n vouches for them all
	for ; first > 1; first-- {
		raw := l.raw[first-1]
		if raw == nil {
			raw = l.m.entry(first - 1)
		}
		prev, err := l.open(raw, first-1)
		if missing := (*seal.GenerationError)(nil); err != nil && !errors.As(err, &missing) {
			return err
		} else if prev != nil {
			break
		}
	}
	switch n - first {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: entry %d (%s) is not the one that entry %d was written after", ErrDamaged, first, Name(first), n)
	}
	return fmt.Errorf("%w: of the entries %d (%s) to %d (%s) one at least is not the one that entry %d was written after", ErrDamaged, first, Name(first), n-1, Name(n-1), n)
}
