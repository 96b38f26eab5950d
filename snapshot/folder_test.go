package snapshot

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestFoldersOpenWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	put := func(local, content string) {
		t.Helper()
		path := filepath.Join(dir, local)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, local := range []string{"top", "a/b/c/x", "a/b/c/y", "a/b/z", "a/bb/c/x"} {
		put(local, local)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f := &folders{root: root}
	defer f.leave(0)
	read := func(local, want string) {
		t.Helper()
		file, err := f.open(local)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if b, err := io.ReadAll(file); string(b) != want {
			t.Errorf("%s: %q, %v", local, b, err)
		}
	}
	for _, local := range []string{"a/b/c/x", "a/b/c/y", "a/b/z", "a/bb/c/x", "top", "a/b/c/x"} {
		read(local, local)
	}
	if _, err := f.open("a/b/c/none"); !os.IsNotExist(err) {
		t.Error(err)
	}
	read("a/b/c/x", "a/b/c/x")
	if err := os.Rename(filepath.Join(dir, "a/b"), filepath.Join(dir, "gone")); err != nil {
		t.Skip("this system does not move folders that are open: ", err)
	}
	put("a/b/c/new", "new")
	read("a/b/c/new", "new")
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "out")); err != nil {
		t.Skip(err)
	}
	if _, err := f.open("out/x"); err == nil || os.IsNotExist(err) {
		t.Errorf("a link out of the root: %v", err)
	}
}
