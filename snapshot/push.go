package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"satchel/chunker"
	"satchel/index"
	"satchel/snapshot/sqlite"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/canon"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

var (
	// ErrBehind: the workspace has a head that this device's files do not come from.
	ErrBehind = errors.New("behind: another device has pushed")
	// ErrShrunk: so many files are gone that somebody should say that this is meant.
	ErrShrunk = errors.New("most of the workspace is gone")
	// ErrNothing: there is no file to make a first snapshot of.
	ErrNothing = errors.New("there is nothing here to save")
)

// Push is everything that a push needs. Store, keys, ledger and index are of one repository,
// and both ledger and index are up to date.
type Push struct {
	Store   store.Store
	Keys    *seal.Keys
	Keyring *seal.Keyring
	Log     *ledger.Log
	Index   *index.Index
	Me      *seal.Identity
	Lineage *Lineage
	Rules   *workspace.Rules
	Holder  *Holder // nil: this process
	Name    string  // of the workspace, if it is new
	Git     workspace.Git
	Version string
	Images  string // folder for private images of databases, this run's alone; made, and removed in the end

	Safety  *Safety           // what this device had before it changed its files: sent first; nil: nothing
	Damaged map[pack.Key]bool // packs that this device knows to be damaged: what they held is sent again if it is here

	Force    bool // read every file, whatever the file state says
	Yes      bool // push although most of the workspace is gone
	NewHead  bool // keep a line of its own beside what others have pushed
	Workers  int  // 0: one more than there are processors
	Uploads  int  // packs on their way at once; 0: 2
	Register int  // so many packs the ledger is told of before the push ends; 0: 256
	Small    int  // bytes of new data that still go into the tree pack, as coded; 0: 2 MiB
	Progress *Progress
	Rand     io.Reader
	Now      func() time.Time
	Sleep    func(context.Context, time.Duration) error

	staging bool // nothing goes to the repository

	open  func(local string) (*os.File, error)                                 // for tests
	image func(context.Context, string, sqlite.Options) (*sqlite.Image, error) // for tests; nil: sqlite.Open
}

// Pushed is what a push did.
type Pushed struct {
	Counts
	Snapshot pack.ID // zero if there was nothing new
	Time     time.Time
	NewBytes int64 // of chunks that the repository did not have
	Stored   int64 // bytes sent in packs and segments
	Problems []Problem
	Warnings []string
	Open     []Open
	LeftOut  []workspace.LeftOut
}

// errAgain: what this push relied on died meanwhile; it begins anew.
var errAgain = errors.New("what this push relied on was pruned meanwhile")

// attempts is how often a push begins anew before it gives up.
const attempts = 5

// Run makes a snapshot of the workspace and commits it. It reports ErrBehind, ErrShrunk, or
// what store, ledger and file system say. Nothing is committed before all that the
// snapshot needs is acknowledged by the store.
func (p *Push) Run(ctx context.Context) (*Pushed, error) {
	var kept error
	if p.Safety != nil {
		if kept = p.SendSafety(ctx, p.Safety); kept != nil && !errors.Is(kept, errKept) {
			return nil, kept
		}
	}
	for range attempts {
		out, err := p.once(ctx)
		if !errors.Is(err, errAgain) {
			if out != nil && kept != nil {
				out.Warnings = append(out.Warnings, kept.Error())
			}
			return out, err
		}
		if err := SyncIndex(ctx, p.Log, p.Index); err != nil {
			return nil, err
		}
	}
	return nil, errAgain
}

// parent is the snapshot that this push follows; ErrBehind if the workspace has moved on.
func (p *Push) parent(s *ledger.State) (ledger.Snapshot, error) {
	w, known := s.Workspace(p.Lineage.Workspace)
	if !known || len(w.Heads) == 0 {
		return ledger.Snapshot{}, nil
	}
	if !slices.Contains(w.Heads, p.Lineage.Base) && !p.NewHead {
		return ledger.Snapshot{}, ErrBehind
	}
	v, _ := s.Snapshot(p.Lineage.Base)
	return v, nil
}

// parents are the snapshots that this one follows: parent, and what was merged into the
// files here. joins: one of these is a head that this snapshot takes the place of.
func (p *Push) parents(s *ledger.State, parent ledger.Snapshot) (ids []pack.ID, joins bool) {
	if parent.ID != (pack.ID{}) {
		ids = []pack.ID{parent.ID}
	}
	w, _ := s.Workspace(p.Lineage.Workspace)
	for _, id := range p.Lineage.Merged {
		if v, live := s.Snapshot(id); live && v.Workspace == w.ID && !slices.Contains(ids, id) && len(ids) > 0 {
			ids = append(ids, id)
			joins = joins || slices.Contains(w.Heads, id)
		}
	}
	return ids, joins
}

