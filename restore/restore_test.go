package restore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store/durable"
	"satchel/store/pack"
	"satchel/store/storetest"
)

var ctx = context.Background()

func noise(seed uint64, n int) string {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(b)
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func identity(remote string) (string, bool) {
	return strings.TrimSuffix(remote, "/"), true
}

// options are those of a pull into a device's folder.
func options(t *testing.T, d *snapshottest.Device, to pack.ID) restore.Options {
	t.Helper()
	root, err := durable.OpenRoot(d.Root)
	must(t, err)
	t.Cleanup(func() { root.Close() })
	target, ok := d.State().Snapshot(to)
	if !ok {
		t.Fatalf("no snapshot %x", to[:4])
	}
	base, _ := d.State().Snapshot(d.Lineage.Base)
	return restore.Options{Store: d.Store, Keys: d.Access.Keys, Index: d.Index, Reader: d.Reader, Root: root, Target: target.Root, Base: base.Root,
		Local: identity, State: d.Lineage.StateKey(), Images: d.Images(), Limit: snapshot.Limit(target.Files), Follow: true}
}

// pull brings a device to the newest snapshot.
func pull(t *testing.T, d *snapshottest.Device) (*restore.Plan, error) {
	t.Helper()
	if err := d.Sync(); err != nil {
		return nil, err
	}
	newest, _ := snapshot.Newest(d.State(), d.Lineage.Workspace)
	plan, err := restore.Make(ctx, options(t, d, newest.ID))
	if err != nil || len(plan.Conflicts) > 0 {
		return plan, err
	}
	if err := plan.Run(ctx, nil); err != nil {
		return plan, err
	}
	d.Lineage.Base = newest.ID
	return plan, d.Lineage.Save()
}

func mustPull(t *testing.T, d *snapshottest.Device) *restore.Plan {
	t.Helper()
	plan, err := pull(t, d)
	must(t, err)
	if len(plan.Conflicts) > 0 {
		t.Fatalf("conflicts: %v", plan.Conflicts)
	}
	return plan
}

// listing is everything about a folder that a snapshot keeps: kind, mode, time, bytes.
func listing(t *testing.T, root string) map[string]string {
	t.Helper()
	got := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := e.Info()
		must(t, err)
		rel, _ := filepath.Rel(root, path)
		line := info.Mode().String() + beside(t, path, info)
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(path)
			must(t, err)
			line += fmt.Sprintf(" %d %x", info.ModTime().UnixNano(), sha256.Sum256(b))
		case info.IsDir():
			line += fmt.Sprintf(" %d", info.ModTime().UnixNano())
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			must(t, err)
			line += " " + target
		}
		got[rel] = line
		return nil
	}))
	return got
}

// beside is what a system has of a file beside mode, time and bytes.
var beside = func(t *testing.T, path string, info fs.FileInfo) string { return "" }

func two(t *testing.T) (*storetest.Memory, *snapshottest.Device, *snapshottest.Device) {
	m := storetest.NewMemory()
	a := snapshottest.Found(t, m)
	return m, a, a.Join(m)
}

func TestPullBringsEverything(t *testing.T) {
	_, a, b := two(t)
	a.Write("a.txt", "hello")
	a.Write("copy.txt", "hello")
	a.Write("deep/er/large", noise(1, 9<<20))
	a.Write("deep/zeros", strings.Repeat("\x00", 5<<20))
	a.Write("empty", "")
	for i := range 200 {
		a.Write(fmt.Sprintf("many/%03d", i), noise(uint64(i), i*20))
	}
	must(t, os.Mkdir(filepath.Join(a.Root, "hollow"), 0o750))
	must(t, os.Symlink("../a.txt", filepath.Join(a.Root, "deep/link")))
	must(t, os.Chmod(filepath.Join(a.Root, "a.txt"), 0o400))
	must(t, os.Chmod(filepath.Join(a.Root, "many"), 0o711))
	must(t, os.Chtimes(filepath.Join(a.Root, "deep/er"), time.Unix(1, 2), time.Unix(3, 4)))
	a.MustPush()
	plan := mustPull(t, b)
	if diff := cmp.Diff(listing(t, a.Root), listing(t, b.Root)); diff != "" {
		t.Error("the other device differs:", diff)
	}
	if plan.Writes != 206 {
		t.Errorf("%d files written", plan.Writes)
	}
	if again := mustPull(t, b); again.Writes+again.Removes != 0 {
		t.Errorf("a second pull wrote %d and removed %d", again.Writes, again.Removes)
	}
	if out := b.MustPush(); out.Snapshot != (pack.ID{}) || out.Read != 0 {
		t.Errorf("a push after the pull found %+v", out.Counts)
	}
}

