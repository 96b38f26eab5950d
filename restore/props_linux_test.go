package restore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store/durable"
	"satchel/store/pack"
	"satchel/store/storetest"
)

// furnish makes one of everything that Linux has. What takes root is left out without it.
func furnish(t *testing.T, root string, size int64) {
	t.Helper()
	at := func(name string) string { return filepath.Join(root, name) }
	write := func(name, content string) {
		must(t, os.MkdirAll(filepath.Dir(at(name)), 0o755))
		must(t, os.WriteFile(at(name), []byte(content), 0o644))
	}
	write("plain", "plain")
	write("dir/attrs", "has attributes")
	must(t, unix.Setxattr(at("dir/attrs"), "user.color", []byte("red"), 0))
	must(t, unix.Setxattr(at("dir/attrs"), "user.empty", nil, 0))
	must(t, unix.Setxattr(at("dir"), "user.folder", bytes.Repeat([]byte("f"), 2000), 0))
	write("acl", "readable by daemon")
	tool(t, "setfacl", "-m", "u:daemon:r,m::rwx", at("acl"))
	must(t, os.Mkdir(at("shared"), 0o755))
	tool(t, "setfacl", "-d", "-m", "g:daemon:rwx", at("shared"))
	write("shared/inherits", "an ACL of its own")
	write("linked/one", "one file")
	must(t, os.Link(at("linked/one"), at("linked/two")))
	must(t, os.Link(at("linked/one"), at("three")))
	write("n\xff\xfen", "a name that is no text")
	write("d\xe4/x", "a folder that has one")
	must(t, os.Symlink("dir/\xfe", at("link")))
	must(t, os.Symlink("nowhere/at all", at("dangling")))
	must(t, unix.Mkfifo(at("fifo"), 0o600))
	write("empty", "")
	must(t, os.Mkdir(at("hollow"), 0o700))
	must(t, os.Chmod(at("hollow"), 0o711|os.ModeSetgid|os.ModeSticky))
	write("run", "#!/bin/sh")
	must(t, os.Chmod(at("run"), 0o755|os.ModeSetuid|os.ModeSetgid))
	write("read-only/file", "r")
	must(t, os.Chmod(at("read-only/file"), 0o400))
	f, err := os.Create(at("sparse"))
	must(t, err)
	for off, b := range map[int64]string{0: "begin", size / 2: noise(7, 70_000), size - 1<<20: "end"} {
		_, err := f.WriteAt([]byte(b), off)
		must(t, err)
	}
	must(t, errors.Join(f.Truncate(size), f.Close()))
	if os.Geteuid() == 0 {
		must(t, unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		must(t, unix.Mknod(at("disk"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 70_000))))
		must(t, unix.Setxattr(at("plain"), "trusted.note", []byte("root's"), 0))
		must(t, os.Lchown(at("link"), 1, 2))
		must(t, os.Chown(at("run"), 1, 4321))
		must(t, os.Chmod(at("run"), 0o755|os.ModeSetuid|os.ModeSetgid))
		must(t, os.Chown(at("hollow"), 12345, 1))
		must(t, os.Chmod(at("hollow"), 0o711|os.ModeSetgid|os.ModeSticky))
	}
	must(t, os.Chmod(at("read-only"), 0o555))
	t.Cleanup(func() { os.Chmod(at("read-only"), 0o755) })
	age(t, root)
}

