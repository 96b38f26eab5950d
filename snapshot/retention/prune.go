package retention

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"satchel/snapshot"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
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
	if err := p.again(ctx, r, func() error { return p.repack(ctx, r, out) }); err != nil {
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

// forget appends FORGET entries. What another device has forgotten meanwhile is forgotten.
func (p *Prune) forget(ctx context.Context, out *Report) error {
	if p.DryRun {
		out.Forgotten = len(p.Forget)
		return nil
	}
	const many = 8192 // ids of an entry
	for ids := range slices.Chunk(p.Forget, many) {
		n := 0
		_, err := p.Push.Log.Append(ctx, p.Push.Me, ledger.Forget, func(s *ledger.State) (any, error) {
			there := slices.DeleteFunc(slices.Clone(ids), func(id pack.ID) bool { _, live := s.Snapshot(id); return !live })
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

// listing is what the store holds, of the kinds that may be deleted.
type listing struct {
	objects map[string]store.Object
	now     time.Time // of the store
}

func (p *Prune) list(ctx context.Context) (*listing, error) {
	l := &listing{objects: map[string]store.Object{}}
	for _, prefix := range []string{"d/", "i/", "s/", "t/"} {
		for o, err := range p.Push.Store.List(ctx, prefix) {
			if err != nil {
				return nil, fmt.Errorf("listing: %w", err)
			}
			l.objects[o.Name] = o
		}
	}
	l.now = p.Push.Store.Now()
	return l, nil
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
	names := append(dead, idle...)
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

// repackPack is a pack of which only a part is needed, or that is small.
type repackPack struct {
	pack   ledger.Pack
	dir    *pack.Directory
	stored int64 // bytes that are needed
	need   bits  // chunks
}

// packs lists the packs that nobody needs, and those to be written anew.
func (p *Prune) packs(r *reach, out *Report) (dead []string, some []repackPack, err error) {
	small := map[seal.Kind][]repackPack{}
	out.Live = 0
	for _, lp := range p.Push.Log.State().Packs() {
		d, ok, err := p.Push.Index.Directory(lp.Key)
		if err != nil {
			return nil, nil, err
		} else if !ok {
			continue // nobody can tell what it holds
		}
		stored, need := r.need(d, lp.Key)
		rp := repackPack{lp, d, stored, need}
		target := int64(pack.DataTarget)
		if lp.Key.Kind() == seal.Tree {
			target = pack.TreeTarget
		}
		switch {
		case stored == 0:
			dead = append(dead, lp.Key.Name())
			continue
		case p.Push.Damaged[lp.Key]: // what it still gives a repair may need
		case float64(stored) < repackBelow*float64(lp.Size) && lp.Size-stored > worthwhile:
			some = append(some, rp)
		case lp.Size < target/smallShare:
			small[lp.Key.Kind()] = append(small[lp.Key.Kind()], rp)
		}
		out.Live += lp.Size
	}
	for _, kind := range []seal.Kind{seal.Data, seal.Tree} {
		if len(small[kind]) >= manySmall {
			some = append(some, small[kind]...)
		}
	}
	return dead, some, nil
}

// repack copies what is needed of packs that hold little of it, a batch at a time, and condemns
// them.
func (p *Prune) repack(ctx context.Context, r *reach, out *Report) error {
	_, some, err := p.packs(r, out)
	if err != nil {
		return err
	}
	for len(some) > 0 {
		n, size := 0, int64(0)
		for n < len(some) && (n == 0 || size+some[n].stored <= repackBatch) {
			size += some[n].stored
			n++
		}
		if err := p.batch(ctx, r, some[:n], out); err != nil {
			return err
		}
		some = some[n:]
	}
	return nil
}

// batch is the repack of some packs. Where the ledger goes on meanwhile, the packs are condemned
// all the same of which nothing is needed but what was copied.
func (p *Prune) batch(ctx context.Context, r *reach, some []repackPack, out *Report) error {
	copied, err := p.Push.Copy(ctx, func(add func(seal.Kind, *pack.Frame) error) error { return p.copyAll(ctx, some, add) })
	if errors.Is(err, store.ErrNotFound) && moved(ctx, p.Push.Log) {
		return errMoved
	} else if err != nil {
		return fmt.Errorf("repack: %w", err)
	}
	for range attempts {
		c := ledger.CondemnContent{Packs: copied.Refs, Segments: copied.Segments}
		for _, rp := range some {
			if _, live := p.Push.Log.State().Pack(rp.pack.Key); live && r.within(rp) {
				c.Names = append(c.Names, rp.pack.Key.Name())
			}
		}
		if len(c.Names) == 0 || !p.Push.Log.State().Takes(copied.Refs, copied.Segments) {
			return errMoved
		}
		slices.Sort(c.Names)
		err := p.append(ctx, r, c)
		if err == nil {
			out.Condemned += len(c.Names)
			out.Repacked += len(c.Names)
			out.Copied += copied.Bytes
			return errors.Join(snapshot.SyncIndex(ctx, p.Push.Log, p.Push.Index), r.moved(some))
		} else if !errors.Is(err, errMoved) {
			return err
		}
		if err := snapshot.SyncIndex(ctx, p.Push.Log, p.Push.Index); err != nil {
			return err
		}
		if err := p.update(ctx, r); err != nil {
			return err
		}
	}
	return errMoved
}

// unregistered adds objects that no entry names, and that have lain for so long that nobody
// is about to: packs, segments, and states that no checkpoint of late needs.
func (p *Prune) unregistered(ctx context.Context, listed *listing) (names []string, err error) {
	s := p.Push.Log.State()
	live := map[string]bool{}
	for _, h := range s.Segments() {
		live[ledger.SegmentName(h)] = true
	}
	for _, lp := range s.Packs() {
		live[lp.Key.Name()] = true
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
			if k.Session().Began() < s.Horizon() {
				continue // dead without an entry
			}
		} else if name[0] != 'i' && name[0] != 's' {
			continue // a stranger
		}
		names = append(names, name)
	}
	return names, nil
}

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
		case errors.Is(err, store.ErrDenied):
			for _, rest := range names[i:] {
				out.Later = append(out.Later, Later{rest, err})
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
		if _, there := listed.objects[d.Name]; !there && d.Position < horizon && len(leave) < ledger.MaxCondemned {
			leave = append(leave, d.Name)
		}
	}
	if s.SinceCheckpoint() < ledger.CheckpointEvery && len(leave) < ledger.CheckpointEvery {
		return nil
	}
	slices.Sort(leave)
	return p.Push.Log.MoveHorizon(ctx, p.Push.Me, horizon, leave)
}

// copyAll hands the needed chunks of packs to add: frames as they are where all of it is needed,
// else the chunks in new frames.
func (p *Prune) copyAll(ctx context.Context, packs []repackPack, add func(seal.Kind, *pack.Frame) error) error {
	dec, err := pack.NewDecoder()
	if err != nil {
		return err
	}
	enc, err := pack.NewEncoder()
	if err != nil {
		return err
	}
	c := &copier{keys: p.Push.Keys, dec: dec, enc: enc, add: add}
	for _, rp := range packs {
		data, err := p.Push.Store.Get(ctx, rp.pack.Key.Name(), 0, rp.dir.End())
		if err != nil {
			return pack.GetError(rp.pack.Key, err)
		}
		if err := c.pack(rp, data); err != nil {
			return fmt.Errorf("pack %s: %w", rp.pack.Key.Name(), err)
		}
	}
	return nil
}

type copier struct {
	keys  *seal.Keys
	dec   *pack.Decoder
	enc   *pack.Encoder
	add   func(seal.Kind, *pack.Frame) error
	plain []byte
}

func (c *copier) pack(rp repackPack, data []byte) error {
	o, err := pack.Opener(c.keys, rp.pack.Key, rp.dir)
	if err != nil {
		return err
	}
	for i, f := range rp.dir.Frames() {
		if f.Offset+int64(f.Stored) > int64(len(data)) {
			return io.ErrUnexpectedEOF
		}
		sealed := data[f.Offset : f.Offset+int64(f.Stored)]
		frame, err := c.frame(rp, i, f, o, sealed)
		if err == nil && frame != nil {
			err = c.add(rp.pack.Key.Kind(), frame)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// frame is what a new pack gets of a frame; nil if nothing. Every chunk is hashed again: what is
// damaged is not carried on.
func (c *copier) frame(rp repackPack, i int, f pack.FrameInfo, o *seal.Opener, sealed []byte) (*pack.Frame, error) {
	var chunks []pack.Chunk
	for n := f.First; n < f.First+f.Chunks; n++ {
		if rp.need.has(n) {
			chunks = append(chunks, pack.Chunk{ID: rp.dir.ID(n), Size: rp.dir.Size(n)})
		}
	}
	if len(chunks) == 0 {
		return nil, nil
	}
	plain, err := c.dec.Frame(c.plain[:0], o, rp.pack.Key, rp.dir, i, sealed, nil)
	if err != nil {
		return nil, err
	}
	c.plain = plain
	if len(chunks) == f.Chunks {
		coded, err := o.Open(nil, sealed, seal.Frame, uint64(f.Offset))
		return &pack.Frame{Coding: f.Coding, Base: f.Base, Plain: f.Plain, Chunks: chunks, Coded: coded}, err
	}
	var kept []byte
	at := 0
	for n := f.First; n < f.First+f.Chunks; n++ {
		if rp.need.has(n) {
			kept = append(kept, plain[at:at+rp.dir.Size(n)]...)
		}
		at += rp.dir.Size(n)
	}
	return c.enc.Encode(kept, chunks)
}