func TestPullFollowsChangesBothWays(t *testing.T) {
	_, a, b := two(t)
	for i := range 20 {
		a.Write(fmt.Sprintf("d%d/f", i), noise(uint64(i), 1000))
	}
	a.MustPush()
	mustPull(t, b)
	b.Write("d3/f", "changed by b")
	b.Write("new/x", "new")
	must(t, os.RemoveAll(filepath.Join(b.Root, "d4")))
	b.MustPush()
	plan := mustPull(t, a)
	if plan.Writes != 2 || plan.Removes != 1 {
		t.Errorf("%d written, %d removed", plan.Writes, plan.Removes)
	}
	if diff := cmp.Diff(listing(t, b.Root), listing(t, a.Root)); diff != "" {
		t.Error(diff)
	}
}

// A pull that would overwrite what only this device has touches nothing at all.
func TestPullRefusesToLoseLocalChanges(t *testing.T) {
	_, a, b := two(t)
	a.Write("f", "1")
	a.Write("g", "1")
	a.MustPush()
	mustPull(t, b)
	a.Write("f", "2")
	a.Write("g", "2")
	a.MustPush()
	b.Write("f", "b's own")
	before := listing(t, b.Root)
	plan, err := pull(t, b)
	must(t, err)
	if len(plan.Conflicts) != 1 || plan.Conflicts[0].Local != "f" {
		t.Errorf("conflicts %v", plan.Conflicts)
	}
	if diff := cmp.Diff(before, listing(t, b.Root)); diff != "" {
		t.Error("something was touched:", diff)
	}
	o := options(t, b, a.Lineage.Base)
	o.Force = true
	forced, err := restore.Make(ctx, o)
	must(t, err)
	must(t, forced.Run(ctx, nil))
	if b.Read("f") != "2" || b.Read("g") != "2" {
		t.Error("--force did not")
	}
}

func TestPullIntoAFolderWithStrangersRefuses(t *testing.T) {
	_, a, b := two(t)
	a.Write("same", "s")
	a.Write("other", "a")
	a.MustPush()
	b.Write("same", "s")
	b.Write("other", "b")
	plan, err := pull(t, b)
	must(t, err)
	if len(plan.Conflicts) != 1 || plan.Conflicts[0].Local != "other" || plan.Right != 1 {
		t.Errorf("conflicts %v, %d right", plan.Conflicts, plan.Right)
	}
}

func TestPullKeepsWhatWasChangedOrDeletedHere(t *testing.T) {
	_, a, b := two(t)
	for _, f := range []string{"gone-there", "gone-there-changed-here", "changed-here", "gone-here", "both/x"} {
		a.Write(f, f)
	}
	a.MustPush()
	mustPull(t, b)
	must(t, os.Remove(filepath.Join(a.Root, "gone-there")))
	must(t, os.Remove(filepath.Join(a.Root, "gone-there-changed-here")))
	a.Write("came", "came")
	p := a.Push()
	p.Yes = true
	must(t, a.Sync())
	_, err := p.Run(ctx)
	must(t, err)
	b.Write("gone-there-changed-here", "mine")
	b.Write("changed-here", "mine")
	b.Write("only-here", "mine")
	must(t, os.Remove(filepath.Join(b.Root, "gone-here")))
	plan := mustPull(t, b)
	want := map[string]string{"gone-there": "", "gone-there-changed-here": "mine", "changed-here": "mine", "gone-here": "", "only-here": "mine", "came": "came", "both/x": "both/x"}
	for f, c := range want {
		if b.Read(f) != c {
			t.Errorf("%s holds %q, want %q", f, b.Read(f), c)
		}
	}
	if len(plan.Kept) != 3 {
		t.Errorf("kept %v", plan.Kept)
	}
	if out := b.MustPush(); out.Changed != 1 || out.New != 2 || out.Removed != 1 {
		t.Errorf("what stayed is still this device's to push: %+v", out.Counts)
	}
}

func TestRestoreTakesWhatTheFilterTakes(t *testing.T) {
	_, a, _ := two(t)
	a.Write("data/a", "a")
	a.Write("data/sub/b", "b")
	a.Write("other/c", "c")
	out := a.MustPush()
	o := options(t, a, out.Snapshot)
	to := t.TempDir()
	root, err := durable.OpenRoot(to)
	must(t, err)
	defer root.Close()
	o.Root, o.Follow, o.State, o.Base, o.Empty = root, false, [16]byte{}, pack.ID{}, true
	o.Take = func(remote string, dir bool) restore.Taken {
		switch {
		case remote == "" || remote == "data":
			return restore.Descend
		case remote == "data/sub":
			return restore.Whole
		}
		return restore.Skip
	}
	plan, err := restore.Make(ctx, o)
	must(t, err)
	must(t, plan.Run(ctx, nil))
	var files []string
	for f := range listing(t, to) {
		files = append(files, f)
	}
	if diff := cmp.Diff(map[string]bool{"data": true, "data/sub": true, "data/sub/b": true}, set(files)); diff != "" {
		t.Error(diff)
	}
}

