package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"satchel/store/canon"
)

// Audited is what Audit found.
type Audited struct {
	Head        uint64         // the newest position in the store, 0 if there is none
	Kept        int            // entries that were compared with this device's copy
	Findings    []Finding      // damage
	Voids       []Void         // entries that every reader skips
	Checkpoints []Checkpointed // valid ones whose state was never condemned, by position
	Details     []string       // objects of valid AUDIT entries that were never condemned
	State       *State         // the fold of all entries; nil where one is lost for good
}

// Finding is what is wrong with the entry at a position.
type Finding struct {
	Position uint64
	What     string
	Kept     bool // this device has the bytes that belong there
}

// Checkpointed is the state object that a valid checkpoint names.
type Checkpointed struct {
	Position        uint64
	Object, Payload Hash
}

// Audit replays the store's whole ledger from entry 1, with every signature and link, and
// compares it with the entries that this device has kept. It goes on with the kept bytes where the
// store's are lost or others, so that one finding hides no other. Nothing is changed here or
// there, and no Sync is needed first.
func (l *Log) Audit(ctx context.Context) (*Audited, error) {
	l.begun = nil
	there, head, err := l.positions(ctx)
	if err != nil {
		return nil, err
	}
	a := &audit{Log: l, out: Audited{Head: head}, state: newState(l.Repository, l.Keyring.Balance)}
	last := head
	kept, err := l.m.positions()
	if err != nil {
		return nil, err
	}
	if len(kept) > 0 {
		last = max(last, kept[len(kept)-1])
	}
	for from := uint64(1); from <= last; from += batch {
		raws, err := l.fetch(ctx, from, min(from+batch-1, last), there)
		if err != nil {
			return nil, err
		}
		for i, r := range raws {
			if err := a.entry(ctx, from+uint64(i), r); err != nil {
				return nil, err
			}
		}
	}
	if a.doubt != 0 && a.doubt == head {
		a.find(head, false, "does not open, and nothing was written after it: it was changed, or written by somebody without the keys")
	}
	if s := l.state; s != nil && a.state != nil && a.state.position == s.position && a.state.Digest() != s.Digest() {
		a.find(s.position, true, "and those before it fold to another state than the one that this device has kept")
	}
	a.out.State = a.state
	return &a.out, nil
}

// positions lists the store's entries, and the newest.
func (l *Log) positions(ctx context.Context) (there map[uint64]bool, head uint64, err error) {
	there = map[uint64]bool{}
	for o, err := range l.Store.List(ctx, Prefix) {
		if err != nil {
			return nil, 0, fmt.Errorf("ledger: %w", err)
		}
		if n, ok := ParseName(o.Name); ok && n > 0 {
			there[n] = true
			head = max(head, n)
		}
	}
	return there, head, nil
}

// fetch reads the entries from to to that are there; nil stands for one that is not.
func (l *Log) fetch(ctx context.Context, from, to uint64, there map[uint64]bool) ([]*rawEntry, error) {
	raws := make([]*rawEntry, to-from+1)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	for i := range raws {
		n := from + uint64(i)
		if !there[n] {
			continue
		}
		g.Go(func() error {
			r, err := l.get(gctx, n)
			if err == nil {
				raws[i] = &r
			} else if errors.Is(err, ErrDamaged) {
				err = nil // it has gone since it was listed
			}
			return err
		})
	}
	return raws, g.Wait()
}

// audit is an Audit under way.
type audit struct {
	*Log
	out   Audited
	state *State // nil once an entry is lost
	prev  Hash   // the chain before, zero where it is not known
	doubt uint64 // the entry before, if it does not open: the next one tells what it is
}

func (a *audit) find(n uint64, kept bool, format string, args ...any) {
	a.out.Findings = append(a.out.Findings, Finding{n, fmt.Sprintf(format, args...), kept})
}

