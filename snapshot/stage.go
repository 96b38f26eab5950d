package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"

	"satchel/index"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Staged is a snapshot of the files here that is on this device only.
type Staged struct {
	Counts
	ID, Root pack.ID
	Packs    []index.Pack // what of it the repository does not have; nil if it is the base
	Problems []Problem
	Warnings []string
	Open     []Open
}

// Stage makes a snapshot of the workspace as Run does, but puts what the repository does not
// have into spool and commits nothing. If the files are those of parent it is parent that is
// returned. The packs are made known to the index until the next SyncIndex.
func (p *Push) Stage(ctx context.Context, parent ledger.Snapshot, spool store.Store) (*Staged, error) {
	q := *p
	q.Store, q.staging = Over(spool, p.Store), true
	started := p.Now()
	b, err := q.builder(ctx, p.Log.State(), false)
	if err != nil {
		return nil, err
	}
	defer b.close()
	sink := b.capture.sink
	defer sink.abandon()
	var many []index.Pack // what sink would have registered
	sink.register = func(packs []index.Pack) error { many = append(many, packs...); return nil }
	root, err := b.build(ctx, parent.Root)
	if err != nil {
		return nil, err
	}
	out := &Staged{Counts: b.counts, ID: parent.ID, Root: parent.Root, Problems: b.problems, Warnings: b.warnings, Open: b.open}
	if parent.Root != (pack.ID{}) && !out.different() {
		return out, b.flushState()
	}
	var parents []pack.ID
	if parent.ID != (pack.ID{}) {
		parents = []pack.ID{parent.ID}
	}
	m, id, err := p.manifest(b, root, parents, started)
	if err != nil {
		return nil, err
	}
	if err := sink.addTree(id, m); err != nil {
		return nil, err
	}
	if err := sink.finish(); err != nil {
		return nil, fmt.Errorf("safety snapshot: %w", err)
	}
	out.ID, out.Root, out.Packs = id, root, append(many, sink.take()...)
	if err := errors.Join(p.Index.ClearUnderway(q.owner()), b.flushState()); err != nil {
		return nil, err
	}
	return out, p.Index.Update(index.Tie{}, out.Packs, nil)
}

// owner is whose packs are under way: those that are staged are not the push's.
func (p *Push) owner() [16]byte {
	key := p.Lineage.StateKey()
	if p.staging {
		for i := range key {
			key[i] ^= 0xff
		}
	}
	return key
}

// SendSafety gives the repository the states that only this device has: each becomes a safety
// snapshot. One whose chunks were pruned meanwhile cannot be sent whole; it stays here, and is
// named in the error, which wraps errKept, when all others are sent.
func (p *Push) SendSafety(ctx context.Context, y *Safety) error {
	var failed error
	for _, s := range y.Unsent() {
		if s.Files > 0 && y.Store != nil {
			err := p.sendSafely(ctx, y, s)
			if errors.Is(err, ErrMissing) || errors.Is(err, pack.ErrDamaged) || errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
				if err := SyncIndex(ctx, p.Log, p.Index); err != nil {
					return err
				}
				failed = errors.Join(failed, fmt.Errorf("%w: the files as they were before %s of %s: %w", errKept, s.What, s.Time.Local().Format("2006-01-02 15:04"), err))
				continue
			} else if err != nil {
				return fmt.Errorf("safety snapshot: %w", err)
			}
		}
		s.Sent = true
		if err := y.Save(); err != nil {
			return err
		}
	}
	return failed
}

// errKept: a state stays on this device only.
var errKept = errors.New("kept on this device only")

func (p *Push) sendSafely(ctx context.Context, y *Safety, s *Step) error {
	for range attempts {
		err := p.send(ctx, y, s)
		if !errors.Is(err, errAgain) {
			return err
		}
		if err := SyncIndex(ctx, p.Log, p.Index); err != nil {
			return err
		}
	}
	return errAgain
}

