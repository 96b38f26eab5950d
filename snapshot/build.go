package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"satchel/index"
	"satchel/snapshot/sqlite"
	"satchel/snapshot/workspace"
	"satchel/store/pack"
)

// Counts is what a push found, in files; directories count only where they come or go.
type Counts struct {
	New, Changed, Removed, Unchanged int
	Folders                          int    // that came, went or changed their mode
	Files                            uint64 // in the snapshot
	Bytes                            uint64
	Read                             int64 // bytes of files that were opened

	dirs uint64 // in the snapshot
}

// Open is a file that a program may have open: what is not saved yet is in no snapshot.
type Open struct {
	Local string
	Lock  string // the lock file that an office program keeps beside the document; "" for a SQLite database that has a -wal, -shm or -journal
}

// different reports whether there is anything to make a snapshot of.
func (c *Counts) different() bool { return c.New+c.Changed+c.Removed+c.Folders > 0 }

// builder makes the tree of a workspace: it walks, reuses what the last push or pull saw
// unchanged, has the rest read, and encodes each directory when all that is in it is known.
type builder struct {
	tree      *workspace.Tree
	root      *os.Root
	capture   *capture
	index     *index.Index
	reader    *Reader
	workspace [16]byte // key of the file state
	progress  *Progress
	holder    *Holder
	links     links
	homeless  map[string]bool // remote paths that this device could not be given
	partly    map[string]bool // those that it has without some of their properties
	force     bool            // read every file again
	dry       bool            // compare only: nothing is stored or noted

	mu       sync.Mutex // guards what follows
	counts   Counts
	problems []Problem
	warnings []string
	open     []Open
	leftOut  []workspace.LeftOut
	changes  []Change             // only if dry
	states   map[string]index.Dir // file state to be written
	stateLen int
	gone     []string
	rootID   pack.ID
	err      error
}

// close releases what the builder has of the file system.
func (b *builder) close() {
	b.root.Close()
	if b.capture.stage != "" {
		os.RemoveAll(b.capture.stage) // what stays, ClearImages removes next time
	}
	b.capture.paths.Close()
}

// dirBuild is a directory under construction.
type dirBuild struct {
	b      *builder
	parent *dirBuild
	slot   int // in the parent's entries
	remote string
	keep   bool // also when empty

	entries []Entry
	stats   []index.Stat
	drop    []bool       // entries that came to nothing
	pending atomic.Int32 // entries not settled yet, and one for the walk itself

	prev   []Entry // of the parent snapshot; valid if anchored
	prevID pack.ID
	old    index.Dir // what the last push or pull saw
	oldEs  []Entry
}

// build walks the workspace and returns the id of the root's node. parentRoot is zero
// where there is no parent snapshot.
func (b *builder) build(ctx context.Context, parentRoot pack.ID) (pack.ID, error) {
	top := &dirBuild{b: b, keep: true, prevID: parentRoot}
	err := b.walk(ctx, top, 0)
	if cerr := b.capture.finish(); cerr != nil {
		err = cerr
	}
	return b.rootID, errors.Join(err, b.err)
}

// walk lists a directory, settles what needs no reading, and goes on into folders.
func (b *builder) walk(ctx context.Context, d *dirBuild, level int) error {
	if err := context.Cause(b.capture.ctx); err != nil {
		return err
	}
	list, err := b.tree.ReadDir(d.remote)
	if err != nil {
		return err
	}
	if err := d.remember(ctx); err != nil {
		return err
	}
	d.entries = make([]Entry, len(list.Entries), len(list.Entries)+len(list.Unreadable))
	kept := b.unreadable(d, list)
	kept += b.absent(d, list)
	n := len(d.entries)
	d.stats, d.drop = make([]index.Stat, n), make([]bool, n)
	d.pending.Store(int32(n) + 1)
	b.note(list)
	for i := range list.Entries {
		if err := b.entry(ctx, d, i, &list.Entries[i], level); err != nil {
			return err
		}
	}
	for range kept {
		d.settled()
	}
	d.settled()
	return nil
}

// remember finds what the parent snapshot and the last run had here.
func (d *dirBuild) remember(ctx context.Context) error {
	b := d.b
	old, ok, err := b.index.Dir(b.workspace, d.remote)
	if err != nil {
		return err
	}
	if ok {
		if es, err := DecodeState(old); err == nil {
			d.old, d.oldEs = old, es
		}
	}
	if d.prevID == (pack.ID{}) {
		return nil
	}
	if d.old.Node != nil {
		id := pack.Sum(d.old.Node)
		if inParts(d.oldEs) {
			if id, err = encodeNode(d.oldEs, func(pack.ID, []byte) error { return nil }); err != nil {
				return err
			}
		}
		if id == d.prevID && b.capture.live(id) {
			d.prev = d.oldEs
			return nil
		}
	}
	d.prev, err = b.reader.Entries(ctx, d.prevID)
	if errors.Is(err, ErrMissing) || errors.Is(err, pack.ErrDamaged) || errors.Is(err, ErrTree) {
		// The parent is damaged here: build as if it had nothing, and so store all anew.
		d.prev, d.prevID = nil, pack.ID{}
		return nil
	}
	return err
}

