package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"satchel/snapshot"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// How long dead objects are kept, by the store's clock. It saves bandwidth, and lets a forgotten
// snapshot come back; nothing rests on it.
const (
	DefaultGrace      = 72 * time.Hour     // between condemn and delete
	DefaultUnfinished = 7 * 24 * time.Hour // for objects that no entry registers: a push may be under way
)

// When packs are written anew.
const (
	repackBelow = 0.6 // of a pack is needed
	smallShare  = 4   // a pack of less than a quarter of its target is small
	manySmall   = 8   // small packs of a kind are merged

	worthwhile  = 64 << 10  // bytes that a repack has to free
	repackBatch = 256 << 20 // bytes that are copied before the old packs are condemned
)

// Prune is everything that a prune needs.
type Prune struct {
	Push   *snapshot.Push // of the repository: store, keys, ledger, index, who it is; ledger and index are up to date
	Reader *snapshot.Reader

	Forget     []pack.ID     // snapshots that go
	Grace      time.Duration // DefaultGrace; 0 deletes in the same run
	Unfinished time.Duration // DefaultUnfinished
	Segments   int           // so many index segments are written anew, however small; 0: eight, if they are far too large
	DryRun     bool          // plan only
}

// A Report is what a prune did, or with DryRun would do.
type Report struct {
	Forgotten int
	Condemned int   // objects
	Repacked  int   // of these, packs whose living chunks were copied
	Copied    int64 // bytes of new packs
	Deleted   int   // objects
	Freed     int64 // bytes of these
	Waiting   int   // dead objects that are still within the grace
	WaitBytes int64
	Later     []Later // what the store would not delete
	Live      int64   // bytes of registered packs that stay
}

// Later is an object that could not be deleted: the store does not allow it, or not yet.
type Later struct {
	Name string
	Err  error
}

// errMoved: the ledger went on while a plan was made.
var errMoved = errors.New("the ledger has gone on")

// attempts is how often a prune computes anew what is needed before it leaves the rest to the
// next one.
const attempts = 10

// Run forgets, condemns, repacks and deletes. Each step is an entry of the ledger, and what was
// done stays done, so it may be interrupted anywhere and run again. It changes nothing if
// anything that a live snapshot needs is missing: a check is to name it first.
func (p *Prune) Run(ctx context.Context) (*Report, error) {
	out := &Report{}
	if err := p.forget(ctx, out); err != nil {
		return nil, err
	}
	listed, err := p.list(ctx)
	if err != nil {
		return nil, err
	}
	r := p.reach()
	if err := p.again(ctx, r, func() error { return p.condemn(ctx, r, listed, out) }); err != nil {
		return out, err
	}
	if p.DryRun {
		return out, nil
	}
	if err := p.again(ctx, r, func() error { return p.repack(ctx, r, listed, out) }); err != nil {
		return out, err
	}
	if err := p.compact(ctx, listed); err != nil && !errors.Is(err, errMoved) {
		return out, err
	}
	if err := p.sweep(ctx, listed, out); err != nil {
		return out, err
	}
	return out, p.checkpoint(ctx, listed)
}

// again computes what is needed and calls f, anew as often as the ledger goes on under it. What
// it cannot do between others is left to the next prune.
func (p *Prune) again(ctx context.Context, r *reach, f func() error) error {
	for range attempts {
		err := p.update(ctx, r)
		if err == nil {
			err = f()
		}
		if !errors.Is(err, errMoved) {
			return err
		}
		if err := snapshot.SyncIndex(ctx, p.Push.Log, p.Push.Index); err != nil {
			return err
		}
	}
	return nil
}

// update computes what is needed. It reports errMoved where another prune has deleted what was about
// to be read.
func (p *Prune) update(ctx context.Context, r *reach) error {
	err := r.update(ctx)
	switch gone := errors.Is(err, snapshot.ErrMissing) || errors.Is(err, store.ErrNotFound); {
	case err == nil:
		return nil
	case gone && moved(ctx, p.Push.Log):
		return errMoved
	}
	return fmt.Errorf("nothing was condemned, as not all that the snapshots need is there (satchel check names it): %w", err)
}

// moved asks whether the ledger has gone on (R6).
func moved(ctx context.Context, log *ledger.Log) bool {
	before := log.State().Position()
	return log.Sync(ctx) == nil && log.State().Position() > before
}

func (p *Prune) reach() *reach {
	return &reach{log: p.Push.Log, index: p.Push.Index, reader: p.Reader, damaged: p.Push.Damaged, skip: p.skip()}
}

// skip is what a plan leaves out, as Run would have forgotten it.
func (p *Prune) skip() map[pack.ID]bool {
	skip := map[pack.ID]bool{}
	for _, id := range p.Forget {
		skip[id] = p.DryRun
	}
	return skip
}

// forget appends FORGET entries. What another device has forgotten meanwhile is forgotten, and what
// it holds stays.
func (p *Prune) forget(ctx context.Context, out *Report) error {
	if p.DryRun {
		out.Forgotten = len(p.Forget)
		return nil
	}
	const many = 8192 // ids of an entry
	for ids := range slices.Chunk(p.Forget, many) {
		n := 0
		_, err := p.Push.Log.Append(ctx, p.Push.Me, ledger.Forget, func(s *ledger.State) (any, error) {
			there := slices.DeleteFunc(slices.Clone(ids), func(id pack.ID) bool {
				_, live := s.Snapshot(id)
				_, held := s.Hold(id, p.Push.Store.Now().UnixNano())
				return !live || held
			})
			if n = len(there); n == 0 {
				return nil, errMoved
			}
			return ledger.ForgetContent{Snapshots: there}, nil
		})
		if err != nil && !errors.Is(err, errMoved) {
			return fmt.Errorf("forget: %w", err)
		}
		out.Forgotten += n
	}
	return snapshot.SyncIndex(ctx, p.Push.Log, p.Push.Index)
}

// condemn makes dead what no live snapshot needs.
func (p *Prune) condemn(ctx context.Context, r *reach, listed *listing, out *Report) error {
	dead, some, err := p.packs(r, out)
	if err != nil {
		return err
	}
	idle, err := p.unregistered(ctx, listed)
	if err != nil {
		return err
	}
	listed.condemned(dead)
	names := idle
	for _, lp := range dead {
		names = append(names, lp.Key.Name())
	}
	slices.Sort(names)
	if p.DryRun {
		out.Condemned, out.Repacked = len(names)+len(some), len(some)
		for _, name := range names {
			out.Freed += listed.objects[name].Size
		}
		for _, rp := range some {
			out.Freed += rp.pack.Size - rp.stored
		}
		return nil
	}
	for names := range slices.Chunk(names, ledger.MaxCondemned) {
		if err := p.append(ctx, r, ledger.CondemnContent{Names: names}); err != nil {
			return err
		}
		out.Condemned += len(names)
	}
	return snapshot.SyncIndex(ctx, p.Push.Log, p.Push.Index)
}

// append adds a CONDEMN on the state that r stands for, and on no other (R3).
func (p *Prune) append(ctx context.Context, r *reach, c ledger.CondemnContent) error {
	e, err := p.Push.Log.Append(ctx, p.Push.Me, ledger.Condemn, func(s *ledger.State) (any, error) {
		if s.Position() != r.position {
			return nil, errMoved
		}
		return c, nil
	})
	if err == nil {
		r.position = e.Position
	}
	return err
}
