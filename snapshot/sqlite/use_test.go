package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/snapshot/sqlite"
	"satchel/snapshot/sqlite/sqlitetest"
)

// A program that has the database open and does nothing holds no lock, and is found.
func TestInUseNamesAnIdleProgram(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bank.db")
			if by, err := sqlite.InUse(path); len(by) > 0 || err != nil {
				t.Errorf("before it is there: %v, %v", by, err)
			}
			p := sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: "sit"})
			by, err := sqlite.InUse(path)
			if err != nil || len(by) != 1 || !strings.Contains(by[0], fmt.Sprintf("(pid %d)", p.Pid())) {
				t.Errorf("%v, %v; want the name of process %d", by, err, p.Pid())
			}
			t.Log(by)
			p.Stop()
			if by, err := sqlite.InUse(path); len(by) > 0 || err != nil {
				t.Errorf("after it has ended: %v, %v", by, err)
			}
		})
	}
}

func TestSidecars(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bank.db")
	sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: "wal", Do: "sit"}).Kill()
	if err := os.WriteFile(path+"-other", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := sqlite.Sidecars(path)
	if diff := cmp.Diff([]string{path + "-wal", path + "-shm"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// An image put in place as the package comment says is what every program finds; beside the old
// -wal it would be read as damaged.
func TestRestoreInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bank.db")
	sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: "wal", Do: "sit"}).Stop()
	kept, _ := capture(t, path, impatient(t))
	sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: "wal", Do: "sit"}).Kill()

	beside, err := sqlite.Sidecars(path)
	if err != nil {
		t.Fatal(err)
	}
	away := t.TempDir()
	for _, name := range append([]string{path}, beside...) {
		if err := os.Rename(name, filepath.Join(away, filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(kept, path); err != nil {
		t.Fatal(err)
	}
	if err := sqlitetest.Sound(t.Context(), path); err != nil {
		t.Error(err)
	}
	if err := sqlitetest.Sound(t.Context(), filepath.Join(away, "bank.db")); err != nil {
		t.Errorf("what was moved away: %v", err)
	}
}