func (b *builder) note(list *workspace.Listing) {
	if len(list.LeftOut) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leftOut = append(b.leftOut, list.LeftOut...)
}

// unreadable keeps what the parent snapshot has of paths that cannot be looked at, so that
// no other device takes them for deleted. It appends their entries to d's.
func (b *builder) unreadable(d *dirBuild, list *workspace.Listing) (kept int) {
	for _, u := range list.Unreadable {
		remote, ok := b.tree.Remote(u.Local)
		if !ok {
			remote, ok = b.tree.Remote(u.Local + "/")
		}
		if !ok {
			remote = d.remote
		}
		b.problem(remote, MarkUnread, reason(u.Err))
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(remote, d.remote), "/"), "/")
		for _, p := range d.prev {
			if name != "" && name != string(p.Name) {
				continue // it is this one, or all of a folder that does not list
			}
			same := func(e Entry) bool { return bytes.Equal(e.Name, p.Name) }
			listed := slices.ContainsFunc(list.Entries, func(e workspace.Entry) bool { return e.Name == string(p.Name) })
			if !listed && !slices.ContainsFunc(d.entries[len(list.Entries):], same) {
				if p.Type != Dir {
					p.Marks |= MarkUnread
				}
				d.entries = append(d.entries, p)
				b.countBelow(&p)
				kept++
			}
		}
	}
	return kept
}

func (b *builder) problem(path string, m Mark, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, Problem{Path: []byte(path), Mark: m, Text: strings.ToValidUTF8(text, "?")})
}

// find looks a name up in sorted entries.
func find(es []Entry, name []byte) *Entry {
	i, ok := slices.BinarySearchFunc(es, name, func(e Entry, n []byte) int { return bytes.Compare(e.Name, n) })
	if !ok {
		return nil
	}
	return &es[i]
}

// entry settles entry i of d, now or when it has been read.
func (b *builder) entry(ctx context.Context, d *dirBuild, i int, w *workspace.Entry, level int) error {
	e := &d.entries[i]
	e.Name = []byte(w.Name)
	if w.Type == 0 {
		return b.file(d, i, w)
	}
	d.drop[i] = !b.other(d, i, w)
	if w.IsDir() {
		child := &dirBuild{b: b, parent: d, slot: i, remote: join(d.remote, w.Name), keep: w.KeepEmpty}
		if level == MaxLevels || len(child.remote) > MaxPath {
			b.failed(d, i, fmt.Errorf("it lies too deep: at most %d folders, a path of %d bytes", MaxLevels, MaxPath))
			d.settled()
			return nil
		}
		if p := find(d.prev, e.Name); p != nil && p.Type == Dir {
			child.prevID = p.Node
		}
		return b.walk(ctx, child, level+1)
	}
	d.settled()
	return nil
}

func (b *builder) file(d *dirBuild, i int, w *workspace.Entry) error {
	e := &d.entries[i]
	if w.OpenIn != "" || w.SQLite {
		b.mu.Lock()
		b.open = append(b.open, Open{Local: w.Local, Lock: w.OpenIn})
		b.mu.Unlock()
	}
	b.progress.found(w.Info.Size())
	if content, st, ok := b.unchanged(d, w); ok {
		*e, d.stats[i] = content, st // with mode and time as recorded: this system may hold them less precisely
		b.progress.finished(w.Info.Size())
		d.settled()
		return nil
	}
	seen := new(about)
	return b.capture.add(fileTask{local: w.Local, info: w.Info, secret: w.Secret, about: seen,
		done: func(content Entry, st index.Stat, err error) {
			if err != nil {
				b.failed(d, i, err)
			} else {
				content.Name = e.Name
				b.complete(&content, find(d.prev, e.Name), join(d.remote, w.Name), *seen)
				if w.Secret {
					content.Mode &= ownerOnly
				}
				*e, d.stats[i] = content, st
				b.judge(join(d.remote, w.Name), content)
				if w.Busy && !w.SQLite {
					b.warn(w.Local + " has a -wal or -journal; should it be an encrypted database, close its program before a push: they travel as plain files")
				}
			}
			d.settled()
		}})
}

// ownerOnly is what a secret keeps of its mode, so that it is written for its owner alone wherever it
// comes to.
const ownerOnly = 0o700