// send copies the frames of a step into packs of the repository and commits them.
func (p *Push) send(ctx context.Context, y *Safety, step *Step) error {
	if _, there := p.Log.State().Snapshot(step.Before.ID); there {
		return nil // its answer was lost
	}
	c, err := p.Copy(ctx, func(add func(seal.Kind, *pack.Frame) error) error { return p.copyPacks(ctx, y, step, add) })
	if err != nil {
		return err
	}
	parent, followed := p.Log.State().Snapshot(step.Parent)
	used, err := p.relies(ctx, y, step, c.Packs, parent.Root)
	if err != nil {
		return err
	}
	_, err = p.Log.Append(ctx, p.Me, ledger.Commit, func(s *ledger.State) (any, error) {
		w, known := s.Workspace(p.Lineage.Workspace)
		_, live := s.Snapshot(step.Parent)
		if !known || live != followed || !alive(s, used) || !s.Takes(c.Refs, c.Segments) {
			return nil, errAgain
		}
		content := ledger.CommitContent{Snapshot: step.Before.ID, Workspace: w.ID, Name: w.Name, Remote: w.Remote, Root: step.Before.Root, Files: step.Files,
			Bytes: step.Bytes, Packs: c.Refs, Segments: c.Segments, Flags: ledger.FlagSafety, Clock: step.Time.UnixNano()}
		if live {
			content.Parents = []pack.ID{step.Parent}
		}
		return content, nil
	})
	if err != nil {
		return err
	}
	return SyncIndex(ctx, p.Log, p.Index)
}

// Copied is what Copy has put into the store, and what an entry says of it.
type Copied struct {
	Refs     []ledger.PackRef
	Segments []ledger.Hash
	Packs    []index.Pack
	Bytes    int64 // sent
}

// Copy puts frames into new packs, which are in the store when it returns, and registered by
// nobody. f hands them to add; a frame's kind says which packs it may go to.
func (p *Push) Copy(ctx context.Context, f func(add func(seal.Kind, *pack.Frame) error) error) (*Copied, error) {
	session, err := pack.NewSession(p.Log.State().Position(), p.Rand)
	if err != nil {
		return nil, err
	}
	q := *p
	q.staging = true
	sink, err := newSink(ctx, p.Store, p.Keys, p.Index, q.owner(), session, max(p.Uploads, 1), p.Rand, p.Progress)
	if err != nil {
		return nil, err
	}
	defer sink.abandon()
	c := &Copied{}
	sink.register = func(packs []index.Pack) error { c.Packs = append(c.Packs, packs...); return nil }
	if err := f(sink.copy); err != nil {
		return nil, err
	}
	if err := sink.finish(); err != nil {
		return nil, err
	}
	c.Packs = append(c.Packs, sink.take()...)
	if c.Refs, c.Segments, err = sink.refs(ctx, c.Packs); err != nil {
		return nil, err
	}
	c.Bytes = sink.stored.Load()
	return c, p.Index.ClearUnderway(q.owner())
}

// alive reports whether all packs that a snapshot relies on are registered still (R2).
func alive(s *ledger.State, used map[pack.Key]bool) bool {
	for k := range used {
		if _, live := s.Pack(k); !live {
			return false
		}
	}
	return true
}

// copyPacks hands the frames of a step that hold anything new to add.
func (p *Push) copyPacks(ctx context.Context, y *Safety, step *Step, add func(seal.Kind, *pack.Frame) error) error {
	for _, in := range step.Packs {
		d, err := pack.ParseDirectory(in.Directory)
		if err != nil {
			return err
		}
		o, err := pack.Opener(p.Keys, in.Key, d)
		if err != nil {
			return err
		}
		data, err := y.Store.Get(ctx, in.Key.Name(), 0, -1)
		if err != nil {
			return pack.GetError(in.Key, err)
		}
		for _, f := range d.Frames() {
			if err := p.copyFrame(in.Key.Kind(), d, f, o, data, add); err != nil {
				return fmt.Errorf("pack %s: %w", in.Key.Name(), err)
			}
		}
	}
	return nil
}

func (p *Push) copyFrame(kind seal.Kind, d *pack.Directory, f pack.FrameInfo, o *seal.Opener, data []byte, add func(seal.Kind, *pack.Frame) error) error {
	news := false
	for _, c := range d.Chunks(f) {
		loc, there, err := p.Index.Lookup(c.ID)
		if err != nil {
			return err
		}
		_, live := p.Log.State().Pack(loc.Pack) // the index knows what is staged here, until the next SyncIndex
		news = news || !there || !live
	}
	if !news {
		return nil
	}
	end := f.Offset + int64(f.Stored)
	if end > int64(len(data)) {
		return io.ErrUnexpectedEOF
	}
	copied, err := d.Unsealed(f, o, data[f.Offset:end])
	if err != nil {
		return err
	}
	return add(kind, copied)
}