// The stories of crash_test.go have all of it too.
func init() {
	beside = func(t *testing.T, path string, info fs.FileInfo) string {
		st := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf(" %d:%d", st.Uid, st.Gid)
		if !info.IsDir() {
			line += fmt.Sprintf(" %d %x", st.Nlink, st.Rdev)
		}
		root, err := durable.OpenRoot(filepath.Dir(path))
		must(t, err)
		defer root.Close()
		xs, err := root.Xattrs(filepath.Base(path), snapshot.Here().Holds)
		must(t, err)
		return line + fmt.Sprintf(" %q", xs)
	}
	copyAll = func(t *testing.T, from, to string) {
		t.Helper()
		tool(t, "cp", "-a", from+"/.", to)
	}
	propsBefore = func(d *snapshottest.Device) {
		at := func(name string) string { return filepath.Join(d.Root, name) }
		for _, f := range []string{"linked/a", "attrs", "touched", "folder/stays", "sealed/changes"} {
			d.Write(f, "old "+f)
		}
		must2(d.T, os.Link(at("linked/a"), at("linked/b")), os.Chmod(at("folder"), 0o750), unix.Mkfifo(at("pipe"), 0o600),
			unix.Setxattr(at("attrs"), "user.a", []byte("old"), 0), unix.Setxattr(at("touched"), "user.t", []byte("old"), 0),
			unix.Setxattr(at("touched"), "user.goes", nil, 0), unix.Setxattr(at("folder"), "user.f", []byte("old"), 0), os.Chmod(at("sealed"), 0o500))
	}
	propsAfter = func(d *snapshottest.Device) {
		at := func(name string) string { return filepath.Join(d.Root, name) }
		must2(d.T, os.Chmod(at("sealed"), 0o700))
		for _, f := range []string{"linked/a", "attrs", "sealed/changes"} {
			d.Write(f, "new "+f)
		}
		must2(d.T, os.Chmod(at("sealed"), 0o500), os.Chmod(at("touched"), 0o640), unix.Setxattr(at("touched"), "user.t", []byte("new"), 0),
			unix.Removexattr(at("touched"), "user.goes"), unix.Setxattr(at("attrs"), "user.a", []byte("new"), 0), unix.Setxattr(at("folder"), "user.f", []byte("new"), 0),
			os.Chmod(at("folder"), 0o700), os.Remove(at("pipe")), unix.Mkfifo(at("linked/pipe"), 0o640), os.WriteFile(at("holes"), []byte("begin"), 0o600), os.Truncate(at("holes"), 1<<20))
		d.Age("holes")
	}
}

func must2(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// age gives everything below a folder a time of its own, an hour ago, to the nanosecond.
func age(t *testing.T, root string) {
	t.Helper()
	old := time.Now().Add(-time.Hour).UnixNano()
	n := int64(0)
	must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		n++
		ts := unix.NsecToTimespec(old + n*1_000_000_007)
		return errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}))
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s (on Debian: apt-get install rsync acl): %v: %s", name, err, out)
	}
	return string(out)
}

// compareTrees has rsync list what it would do to make b what a is: nothing is right.
func compareTrees(t *testing.T, a, b string, more ...string) string {
	t.Helper()
	args := append([]string{"-aHAXn", "--checksum", "--itemize-changes", "--delete", "--numeric-ids", "--modify-window=-1"}, more...)
	listed := tool(t, "rsync", append(args, a+"/", b+"/")...)
	return strings.Replace(listed, ".d..t...... ./\n", "", 1) // the workspace folder itself does not travel
}

func TestPullBringsWhatAFileIsBesideItsBytes(t *testing.T) {
	_, a, b := two(t)
	const size = 4<<30 + 1<<20 + 5 // 32 bits do not hold it
	furnish(t, a.Root, size)
	a.MustPush()
	plan := mustPull(t, b)
	if len(plan.Unheld) > 0 {
		t.Errorf("not held: %v", plan.Unheld)
	}
	if diff := compareTrees(t, a.Root, b.Root, "--exclude=/sparse"); diff != "" { // whose zeros would take it long
		t.Errorf("rsync finds:\n%s", diff)
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(b.Root, "sparse"), &st))
	if st.Size != size || st.Blocks*512 > 4<<20 {
		t.Errorf("%d bytes take %d on disk", st.Size, st.Blocks*512)
	}
	for _, at := range []int64{0, size/2 - 5, size/2 + 69_990, size - 1<<20} {
		if was, is := readAt(t, a.Root, at), readAt(t, b.Root, at); was != is || was == strings.Repeat("\x00", len(was)) {
			t.Errorf("at %d the sparse file has %.20q, and not %.20q", at, is, was)
		}
	}
	if again := mustPull(t, b); again.Writes+again.Removes != 0 || len(again.Unheld) > 0 {
		t.Errorf("a second pull wrote %d and removed %d, %v", again.Writes, again.Removes, again.Unheld)
	}
	if out := b.MustPush(); out.Snapshot != (pack.ID{}) || out.Read != 0 {
		t.Errorf("a push after the pull found %+v", out.Counts)
	}
	// The other way: what changed beside the bytes, and one of a group alone.
	at := func(name string) string { return filepath.Join(b.Root, name) }
	must(t, unix.Setxattr(at("dir/attrs"), "user.color", []byte("blue"), 0))
	must(t, unix.Removexattr(at("dir/attrs"), "user.empty"))
	must(t, unix.Setxattr(at("dir"), "user.more", nil, 0))
	tool(t, "setfacl", "-b", at("acl"))
	must(t, os.Chmod(at("plain"), 0o600))
	must(t, os.Chmod(at("hollow"), 0o700))
	must(t, os.Remove(at("linked/two")))
	must(t, os.WriteFile(at("linked/two"), []byte("a file of its own"), 0o644))
	must(t, os.Chmod(at("fifo"), 0o622))
	must(t, os.Remove(at("sparse")))
	age(t, b.Root)
	b.MustPush()
	mustPull(t, a)
	if diff := compareTrees(t, b.Root, a.Root); diff != "" {
		t.Errorf("on the way back rsync finds:\n%s", diff)
	}
	if out := a.MustPush(); out.Snapshot != (pack.ID{}) {
		t.Errorf("a push after the pull found %+v", out.Counts)
	}
}

