package restore

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"sync"
	"sync/atomic"

	"satchel/index"
	"satchel/snapshot"
	"satchel/store"
	"satchel/store/durable"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Options is what a plan is made from.
type Options struct {
	Store  store.Store
	Keys   *seal.Keys
	Index  *index.Index
	Reader *snapshot.Reader

	Root     durable.Root                        // the folder
	Target   pack.ID                             // root node of the snapshot
	Snapshot pack.ID                             // a pull: what Recover reports if it is interrupted
	Base     pack.ID                             // root node of the base, zero if there is none
	Local    func(remote string) (string, bool)  // where a remote path belongs; false: nowhere here
	Take     func(remote string, dir bool) Taken // nil: everything
	State    [16]byte                            // key of the folder's file state; zero: it has none
	Holder   *snapshot.Holder                    // nil: this process
	Lacks    snapshot.Lacks                      // what the folder lacks of the base
	Ready    func(snapshot.Lacks) error          // called before anything is changed, with what it will lack of the snapshot; nil: nothing to do
	Limit    int                                 // snapshot.Limit of the snapshot; 0: of any
	Images   string                              // folder for private images of databases; "": one with a -wal counts as changed

	Follow bool // a pull: what the base had and the snapshot has not is removed, what was deleted here stays deleted
	Force  bool // overwrite what only this device has
	Empty  bool // the folder was empty: nothing is compared

	Workers  int // 0: 3
	Progress *snapshot.Progress
}

// Taken says what a filter thinks of a path.
type Taken uint8

const (
	Skip    Taken = iota
	Descend       // not itself, but perhaps something in it
	Whole         // it and all that is in it
)

// Conflict is a local path that would be lost or cannot be written.
type Conflict struct {
	Local  string
	Reason string
}

// write is an entry that is to be made at a local path.
type write struct {
	local string
	entry *snapshot.Entry
	order int          // in the plan
	stage string       // staged here
	left  atomic.Int64 // bytes that are still to be fetched
	skip  bool         // a kind that is not made here, or left as it is
	in    *folder

	database bool // what is staged begins as one
	remote   string
	known    bool   // as the base has it
	same     *write // the first of its hardlink group, if that is another
}

// folder is a directory that the snapshot has.
type folder struct {
	remote, local string
	entry         *snapshot.Entry // nil for the root
	children      []snapshot.Entry
	partial       bool            // a filter takes only some of what is in it, or nothing
	bare          bool            // what is in it stays
	differs       map[string]bool // names that will not be as in the snapshot
	names         *naming
}

// Plan is what there is to do.
type Plan struct {
	Conflicts []Conflict
	Kept      []Conflict // local changes that stay as they are, and why they may
	Spared    []Conflict // databases that Run left as they are, as SQLite finds the saved ones damaged
	Unsound   []Conflict // databases that Run put in place although SQLite finds them damaged: they were saved so
	Homeless  []string   // remote paths that belong nowhere here by the rules
	Unheld    []Conflict // what this system, file system or user cannot hold, all or in part; Run adds to it

	Writes, Removes, Right int   // files
	Bytes                  int64 // to be written

	Damaged []pack.Key // packs that Run found damaged, also where all that was wanted lay elsewhere too

	o       Options
	left    int // of Limit
	writes  []*write
	removes []string // files, then empty folders, deepest first
	rmdirs  []string
	folders []*folder
	touches []journalProps
	renames []journalRename

	holder *snapshot.Holder
	lackMu sync.Mutex // guards lacks and Unheld while files are staged
	lacks  lacking
	probed map[string]bool
}

// Make compares and plans; it changes nothing. Conflicts are for the caller to refuse. Where a program
// has a database open that is to go, it reports an *InUseError.
func Make(ctx context.Context, o Options) (*Plan, error) {
	if o.Take == nil {
		o.Take = func(string, bool) Taken { return Whole }
	}
	p := &Plan{o: o, left: o.Limit, holder: o.Holder, lacks: newLacking(o.Lacks)}
	if p.holder == nil {
		p.holder = snapshot.Here()
	}
	if p.left == 0 {
		p.left = snapshot.MaxEntries
	}
	if err := p.dir(ctx, nil, nil, "", 0, o.Target, o.Base, o.Take("", true) == Whole); err != nil {
		return nil, err
	}
	p.Writes, p.Removes = len(p.writes), len(p.removes)
	if len(p.Conflicts) > 0 {
		return p, nil
	}
	if err := p.inUse(); err != nil {
		return nil, err
	}
	return p, nil
}

