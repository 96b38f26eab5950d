package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteFileReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for _, data := range []string{"old", "", "newer"} {
		if err := WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != data {
			t.Errorf("holds %q, want %q", got, data)
		}
	}
	wantFiles(t, filepath.Dir(path), "a")
}

func TestCreateExclusiveLeavesOldBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := CreateExclusive(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CreateExclusive(path, []byte("new"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second create: %v, want fs.ErrExist", err)
	}
	if got := read(t, path); got != "old" {
		t.Errorf("holds %q, want the old bytes", got)
	}
	wantFiles(t, filepath.Dir(path), "a")
}

// Every way to give a name exclusively, with the check that spares a write out of the
// way: one of the racers wins, and the bytes are the winner's.
func TestExclusiveUnderRace(t *testing.T) {
	blind := system
	blind.lstat = func(string) (fs.FileInfo, error) { return nil, fs.ErrNotExist }
	ways := map[string]calls{"system": system, "blind": blind}
	for name, way := range exclusiveWays {
		c := blind
		c.renameExclusive = way
		ways[name] = c
	}
	for name, c := range ways {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a")
			var won atomic.Int64
			var winner atomic.Value
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					data := bytes.Repeat([]byte{byte('a' + i)}, 1000*(i+1))
					switch err := c.createExclusive(path, data, 0o600); {
					case err == nil:
						won.Add(1)
						winner.Store(string(data))
					case !errors.Is(err, fs.ErrExist):
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Fatalf("%d creators won, want 1", won.Load())
			}
			if read(t, path) != winner.Load() {
				t.Error("the file does not hold the winner's bytes")
			}
			wantFiles(t, filepath.Dir(path), "a")
		})
	}
}

func TestMkdirAllSyncsWhatItMade(t *testing.T) {
	root := t.TempDir()
	var synced []string
	c := system
	c.syncDir = func(path string) error {
		rel, err := filepath.Rel(root, path)
		synced = append(synced, filepath.ToSlash(rel))
		return errors.Join(err, system.syncDir(path))
	}
	for range 2 { // the second time there is nothing to do
		if err := c.mkdirAll(filepath.Join(root, "a", "b", "c"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{".", "a", "a/b"}, synced); diff != "" {
		t.Errorf("synced (-want +got):\n%s", diff)
	}
	if err := WriteFile(filepath.Join(root, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(filepath.Join(root, "f"), 0o700); err == nil {
		t.Error("MkdirAll over a file: no error")
	}
}

func TestIsTemp(t *testing.T) {
	if name := TempName(); !IsTemp(name) || !IsTemp(filepath.Join("x", name)) {
		t.Errorf("%q is not recognised", name)
	}
	if IsTemp(filepath.Join(TempName(), "a")) || IsTemp("a") {
		t.Error("a file of another name is taken for temporary")
	}
}

// Call 0, 1, 2, … fails, without or with its effect, until a run succeeds: each time the
// name holds the old bytes or the new, whole, and no temporary file is left but where its
// removal was what failed.
func TestFaultsLeaveOldOrNew(t *testing.T) {
	const old, new = "old", "new bytes"
	type operation func(calls, string) error
	for name, tt := range map[string]struct {
		before string
		run    operation
	}{
		"replace": {old, func(c calls, path string) error { return c.writeFile(path, []byte(new), 0o600) }},
		"create":  {"", func(c calls, path string) error { return c.createExclusive(path, []byte(new), 0o600) }},
		"taken":   {old, func(c calls, path string) error { return c.createExclusive(path, []byte(new), 0o600) }},
	} {
		for _, landed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/landed=%v", name, landed), func(t *testing.T) {
				for k := 0; ; k++ {
					dir := t.TempDir()
					path := filepath.Join(dir, "a")
					if tt.before != "" {
						if err := os.WriteFile(path, []byte(tt.before), 0o600); err != nil {
							t.Fatal(err)
						}
					}
					f := &faults{at: k, landed: landed}
					err := tt.run(f.calls(), path)
					got := ""
					if data, err := os.ReadFile(path); err == nil {
						got = string(data)
					}
					if got != tt.before && got != new {
						t.Fatalf("call %d (%s) failed: the name holds %q", k, f.failed, got)
					}
					if f.failed == "" {
						wantFiles(t, dir, "a")
						return
					}
					if err == nil {
						t.Errorf("call %d (%s) failed: no error", k, f.failed)
					}
					for _, e := range entries(t, dir) {
						if IsTemp(e) && f.failed != "remove" {
							t.Errorf("call %d (%s) failed: %s is left", k, f.failed, e)
						}
					}
				}
			})
		}
	}
}

// faults fails the call number at, counted from 0.
type faults struct {
	at, n  int
	landed bool
	failed string // the call that failed
}

var errInjected = errors.New("injected")

func (f *faults) do(name string, call func() error) error {
	n := f.n
	f.n++
	if n != f.at {
		return call()
	}
	f.failed = name
	if f.landed {
		if err := call(); err != nil {
			return err
		}
	}
	return errInjected
}

// calls leaves stat and lstat alone: they change nothing, and a failure means "not there".
func (f *faults) calls() calls {
	c := system
	c.create = func(path string, perm fs.FileMode) (file, error) {
		var made file
		err := f.do("create", func() (err error) { made, err = system.create(path, perm); return err })
		if err != nil && made != nil { // as after a lost answer: nobody has the descriptor
			made.Close()
			os.Remove(path)
		}
		return faultyFile{made, f}, err
	}
	c.rename = func(from, to string) error {
		return f.do("rename", func() error { return system.rename(from, to) })
	}
	c.renameExclusive = func(from, to string) error {
		return f.do("rename", func() error { return system.renameExclusive(from, to) })
	}
	c.remove = func(path string) error { return f.do("remove", func() error { return system.remove(path) }) }
	c.syncDir = func(path string) error { return f.do("syncDir", func() error { return system.syncDir(path) }) }
	return c
}

type faultyFile struct {
	file
	f *faults
}

func (w faultyFile) Write(p []byte) (n int, err error) {
	err = w.f.do("write", func() error { n, err = w.file.Write(p); return err })
	return n, err
}
func (w faultyFile) Sync() error  { return w.f.do("sync", w.file.Sync) }
func (w faultyFile) Close() error { return w.f.do("close", w.file.Close) }

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, entries(t, dir)); diff != "" {
		t.Errorf("files in %s (-want +got):\n%s", dir, diff)
	}
}