func set(ss []string) map[string]bool {
	m := map[string]bool{}
	for _, s := range ss {
		m[filepath.ToSlash(s)] = true
	}
	return m
}

// Whatever is wrong with a pack, nothing wrong reaches the folder, and the paths are named.
func TestDamageIsNamedAndNothingIsWritten(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(m *storetest.Memory, name string)
	}{
		{"a bit flipped", func(m *storetest.Memory, name string) {
			m.Corrupt(name, func(b []byte) []byte { b[len(b)/3] ^= 1; return b })
		}},
		{"cut off", func(m *storetest.Memory, name string) {
			m.Corrupt(name, func(b []byte) []byte { return b[:len(b)/4] })
		}},
		{"gone", func(m *storetest.Memory, name string) { must(t, m.Delete(ctx, name)) }},
		{"zeros", func(m *storetest.Memory, name string) {
			m.Corrupt(name, func(b []byte) []byte { return make([]byte, len(b)) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, a, b := two(t)
			a.Write("large", noise(1, 5<<20))
			a.Write("small", "s")
			a.MustPush()
			b.Write("stays", "mine")
			must(t, b.Sync())
			for o := range m.List(ctx, "d/") {
				c.damage(m, o.Name)
			}
			before := listing(t, b.Root)
			_, err := pull(t, b)
			damage := (*restore.DamageError)(nil)
			if !errors.As(err, &damage) || !errors.Is(err, pack.ErrDamaged) {
				t.Fatalf("got %v", err)
			}
			if len(damage.Paths) == 0 || !set(damage.Paths)["large"] {
				t.Errorf("named %v", damage.Paths)
			}
			if diff := cmp.Diff(before, listing(t, b.Root)); diff != "" {
				t.Error("the folder was touched:", diff)
			}
		})
	}
}

// Every call of the store may fail: the folder is then as it was, and a second run finishes.
func TestPullFailsAtEveryCall(t *testing.T) {
	m := storetest.NewMemory()
	a := snapshottest.Found(t, m)
	a.Write("f", "1")
	a.MustPush()
	b := a.Join(m)
	mustPull(t, b)
	a.Write("f", "2")
	a.Write("large", noise(1, 6<<20))
	a.MustPush()
	start := listing(t, b.Root)
	for k := 0; ; k++ {
		faults := storetest.NewFaults(m)
		b.Reopen(faults)
		faults.FailAt(k, storetest.Lost)
		_, err := pull(t, b)
		if !faults.Injected() {
			must(t, err)
			if k < 2 {
				t.Errorf("only %d calls were made to fail", k)
			}
			break
		}
		if !errors.Is(err, storetest.ErrInjected) {
			t.Fatalf("call %d: %v", k, err)
		}
		if diff := cmp.Diff(start, listing(t, b.Root)); diff != "" {
			t.Fatalf("call %d: the folder was touched: %s", k, diff)
		}
	}
	if diff := cmp.Diff(listing(t, a.Root), listing(t, b.Root)); diff != "" {
		t.Error(diff)
	}
}

// A snapshot cannot write outside the folder, whatever the folder holds.
func TestPullRefusesSymlinkEscape(t *testing.T) {
	_, a, b := two(t)
	a.Write("out/evil", "x")
	a.MustPush()
	elsewhere := t.TempDir()
	must(t, os.Symlink(elsewhere, filepath.Join(b.Root, "out")))
	if _, err := pull(t, b); err == nil {
		t.Error("a pull went through a link that leaves the folder")
	}
	if entries, _ := os.ReadDir(elsewhere); len(entries) != 0 {
		t.Error("something was written outside")
	}
}

func TestRestoreReadsEachPackOnce(t *testing.T) {
	m := storetest.NewMemory()
	a := snapshottest.Found(t, m)
	for i := range 500 {
		a.Write(fmt.Sprintf("d%d/%d", i%10, i), noise(uint64(i), 20_000))
	}
	a.MustPush()
	counter := storetest.NewCounter(m)
	b := a.Join(counter)
	must(t, b.Sync())
	packs := len(b.State().Packs())
	counter.Reset()
	mustPull(t, b)
	if n := counter.Total(); n > packs+2 { // the listing of the ledger, and the tree pack twice: for the trees, then for data
		t.Errorf("%d requests for %d packs: %v", n, packs, counter.Trace())
	}
}