func (p *Push) once(ctx context.Context) (*Pushed, error) {
	s := p.Log.State()
	parent, err := p.parent(s)
	if err != nil {
		return nil, err
	}
	started := p.Now()
	b, err := p.builder(ctx, s, false)
	if err != nil {
		return nil, err
	}
	defer b.close()
	defer b.capture.sink.abandon()
	root, err := b.build(ctx, parent.Root)
	if err != nil {
		return nil, err
	}
	out := &Pushed{Counts: b.counts, NewBytes: b.capture.newSize.Load(), Problems: b.problems, Warnings: b.warnings, Open: b.open, LeftOut: b.leftOut}
	slices.SortFunc(out.Problems, func(a, b Problem) int { return slices.Compare(a.Path, b.Path) })
	parents, joins := p.parents(s, parent)
	if parent.Root != (pack.ID{}) && !out.different() && !joins {
		if out.NewBytes, err = p.again(ctx, b); err != nil {
			return nil, err
		}
		out.Stored = b.capture.sink.stored.Load()
		return out, b.flushState()
	}
	if out.Files == 0 && parent.Files == 0 {
		return nil, ErrNothing
	}
	if out.Files > maxFiles || out.Files+out.dirs > uint64(Limit(out.Files)) {
		return nil, fmt.Errorf("%d files in %d folders are more than a snapshot can have", out.Files, out.dirs)
	}
	if !p.Yes && float64(out.Files) < 0.8*float64(parent.Files) {
		return out, fmt.Errorf("%w: %d files, the last snapshot has %d", ErrShrunk, out.Files, parent.Files)
	}
	m, id, err := p.manifest(b, root, parents, started)
	if err != nil {
		return nil, err
	}
	sink := b.capture.sink
	if err := sink.addTree(id, m); err != nil {
		return nil, err
	}
	if err := sink.finish(); err != nil {
		return nil, err
	}
	out.Snapshot = id
	if err := p.commit(ctx, b, out, root, parents); err != nil {
		return nil, err
	}
	out.Stored = sink.stored.Load()
	return out, b.flushState()
}

// builder assembles what reads the workspace; dry, it stores nothing.
func (p *Push) builder(ctx context.Context, s *ledger.State, dry bool) (*builder, error) {
	cut, err := chunker.New([16]byte(p.Keyring.Chunker[:16]), chunker.Default)
	if err != nil {
		return nil, err
	}
	session, err := pack.NewSession(s.Position(), p.Rand)
	if err != nil {
		return nil, err
	}
	uploads := p.Uploads
	if uploads == 0 {
		uploads = 2
	}
	sink, err := newSink(ctx, p.Store, p.Keys, p.Index, p.owner(), session, uploads, p.Rand, p.Progress)
	if err != nil {
		return nil, err
	}
	sink.register = func(packs []index.Pack) error { return p.register(ctx, sink, packs) }
	if p.Register > 0 {
		sink.every = p.Register
	}
	if p.Small > 0 {
		sink.small = p.Small
	}
	reader, err := NewReader(p.Store, p.Keys, p.Index)
	if err != nil {
		return nil, err
	}
	tree, err := p.Rules.Open()
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(p.Rules.Root())
	if err != nil {
		return nil, err
	}
	paths, err := durable.OpenRoot(p.Rules.Root())
	if err != nil {
		root.Close()
		return nil, err
	}
	holder := p.Holder
	if holder == nil {
		holder = Here()
	}
	c := &capture{root: root, paths: paths, holder: holder, cut: cut, index: p.Index, sink: sink, progress: p.Progress, sleep: p.Sleep,
		open: p.open, image: sqlite.Open, dry: dry, damaged: p.Damaged, known: map[pack.ID]bool{}, used: map[pack.Key]bool{}}
	if p.image != nil {
		c.image = p.image
	}
	b := &builder{tree: tree, root: root, capture: c, index: p.Index, reader: reader, workspace: p.Lineage.StateKey(),
		progress: p.Progress, force: p.Force, dry: dry, holder: holder,
		homeless: set(p.Lineage.Lacks.Homeless), partly: set(p.Lineage.Lacks.Partly), states: map[string]index.Dir{}}
	c.stage, c.warn = p.Images, b.warn
	err = ClearImages(p.Images)
	if err == nil && !p.staging {
		err = p.resume(s, c)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	workers := p.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0) + 1
	}
	c.start(ctx, workers)
	return b, nil
}

