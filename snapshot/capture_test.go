package snapshot

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/index"
	"satchel/store/pack"
)

// settled is what a capture reported of a file.
type settled struct {
	e     Entry
	err   error
	waits []time.Duration
}

// settle reads a file named f in dir by way of read, which may change the file as it goes.
func settle(t *testing.T, dir string, read readFunc) (out settled) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	info, err := root.Lstat("f")
	if err != nil {
		t.Fatal(err)
	}
	c := &capture{root: root, dry: true, ctx: context.Background(),
		open:  func(local string) (*os.File, error) { return root.OpenFile(local, os.O_RDONLY|nonblock, 0) },
		sleep: func(_ context.Context, d time.Duration) error { out.waits = append(out.waits, d); return nil }}
	err = c.settle(fileTask{local: "f", info: info, done: func(e Entry, _ index.Stat, err error) { out.e, out.err = e, err }}, read)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// whole reads as a worker does, then calls after with the number of the reading.
func whole(after func(n int)) readFunc {
	n := 0
	return func(f io.Reader, size int64) (Entry, error) {
		b := make([]byte, size)
		got, _ := io.ReadFull(f, b)
		n++
		after(n)
		id := pack.Sum(b[:got])
		return Entry{Size: uint64(got), IDs: id[:]}, nil
	}
}

func write(t *testing.T, dir, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFileAtRestIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "at rest")
	reads := 0
	out := settle(t, dir, whole(func(n int) { reads = n }))
	if out.err != nil || out.e.Marks != 0 || reads != 1 || len(out.waits) != 0 {
		t.Errorf("%+v, %d reads", out, reads)
	}
}

func TestFileThatChangesOnceIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "one")
	out := settle(t, dir, whole(func(n int) {
		if n == 1 {
			write(t, dir, "two")
		}
	}))
	if want := pack.Sum([]byte("two")); out.err != nil || out.e.Marks != 0 || pack.ID(out.e.IDs) != want {
		t.Errorf("%+v", out)
	}
	if len(out.waits) != 1 || out.waits[0] != retries[0] {
		t.Errorf("waited %v", out.waits)
	}
}

func TestFileThatKeepsChangingIsMarked(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "0")
	out := settle(t, dir, whole(func(n int) { write(t, dir, strings.Repeat("x", 10-n)) }))
	if out.err != nil || out.e.Marks != MarkChanged || len(out.waits) != len(retries) {
		t.Errorf("%+v", out)
	}
}

func TestFileThatOnlyGrewIsKeptAtItsFirstSize(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "line 1\n")
	out := settle(t, dir, whole(func(int) {
		f, err := os.OpenFile(filepath.Join(dir, "f"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString("more\n"); err != nil {
			t.Fatal(err)
		}
	}))
	if want := pack.Sum([]byte("line 1\n")); out.err != nil || out.e.Marks != MarkGrew || pack.ID(out.e.IDs) != want || len(out.waits) != 0 {
		t.Errorf("%+v", out)
	}
}

// A file that grew because it was rewritten is not taken for one that only grew.
func TestFileThatWasRewrittenLongerIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "short")
	out := settle(t, dir, whole(func(n int) {
		if n == 1 {
			write(t, dir, "something longer")
		}
	}))
	if want := pack.Sum([]byte("something longer")); out.e.Marks != 0 || pack.ID(out.e.IDs) != want || len(out.waits) != 1 {
		t.Errorf("%+v", out)
	}
}

func TestFileReplacedByALinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x")
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	info, _ := root.Lstat("f")
	os.Remove(filepath.Join(dir, "f"))
	if err := os.Symlink("secret", filepath.Join(dir, "f")); err != nil {
		t.Fatal(err)
	}
	c := &capture{root: root, dry: true, ctx: context.Background(), open: func(l string) (*os.File, error) { return root.Open(l) }}
	_, _, err = c.once(fileTask{local: "f", info: info}, whole(func(int) { t.Error("it was read") }))
	if err == nil {
		t.Error("no error")
	}
}
