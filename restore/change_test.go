package restore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/dir"
	"satchel/store/durable"
	"satchel/store/durable/durabletest"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/storetest"
)

// openSpool opens the store of a Safety, as the commands do.
func openSpool(path string) (store.Store, error) { return dir.Open(path) }

// change is a Change of a device's folder; its Safety is read anew, as by a new command.
func change(t *testing.T, d *snapshottest.Device) *restore.Change {
	t.Helper()
	root, err := durable.OpenRoot(d.Root)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	y, err := snapshot.OpenSafety(d.Lineage.SpoolPath(), openSpool)
	must(t, err)
	return &restore.Change{Push: d.Push(), Safety: y, Reader: d.Reader, Root: root, Local: identity, Device: func(v ledger.Snapshot) string { return v.Author.String()[:6] }}
}

// merge pulls what comes in; nil if nothing does.
func merge(t *testing.T, d *snapshottest.Device, o restore.PullOptions) *restore.Changed {
	t.Helper()
	must(t, d.Sync())
	to, ok := d.Lineage.Incoming(d.State())
	if !ok {
		return nil
	}
	out, err := change(t, d).Pull(ctx, to, o)
	must(t, err)
	if len(out.Conflicts) > 0 {
		t.Fatalf("%v", out.Conflicts)
	}
	must(t, d.Sync())
	return out
}

// commit pushes as a command does: conflict copies stay, the safety snapshots go first.
func commit(t *testing.T, d *snapshottest.Device) (*snapshot.Pushed, error) {
	t.Helper()
	must(t, d.Sync())
	return push(t, d)
}

// push is commit on a ledger that was looked at.
func push(t *testing.T, d *snapshottest.Device) (*snapshot.Pushed, error) {
	t.Helper()
	p := d.Push()
	y, err := snapshot.OpenSafety(d.Lineage.SpoolPath(), openSpool)
	must(t, err)
	p.Safety, p.Yes = y, true
	return p.Run(ctx)
}

func undo(t *testing.T, d *snapshottest.Device) {
	t.Helper()
	must(t, d.Sync())
	c := change(t, d)
	steps := c.Safety.Taken()
	if len(steps) == 0 {
		t.Fatal("nothing to undo")
	}
	_, err := c.Undo(ctx, steps[0])
	must(t, err)
	must(t, d.Sync())
}

// pair is two devices at the same snapshot.
func pair(t *testing.T, files ...string) (m *storetest.Memory, a, b *snapshottest.Device) {
	m = storetest.NewMemory()
	a = snapshottest.Found(t, m)
	for _, f := range files {
		a.Write(f, "old "+f)
	}
	a.MustPush()
	b = a.Join(m)
	merge(t, b, restore.PullOptions{})
	return m, a, b
}

// contents of a folder by path.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	}))
	return out
}

func remove(t *testing.T, d *snapshottest.Device, path string) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(d.Root, path)))
}