// relies walks the tree of a step and returns the registered packs that hold its chunks, but for those
// that copied hold. It reports ErrMissing if one is in neither. What a tree that a live snapshot has,
// parent, has too needs no look: as long as that is live (R2).
func (p *Push) relies(ctx context.Context, y *Safety, step *Step, copied []index.Pack, parent pack.ID) (map[pack.Key]bool, error) {
	own := map[pack.ID]bool{}
	for _, k := range copied {
		d, err := pack.ParseDirectory(k.Directory)
		if err != nil {
			return nil, err
		}
		for i := range d.Len() {
			own[d.ID(i)] = true
		}
	}
	if err := p.Index.Update(index.Tie{}, step.Packs, nil); err != nil { // so that its trees can be read
		return nil, err
	}
	reader, err := NewReader(Over(y.Store, p.Store), p.Keys, p.Index)
	if err != nil {
		return nil, err
	}
	r := &reliance{ctx: ctx, reader: reader, state: p.Log.State(), own: own, used: map[pack.Key]bool{}}
	if err := r.chunk(step.Before.ID); err != nil {
		return nil, err
	}
	return r.used, r.dir(parent, step.Before.Root)
}

type reliance struct {
	ctx    context.Context
	reader *Reader
	state  *ledger.State
	own    map[pack.ID]bool
	used   map[pack.Key]bool
}

func (r *reliance) chunk(id pack.ID) error {
	if r.own[id] {
		return nil
	}
	locs, err := r.reader.index.Locations(id)
	if err != nil {
		return err
	}
	for _, loc := range locs {
		if _, live := r.state.Pack(loc.Pack); live { // the index knows what is staged here too
			r.used[loc.Pack] = true
			return nil
		}
	}
	return fmt.Errorf("%w: %x", ErrMissing, id[:])
}

// dir looks at a directory and at what is in it; old is the parent's at the same path, or zero.
func (r *reliance) dir(old, id pack.ID) error {
	if err := r.chunk(id); err != nil || old == id {
		return err
	}
	var was []Entry
	var err error
	if old != (pack.ID{}) {
		if was, err = r.reader.Entries(r.ctx, old); err != nil {
			return err
		}
	}
	es, err := r.entries(id)
	if err != nil {
		return err
	}
	for i := range es {
		e, prev := &es[i], find(was, es[i].Name)
		switch {
		case e.Type == Dir:
			below := pack.ID{}
			if isDir(prev) {
				below = prev.Node
			}
			err = r.dir(below, e.Node)
		case prev != nil && prev.SameContent(e) && prev.SameStreams(e):
		default:
			for _, content := range e.Contents() {
				err = errors.Join(err, r.ids(content.IDs, int(content.Depth)))
			}
		}
		if err != nil {
			return fmt.Errorf("%q: %w", e.Name, err)
		}
	}
	return nil
}

// entries of a directory, of which the parts are looked for too.
func (r *reliance) entries(id pack.ID) ([]Entry, error) {
	b, err := r.reader.Chunk(r.ctx, id)
	if err != nil {
		return nil, err
	}
	_, parts, err := parseNode(b)
	for _, part := range parts {
		err = errors.Join(err, r.chunk(part))
	}
	if err != nil {
		return nil, err
	}
	return r.reader.Entries(r.ctx, id)
}

// ids looks for chunks, and for the lists that name them.
func (r *reliance) ids(ids []byte, depth int) error {
	for ; len(ids) >= len(pack.ID{}); ids = ids[len(pack.ID{}):] {
		if err := r.chunk(pack.ID(ids)); err != nil || depth == 0 {
			if err != nil {
				return err
			}
			continue
		}
		list, err := r.reader.Chunk(r.ctx, pack.ID(ids))
		if err == nil {
			err = r.ids(list, depth-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// KnownNodes are the directories of the file state in x, as nodes: what this device knows of a
// tree without asking the repository.
func KnownNodes(x *index.Index, key [16]byte) (map[pack.ID][]byte, error) {
	nodes := map[pack.ID][]byte{}
	var add func(remote string) error
	add = func(remote string) error {
		d, ok, err := x.Dir(key, remote)
		if err != nil || !ok {
			return err
		}
		es, err := DecodeState(d)
		if err != nil {
			return nil // as good as unknown
		}
		if _, err := encodeNode(es, func(id pack.ID, b []byte) error { nodes[id] = b; return nil }); err != nil {
			return err
		}
		for i := range es {
			if es[i].Type == Dir {
				if err := add(join(remote, string(es[i].Name))); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return nodes, add("")
}
