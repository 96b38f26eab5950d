package check

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"satchel/index"
	"satchel/snapshot"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// walker walks the trees of all snapshots, oldest first, and each subtree in which nothing
// is wrong only once. Oldest first, a snapshot's new nodes lie together in the packs of its own push.
type walker struct {
	reader *snapshot.Reader
	index  *index.Index
	lost   func(pack.ID, index.Location) bool // nil: nothing is known to be lost
	merge  bool                               // it does not matter which object is to blame

	near  [1 << 16]place           // where chunks lie that were asked for lately, by the first bytes of the id
	clean map[pack.Key]counts      // nodes below which nothing is wrong
	lists map[pack.ID]snapshot.Sum // lists that are whole
	torn  map[pack.ID]bool         // lists of the file at hand that are not

	snapshots []ledger.Snapshot
	now       int                          // which of them is walked
	entries   int                          // of it that may still be seen
	left      int                          // lists of its files
	hurts     map[string]map[string][]span // by object, by path
	what      map[string]string            // objects that the walk found damaged
	missing   map[pack.ID]bool             // chunks that are in no pack
}

// counts is by ordinal of a node's chunk in its pack: 0, or one more than the entries below.
type counts []uint32

func (c *counts) set(n, entries int) {
	for n >= len(*c) {
		*c = append(*c, 0)
	}
	(*c)[n] = uint32(min(entries, snapshot.MaxEntries)) + 1
}

// maxChunks is where counting the chunks of a file ends, and maxLists that of reading a snapshot's lists.
const (
	maxChunks = 1 << 29
	maxLists  = 1 << 20
)

// place is a chunk that can be had, and where.
type place struct {
	id  pack.ID
	loc index.Location
}

// Holes lists the paths that cannot be restored because a chunk of theirs is lost, or in no
// pack at all.
func Holes(ctx context.Context, log *ledger.Log, x *index.Index, lost map[pack.ID]bool) ([]Hurt, error) {
	w := &walker{merge: true, lost: func(id pack.ID, _ index.Location) bool { return lost[id] }}
	err := w.walk(ctx, log, x)
	return w.hurtsOf(""), err
}

// walk walks every tree of every live snapshot.
func (w *walker) walk(ctx context.Context, log *ledger.Log, x *index.Index) (err error) {
	if w.reader, err = snapshot.NewReader(log.Store, log.Keys, x); err != nil {
		return err
	}
	w.index, w.snapshots = x, log.State().Snapshots(ledger.Workspace{})
	w.clean, w.lists, w.torn, w.missing = map[pack.Key]counts{}, map[pack.ID]snapshot.Sum{}, map[pack.ID]bool{}, map[pack.ID]bool{}
	w.hurts, w.what = map[string]map[string][]span{}, map[string]string{}
	for i, s := range w.snapshots {
		w.now = i
		if err := w.snapshot(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) snapshot(ctx context.Context, s ledger.Snapshot) error {
	loc, ok, err := w.locate(s.ID, "")
	if err != nil {
		return err
	}
	if ok {
		_, err := w.reader.ManifestOf(ctx, s)
		if err := w.judge(err, loc, ""); err != nil {
			return err
		}
	}
	w.entries, w.left = snapshot.Limit(s.Files), maxLists
	_, _, err = w.dir(ctx, s.Root, "", 0)
	if errors.Is(err, errEndless) {
		loc, _, lerr := w.locate(s.Root, "/")
		return errors.Join(lerr, w.judge(err, loc, "/"))
	}
	return err
}

// errEndless ends the walk of a tree that goes on for longer than any that was pushed.
var errEndless = fmt.Errorf("%w: it has more entries than its snapshot can have", snapshot.ErrTree)

// locate finds a pack that a chunk can be had from. If there is none it notes that this
// hurts the path. Snapshots that follow each other ask for the same chunks again.
func (w *walker) locate(id pack.ID, path string) (loc index.Location, ok bool, err error) {
	near := &w.near[int(id[0])<<8|int(id[1])]
	if near.id == id {
		return near.loc, true, nil
	}
	if loc, ok, err = w.search(id, path); ok {
		*near = place{id, loc}
	}
	return loc, ok, err
}

func (w *walker) search(id pack.ID, path string) (loc index.Location, ok bool, err error) {
	loc, ok, err = w.index.Lookup(id)
	switch {
	case err != nil:
		return loc, false, err
	case ok && (w.lost == nil || !w.lost(id, loc)):
		return loc, true, nil
	case !ok:
		w.missing[id] = true
		w.hurt("", path)
		return loc, false, nil
	}
	locs, err := w.index.Locations(id)
	if err != nil {
		return loc, false, err
	}
	for _, l := range locs {
		if !w.lost(id, l) {
			return l, true, nil
		}
	}
	for _, l := range locs {
		w.hurt(l.Pack.Name(), path)
	}
	return loc, false, nil
}

// hurt notes that an object's damage hurts a path.
func (w *walker) hurt(object, path string) {
	if w.merge {
		object = ""
	}
	paths := w.hurts[object]
	if paths == nil {
		paths = map[string][]span{}
		w.hurts[object] = paths
	}
	in := paths[path]
	if last := len(in) - 1; last >= 0 && in[last].to >= w.now {
		in[last].to = w.now + 1
	} else {
		paths[path] = append(in, span{w.now, w.now + 1})
	}
}

// judge takes an error that speaks of damage for a finding; loc is where the chunk lies
// that was being read. It returns any other error.
func (w *walker) judge(err error, loc index.Location, path string) error {
	object := loc.Pack.Name()
	var damaged *pack.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &damaged):
		object = damaged.Pack.Name()
	case errors.Is(err, snapshot.ErrMissing):
		object = ""
	case errors.Is(err, snapshot.ErrTree):
	default:
		return err
	}
	if object != "" && w.what[object] == "" {
		w.what[object] = err.Error()
	}
	w.hurt(object, path)
	return nil
}