// Paths lists the local paths that are to be written and removed, by name.
func (p *Plan) Paths() (writes, removes []string) {
	for _, w := range p.writes {
		writes = append(writes, w.local)
	}
	slices.Sort(writes)
	return writes, slices.Sorted(slices.Values(p.removes))
}

// entriesOf reads a directory of a snapshot; none for the zero id.
func (p *Plan) entriesOf(ctx context.Context, id pack.ID) ([]snapshot.Entry, error) {
	if id == (pack.ID{}) {
		return nil, nil
	}
	return p.o.Reader.Entries(ctx, id)
}

// dir plans one directory; was is what the base has under its name. whole: a filter has taken a directory above it.
func (p *Plan) dir(ctx context.Context, entry, was *snapshot.Entry, remote string, level int, target, base pack.ID, whole bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.o.Follow && target == base && base != (pack.ID{}) {
		return p.unfilled(entry, was, remote) // nothing came: what differs here is this device's own
	}
	es, err := p.entriesOf(ctx, target)
	if err == nil {
		err = snapshot.Within(es, remote, level, &p.left)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name(remote), err)
	}
	bs, err := p.entriesOf(ctx, base)
	if err != nil {
		return fmt.Errorf("%s: base: %w", name(remote), err)
	}
	f := &folder{remote: remote, entry: entry, children: es, partial: !whole, differs: map[string]bool{}}
	if f.local, err = p.folderHere(f); err != nil {
		return err
	}
	var state index.Dir
	if p.o.State != ([16]byte{}) {
		if state, _, err = p.o.Index.Dir(p.o.State, remote); err != nil {
			return err
		}
	}
	known := newKnown(state)
	f.names = p.newNaming(f.local)
	f.names.prefer(es)
	for i := range es {
		e := &es[i]
		r := join(remote, string(e.Name))
		taken := Whole
		if !whole {
			taken = p.o.Take(r, e.Type == snapshot.Dir)
		}
		if taken == Skip {
			f.differs[string(e.Name)] = true
			continue
		}
		b := find(bs, e.Name)
		if ok, err := p.place(f, r, e, &b, bs); err != nil {
			return err
		} else if !ok {
			f.differs[string(e.Name)] = true
			if err := p.passOver(ctx, e, r, level+1); err != nil {
				return err
			}
			continue
		}
		if e.Type == snapshot.Dir {
			var below pack.ID
			if b != nil && b.Type == snapshot.Dir {
				below = b.Node
			}
			writes := len(p.writes)
			if err := p.dir(ctx, e, b, r, level+1, e.Node, below, taken == Whole); err != nil {
				return err
			}
			if e.Node != below && (taken == Whole || len(p.writes) > writes) {
				if err := p.makeWay(ctx, known, r, b); err != nil {
					return err
				}
			}
			continue
		}
		if taken != Whole {
			f.differs[string(e.Name)] = true
			continue
		}
		if err := p.entry(ctx, f, known, r, e, b); err != nil {
			return err
		}
	}
	if p.o.Follow {
		if err := p.gone(ctx, f.names, known, remote, es, bs); err != nil {
			return err
		}
	}
	p.folders = append(p.folders, f)
	return nil
}

// unfilled plans a folder in which nothing changes, if something changes beside that.
func (p *Plan) unfilled(entry, was *snapshot.Entry, remote string) error {
	if entry == nil || was == nil || was.SameProperties(entry) {
		return nil
	}
	f := &folder{remote: remote, entry: entry, bare: true}
	var err error
	f.local, err = p.folderHere(f)
	if f.local != "" {
		p.folders = append(p.folders, f)
	}
	return err
}

// makeWay plans the removal of what is no folder where the snapshot has one, if that may go.
func (p *Plan) makeWay(ctx context.Context, known known, remote string, base *snapshot.Entry) error {
	local, ok := p.o.Local(remote + "/")
	if !ok || p.o.Empty {
		return nil
	}
	info, err := p.o.Root.Lstat(local)
	if absent(err) || err == nil && info.IsDir() {
		return nil
	} else if err != nil {
		return err
	}
	safe := p.o.Force
	if base != nil && base.Type != snapshot.Dir && !safe {
		if safe, err = p.holds(ctx, known, local, info, base); err != nil {
			return err
		}
	}
	switch {
	case !safe:
		p.Conflicts = append(p.Conflicts, Conflict{local, "is no folder here and one in the snapshot"})
	case !p.o.Follow || base == nil: // else gone plans it
		p.removes = append(p.removes, local)
	}
	return nil
}

