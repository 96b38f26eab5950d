package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// listing is what the store holds, of the kinds that may be deleted, beside the packs that were live.
type listing struct {
	objects  map[string]store.Object
	gone     map[string]bool // what was deleted since
	position uint64          // of the state whose live packs are left out
	now      time.Time       // of the store
}

func (p *Prune) list(ctx context.Context) (*listing, error) {
	s := p.Push.Log.State()
	l := &listing{objects: map[string]store.Object{}, gone: map[string]bool{}, position: s.Position()}
	for _, prefix := range []string{"d/", "i/", "s/", "t/"} {
		for o, err := range p.Push.Store.List(ctx, prefix) {
			if err != nil {
				return nil, fmt.Errorf("listing: %w", err)
			}
			if k, err := pack.ParseName(o.Name); err == nil {
				if _, live := s.Pack(k); live {
					continue
				}
			}
			l.objects[o.Name] = o
		}
	}
	l.now = p.Push.Store.Now()
	return l, nil
}

// condemned adds packs that were live.
func (l *listing) condemned(packs []ledger.Pack) {
	for _, lp := range packs {
		name := lp.Key.Name()
		l.objects[name] = store.Object{Name: name, Size: lp.Size}
	}
}

// there reports whether a dead name's object may be in the store. Of what was live when it was listed,
// and others have condemned, that is not known.
func (l *listing) there(d ledger.DeadName) bool {
	_, seen := l.objects[d.Name]
	return seen || d.Position > l.position && !l.gone[d.Name]
}

// unregistered adds objects that no entry names, and that have lain for so long that nobody
// is about to: packs, segments, and states that no checkpoint of late needs.
func (p *Prune) unregistered(ctx context.Context, listed *listing) (names []string, err error) {
	s := p.Push.Log.State()
	live := map[string]bool{}
	for _, h := range s.Segments() {
		live[ledger.SegmentName(h)] = true
	}
	states, err := p.Push.Log.StateObjects(ctx, 2)
	if err != nil {
		return nil, err
	}
	for _, name := range states {
		live[name] = true
	}
	for name, o := range listed.objects {
		if live[name] || s.Dead(name) || p.Unfinished > 0 && listed.now.Sub(o.Time) < p.Unfinished {
			continue
		}
		if k, err := pack.ParseName(name); err == nil {
			if _, live := s.Pack(k); live || k.Session().Began() < s.Horizon() {
				continue // needed, or dead without an entry
			}
		} else if name[0] != 'i' && name[0] != 's' {
			continue // a stranger
		}
		names = append(names, name)
	}
	return names, nil
}

// errUnasked: the right to delete is not there, as it was not for the object before.
var errUnasked = fmt.Errorf("%w: not asked for, as another was refused", store.ErrDenied)

// sweep deletes what is dead in the prefix of the ledger that this device has read (R4), and has
// been for the grace.
func (p *Prune) sweep(ctx context.Context, listed *listing, out *Report) error {
	s := p.Push.Log.State()
	var names []string
	for _, d := range s.DeadNames() {
		o, there := listed.objects[d.Name]
		switch {
		case !there:
		case p.Grace > 0 && listed.now.Sub(time.Unix(0, d.Time)) < p.Grace:
			out.Waiting++
			out.WaitBytes += o.Size
		default:
			names = append(names, d.Name)
		}
	}
	for name := range listed.objects { // of sessions that can register nothing any more
		if k, err := pack.ParseName(name); err == nil && k.Session().Began() < s.Horizon() && !s.Dead(name) {
			if _, live := s.Pack(k); !live {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for i, name := range names {
		err := p.Push.Store.Delete(ctx, name)
		switch {
		case err == nil, errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer):
			out.Deleted++
			out.Freed += listed.objects[name].Size
			delete(listed.objects, name)
			listed.gone[name] = true
		case errors.Is(err, store.ErrDenied):
			out.Later = append(out.Later, Later{name, err})
			for _, rest := range names[i+1:] {
				out.Later = append(out.Later, Later{rest, errUnasked})
			}
			return nil
		case errors.Is(err, store.ErrHeld):
			out.Later = append(out.Later, Later{name, err})
		default:
			return fmt.Errorf("delete: %w", err)
		}
	}
	return nil
}

// maxLeave is how many names a checkpoint has room for; those of packs are the longest.
const maxLeave = 8000

// checkpoint moves the horizon to where the unfinished sessions of today began, and lets go of
// dead names whose objects are gone; when there are enough of them to be worth it.
func (p *Prune) checkpoint(ctx context.Context, listed *listing) error {
	s := p.Push.Log.State()
	horizon := s.Horizon()
	before := func(position uint64, at int64) {
		if position > horizon && (p.Unfinished == 0 || listed.now.Sub(time.Unix(0, at)) >= p.Unfinished) {
			horizon = position
		}
	}
	for _, v := range s.Snapshots(ledger.Workspace{}) {
		before(v.Position, v.Time)
	}
	for _, d := range s.DeadNames() {
		before(d.Position, d.Time)
	}
	var leave []string
	for _, d := range s.DeadNames() {
		if !listed.there(d) && d.Position < horizon && len(leave) < maxLeave {
			leave = append(leave, d.Name)
		}
	}
	if s.SinceCheckpoint() < ledger.CheckpointEvery && len(leave) < ledger.CheckpointEvery {
		return nil
	}
	slices.Sort(leave)
	return p.Push.Log.MoveHorizon(ctx, p.Push.Me, horizon, leave)
}