// entry judges one position; stored is nil if the store has nothing there.
func (a *audit) entry(ctx context.Context, n uint64, stored *rawEntry) error {
	use, kept := stored, a.copyOf(n)
	switch {
	case stored == nil && n == a.out.Head+1:
		a.find(n, kept != nil, "is missing: the ledger ends at entry %d, and this device has seen more", a.out.Head)
	case stored == nil && n > a.out.Head: // it goes with the one before
	case stored == nil:
		a.find(n, kept != nil, "is missing")
	case kept != nil && kept.hash != stored.hash:
		a.find(n, true, "%s", a.differs(stored.bytes, n))
	}
	if kept != nil {
		use = kept
		a.out.Kept++
	}
	if use == nil {
		a.lose()
		return nil
	}
	if n == 1 && use.hash != a.Genesis {
		a.find(1, false, "is not the entry that the repository began with")
		a.lose()
		return nil
	}
	e, err := a.opened(use.bytes, n)
	if err != nil && kept == nil && a.refuted(ctx, n, use.hash, a.prev) {
		a.find(n, false, "is not the one that entry %d was written after", n+1)
		a.lose()
		return nil
	} else if err != nil {
		return err
	}
	a.chain(e, n)
	if e != nil && !e.newer {
		a.prev = e.Prev // what it says of those before it has been told; from here on it counts
	}
	a.doubt = 0
	if e == nil {
		a.doubt = n
	}
	if n == 1 || a.prev != (Hash{}) {
		a.prev = link(a.prev, use.hash)
	}
	return a.fold(e, use.hash)
}

// opened opens the entry at n, after the state if that is known.
func (a *audit) opened(raw []byte, n uint64) (*Entry, error) {
	if a.state != nil {
		return a.openAfter(a.state, raw)
	}
	return a.open(raw, n)
}

// lose says that an entry is lost: no state follows from what comes.
func (a *audit) lose() { a.state, a.prev, a.doubt = nil, Hash{}, 0 }

// copyOf is this device's own copy of an entry, nil if it has none.
func (a *audit) copyOf(n uint64) *rawEntry {
	if raw := a.m.entry(n); raw != nil {
		return &rawEntry{raw, sha256.Sum256(raw)}
	}
	return nil
}

// differs says what the store's bytes are that are not the ones kept here.
func (a *audit) differs(stored []byte, n uint64) string {
	if e, _ := openEntry(stored, n, a.Keys); e != nil {
		return "is another entry than the one that this device has kept: the ledger was rolled back or forked"
	}
	return "was changed"
}

// chain compares an entry's link with the bytes before it.
func (a *audit) chain(e *Entry, n uint64) {
	switch {
	case e == nil || e.newer || n == 1 || a.prev == (Hash{}) || e.Prev == a.prev:
	case a.doubt == n-1:
		a.find(n-1, false, "is not the one that entry %d was written after", n)
		a.state = nil
	default:
		a.find(n, false, "was written after another entry %d: the ledger was forked", n-1)
	}
}

// fold takes the state to the next position.
func (a *audit) fold(e *Entry, hash Hash) error {
	if a.state == nil {
		return nil
	}
	reason, err := a.state.step(e, hash)
	if errors.Is(err, ErrDamaged) {
		a.find(1, false, "is not a genesis")
		a.state = nil
		return nil
	} else if err != nil {
		return err
	}
	if reason != "" {
		a.out.Voids = append(a.out.Voids, Void{a.state.position, reason})
		return nil
	}
	var c CheckpointContent
	var told AuditContent
	switch {
	case e.Kind == Checkpoint && canon.Unmarshal(e.Content, &c) == nil:
		a.out.Checkpoints = append(a.out.Checkpoints, Checkpointed{a.state.position, c.Object, c.Payload})
	case e.Kind == Audit && canon.Unmarshal(e.Content, &told) == nil && told.DetailName() != "":
		a.out.Details = append(a.out.Details, told.DetailName())
	case e.Kind == Condemn: // a name that is dead may leave the state later
		a.out.Checkpoints = slices.DeleteFunc(a.out.Checkpoints, func(c Checkpointed) bool { return a.state.Dead(StateName(c.Object)) })
		a.out.Details = slices.DeleteFunc(a.out.Details, a.state.Dead)
	}
	return nil
}

// refuted reports whether the entry after n was written after other bytes than those with
// this hash; prev is the chain before n, zero if it is not known.
func (l *Log) refuted(ctx context.Context, n uint64, hash, prev Hash) bool {
	if n > 1 && prev == (Hash{}) {
		return false
	}
	next, err := l.get(ctx, n+1)
	if err != nil {
		return false
	}
	e, err := openEntry(next.bytes, n+1, l.Keys)
	return err == nil && !e.newer && e.Prev != link(prev, hash)
}
