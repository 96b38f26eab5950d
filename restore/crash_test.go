package restore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/snapshot/sqlite/sqlitetest"
	"satchel/store/durable"
	"satchel/store/durable/durabletest"
	"satchel/store/pack"
	"satchel/store/storetest"
)

// Old and new of what a system has beside files, folders and links.
var propsBefore, propsAfter = func(*snapshottest.Device) {}, func(*snapshottest.Device) {}

// story is a pull that does everything: makes, replaces and removes files and folders, turns
// a file into a folder and a folder into a file, and makes a link. It replaces databases that
// killed programs have left, with a -wal and -shm and with a hot journal, and removes one.
func story(t *testing.T) (a, b *snapshottest.Device, before, after map[string]string) {
	m := storetest.NewMemory()
	a = snapshottest.Found(t, m)
	for _, f := range []string{"stays", "changes", "goes", "dir/goes", "was-file", "was-dir/x"} {
		a.Write(f, "old "+f)
	}
	for _, f := range databases {
		program(t, filepath.Join(a.Root, f.name), f.mode, "CREATE TABLE t(a)").Stop()
	}
	propsBefore(a)
	a.MustPush()
	b = a.Join(m)
	mustPull(t, b)
	for _, f := range databases {
		program(t, filepath.Join(b.Root, f.name), f.mode, f.crash).Kill()
	}
	b.MustPush()
	mustPull(t, a)
	before = listing(t, b.Root)
	for _, s := range sidecars {
		if before[s] == "" {
			t.Fatalf("there is no %s", s)
		}
	}
	must(t, os.Remove(filepath.Join(a.Root, "goes.db")))
	for _, f := range databases[:2] {
		program(t, filepath.Join(a.Root, f.name), f.mode, "INSERT INTO t VALUES ('new')").Stop()
	}
	for _, f := range []string{"goes", "dir", "was-file", "was-dir"} {
		must(t, os.RemoveAll(filepath.Join(a.Root, f)))
	}
	a.Write("changes", "new changes")
	a.Write("comes/deep/er", noise(1, 700_000))
	a.Write("was-file/x", "now in a folder")
	a.Write("was-dir", "now a file")
	must(t, os.Symlink("stays", filepath.Join(a.Root, "link")))
	if runtime.GOOS == "linux" { // others take only text
		a.Write("no text \xff", "all the same")
	}
	propsAfter(a)
	must(t, a.Sync())
	p := a.Push()
	p.Yes = true
	_, err := p.Run(ctx)
	must(t, err)
	return a, b, before, listing(t, a.Root)
}

const (
	written = "INSERT INTO t VALUES ('in the -wal')"
	begun   = "PRAGMA cache_size = 5; BEGIN; INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 50) SELECT zeroblob(3000) FROM n"
)

// databases of the story, and how their programs end.
var databases = []struct{ name, mode, crash string }{
	{"wal.db", "wal", written},
	{"journal.db", "delete", begun},
	{"goes.db", "wal", written},
}

var sidecars = []string{"wal.db-wal", "wal.db-shm", "journal.db-journal", "goes.db-wal", "goes.db-shm"}

func program(t *testing.T, path, mode, sql string) *sqlitetest.Process {
	t.Helper()
	return sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: "exec", SQL: sql})
}

// apart reports a new database beside an old sidecar, or an old one without its own.
func apart(before, now map[string]string) string {
	for _, s := range sidecars {
		db, _, _ := strings.Cut(s, "-")
		if _, there := now[db]; there && (now[db] == before[db]) != (now[s] == before[s]) {
			return fmt.Sprintf("%s %q, %s %q", db, now[db], s, now[s])
		}
	}
	return ""
}

// files leaves folder times out: a folder is not restored to the old one's when a crash in
// staging made and removed something in it.
func files(l map[string]string) map[string]string {
	out := map[string]string{}
	for path, line := range l {
		if strings.HasPrefix(line, "d") {
			line = line[:strings.LastIndex(line, " ")]
		}
		if !strings.HasPrefix(path, ".satchel-stage-") {
			out[path] = line
		}
	}
	return out
}

// pullThrough pulls by way of a faulty root.
func pullThrough(t *testing.T, b *snapshottest.Device, faults *durabletest.Faults) error {
	t.Helper()
	newest, _ := snapshot.Newest(b.State(), b.Lineage.Workspace)
	o := options(t, b, newest.ID)
	o.Root, o.Snapshot = faults, newest.ID
	o.Workers = 1
	plan, err := restore.Make(ctx, o)
	if err != nil {
		return err
	}
	if len(plan.Conflicts) > 0 {
		t.Fatalf("conflicts %v", plan.Conflicts)
	}
	return plan.Run(ctx, func() error { b.Lineage.Base = newest.ID; return b.Lineage.Save() })
}

// nextCommand is what a command does first in a workspace.
func nextCommand(t *testing.T, b *snapshottest.Device) {
	t.Helper()
	root, err := durable.OpenRoot(b.Root)
	must(t, err)
	defer root.Close()
	recovered, err := restore.Recover(root)
	must(t, err)
	for _, r := range recovered {
		b.Lineage.Base = r.Snapshot
		must(t, b.Lineage.Save())
	}
	must(t, restore.Finish(root))
}

