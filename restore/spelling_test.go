package restore_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store/durable"
	"satchel/store/pack"
)

// folding is a folder of a file system that takes names for one which differ in case or
// normalisation, and keeps them as they were made: as macOS and Windows have it.
type folding struct{ durable.Root }

// at is what a path is called.
func (f folding) at(name string) string {
	fold := func(s string) string { return norm.NFD.String(cases.Fold().String(s)) }
	dir := "."
	for part := range strings.SplitSeq(name, "/") {
		entries, _ := f.Root.ReadDir(dir)
		for _, e := range entries {
			if fold(e.Name()) == fold(part) {
				part = e.Name()
			}
		}
		dir = path.Join(dir, part)
	}
	return dir
}

func (f folding) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	return f.Root.OpenFile(f.at(name), flag, perm)
}
func (f folding) Mkdir(name string, perm fs.FileMode) error { return f.Root.Mkdir(f.at(name), perm) }
func (f folding) MkdirAll(name string, perm fs.FileMode) error {
	return f.Root.MkdirAll(f.at(name), perm)
}
func (f folding) Rename(from, to string) error {
	was, there := f.at(from), f.at(to)
	if was == there { // another spelling
		return f.Root.Rename(was, path.Join(path.Dir(there), path.Base(to)))
	}
	return f.Root.Rename(was, there)
}
func (f folding) Remove(name string) error          { return f.Root.Remove(f.at(name)) }
func (f folding) RemoveAll(name string) error       { return f.Root.RemoveAll(f.at(name)) }
func (f folding) Symlink(target, name string) error { return f.Root.Symlink(target, f.at(name)) }
func (f folding) Link(from, to string) error        { return f.Root.Link(f.at(from), f.at(to)) }
func (f folding) Chmod(name string, mode fs.FileMode) error {
	return f.Root.Chmod(f.at(name), mode)
}
func (f folding) Lchown(name string, uid, gid int) error { return f.Root.Lchown(f.at(name), uid, gid) }
func (f folding) Lchtimes(name string, mtime time.Time) error {
	return f.Root.Lchtimes(f.at(name), mtime)
}
func (f folding) Lstat(name string) (fs.FileInfo, error)     { return f.Root.Lstat(f.at(name)) }
func (f folding) Readlink(name string) (string, error)       { return f.Root.Readlink(f.at(name)) }
func (f folding) ReadDir(name string) ([]fs.DirEntry, error) { return f.Root.ReadDir(f.at(name)) }
func (f folding) SyncDir(name string) error                  { return f.Root.SyncDir(f.at(name)) }
func (f folding) SetXattr(name, attr string, v []byte) error {
	return f.Root.SetXattr(f.at(name), attr, v)
}
func (f folding) Xattrs(name string, keep func(string) bool) ([]durable.Xattr, error) {
	return f.Root.Xattrs(f.at(name), keep)
}

// pullFolding pulls into a folder of such a file system.
func pullFolding(t *testing.T, d *snapshottest.Device) *restore.Plan {
	t.Helper()
	must(t, d.Sync())
	newest, _ := snapshot.Newest(d.State(), d.Lineage.Workspace)
	o := options(t, d, newest.ID)
	o.Root, o.Lacks = folding{o.Root}, d.Lineage.Lacks
	o.Ready = func(l snapshot.Lacks) error { d.Lineage.Lacks = l; return nil }
	plan, err := restore.Make(ctx, o)
	must(t, err)
	if len(plan.Conflicts) > 0 {
		t.Fatalf("conflicts %v", plan.Conflicts)
	}
	must(t, plan.Run(ctx, nil))
	d.Lineage.Base = newest.ID
	must(t, d.Lineage.Save())
	return plan
}

func unheld(p *restore.Plan) (names []string) {
	for _, u := range p.Unheld {
		names = append(names, u.Local)
	}
	return names
}

func TestNamesThatCollideAreToldAndKept(t *testing.T) {
	_, a, b := two(t)
	for _, name := range []string{"README", "readme", "Data/x", "data/y", "caf\u00e9", "cafe\u0301", "stra\u00dfe", "other"} {
		a.Write(name, name)
	}
	before := a.MustPush()
	plan := pullFolding(t, b)
	if diff := cmp.Diff([]string{"caf\u00e9", "data", "readme"}, unheld(plan)); diff != "" {
		t.Errorf("told (-want +got): %s%v", diff, plan.Unheld)
	}
	for _, name := range []string{"README", "Data/x", "cafe\u0301", "stra\u00dfe", "other"} {
		if b.Read(name) != name {
			t.Errorf("%q holds %q", name, b.Read(name))
		}
	}
	if again := pullFolding(t, b); len(again.Unheld) > 0 {
		t.Errorf("told again: %v", again.Unheld)
	}
	if out := b.MustPush(); out.Snapshot != (pack.ID{}) {
		t.Errorf("a push after it found %+v", out.Counts)
	}
	b.Write("other", "changed")
	out := b.MustPush()
	if out.Files != before.Files || out.Changed != 1 || out.Removed != 0 {
		t.Errorf("a push from here: %+v, before %d files", out.Counts, before.Files)
	}
	mustPull(t, a)
	if a.Read("readme") != "readme" || a.Read("data/y") != "data/y" || a.Read("other") != "changed" {
		t.Error("what could not be there is gone from here")
	}
}

// Another spelling of a name is that, and no removal of what has it.
func TestPullRespellsNames(t *testing.T) {
	_, a, b := two(t)
	for _, name := range []string{"file", "folder/x", "changes", "nested/deep/y"} {
		a.Write(name, name)
	}
	a.MustPush()
	pullFolding(t, b)
	for from, to := range map[string]string{"file": "File", "folder": "FOLDER", "changes": "CHANGES", "nested": "Nested", "Nested/deep": "Nested/Deep"} {
		if from != "Nested/deep" {
			must(t, os.Rename(filepath.Join(a.Root, from), filepath.Join(a.Root, to)))
		}
	}
	must(t, os.Rename(filepath.Join(a.Root, "Nested/deep"), filepath.Join(a.Root, "Nested/Deep")))
	a.Write("CHANGES", "new bytes")
	p := a.Push()
	p.Yes = true
	must(t, a.Sync())
	_, err := p.Run(ctx)
	must(t, err)
	plan := pullFolding(t, b)
	if len(plan.Unheld) > 0 {
		t.Errorf("told: %v", plan.Unheld)
	}
	if diff := cmp.Diff(listing(t, a.Root), listing(t, b.Root)); diff != "" {
		t.Error(diff)
	}
	if out := b.MustPush(); out.Snapshot != (pack.ID{}) {
		t.Errorf("a push after it found %+v", out.Counts)
	}
}

// Names that differ only so are two files where the file system says so.
func TestNamesThatDoNotCollide(t *testing.T) {
	_, a, b := two(t)
	for _, name := range []string{"README", "readme", "Data/x", "data/y", "trailing.", "what?"} {
		a.Write(name, name)
	}
	a.MustPush()
	if plan := mustPull(t, b); len(plan.Unheld) > 0 {
		t.Errorf("told: %v", plan.Unheld)
	}
	if diff := cmp.Diff(listing(t, a.Root), listing(t, b.Root)); diff != "" {
		t.Error(diff)
	}
}