// Every pair of what two sides can do to a path, and what becomes of it on the side that pulls.
func TestPullMergesPathByPath(t *testing.T) {
	type side map[string]string // path to content, "" for a removal
	const copied = "copy"
	for name, c := range map[string]struct{ mine, theirs, want side }{
		"theirs changed":         {side{}, side{"f": "new"}, side{"f": "new"}},
		"mine changed":           {side{"f": "mine"}, side{"g": "x"}, side{"f": "mine", "g": "x"}},
		"the same change":        {side{"f": "new"}, side{"f": "new"}, side{"f": "new"}},
		"both changed":           {side{"f": "mine"}, side{"f": "new"}, side{"f": "mine", copied: "new"}},
		"both made":              {side{"n.txt": "mine"}, side{"n.txt": "new"}, side{"n.txt": "mine", copied: "new"}},
		"theirs removed":         {side{}, side{"f": ""}, side{"f": ""}},
		"mine removed":           {side{"f": ""}, side{"g": "x"}, side{"f": "", "g": "x"}},
		"both removed":           {side{"f": ""}, side{"f": ""}, side{"f": ""}},
		"theirs removed, mine":   {side{"f": "mine"}, side{"f": ""}, side{"f": "mine"}},
		"mine removed, theirs":   {side{"f": ""}, side{"f": "new"}, side{"f": "new"}},
		"in a folder":            {side{"d/a": "mine"}, side{"d/b": "new"}, side{"d/a": "mine", "d/b": "new"}},
		"folder removed, mine":   {side{"d/a": "mine"}, side{"d": ""}, side{"d/a": "mine", "d/b": ""}},
		"folder removed, theirs": {side{"d": ""}, side{"d/a": "new"}, side{"d/a": "new", "d/b": ""}},
		"folder for a file":      {side{"f": "", "f/x": "mine"}, side{"g": "x"}, side{"f/x": "mine", "g": "x"}},
		"folder against a file":  {side{"f": "", "f/x": "mine"}, side{"f": "new"}, side{"f/x": "mine", copied: "new"}},
		"file against a folder":  {side{"f": "mine"}, side{"f": "", "f/x": "new"}, side{"f": "mine", copied + "/x": "new"}},
		"moved and changed":      {side{"f": "", "h": "old f"}, side{"f": "new"}, side{"f": "new", "h": "old f"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, a, b := pair(t, "f", "d/a", "d/b", "stays")
			do := func(d *snapshottest.Device, s side) {
				for _, path := range slices.Sorted(maps.Keys(s)) {
					if s[path] == "" {
						remove(t, d, path)
					} else {
						d.Write(path, s[path])
					}
				}
			}
			want := contents(t, a.Root)
			do(a, c.theirs)
			_, err := commit(t, a)
			must(t, err)
			do(b, c.mine)
			before := contents(t, b.Root)
			out := merge(t, b, restore.PullOptions{})
			for path, content := range c.want {
				maps.DeleteFunc(want, func(p, _ string) bool {
					return p == path || strings.HasPrefix(p, path+"/") || strings.HasPrefix(path, p+"/")
				})
				if under, ok := strings.CutPrefix(path, copied); ok {
					if len(out.Copies) != 1 {
						t.Fatalf("copies %q", out.Copies)
					}
					path = out.Copies[0] + under
				}
				if content != "" {
					want[path] = content
				}
			}
			if diff := cmp.Diff(want, contents(t, b.Root)); diff != "" {
				t.Errorf("after the pull (-want +got):\n%s", diff)
			}
			// What was merged goes on from both sides, without the copy.
			pushed, err := commit(t, b)
			must(t, err)
			if v, ok := b.State().Snapshot(pushed.Snapshot); ok && len(c.mine) > 0 && len(v.Parents) != 2 {
				t.Errorf("%d parents", len(v.Parents))
			}
			merge(t, a, restore.PullOptions{})
			for _, copy := range out.Copies {
				maps.DeleteFunc(want, func(p, _ string) bool { return p == copy || strings.HasPrefix(p, copy+"/") })
			}
			if diff := cmp.Diff(want, contents(t, a.Root)); diff != "" {
				t.Errorf("on the other device (-want +got):\n%s", diff)
			}
			// And back.
			undo(t, b)
			if diff := cmp.Diff(before, contents(t, b.Root)); diff != "" {
				t.Errorf("after undo (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPullPrefersASide(t *testing.T) {
	for prefer, want := range map[snapshot.Side]string{snapshot.Mine: "mine", snapshot.Theirs: "new"} {
		_, a, b := pair(t, "f", "g")
		a.Write("f", "new")
		a.MustPush()
		b.Write("f", "mine")
		b.Write("g", "mine")
		merge(t, b, restore.PullOptions{Prefer: prefer})
		if diff := cmp.Diff(map[string]string{"f": want, "g": "mine"}, contents(t, b.Root)); diff != "" {
			t.Errorf("%d (-want +got):\n%s", prefer, diff)
		}
		undo(t, b)
		if b.Read("f") != "mine" {
			t.Errorf("%d: undo brought back %q", prefer, b.Read("f"))
		}
	}
}

func TestForcedPullCanBeUndone(t *testing.T) {
	_, a, b := pair(t, "f", "g")
	a.Write("f", "new")
	a.MustPush()
	b.Write("f", "mine")
	b.Write("only here", "mine too")
	before, base := contents(t, b.Root), b.Lineage.Base
	merge(t, b, restore.PullOptions{Force: true})
	if diff := cmp.Diff(contents(t, a.Root), contents(t, b.Root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	undo(t, b)
	if diff := cmp.Diff(before, contents(t, b.Root)); diff != "" || b.Lineage.Base != base {
		t.Errorf("base %x (-want +got):\n%s", b.Lineage.Base[:4], diff)
	}
	undo(t, b) // the undo
	if b.Read("f") != "new" || b.Read("only here") != "" {
		t.Error("undo of undo")
	}
}

// Two lines that were both pushed are joined by who pulls next.
func TestTwoHeadsAreJoined(t *testing.T) {
	_, a, b := pair(t, "f", "g")
	a.Write("f", "a's")
	a.MustPush()
	b.Write("g", "b's")
	must(t, b.Sync())
	if _, err := commit(t, b); !errors.Is(err, snapshot.ErrBehind) {
		t.Fatal(err)
	}
	p := b.Push()
	p.NewHead = true
	_, err := p.Run(ctx)
	must(t, err)
	merge(t, a, restore.PullOptions{})
	if _, more := a.Lineage.Incoming(a.State()); more {
		t.Error("it still comes in")
	}
	_, err = commit(t, a)
	must(t, err)
	w, _ := a.State().Workspace(a.Lineage.Workspace)
	if len(w.Heads) != 1 || a.Read("f") != "a's" || a.Read("g") != "b's" {
		t.Errorf("%d heads, %q", len(w.Heads), contents(t, a.Root))
	}
	merge(t, b, restore.PullOptions{})
	if diff := cmp.Diff(contents(t, a.Root), contents(t, b.Root)); diff != "" {
		t.Error(diff)
	}
}

// A device that forgot where its files come from finds it again, and one that never knew
// removes nothing.
func TestPullWithoutABase(t *testing.T) {
	_, a, b := pair(t, "f", "g")
	remove(t, a, "g")
	_, err := commit(t, a)
	must(t, err)
	b.Lineage.Base = pack.ID{}
	merge(t, b, restore.PullOptions{})
	if b.Read("g") != "" {
		t.Error("the base was not found by its tree")
	}
	a.Write("h", "new")
	a.MustPush()
	b.Lineage.Base = pack.ID{}
	b.Write("mine", "x")
	b.Write("f", "other")
	out := merge(t, b, restore.PullOptions{})
	if len(out.Copies) != 1 || b.Read("f") != "other" || b.Read("mine") != "x" || b.Read("h") != "new" {
		t.Errorf("%q", contents(t, b.Root))
	}
}

// A crash or a failure at any file-system call of a merging pull leaves the files before or after,
// the lineage to match, and nothing that only this device had is lost.
func TestMergeCrashesAtEveryFileSystemCall(t *testing.T) { crashes(t, merging) }

func TestUndoCrashesAtEveryFileSystemCall(t *testing.T) { crashes(t, undoing) }

// Three devices edit, push, pull, merge, restore and undo at random. No content that a device had
// when satchel went to work on it is ever lost, a pull leaves alone what only its device has, and
// in the end all are the same.
func TestThreeDevicesLoseNothing(t *testing.T) {
	seeds, steps := 4, 120 // SATCHEL_LONG: 200 seeds
	if os.Getenv("SATCHEL_LONG") != "" {
		seeds = 200
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newWorld(t, uint64(seed)).live(steps) })
	}
}

type world struct {
	t       *testing.T
	rng     *rand.Rand
	devices []*snapshottest.Device
	seen    map[string]string // contents that were there, and when
	made    int
}

func newWorld(t *testing.T, seed uint64) *world {
	m := storetest.NewMemory()
	a := snapshottest.Found(t, m)
	a.Write("p0", "first")
	a.MustPush()
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), devices: []*snapshottest.Device{a, a.Join(m), a.Join(m)}, seen: map[string]string{}}
	for _, d := range w.devices[1:] {
		merge(t, d, restore.PullOptions{})
	}
	return w
}

func (w *world) path() string {
	names := []string{"p0", "p1.txt", "p2", "d/q0", "d/q1.db", "d/e/r", ".env"}
	return names[w.rng.IntN(len(names))]
}

func (w *world) live(steps int) {
	for step := range steps {
		d := w.devices[w.rng.IntN(len(w.devices))]
		before := contents(w.t, d.Root)
		act := w.rng.IntN(12)
		if !w.act(d, act, before) {
			continue
		}
		for path, content := range before {
			if act > 7 || !strings.Contains(path, ".conflict-") { // a push leaves these here
				w.seen[content] = fmt.Sprintf("step %d, act %d, %s", step, act, path)
			}
		}
	}
	w.agree()
	w.check()
}

// act does one thing, and reports whether satchel answers for the files that it met.
func (w *world) act(d *snapshottest.Device, act int, before map[string]string) bool {
	t := w.t
	switch {
	case act < 4:
		w.made++
		path := w.path()
		if info, err := os.Stat(filepath.Join(d.Root, path)); err == nil && info.IsDir() {
			remove(t, d, path)
		}
		d.Write(path, fmt.Sprint("content ", w.made))
		if w.rng.IntN(8) == 0 {
			d.Write(path, noise(uint64(w.made), 300_000))
		}
	case act == 4:
		remove(t, d, w.path())
	case act < 8:
		_, err := commit(t, d)
		if err != nil && !errors.Is(err, snapshot.ErrBehind) && !errors.Is(err, snapshot.ErrNothing) {
			t.Fatal(err)
		}
		return err == nil
	case act < 10:
		out := merge(t, d, restore.PullOptions{})
		after := contents(t, d.Root)
		known := w.pushed(d)
		for path, content := range before {
			if !known[content] && after[path] != content {
				t.Fatalf("a pull changed %s, which only this device had", path)
			}
		}
		return out != nil
	case act == 10:
		return merge(t, d, restore.PullOptions{Prefer: snapshot.Theirs, Force: w.rng.IntN(2) == 0}) != nil
	default:
		c := change(t, d)
		must(t, d.Sync())
		if steps := c.Safety.Taken(); len(steps) > 0 {
			step := steps[0]
			_, err := c.Undo(ctx, step)
			must(t, err)
			want := map[string]string{}
			w.tree(d, step.Before, want)
			got := contents(t, d.Root)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("undo of %s (-want +got):\n%s", step.What, diff)
			}
			must(t, d.Sync())
			return true
		}
	}
	return false
}

// tree reads the contents of a state into m.
func (w *world) tree(d *snapshottest.Device, s snapshot.State, m map[string]string) {
	y, err := snapshot.OpenSafety(d.Lineage.SpoolPath(), openSpool)
	must(w.t, err)
	r, err := snapshot.NewReader(snapshot.Over(y.Store, d.Store), d.Access.Keys, d.Index)
	must(w.t, err)
	must(w.t, r.Walk(ctx, s.Root, func(remote string, e *snapshot.Entry) error {
		if e.Type != snapshot.File {
			return nil
		}
		var b strings.Builder
		err := r.ChunkIDs(ctx, e, func(id pack.ID) error {
			c, err := r.Chunk(ctx, id)
			b.Write(c)
			return err
		})
		m[remote] = b.String()
		return err
	}))
}

// pushed are the contents of all snapshots but safety snapshots.
func (w *world) pushed(d *snapshottest.Device) map[string]bool {
	known := map[string]bool{}
	for _, v := range d.State().Snapshots(ledger.Workspace{}) {
		if v.Flags&ledger.FlagSafety == 0 {
			m := map[string]string{}
			w.tree(d, snapshot.State{Root: v.Root}, m)
			for _, content := range m {
				known[content] = true
			}
		}
	}
	return known
}

// agree resolves conflicts and pushes and pulls until all devices are the same.
func (w *world) agree() {
	for range 3 {
		for _, d := range w.devices {
			for i := 0; ; i++ {
				merge(w.t, d, restore.PullOptions{})
				_, err := commit(w.t, d)
				if err == nil || errors.Is(err, snapshot.ErrNothing) {
					break
				}
				if !errors.Is(err, snapshot.ErrBehind) || i == 5 {
					w.t.Fatal(err)
				}
			}
			for path := range contents(w.t, d.Root) {
				if strings.Contains(path, ".conflict-") {
					remove(w.t, d, path)
				}
			}
		}
	}
	for _, d := range w.devices[1:] {
		if diff := cmp.Diff(contents(w.t, w.devices[0].Root), contents(w.t, d.Root)); diff != "" {
			w.t.Errorf("devices differ in the end:\n%s", diff)
		}
	}
}

// check looks for every content that was ever there.
func (w *world) check() {
	d := w.devices[0]
	must(w.t, d.Sync())
	found := w.pushed(d)
	for _, v := range d.State().Snapshots(ledger.Workspace{}) {
		m := map[string]string{}
		w.tree(d, snapshot.State{Root: v.Root}, m)
		for _, content := range m {
			found[content] = true
		}
	}
	for content, where := range w.seen {
		if !found[content] {
			w.t.Errorf("lost: %.40q (%s)", content, where)
		}
	}
	w.t.Logf("%d contents, %d snapshots", len(w.seen), len(d.State().Snapshots(ledger.Workspace{})))
}

// crashes walks a change through a crash and a failure at each file-system call. setup makes a
// device, and what is to be done on it; it does the same each time.
func crashes(t *testing.T, setup func(t *testing.T) (*snapshottest.Device, func(*restore.Change) error)) {
	for _, mode := range []struct {
		name string
		plan func(f *durabletest.Faults, k int)
	}{
		{"crash, lost", func(f *durabletest.Faults, k int) { f.CrashAt(k, durabletest.Lost) }},
		{"crash, landed", func(f *durabletest.Faults, k int) { f.CrashAt(k, durabletest.Landed) }},
		{"failure, lost", func(f *durabletest.Faults, k int) { f.FailAt(k, durabletest.Lost) }},
		{"failure, landed", func(f *durabletest.Faults, k int) { f.FailAt(k, durabletest.Landed) }},
	} {
		t.Run(mode.name, func(t *testing.T) {
			d, act := setup(t)
			before, base := contents(t, d.Root), d.Lineage.Base
			keep := t.TempDir()
			copyTree(t, d.Root, filepath.Join(keep, "root"))
			copyTree(t, filepath.Join(d.Home, "state"), filepath.Join(keep, "state"))
			var others []map[string]string // the files after, where the run got that far
			old := 0
			for k := 0; ; k++ {
				must(t, d.Sync())
				c := change(t, d)
				faults := durabletest.NewFaults(c.Root)
				mode.plan(faults, k)
				c.Root = faults
				err := act(c)
				if !faults.Injected() {
					must(t, err)
					after := contents(t, d.Root)
					for _, got := range others {
						if diff := cmp.Diff(after, got); diff != "" {
							t.Fatalf("neither before nor after:\n%s", diff)
						}
					}
					if k < 20 || old == 0 || len(others) == 0 && strings.HasPrefix(mode.name, "crash") {
						t.Errorf("%d calls, %d times before, %d times after", k, old, len(others))
					}
					return
				}
				afterCrash(t, d)
				got := contents(t, d.Root)
				if cmp.Equal(before, got) && d.Lineage.Base == base {
					old++
				} else {
					others = append(others, got)
					undo(t, d)
					if diff := cmp.Diff(before, contents(t, d.Root)); diff != "" {
						t.Fatalf("call %d: after undo (-want +got):\n%s", k, diff)
					}
				}
				must(t, os.RemoveAll(d.Root))
				must(t, os.RemoveAll(filepath.Join(d.Home, "state")))
				copyTree(t, filepath.Join(keep, "root"), d.Root)
				copyTree(t, filepath.Join(keep, "state"), filepath.Join(d.Home, "state"))
				w := d.Lineage.Workspace
				d.Lineage, err = snapshot.OpenLineage(filepath.Join(d.Home, "state"), d.Access.Repository, d.Root)
				must(t, err)
				d.Lineage.Workspace = w
			}
		})
	}
}

// afterCrash is what a command does first in a workspace, with what was noted on disk.
func afterCrash(t *testing.T, d *snapshottest.Device) {
	t.Helper()
	w := d.Lineage.Workspace
	var err error
	d.Lineage, err = snapshot.OpenLineage(filepath.Join(d.Home, "state"), d.Access.Repository, d.Root)
	must(t, err)
	d.Lineage.Workspace = w
	c := change(t, d)
	recovered, err := restore.Recover(c.Root)
	must(t, err)
	for _, r := range recovered {
		must(t, c.Done(r.Snapshot))
	}
	must(t, restore.Finish(c.Root))
}