// dir walks a directory whose path is dir; it reports how many entries lie below, and whether
// nothing is wrong with them.
func (w *walker) dir(ctx context.Context, id pack.ID, dir string, level int) (below int, clean bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, context.Cause(ctx)
	}
	loc, ok, err := w.locate(id, dir+"/")
	if err != nil || !ok {
		return 0, false, err
	}
	if seen := w.clean[loc.Pack]; loc.Chunk < len(seen) && seen[loc.Chunk] > 0 {
		below = int(seen[loc.Chunk]) - 1
		return below, true, w.spend(below)
	}
	es, err := w.reader.Entries(ctx, id)
	if err == nil && (level > snapshot.MaxLevels || len(dir) > snapshot.MaxPath) {
		err = fmt.Errorf("%w: %d folders deep, a path of %d bytes", snapshot.ErrTree, level, len(dir))
	}
	if err != nil {
		return 0, false, w.judge(err, loc, dir+"/")
	}
	if err := w.spend(len(es)); err != nil {
		return 0, false, err
	}
	below, clean = len(es), true
	for i := range es {
		e := &es[i]
		path := string(e.Name)
		if dir != "" {
			path = dir + "/" + path
		}
		n, ok := 0, true
		switch e.Type {
		case snapshot.Dir:
			n, ok, err = w.dir(ctx, e.Node, path, level+1)
		case snapshot.File:
			ok, err = w.file(ctx, e, loc, path)
		}
		if err != nil {
			return 0, false, err
		}
		below, clean = below+n, clean && ok
	}
	if clean {
		c := w.clean[loc.Pack]
		c.set(loc.Chunk, below)
		w.clean[loc.Pack] = c
	}
	return below, clean, nil
}

// spend takes entries off what may still be seen of this snapshot.
func (w *walker) spend(entries int) error {
	if w.entries -= entries; w.entries < 0 {
		return errEndless
	}
	return nil
}

// file looks for every chunk of a file; node is where its entry lies.
func (w *walker) file(ctx context.Context, e *snapshot.Entry, node index.Location, path string) (clean bool, err error) {
	clear(w.torn)
	clean = true
	for _, content := range e.Contents() {
		sum, ok, err := w.ids(ctx, content.IDs, int(content.Depth), node, path)
		if err != nil {
			return false, err
		}
		if ok {
			var whole snapshot.Sum
			if err = whole.Add(content, sum.Chunks, sum.Bytes); err == nil {
				err = whole.End(content)
			}
			ok = err == nil
			if err := w.judge(err, node, path); err != nil {
				return false, err
			}
		}
		clean = clean && ok
	}
	return clean, nil
}

// ids adds up chunks, or what the lists in their place name.
func (w *walker) ids(ctx context.Context, ids []byte, depth int, from index.Location, path string) (sum snapshot.Sum, clean bool, err error) {
	clean = true
	for ; len(ids) > 0; ids = ids[sha256.Size:] {
		id := pack.ID(ids)
		loc, ok, err := w.locate(id, path)
		if err != nil {
			return sum, false, err
		}
		n := snapshot.Sum{Chunks: 1, Bytes: uint64(loc.Size)}
		if ok && depth > 0 {
			n, ok, err = w.list(ctx, id, depth, loc, path)
		}
		if err != nil {
			return sum, false, err
		}
		clean = clean && ok
		sum = snapshot.Sum{Chunks: min(sum.Chunks+n.Chunks, maxChunks), Bytes: sum.Bytes + n.Bytes}
	}
	return sum, clean, nil
}

// list does so for one list, and each list of a file once: nodes below which all is well are
// not walked again, but what is wrong is, for each path, and lists may name each other without end.
func (w *walker) list(ctx context.Context, id pack.ID, depth int, loc index.Location, path string) (sum snapshot.Sum, clean bool, err error) {
	if sum, ok := w.lists[id]; ok || w.torn[id] {
		return sum, ok, nil
	}
	if w.left--; w.left < 0 {
		return sum, false, errEndless
	}
	list, err := w.reader.List(ctx, id)
	if err == nil {
		sum, clean, err = w.ids(ctx, slices.Clone(list), depth-1, loc, path)
	} else {
		err = w.judge(err, loc, path)
	}
	if clean && err == nil {
		w.lists[id] = sum
	} else {
		w.torn[id] = true
	}
	return sum, clean, err
}

// hurtsOf returns what the damage of an object hurts, by path.
func (w *walker) hurtsOf(object string) (out []Hurt) {
	paths := w.hurts[object]
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		out = append(out, Hurt{p, w.snapshots, paths[p]})
	}
	return out
}
