package index

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func TestFreshIndexCoversNothing(t *testing.T) {
	x := mustOpen(t, filepath.Join(t.TempDir(), "new", "folder", "index"))
	if x.Tie() != (Tie{}) || x.Rebuilt() != "" {
		t.Fatal(x.Tie(), x.Rebuilt())
	}
	newModel().compare(t, x)
}

func TestTieLasts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := mustOpen(t, path)
	tie := Tie{Position: 5, Hash: [32]byte{1, 31: 2}}
	if err := x.Update(tie, nil, nil); err != nil {
		t.Fatal(err)
	}
	x.Close()
	if x = mustOpen(t, path); x.Tie() != tie {
		t.Fatal(x.Tie())
	}
}

func TestAnotherRepositoryMakesItAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := mustOpen(t, path)
	mustUpdate(t, x, nil, 5, randomPacks(newModel(), newSeed(t), 3, 10), nil)
	x.Close()
	x, err := Open(path, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if !strings.Contains(x.Rebuilt(), "another repository") || x.Tie() != (Tie{}) {
		t.Fatal(x.Rebuilt(), x.Tie())
	}
	newModel().compare(t, x)
}

func TestAnotherFormatMakesItAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := mustOpen(t, path)
	err := x.update(func(tx *bolt.Tx) error {
		return tx.Bucket(bHead).Put(kHead, binary.BigEndian.AppendUint32(nil, format+1))
	})
	if err != nil {
		t.Fatal(err)
	}
	x.Close()
	if x = mustOpen(t, path); !strings.Contains(x.Rebuilt(), "another version") {
		t.Fatal(x.Rebuilt())
	}
	x.Close()
	if x = mustOpen(t, path); x.Rebuilt() != "" {
		t.Fatal(x.Rebuilt())
	}
}

func TestWhatIsNotAnIndexMakesItAnew(t *testing.T) {
	for name, content := range map[string]string{
		"text":  "hello",
		"zeros": strings.Repeat("\x00", 4*pageSize),
	} {
		path := filepath.Join(t.TempDir(), "index")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if x := mustOpen(t, path); x.Rebuilt() == "" {
			t.Errorf("%s: taken for an index", name)
		}
	}
	// A bbolt file of somebody else, with our page size.
	path := filepath.Join(t.TempDir(), "index")
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: pageSize})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if x := mustOpen(t, path); x.Rebuilt() == "" {
		t.Error("taken for an index")
	}
}

func TestAFolderInItsPlaceIsAnError(t *testing.T) {
	if x, err := Open(t.TempDir(), repo); err == nil || unusable(err) {
		t.Fatal(x, err)
	}
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	if err := Remove(path); err != nil {
		t.Fatal("none:", err)
	}
	x := mustOpen(t, path)
	mustUpdate(t, x, nil, 5, nil, nil)
	x.Close()
	if err := Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if x = mustOpen(t, path); x.Tie() != (Tie{}) || x.Rebuilt() != "" {
		t.Fatal(x.Tie(), x.Rebuilt())
	}
}

func TestDeletedWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := mustOpen(t, path)
	if err := os.Remove(path); err != nil {
		t.Skip("this system keeps open files:", err)
	}
	// The one works on, the other begins anew.
	mustUpdate(t, x, nil, 5, nil, nil)
	if y := mustOpen(t, path); y.Tie() != (Tie{}) {
		t.Fatal(y.Tie())
	}
}

func TestSecondOpenIsBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := mustOpen(t, path)
	if _, err := open(path, repo, 50*time.Millisecond); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	// Waiting ends when the first is done.
	time.AfterFunc(100*time.Millisecond, func() { x.Close() })
	y, err := open(path, repo, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	y.Close()
}

// TestSecondProcessIsBusy runs itself as the other process.
func TestSecondProcessIsBusy(t *testing.T) {
	const holds = "SATCHEL_TEST_INDEX"
	if path := os.Getenv(holds); path != "" {
		x, err := open(path, repo, time.Millisecond)
		if err == nil {
			x.Close()
		}
		if !errors.Is(err, ErrBusy) {
			t.Fatal("not busy:", err)
		}
		return
	}
	x := newIndex(t)
	mustUpdate(t, x, nil, 5, nil, nil)
	cmd := exec.Command(os.Args[0], "-test.run=^TestSecondProcessIsBusy$")
	cmd.Env = append(os.Environ(), holds+"="+x.file.Name())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := x.Summary(); err != nil {
		t.Fatal(err)
	}
}