// unchanged returns the content that a file had when it was last read, if it was not
// touched since and the repository still has it.
func (b *builder) unchanged(d *dirBuild, w *workspace.Entry) (content Entry, st index.Stat, ok bool) {
	if b.force {
		return content, st, false
	}
	i, found := slices.BinarySearchFunc(d.oldEs, []byte(w.Name), func(e Entry, n []byte) int { return bytes.Compare(e.Name, n) })
	if !found {
		return content, st, false
	}
	content, st = d.oldEs[i], d.old.Stats[i]
	now := StatOf(w.Info, time.Time{})
	if w.SQLite && w.Busy {
		var err error
		if now.Beside, _, err = sqlite.Beside(filepath.Join(b.root.Name(), filepath.FromSlash(w.Local))); err != nil {
			return content, st, false
		}
	}
	if w.Secret && content.Mode&^ownerOnly != 0 {
		return content, st, false
	}
	if content.Type != File || content.Marks&^(MarkGrew|MarkPlain) != 0 || !st.Fresh(now) {
		return content, st, false
	}
	if p := find(d.prev, content.Name); p != nil && p.SameContent(&content) && p.SameStreams(&content) && b.whole(&content) {
		return content, st, true // reached from the parent snapshot, which the commit asks for again
	}
	if content.Depth > 0 || len(content.Streams) > 0 {
		return content, st, false
	}
	for ids := content.IDs; len(ids) > 0; ids = ids[len(pack.ID{}):] {
		if !b.capture.live(pack.ID(ids)) {
			return content, st, false
		}
	}
	return content, st, true
}

// judge says of a file that was read what a person should know.
func (b *builder) judge(remote string, e Entry) {
	b.mu.Lock()
	b.counts.Read += int64(e.Size)
	b.mu.Unlock()
	switch {
	case e.Marks&MarkJournal != 0:
		b.problem(remote, e.Marks, "what its -wal or -journal holds is not in the snapshot, as SQLite cannot read it; close the program and push again")
	case e.Marks&MarkChanged != 0:
		b.problem(remote, e.Marks, "it kept changing while it was read: the copy in the snapshot may be torn; push again when it is at rest")
	}
}

// failed drops a file that cannot be read, or keeps what the parent snapshot has of it.
func (b *builder) failed(d *dirBuild, i int, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		d.drop[i] = true // it vanished since the walk
		return
	}
	b.problem(join(d.remote, string(d.entries[i].Name)), MarkUnread, reason(err))
	if p := find(d.prev, d.entries[i].Name); p != nil {
		d.entries[i] = *p
		d.entries[i].Marks |= MarkUnread
		d.stats[i] = index.Stat{}
		return
	}
	d.drop[i] = true
}

// reason is an error without the path, which is told beside it.
func reason(err error) string {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err.Error()
	}
	if errors.Is(err, sqlite.ErrBusy) {
		return "the database is busy: its program keeps it locked; close the program and push again"
	}
	return err.Error()
}

func (b *builder) warn(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.warnings, text) {
		b.warnings = append(b.warnings, text)
	}
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// settled says that one more entry, or the walk, is done. With the last, the directory is
// encoded and the parent told.
func (d *dirBuild) settled() {
	if d.pending.Add(-1) > 0 {
		return
	}
	if err := d.finish(); err != nil {
		d.b.mu.Lock()
		d.b.err = errors.Join(d.b.err, err)
		d.b.mu.Unlock()
		d.b.capture.cancel(err)
	}
	if d.parent != nil {
		d.parent.settled()
	}
}

// finish encodes the directory, counts what is different, and notes the file state.
func (d *dirBuild) finish() error {
	b := d.b
	es, stats := d.entries[:0], d.stats[:0]
	for i := range d.entries {
		if !d.drop[i] {
			es, stats = append(es, d.entries[i]), append(stats, d.stats[i])
		}
	}
	if !slices.IsSortedFunc(es, byName) { // paths that could not be read came at the end
		order := make([]int, len(es))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(i, j int) int { return byName(es[i], es[j]) })
		sortedEs, sortedStats := make([]Entry, len(es)), make([]index.Stat, len(es))
		for i, from := range order {
			sortedEs[i], sortedStats[i] = es[from], stats[from]
		}
		es, stats = sortedEs, sortedStats
	}
	if err := checkEntries(es); err != nil {
		return fmt.Errorf("%s: %w", d.remote, err)
	}
	if err := b.count(d, es); err != nil {
		return err
	}
	if len(es) == 0 && !d.keep {
		d.parent.drop[d.slot] = true
		return nil
	}
	var node []byte
	id, err := encodeNode(es, func(id pack.ID, enc []byte) error {
		node = enc
		return b.capture.addTree(id, enc)
	})
	if err != nil {
		return err
	}
	if inParts(es) {
		node = nil
	}
	if d.parent == nil {
		b.rootID = id
	} else {
		d.parent.entries[d.slot].Node = id
	}
	return b.keepState(d, es, stats, node)
}