// resume takes up the packs that an interrupted push had acknowledged.
func (p *Push) resume(s *ledger.State, c *capture) error {
	packs, err := p.Index.Underway(p.Lineage.StateKey())
	if err != nil {
		return err
	}
	for _, k := range packs {
		if _, registered := s.Pack(k.Key); registered || s.Lapsed(k.Key) {
			continue
		}
		d, err := pack.ParseDirectory(k.Directory)
		if err != nil || seal.Generation(d.Head()) != p.Keys.Generation() { // whoever was revoked since could open it
			continue
		}
		for i := range d.Len() {
			c.known[d.ID(i)] = true
		}
		c.sink.acked = append(c.sink.acked, k)
	}
	return nil
}

// register tells the ledger of many packs before the snapshot is complete.
func (p *Push) register(ctx context.Context, sink *sink, packs []index.Pack) error {
	refs, segments, err := sink.refs(ctx, packs)
	if err != nil {
		return err
	}
	_, err = p.Log.Append(ctx, p.Me, ledger.Register, func(s *ledger.State) (any, error) {
		if !s.Takes(refs, segments) {
			return nil, errAgain
		}
		return ledger.RegisterContent{Packs: refs, Segments: segments}, nil
	})
	return err
}

func (p *Push) manifest(b *builder, root pack.ID, parents []pack.ID, started time.Time) ([]byte, pack.ID, error) {
	m := Manifest{Workspace: p.Lineage.Workspace, Name: p.Name, Parents: parents, Root: root, Started: started.UnixNano(), Read: p.Now().UnixNano(), Files: b.counts.Files, Bytes: b.counts.Bytes,
		Problems: b.problems, Version: p.Version, Rules: &Rules{Source: strings.ToValidUTF8(p.Rules.Source(), "?")}}
	if p.Me != nil { // else it is a device that may only read, and the snapshot never leaves it
		m.Device, m.DeviceAs = p.Me.Principal.ID, p.Me.Principal.Name
	}
	if p.Git.Commit != "" {
		m.Git = &Git{Commit: p.Git.Commit, Branch: p.Git.Branch, Dirty: p.Git.Dirty, Remote: p.Git.Remote}
	}
	if s := p.Rules.Manifest(); s != nil {
		m.Rules.Manifest = s.Encode()
	}
	if _, err := io.ReadFull(p.Rand, m.Nonce[:]); err != nil {
		return nil, pack.ID{}, err
	}
	enc := canon.Marshal(m)
	return enc, pack.Sum(enc), nil
}

// commit appends the entry that makes the snapshot part of the repository (R2): it asks
// again, in each attempt's state, for everything that the snapshot relies on.
func (p *Push) commit(ctx context.Context, b *builder, out *Pushed, root pack.ID, parents []pack.ID) error {
	sink, c := b.capture.sink, b.capture
	packs := sink.take()
	for _, k := range sink.told {
		c.used[k.Key] = true
	}
	refs, segments, err := sink.refs(ctx, packs)
	if err != nil {
		return err
	}
	p.Lineage.Pending = out.Snapshot
	if err := p.Lineage.Save(); err != nil {
		return err
	}
	e, err := p.Log.Append(ctx, p.Me, ledger.Commit, func(s *ledger.State) (any, error) {
		gone := func(id pack.ID) bool { _, live := s.Snapshot(id); return !live }
		if slices.ContainsFunc(parents, gone) || !alive(s, c.used) || !s.Takes(refs, segments) {
			return nil, errAgain
		}
		if now, err := p.parent(s); err != nil || now.ID != first(parents) {
			return nil, ErrBehind
		}
		name, remote := p.Name, p.Git.Remote
		if w, known := s.Workspace(p.Lineage.Workspace); known {
			name, remote = w.Name, w.Remote
		}
		commit := ledger.CommitContent{Snapshot: out.Snapshot, Workspace: p.Lineage.Workspace, Name: name, Remote: remote, Root: root,
			Files: out.Files, Bytes: out.Bytes, NewBytes: uint64(out.NewBytes), Problems: uint64(len(out.Problems)),
			Parents: parents, Packs: refs, Segments: segments, Clock: p.Now().UnixNano()}
		if w, _ := s.Workspace(p.Lineage.Workspace); p.NewHead && !slices.Contains(w.Heads, first(parents)) && len(w.Heads) > 0 {
			commit.Flags = ledger.FlagNewHead
		}
		return commit, nil
	})
	if err != nil {
		return err
	}
	out.Time = time.Unix(0, e.Time)
	p.Lineage.Base, p.Lineage.Merged, p.Lineage.Pending = out.Snapshot, nil, pack.ID{}
	if err := p.Lineage.Save(); err != nil {
		return err
	}
	if err := SyncIndex(ctx, p.Log, p.Index); err != nil {
		return err
	}
	return p.Index.ClearUnderway(p.Lineage.StateKey())
}

// first is the first of ids, or zero.
func first(ids []pack.ID) (id pack.ID) {
	if len(ids) > 0 {
		id = ids[0]
	}
	return id
}
