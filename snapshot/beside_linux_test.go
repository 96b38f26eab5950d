package snapshot_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store/pack"
	"satchel/store/storetest"
)

// furnish fills a device's folder with one of everything that Linux has.
func furnish(t *testing.T, d *snapshottest.Device) {
	t.Helper()
	at := func(name string) string { return filepath.Join(d.Root, name) }
	d.Write("dir/attrs", "has attributes")
	must(t, unix.Setxattr(at("dir/attrs"), "user.color", []byte("red"), 0))
	must(t, unix.Setxattr(at("dir/attrs"), "user.\xff", nil, 0))
	must(t, unix.Setxattr(at("dir"), "user.folder", []byte("f"), 0))
	d.Write("one", "one file")
	must(t, os.Link(at("one"), at("dir/two")))
	d.Write("n\xffn", "a name that is no text")
	must(t, os.Symlink("dir/\xfe", at("link")))
	must(t, unix.Mkfifo(at("fifo"), 0o640))
	must(t, unix.Mknod(at("socket"), unix.S_IFSOCK|0o600, 0))
	must(t, os.WriteFile(at("sparse"), []byte("begin"), 0o600))
	must(t, os.Truncate(at("sparse"), 3<<20))
	d.Age("sparse")
	must(t, os.Mkdir(at("empty"), 0o711))
	must(t, os.Chmod(at("empty"), 0o711|os.ModeSetgid))
	d.Write("run", "#!/bin/sh")
	must(t, os.Chmod(at("run"), 0o755|os.ModeSetuid|os.ModeSticky))
	if os.Geteuid() == 0 {
		must(t, unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		must(t, unix.Setxattr(at("one"), "trusted.note", []byte("root's"), 0))
		must(t, os.Chown(at("run"), 65534, 4321))
		must(t, os.Chmod(at("run"), 0o755|os.ModeSetuid|os.ModeSticky))
	}
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"dir", "empty", "fifo", "null", "link"} {
		ts := []unix.Timespec{unix.NsecToTimespec(old.UnixNano()), unix.NsecToTimespec(old.UnixNano())}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, at(name), ts, unix.AT_SYMLINK_NOFOLLOW); err != nil && err != unix.ENOENT {
			t.Fatal(err)
		}
	}
}

func entriesBelow(t *testing.T, d *snapshottest.Device, root pack.ID) map[string]snapshot.Entry {
	t.Helper()
	all := map[string]snapshot.Entry{}
	must(t, d.Reader.Walk(ctx, root, func(remote string, e *snapshot.Entry) error { all[remote] = *e; return nil }))
	return all
}

func rootOf(t *testing.T, d *snapshottest.Device) pack.ID {
	t.Helper()
	v, ok := d.State().Snapshot(d.Lineage.Base)
	if !ok {
		t.Fatal("no base")
	}
	return v.Root
}

func TestPushTakesWhatAFileIsBesideItsBytes(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	furnish(t, d)
	out := d.MustPush()
	es := entriesBelow(t, d, rootOf(t, d))
	if len(out.Problems) > 0 {
		t.Errorf("problems %v", out.Problems)
	}
	if len(out.LeftOut) != 1 || out.LeftOut[0].Local != "socket" {
		t.Errorf("left out: %v", out.LeftOut)
	}
	attrs := map[string]string{}
	for _, x := range es["dir/attrs"].Xattrs {
		attrs[string(x.Name)] = string(x.Value)
	}
	if diff := cmp.Diff(map[string]string{"user.color": "red", "user.\xff": ""}, attrs); diff != "" {
		t.Error("attributes of a file:", diff)
	}
	if xs := es["dir"].Xattrs; len(xs) != 1 || string(xs[0].Name) != "user.folder" {
		t.Errorf("attributes of a folder: %v", xs)
	}
	one, two := es["one"], es["dir/two"]
	if one.Link == 0 || one.Link != two.Link || es["run"].Link != 0 {
		t.Errorf("links %d, %d, %d", one.Link, two.Link, es["run"].Link)
	}
	if e := es["fifo"]; e.Type != snapshot.Fifo || e.Mode != 0o640 {
		t.Errorf("fifo %+v", e)
	}
	if h := es["sparse"].Holes; len(h) != 1 || h[0].Offset == 0 || h[0].Offset+h[0].Length != 3<<20 {
		t.Errorf("holes %v", h)
	}
	if e := es["run"]; e.Mode != 0o5755 {
		t.Errorf("mode %o", e.Mode)
	}
	if e := es["empty"]; e.Mode != 0o2711 || e.Type != snapshot.Dir {
		t.Errorf("empty folder %+v", e)
	}
	if _, ok := es["n\xffn"]; !ok || string(es["link"].Target) != "dir/\xfe" {
		t.Error("names that are no text")
	}
	if os.Geteuid() != 0 {
		return
	}
	if e := es["null"]; e.Type != snapshot.CharDevice || e.Device != 1<<32|3 {
		t.Errorf("device %+v", e)
	}
	if e := es["run"]; e.UID != 65534 || e.Owner != "nobody" || e.GID != 4321 || e.Group != "" {
		t.Errorf("owner %q %d, group %q %d", e.Owner, e.UID, e.Group, e.GID)
	}
	if e := es["one"]; e.Owner != "root" || len(e.Xattrs) != 1 {
		t.Errorf("owner %q, attributes %v", e.Owner, e.Xattrs)
	}
}