// A crash or a failure at any file-system call of a pull leaves the old files or the new
// ones once the next command has looked, with the base to match, and a pull then finishes.
func TestPullCrashesAtEveryFileSystemCall(t *testing.T) {
	for _, c := range []struct {
		name string
		plan func(f *durabletest.Faults, k int)
		dead bool // nothing runs after the failure
	}{
		{"crash, lost", func(f *durabletest.Faults, k int) { f.CrashAt(k, durabletest.Lost) }, true},
		{"crash, landed", func(f *durabletest.Faults, k int) { f.CrashAt(k, durabletest.Landed) }, true},
		{"failure, lost", func(f *durabletest.Faults, k int) { f.FailAt(k, durabletest.Lost) }, false},
		{"failure, landed", func(f *durabletest.Faults, k int) { f.FailAt(k, durabletest.Landed) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, b, before, after := story(t)
			must(t, b.Sync())
			oldBase := b.Lineage.Base
			keep := t.TempDir()
			copyAll(t, b.Root, keep)
			old, swapped := 0, 0
			for k := 0; ; k++ {
				root, err := durable.OpenRoot(b.Root)
				must(t, err)
				faults := durabletest.NewFaults(root)
				c.plan(faults, k)
				err = pullThrough(t, b, faults)
				root.Close()
				if !faults.Injected() {
					must(t, err)
					if k < 30 {
						t.Errorf("only %d calls", k)
					}
					break
				}
				if err == nil {
					t.Fatalf("call %d of %v: no error", k, faults.Trace())
				}
				if bad := apart(before, listing(t, b.Root)); bad != "" {
					t.Fatalf("call %d (%s): %s", k, faults.Trace()[k], bad)
				}
				nextCommand(t, b)
				if left, _ := filepath.Glob(filepath.Join(b.Root, ".satchel-*")); len(left) > 0 {
					t.Fatalf("call %d left %v", k, left)
				}
				got := files(listing(t, b.Root))
				switch {
				case cmp.Equal(got, files(before)) && b.Lineage.Base == oldBase:
					old++
				case cmp.Equal(got, files(after)) && b.Lineage.Base != oldBase:
					swapped++
				default:
					t.Fatalf("call %d (%s): neither the old state nor the new: base moved %v\nagainst the old: %s\nagainst the new: %s", k,
						faults.Trace()[k], b.Lineage.Base != oldBase, cmp.Diff(files(before), got), cmp.Diff(files(after), got))
				}
				// and back to the beginning
				must(t, os.RemoveAll(b.Root))
				copyAll(t, keep, b.Root)
				b.Lineage.Base = oldBase
			}
			if diff := cmp.Diff(after, listing(t, b.Root)); diff != "" {
				t.Error("at the end:", diff)
			}
			if old == 0 || c.dead && swapped == 0 {
				t.Errorf("%d times the old state, %d times the new: the test did not see both", old, swapped)
			}
		})
	}
}

// copyAll copies all that there is; copyTree files, links, modes and times.
var copyAll = copyTree

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	type dir struct {
		path string
		info fs.FileInfo
	}
	var dirs []dir
	must(t, filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		must(t, err)
		rel, _ := filepath.Rel(from, path)
		dst := filepath.Join(to, rel)
		info, err := e.Info()
		must(t, err)
		switch {
		case e.IsDir():
			must(t, os.MkdirAll(dst, 0o755))
			dirs = append(dirs, dir{dst, info})
		case info.Mode().Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			must(t, err)
			must(t, os.Symlink(target, dst))
		default:
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(dst, b, info.Mode()))
			must(t, os.Chtimes(dst, info.ModTime(), info.ModTime()))
		}
		return nil
	}))
	for i := len(dirs) - 1; i >= 0; i-- {
		must(t, os.Chmod(dirs[i].path, dirs[i].info.Mode()))
		must(t, os.Chtimes(dirs[i].path, dirs[i].info.ModTime(), dirs[i].info.ModTime()))
	}
}

func TestJournalIsRefusedWhereItReachesOut(t *testing.T) {
	for _, j := range []string{
		`{"format":2}`,
		`{"format":1,"writes":[{"path":"../x","stage":0}]}`,
		`{"format":1,"writes":[{"path":"/etc/passwd","stage":0}]}`,
		`{"format":1,"writes":[{"path":"a","stage":-1}]}`,
		`{"format":1,"writes":[{"path":".","stage":0}]}`,
		`{"format":1,"removes":["a/../../x"]}`,
		`{"format":1,"rmdirs":[{"path":"../x","mode":511,"mtime":1}]}`,
		`{"format":1,"folders":[{"path":"..","mode":511,"mtime":1}]}`,
		`{"format":1,"more":1}`,
		`not json`,
	} {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, ".satchel-stage-x"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, ".satchel-stage-x", "journal"), []byte(j), 0o600))
		root, err := durable.OpenRoot(dir)
		must(t, err)
		if _, err := restore.Recover(root); err == nil {
			t.Errorf("%s is followed", j)
		}
		root.Close()
	}
}

func TestRunThatCannotNoteItsEndIsFinishedNextTime(t *testing.T) {
	_, b, _, after := story(t)
	must(t, b.Sync())
	newest, _ := snapshot.Newest(b.State(), b.Lineage.Workspace)
	o := options(t, b, newest.ID)
	o.Snapshot = newest.ID
	plan, err := restore.Make(ctx, o)
	must(t, err)
	full := errors.New("disk full")
	if err := plan.Run(ctx, func() error { return full }); !errors.Is(err, full) {
		t.Fatal(err)
	}
	b.Lineage.Base = pack.ID{}
	nextCommand(t, b)
	if b.Lineage.Base != newest.ID {
		t.Error("the base was not noted")
	}
	if diff := cmp.Diff(files(after), files(listing(t, b.Root))); diff != "" {
		t.Error(diff)
	}
}