func byName(a, b Entry) int { return bytes.Compare(a.Name, b.Name) }

// count compares a directory with the parent snapshot's.
func (b *builder) count(d *dirBuild, es []Entry) error {
	var c Counts
	var removed []Entry
	var changes []Change
	change := func(old, now *Entry) {
		if b.dry {
			e := now
			if e == nil {
				e = old
			}
			changes = append(changes, Change{Remote: join(d.remote, string(e.Name)), Old: old, New: now})
		}
	}
	i, j := 0, 0
	for i < len(es) || j < len(d.prev) {
		order := 0
		switch {
		case i == len(es):
			order = 1
		case j == len(d.prev):
			order = -1
		default:
			order = byName(es[i], d.prev[j])
		}
		switch {
		case order > 0:
		case es[i].Type == Dir:
			c.dirs++
		default:
			c.Files++
			c.Bytes += es[i].Size
		}
		switch {
		case order < 0 && es[i].Type == Dir:
			c.Folders++
		case order < 0:
			c.New++
			change(nil, &es[i])
		case order > 0:
			removed = append(removed, d.prev[j])
		case es[i].Type == Dir && d.prev[j].Type == Dir:
			if !es[i].SameProperties(&d.prev[j]) {
				c.Folders++
			}
		case es[i].Type == Dir || d.prev[j].Type == Dir:
			removed = append(removed, d.prev[j])
			if es[i].Type != Dir {
				c.New++
				change(nil, &es[i])
			}
		case es[i].same(&d.prev[j]):
			c.Unchanged++
		default:
			c.Changed++
			change(&d.prev[j], &es[i])
		}
		if order <= 0 {
			i++
		}
		if order >= 0 {
			j++
		}
	}
	for k := range removed {
		if removed[k].Type == Dir {
			c.Folders++
		} else {
			change(&removed[k], nil)
		}
		n, err := b.filesBelow(&removed[k], join(d.remote, string(removed[k].Name)))
		if err != nil {
			return err
		}
		c.Removed += n
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.New += c.New
	b.counts.Changed += c.Changed
	b.counts.Removed += c.Removed
	b.counts.dirs += c.dirs
	b.counts.Unchanged += c.Unchanged
	b.counts.Folders += c.Folders
	b.counts.Files += c.Files
	b.counts.Bytes += c.Bytes
	b.changes = append(b.changes, changes...)
	return nil
}

// filesBelow counts the files of something that the parent snapshot had and that is gone.
func (b *builder) filesBelow(e *Entry, remote string) (int, error) {
	if e.Type != Dir {
		return 1, nil
	}
	b.mu.Lock()
	b.gone = append(b.gone, remote)
	b.mu.Unlock()
	es, err := b.reader.Entries(b.capture.ctx, e.Node)
	if errors.Is(err, ErrMissing) || errors.Is(err, pack.ErrDamaged) {
		return 1, nil
	} else if err != nil {
		return 0, err
	}
	n := 0
	for i := range es {
		if b.dry && es[i].Type != Dir {
			b.mu.Lock()
			b.changes = append(b.changes, Change{Remote: join(remote, string(es[i].Name)), Old: &es[i]})
			b.mu.Unlock()
		}
		m, err := b.filesBelow(&es[i], join(remote, string(es[i].Name)))
		if err != nil {
			return 0, err
		}
		n += m
	}
	return n, nil
}

// stateBatch is how many entries of file state are gathered before they are written.
const stateBatch = 50_000

// keepState notes what was seen, for the next push. It may be written before the
// snapshot is: whoever reads it asks the repository for the chunks again. node is the
// encoding of es, or nil.
func (b *builder) keepState(d *dirBuild, es []Entry, stats []index.Stat, node []byte) error {
	if b.dry {
		return nil
	}
	now := index.Dir{Node: node, Stats: stats}
	if node == nil {
		now = EncodeState(es, stats)
	}
	if bytes.Equal(now.Node, d.old.Node) && slices.Equal(now.Stats, d.old.Stats) {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.states[d.remote] = now
	if b.stateLen += len(es); b.stateLen < stateBatch {
		return nil
	}
	return b.flushState()
}

// flushState writes the file state gathered. b.mu is held.
func (b *builder) flushState() error {
	if len(b.states)+len(b.gone) == 0 {
		return nil
	}
	err := b.index.PutDirs(b.workspace, maps.All(b.states), b.gone)
	b.states, b.stateLen, b.gone = map[string]index.Dir{}, 0, nil
	return err
}