// Once pushed, nothing is read again; what changes beside the bytes is a change; and what
// another system or user cannot see is not taken for gone.
func TestPushFindsOnlyWhatChangedBesideTheBytes(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	furnish(t, d)
	d.MustPush()
	root := rootOf(t, d)
	if out := d.MustPush(); out.Snapshot != (pack.ID{}) || out.Read != 0 {
		t.Errorf("nothing was changed, and it found %+v", out.Counts)
	}
	for _, h := range []*snapshot.Holder{
		snapshot.Here(),
		{System: "linux", UID: 1000, GID: 1000},
		{System: "windows", UID: -1, GID: -1},
		{System: "darwin", UID: 501, GID: 20},
	} {
		p := d.Push()
		p.Force, p.Holder = true, h
		out, err := p.Run(ctx)
		must(t, err)
		if out.Snapshot != (pack.ID{}) || out.Read == 0 {
			t.Errorf("%s, root %v: read again, all is changed: %+v", h.System, h.Root, out.Counts)
		}
	}
	at := func(name string) string { return filepath.Join(d.Root, name) }
	for i, change := range []func() error{
		func() error { return unix.Setxattr(at("dir/attrs"), "user.color", []byte("blue"), 0) },
		func() error { return unix.Removexattr(at("dir/attrs"), "user.\xff") },
		func() error { return unix.Setxattr(at("dir"), "user.folder", []byte("g"), 0) },
		func() error { return os.Chmod(at("run"), 0o700) },
		func() error { return os.Chmod(at("fifo"), 0o600) },
		func() error { return os.Chmod(at("empty"), 0o700) },
		func() error { return syscall.Unlink(at("dir/two")) },
	} {
		must(t, change())
		if out := d.MustPush(); out.Changed+out.Folders+out.Removed == 0 || out.Snapshot == (pack.ID{}) {
			t.Errorf("change %d was not found: %+v", i, out.Counts)
		}
	}
	if rootOf(t, d) == root {
		t.Error("the tree is the same")
	}
	if e := entriesBelow(t, d, rootOf(t, d))["one"]; e.Link != 0 {
		t.Error("what is no longer linked has a group")
	}
}

// What a device could not be given is not removed by its next push.
func TestPushKeepsWhatThisDeviceLacks(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	furnish(t, d)
	d.Write("Dir/clash", "a name that collides")
	out := d.MustPush()
	at := func(name string) string { return filepath.Join(d.Root, name) }
	before := entriesBelow(t, d, rootOf(t, d))
	must(t, os.RemoveAll(at("Dir")))
	must(t, os.Remove(at("n\xffn")))
	must(t, os.Remove(at("run")))
	must(t, unix.Removexattr(at("dir/attrs"), "user.color"))
	d.Write("new", "n")
	d.Lineage.Lacks = snapshot.Lacks{Homeless: []string{"Dir", "n\xffn"}, Partly: []string{"dir/attrs"}}
	must(t, d.Lineage.Save())
	d.Reopen(d.Store)
	again := d.MustPush()
	if again.Files != out.Files || again.Bytes != out.Bytes-8 || again.Removed != 1 || again.New != 1 {
		t.Errorf("%+v, %d files of %d bytes before", again.Counts, out.Files, out.Bytes)
	}
	after := entriesBelow(t, d, rootOf(t, d))
	for _, name := range []string{"Dir", "Dir/clash", "n\xffn", "dir/attrs"} {
		if diff := cmp.Diff(before[name], after[name]); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
	if _, ok := after["run"]; ok {
		t.Error("what was removed is still there")
	}
}
