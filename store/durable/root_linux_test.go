package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func openTestRoot(t *testing.T) (Root, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, dir
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestRootSetsPropertiesOfTheNameItself(t *testing.T) {
	r, dir := openTestRoot(t)
	old := time.Unix(1_000_000_000, 123_456_789)
	ok(t, os.Mkdir(filepath.Join(dir, "d"), 0o755), os.WriteFile(filepath.Join(dir, "d/f"), []byte("x"), 0o644), r.Symlink("f", "d/l"))
	ok(t, r.Link("d/f", "d/g"), r.Mknod("d/p", fs.ModeNamedPipe, 0), r.Lchtimes("d/l", old), r.Lchtimes("d/p", old))
	for _, name := range []string{"d/f", "d"} {
		ok(t, r.SetXattr(name, "user.b", []byte("2")), r.SetXattr(name, "user.a", nil), r.SetXattr(name, "user.c", make([]byte, 2000)), r.RemoveXattr(name, "user.b"))
		xs, err := r.Xattrs(name, func(attr string) bool { return strings.HasPrefix(attr, "user.") })
		ok(t, err)
		if diff := cmp.Diff([]Xattr{{"user.a", []byte{}}, {"user.c", make([]byte, 2000)}}, xs); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f, err := os.Open(filepath.Join(dir, "d/g")) // the same file
	ok(t, err)
	defer f.Close()
	if xs, err := FileXattrs(f, func(attr string) bool { return attr == "user.c" }); err != nil || len(xs) != 1 {
		t.Errorf("%v, %v", xs, err)
	}
	info := func(name string) (fs.FileInfo, Info) {
		i, err := r.Lstat(name)
		ok(t, err)
		return i, InfoOf(i)
	}
	link, _ := info("d/l")
	fifo, _ := info("d/p")
	file, fi := info("d/f")
	if !link.ModTime().Equal(old) || !fifo.ModTime().Equal(old) || file.ModTime().Equal(old) || fifo.Mode() != fs.ModeNamedPipe|0o600 {
		t.Errorf("times %v, %v, %v, mode %v", link.ModTime(), fifo.ModTime(), file.ModTime(), fifo.Mode())
	}
	if _, gi := info("d/g"); gi.ID != fi.ID || gi.Links != 2 {
		t.Errorf("linked: %+v, %+v", fi, gi)
	}
	if err := r.SetXattr("d/none", "user.a", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// Whatever is in the way of a name, nothing outside the root is reached.
func TestRootPropertiesDoNotLeaveTheRoot(t *testing.T) {
	r, dir := openTestRoot(t)
	outside := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(outside, "f"), nil, 0o644), os.Symlink(outside, filepath.Join(dir, "out")), os.Symlink(filepath.Join(outside, "f"), filepath.Join(dir, "l")))
	before, err := os.Stat(filepath.Join(outside, "f"))
	ok(t, err)
	for _, name := range []string{"out/f", "../" + filepath.Base(outside) + "/f"} {
		_, xerr := r.Xattrs(name, func(string) bool { return true })
		for i, err := range []error{r.SetXattr(name, "user.a", nil), r.RemoveXattr(name, "user.a"), r.Lchtimes(name, time.Unix(1, 0)), r.Lchown(name, 7, 7), xerr,
			r.Mknod(filepath.Dir(name)+"/p", fs.ModeNamedPipe, 0), r.Link("l", filepath.Dir(name)+"/g")} {
			if err == nil {
				t.Errorf("%s: call %d reached out", name, i)
			}
		}
	}
	ok(t, r.Lchtimes("l", time.Unix(1, 0)), r.Lchown("l", os.Getuid(), os.Getgid()))
	if err := r.SetXattr("l", "user.a", nil); err == nil {
		t.Error("an attribute of a link went to its target")
	}
	after, err := os.Stat(filepath.Join(outside, "f"))
	ok(t, err)
	if !after.ModTime().Equal(before.ModTime()) {
		t.Error("the time of a link's target was changed")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestHoles(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
	ok(t, err)
	defer f.Close()
	const mib = 1 << 20
	for _, at := range []int64{4 * mib, 10 * mib} {
		_, err := f.WriteAt(make([]byte, mib), at)
		ok(t, err)
	}
	ok(t, f.Truncate(5<<30), f.Sync())
	all, err := Holes(f, 5<<30)
	ok(t, err)
	if diff := cmp.Diff([]Range{{0, 4 * mib}, {5 * mib, 5 * mib}, {11 * mib, 5<<30 - 11*mib}}, all); diff != "" {
		t.Error(diff)
	}
	if all, err = Holes(f, 2*mib); err != nil || len(all) != 1 || all[0] != (Range{0, 2 * mib}) {
		t.Errorf("of the beginning: %v, %v", all, err)
	}
	if at, err := f.Seek(0, 1); err != nil || at != 0 {
		t.Errorf("left at %d, %v", at, err)
	}
}

func TestRootReachesDeepNamesAndNothingOutside(t *testing.T) {
	outside := t.TempDir()
	r, dir := openTestRoot(t)
	ok(t, r.MkdirAll("a/b/c", 0o755), r.MkdirAll("s", 0o755), os.Mkdir(filepath.Join(outside, "d"), 0o755))
	ok(t, os.WriteFile(filepath.Join(dir, "s/0"), []byte("new"), 0o644), os.WriteFile(filepath.Join(outside, "d/f"), []byte("theirs"), 0o644))
	ok(t, r.Symlink("b", "a/in"), os.Symlink(outside, filepath.Join(dir, "a/out")), r.Symlink("../..", "a/b/up"))
	ok(t, r.Rename("s/0", "a/b/c/f"), r.Rename("a/b/c/f", "a/in/c/g"))
	for _, name := range []string{"a/b/c/g", "a/in/c/g", "a/b/up/a/b/c/g"} {
		if i, err := r.Lstat(name); err != nil || i.Name() != "g" || i.Size() != 3 {
			t.Errorf("%s: %v, %v", name, i, err)
		}
	}
	if i, err := r.Lstat("a/b/up"); err != nil || i.Mode().Type() != fs.ModeSymlink {
		t.Errorf("a link: %v, %v", i, err)
	}
	ok(t, r.Chmod("a/in/c/g", fs.ModeSetuid|0o711))
	if i, err := r.Lstat("a/b/c/g"); err != nil || i.Mode() != fs.ModeSetuid|0o711 {
		t.Errorf("%v, %v", i, err)
	}
	if err := r.Chmod("a/out/d/f", 0o600); err == nil {
		t.Error("a mode was changed outside")
	}
	if _, err := r.Lstat("a/b/c/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, name := range []string{"a/out/d/f", "a/b/up/../x", "a/b/up/../../x/y"} {
		if i, err := r.Lstat(name); err == nil {
			t.Errorf("%s: %v", name, i)
		}
	}
	ok(t, os.WriteFile(filepath.Join(dir, "s/1"), []byte("mine"), 0o644))
	for _, names := range [][2]string{{"s/1", "a/out/d/f"}, {"a/out/d/f", "s/1"}, {"s/1", "a/b/up/../gone"}} {
		if err := r.Rename(names[0], names[1]); err == nil {
			t.Errorf("%s became %s", names[0], names[1])
		}
	}
	if b, err := os.ReadFile(filepath.Join(outside, "d/f")); string(b) != "theirs" {
		t.Errorf("outside: %q, %v", b, err)
	}
}