func name(remote string) string {
	if remote == "" {
		return "the root of the snapshot"
	}
	return fmt.Sprintf("%q", remote)
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func find(es []snapshot.Entry, name []byte) *snapshot.Entry {
	i, ok := slices.BinarySearchFunc(es, name, func(e snapshot.Entry, n []byte) int { return bytes.Compare(e.Name, n) })
	if !ok {
		return nil
	}
	return &es[i]
}

// place decides whether an entry can be where it belongs. base is what the base has of it,
// also under another spelling.
func (p *Plan) place(f *folder, remote string, e *snapshot.Entry, base **snapshot.Entry, bs []snapshot.Entry) (bool, error) {
	slash := ""
	if e.Type == snapshot.Dir {
		slash = "/"
	}
	local, ok := p.o.Local(remote + slash)
	if !ok {
		return true, nil // which is told elsewhere
	}
	b := *base
	why, err := p.unheld(f.names, local, e)
	if err != nil {
		return false, fmt.Errorf("%s: %w", local, err)
	}
	if why != "" {
		p.homeless(remote, local, why, b != nil && b.Type == e.Type && b.Node == e.Node && b.SameContent(e))
		return false, nil
	}
	for other, name := range f.names.alias {
		if name != path.Base(local) || b != nil {
			continue
		}
		if *base = find(bs, []byte(other)); *base == nil {
			delete(f.names.alias, other) // it is another file, that only this device has
			continue
		}
		p.renames = append(p.renames, journalRename{path.Join(path.Dir(local), other), local})
	}
	return true, nil
}

// passOver holds what cannot be here to the limits of a tree all the same.
func (p *Plan) passOver(ctx context.Context, e *snapshot.Entry, remote string, level int) error {
	if e.Type != snapshot.Dir {
		return nil
	}
	es, err := p.entriesOf(ctx, e.Node)
	if err == nil {
		err = snapshot.Within(es, remote, level, &p.left)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name(remote), err)
	}
	for i := range es {
		if err := p.passOver(ctx, &es[i], join(remote, string(es[i].Name)), level+1); err != nil {
			return err
		}
	}
	return nil
}

// folderHere finds where a remote folder belongs; "" where only what is in it belongs somewhere.
func (p *Plan) folderHere(f *folder) (string, error) {
	if f.remote == "" {
		return ".", nil
	}
	local, ok := p.o.Local(f.remote + "/")
	if !ok {
		return "", nil
	}
	return local, checkLocal(local)
}

// entry plans a file, a link or a FIFO.
func (p *Plan) entry(ctx context.Context, f *folder, known known, remote string, e, base *snapshot.Entry) error {
	local, ok := p.o.Local(remote)
	if !ok {
		p.Homeless = append(p.Homeless, remote)
		f.differs[string(e.Name)] = true
		return nil
	}
	if err := checkLocal(local); err != nil {
		return err
	}
	w := &write{local: local, remote: remote, in: f, entry: e, known: base != nil && base.SameContent(e)}
	if !p.o.Empty {
		v, err := p.compare(ctx, known, w, base)
		if err != nil {
			return err
		}
		switch v {
		case stays:
			f.differs[string(e.Name)] = true
			return nil
		case right:
			p.settled(remote)
			return p.touch(f, w, known, base)
		}
	}
	p.settled(remote)
	w.left.Store(int64(e.Size))
	if p.Bytes += int64(e.Size); p.Bytes > maxBytes {
		return fmt.Errorf("%q: %w: its files have more than %d bytes", remote, snapshot.ErrTree, int64(maxBytes))
	}
	p.writes = append(p.writes, w)
	return nil
}

// maxBytes is what a plan may write: more than any disk, and a number that can be added to.
const maxBytes = 1 << 60

type verdict uint8

const (
	right   verdict = iota // it is as in the snapshot
	stays                  // it is not, and is left alone
	replace                // it is to be written
)