// readAt reads some of the sparse file.
func readAt(t *testing.T, root string, at int64) string {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "sparse"))
	must(t, err)
	defer f.Close()
	b := make([]byte, 20)
	_, err = f.ReadAt(b, at)
	must(t, err)
	return string(b)
}

// A user without root gets all that a user can have; the rest is named, and stays in the snapshot.
func TestPullAsAPlainUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	snapshottest.Reachable(t)
	m := storetest.NewMemory()
	a := snapshottest.Found(t, m)
	furnish(t, a.Root, 3<<20)
	a.MustPush()
	b := a.Join(m)
	o := options(t, b, a.Lineage.Base)
	must(t, b.Sync())
	o = options(t, b, a.Lineage.Base)
	must(t, os.Chown(b.Root, 65534, 65534))
	o.Holder = &snapshot.Holder{System: "linux", UID: 65534, GID: 65534}
	var lacks snapshot.Lacks
	o.Ready = func(l snapshot.Lacks) error { lacks = l; return nil }
	plan := asUser(t, 65534, func() (*restore.Plan, error) {
		root, err := durable.OpenRoot(b.Root)
		if err != nil {
			return nil, err
		}
		o.Root = root
		plan, err := restore.Make(ctx, o)
		if err != nil {
			return nil, err
		}
		return plan, plan.Run(ctx, nil)
	})
	got := map[string]bool{}
	for _, u := range plan.Unheld {
		got[u.Local] = true
	}
	if diff := cmp.Diff(map[string]bool{"null": true, "disk": true, "plain": true, "run": true, "hollow": true}, got); diff != "" {
		t.Errorf("named (-want +got): %s%v", diff, plan.Unheld)
	}
	if diff := cmp.Diff(snapshot.Lacks{Homeless: []string{"disk", "null"}, Partly: []string{"hollow", "plain", "run"}}, lacks); diff != "" {
		t.Error(diff)
	}
	listed := compareTrees(t, a.Root, b.Root, "--no-owner", "--no-group", "--exclude=/null", "--exclude=/disk")
	for line := range strings.Lines(listed) {
		if !strings.HasPrefix(line, ".f...p..... run") && !strings.HasPrefix(line, ".d...p..... hollow") && !strings.HasPrefix(line, ".f........x plain") {
			t.Error("rsync finds:", line)
		}
	}
	info, err := os.Lstat(filepath.Join(b.Root, "run"))
	must(t, err)
	if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		t.Errorf("it runs as somebody else: %v", info.Mode())
	}
	b.Lineage.Base, b.Lineage.Lacks = a.Lineage.Base, lacks
	out := asUser(t, 65534, func() (*snapshot.Pushed, error) {
		p := b.Push()
		p.Holder, p.Force, p.Images = o.Holder, true, ""
		return p.Run(ctx)
	})
	if out.Snapshot != (pack.ID{}) {
		t.Errorf("the next push from here changes what it lacks: %+v", out.Counts)
	}
}

// asUser calls f as another user.
func asUser[T any](t *testing.T, id int, f func() (T, error)) T {
	t.Helper()
	must(t, os.Chmod(filepath.Dir(t.TempDir()), 0o755))
	must(t, errors.Join(syscall.Setresgid(-1, id, -1), syscall.Setresuid(-1, id, -1)))
	out, err := f()
	must(t, errors.Join(syscall.Setresuid(-1, 0, -1), syscall.Setresgid(-1, 0, -1), err))
	return out
}
