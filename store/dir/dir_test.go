package dir_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store"
	"satchel/store/dir"
	"satchel/store/durable"
	"satchel/store/storetest"
)

func open(t *testing.T) *dir.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new", "store")
	if err := dir.Create(path); err != nil {
		t.Fatal(err)
	}
	s, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t) }, storetest.Options{})
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	s := open(t)
	put(t, s, "l/7f")
	err := filepath.WalkDir(s.Path(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestListSkipsWhatIsNoObject(t *testing.T) {
	s := open(t)
	put(t, s, "l/7f")
	for _, name := range []string{durable.TempName(), "l/" + durable.TempName(), "l/.DS_Store", "desktop.ini", "Thumbs.db", "lost+found", "l/7f (copy)"} {
		if err := os.WriteFile(filepath.Join(s.Path(), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.Path(), "d", "session"), 0o700); err != nil { // what a crash leaves
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"l/7f"}, names(t, s)); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

// A missing or vanished folder is an error from every method, never an empty listing, and
// nothing makes it again.
func TestVanishedFolder(t *testing.T) {
	s := open(t)
	put(t, s, "l/7f")
	if err := os.Rename(s.Path(), s.Path()+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Open(s.Path()); !errors.Is(err, store.ErrNoContainer) {
		t.Errorf("open: %v, want ErrNoContainer", err)
	}
	check := func() {
		t.Helper()
		_, getErr := s.Get(t.Context(), "l/7f", 0, -1)
		var listErr error
		for _, err := range s.List(t.Context(), "l/") {
			listErr = err
		}
		for op, err := range map[string]error{
			"put": s.Put(t.Context(), "l/80", nil), "get": getErr, "list": listErr,
			"delete": s.Delete(t.Context(), "l/7f"), "probe": s.Probe(t.Context()),
		} {
			if !errors.Is(err, store.ErrNoContainer) {
				t.Errorf("%s: %v, want ErrNoContainer", op, err)
			}
		}
	}
	check()
	if _, err := os.Lstat(s.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made again: %v", err)
	}
	if err := os.WriteFile(s.Path(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check()
}

func TestOpenRefusesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Open(path); err == nil {
		t.Error("a file opens as a store")
	}
}

func TestAnObjectHasNoObjectsBeneathIt(t *testing.T) {
	s := open(t)
	put(t, s, "a")
	err := s.Put(t.Context(), "a/b", nil)
	if err == nil || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("put a/b beside a: %v", err)
	}
}

func TestDeleteRemovesEmptySessions(t *testing.T) {
	s := open(t)
	put(t, s, "d/1/a", "d/1/b", "l/7f")
	for _, tt := range []struct {
		name string
		left string // the folder that is there afterwards, or not
		want bool
	}{
		{"d/1/a", "d/1", true},
		{"d/1/b", "d/1", false},
		{"l/7f", "l", true},
	} {
		if err := s.Delete(t.Context(), tt.name); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(filepath.Join(s.Path(), tt.left))
		if (err == nil) != tt.want {
			t.Errorf("after the delete of %s: %s: %v", tt.name, tt.left, err)
		}
	}
}

func TestSymlinkedPartIsListed(t *testing.T) {
	s := open(t)
	other := t.TempDir()
	if err := os.Symlink(other, filepath.Join(s.Path(), "d")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	put(t, s, "d/1/a")
	if diff := cmp.Diff([]string{"d/1/a"}, names(t, s)); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	if err := os.RemoveAll(other); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range s.List(t.Context(), "") {
		last = err
	}
	if last == nil {
		t.Error("the listing of a part whose disk is away is complete")
	}
}

func TestDeniedAndReadOnly(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("permission bits do not bind here")
	}
	s := open(t)
	put(t, s, "l/7f")
	if err := os.Chmod(filepath.Join(s.Path(), "l"), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(s.Path(), "l"), 0o700) })
	if err := s.Put(t.Context(), "l/80", nil); !errors.Is(err, store.ErrDenied) {
		t.Errorf("put: %v, want ErrDenied", err)
	}
}

func TestProbe(t *testing.T) {
	s := open(t)
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(s.Path())
	if err != nil || len(list) != 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

func TestErrorsNameFolderOperationAndObject(t *testing.T) {
	s := open(t)
	_, err := s.Get(t.Context(), "l/7f", 0, -1)
	for _, want := range []string{s.Path(), "get", "l/7f"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20, 32 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s, err := dir.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			data := make([]byte, size)
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				if err := s.Put(b.Context(), fmt.Sprintf("d/1/%06x", i), data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func put(t *testing.T, s store.Store, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := s.Put(t.Context(), name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
}

func names(t *testing.T, s store.Store) []string {
	t.Helper()
	var out []string
	for o, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Name)
	}
	return slices.Clip(out)
}