// compare looks at what is here under the path of w and decides what becomes of it.
func (p *Plan) compare(ctx context.Context, known known, w *write, base *snapshot.Entry) (verdict, error) {
	mine := p.o.Follow && base != nil && base.SameContent(w.entry) // nothing came from elsewhere
	info, err := p.o.Root.Lstat(w.local)
	if absent(err) {
		if mine {
			p.Kept = append(p.Kept, Conflict{w.local, "deleted here"})
			return stays, nil
		}
		return replace, nil
	} else if err != nil {
		return stays, err
	}
	same, err := p.holds(ctx, known, w.local, info, w.entry)
	if err != nil {
		return stays, err
	}
	if b := base; same && b != nil && p.o.Follow && (b.Link != w.entry.Link || !b.SameStreams(w.entry) && p.holder.Streams()) {
		same, mine = false, false // it is to be joined with others, or taken from them
	}
	conflict := func(reason string) (verdict, error) {
		p.Conflicts = append(p.Conflicts, Conflict{w.local, reason})
		return stays, nil
	}
	switch {
	case same:
		p.Right++
		return right, nil
	case mine:
		p.Kept = append(p.Kept, Conflict{w.local, "changed here"})
		return stays, nil
	case info.IsDir():
		if clear, err := p.clear(ctx, w.local, base); err != nil {
			return stays, err
		} else if !clear {
			return conflict("is a folder here and a file in the snapshot")
		}
		return replace, nil
	case p.o.Force:
		return replace, nil
	case base == nil:
		return conflict("is here with other bytes, and in no snapshot that this device knows")
	}
	if safe, err := p.holds(ctx, known, w.local, info, base); err != nil {
		return stays, err
	} else if !safe {
		return conflict("was changed here since this device's last push or pull")
	}
	return replace, nil
}

// clear reports whether a folder here holds nothing but what the base had in it: all of it
// is then planned to go.
func (p *Plan) clear(ctx context.Context, local string, base *snapshot.Entry) (bool, error) {
	if !p.o.Follow || base == nil || base.Type != snapshot.Dir {
		return false, nil
	}
	bs, err := p.entriesOf(ctx, base.Node)
	if err != nil {
		return false, err
	}
	here, err := p.o.Root.ReadDir(local)
	if err != nil {
		return false, err
	}
	for _, h := range here {
		b := find(bs, []byte(h.Name()))
		if b == nil || (b.Type == snapshot.Dir) != h.IsDir() {
			return false, nil
		}
		ok := false
		if h.IsDir() {
			ok, err = p.clear(ctx, join(local, h.Name()), b)
		} else if info, ierr := p.o.Root.Lstat(join(local, h.Name())); ierr != nil {
			err = ierr
		} else {
			ok, err = p.holds(ctx, newKnown(index.Dir{}), join(local, h.Name()), info, b)
		}
		if !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// gone plans the removal of what the base had and the snapshot has not, where it is here
// as the base had it.
func (p *Plan) gone(ctx context.Context, names *naming, known known, remote string, es, bs []snapshot.Entry) error {
	for i := range bs {
		b := &bs[i]
		r := join(remote, string(b.Name))
		if names != nil && names.alias[string(b.Name)] != "" {
			continue // it has another spelling now
		}
		if t := find(es, b.Name); t != nil && (t.Type == snapshot.Dir) == (b.Type == snapshot.Dir) {
			continue
		}
		if b.Type == snapshot.Dir {
			if err := p.goneDir(ctx, r, b.Node); err != nil {
				return err
			}
			continue
		}
		local, ok := p.o.Local(r)
		if !ok || checkLocal(local) != nil {
			continue
		}
		info, err := p.o.Root.Lstat(local)
		if absent(err) {
			continue
		} else if err != nil {
			return err
		}
		same, err := p.holds(ctx, known, local, info, b)
		if err != nil {
			return err
		}
		if same || p.o.Force {
			p.removes = append(p.removes, local)
		} else {
			p.Kept = append(p.Kept, Conflict{local, "removed elsewhere, changed here"})
		}
	}
	return nil
}

func (p *Plan) goneDir(ctx context.Context, remote string, node pack.ID) error {
	bs, err := p.entriesOf(ctx, node)
	if err != nil {
		return err
	}
	state, _, err := p.o.Index.Dir(p.o.State, remote)
	if err != nil {
		return err
	}
	if err := p.gone(ctx, nil, newKnown(state), remote, nil, bs); err != nil {
		return err
	}
	if local, ok := p.o.Local(remote + "/"); ok && checkLocal(local) == nil {
		p.rmdirs = append(p.rmdirs, local)
	}
	return nil
}
