package restore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/snapshot/sqlite"
	"satchel/snapshot/sqlite/sqlitetest"
	"satchel/store/durable"
	"satchel/store/durable/durabletest"
)

// newer gives two devices a bank, and a newer one to a, not pulled by b yet.
func newer(t *testing.T, mode string) (a, b *snapshottest.Device, path string) {
	_, a, b = two(t)
	sqlitetest.Make(t, filepath.Join(a.Root, "bank.db"), mode)
	a.MustPush()
	mustPull(t, b)
	sqlitetest.Start(t, sqlitetest.Order{Path: filepath.Join(a.Root, "bank.db"), Mode: mode, Do: "sit"}).Stop()
	a.MustPush()
	return a, b, filepath.Join(b.Root, "bank.db")
}

func inUse(t *testing.T, err error, p *sqlitetest.Process) {
	t.Helper()
	var open *restore.InUseError
	if !errors.As(err, &open) || len(open.Databases) != 1 || open.Databases[0].Local != "bank.db" || !strings.Contains(open.Databases[0].Reason, fmt.Sprintf("(pid %d)", p.Pid())) {
		t.Errorf("%v, want bank.db in use by process %d", err, p.Pid())
	}
}

// A database that a program has open is not replaced, even if the program does nothing.
func TestDatabaseInUseIsNotReplaced(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			_, b, path := newer(t, mode)
			p := program(t, path, mode, "SELECT count(*) FROM account")
			before := listing(t, b.Root)
			_, err := pull(t, b)
			inUse(t, err, p)
			if diff := cmp.Diff(before, listing(t, b.Root)); diff != "" {
				t.Error("something was touched:", diff)
			}
			p.Stop()
			mustPull(t, b)
			must(t, sqlitetest.Sound(t.Context(), path))
		})
	}
}

// A program that comes while the new files are fetched is seen before the swap.
func TestDatabaseOpenedDuringThePullIsNotReplaced(t *testing.T) {
	_, b, path := newer(t, "wal")
	must(t, b.Sync())
	newest, _ := snapshot.Newest(b.State(), b.Lineage.Workspace)
	plan, err := restore.Make(ctx, options(t, b, newest.ID))
	must(t, err)
	p := program(t, path, "wal", "SELECT count(*) FROM account")
	before := listing(t, b.Root)
	inUse(t, plan.Run(ctx, nil), p)
	if diff := cmp.Diff(files(before), files(listing(t, b.Root))); diff != "" {
		t.Error("something was touched:", diff)
	}
}

// So is one that came between a crash and the command that finishes what it interrupted.
func TestDatabaseOpenedAfterACrashIsNotReplaced(t *testing.T) {
	a, b, path := newer(t, "wal")
	must(t, b.Sync())
	at := moving(t, b)
	root, err := durable.OpenRoot(b.Root)
	must(t, err)
	defer root.Close()
	faults := durabletest.NewFaults(root)
	faults.CrashAt(at, durabletest.Lost)
	if err := pullThrough(t, b, faults); err == nil {
		t.Fatalf("no crash: %v", faults.Trace())
	}
	p := program(t, path, "wal", "SELECT count(*) FROM account")
	_, err = restore.Recover(root)
	inUse(t, err, p)
	p.Stop()
	nextCommand(t, b)
	if a.Read("bank.db") != b.Read("bank.db") {
		t.Error("it is not the other device's")
	}
}

// moving is the call of a pull that moves the old database away.
func moving(t *testing.T, b *snapshottest.Device) int {
	t.Helper()
	root, err := durable.OpenRoot(b.Root)
	must(t, err)
	defer root.Close()
	faults := durabletest.NewFaults(root)
	faults.FailAt(1<<30, durabletest.Lost)
	base, keep := b.Lineage.Base, t.TempDir()
	copyTree(t, b.Root, keep)
	must(t, pullThrough(t, b, faults))
	must(t, os.RemoveAll(b.Root))
	copyTree(t, keep, b.Root)
	b.Lineage.Base = base
	at := slices.IndexFunc(faults.Trace(), func(call string) bool { return strings.HasPrefix(call, "rename bank.db ") })
	if at < 0 {
		t.Fatalf("calls %v", faults.Trace())
	}
	return at
}

// What a killed program left in a -wal is content that only this device has.
func TestStaleWALCountsAsAChange(t *testing.T) {
	_, b, path := newer(t, "wal")
	sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: "wal", Do: "sit", Seed: 1}).Kill()
	plan, err := pull(t, b)
	if err != nil || len(plan.Conflicts) != 1 || !strings.Contains(plan.Conflicts[0].Reason, "changed here") {
		t.Errorf("%v, %v", plan, err)
	}
}

// One whose content is in the last snapshot goes with the database that it belongs to.
func TestStaleWALIsCleared(t *testing.T) {
	a, b, path := newer(t, "wal")
	mustPull(t, b)
	sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: "wal", Do: "sit"}).Kill()
	b.MustPush()
	mustPull(t, a)
	sqlitetest.Start(t, sqlitetest.Order{Path: filepath.Join(a.Root, "bank.db"), Mode: "wal", Do: "sit"}).Stop()
	a.MustPush()
	mustPull(t, b)
	if left, err := sqlite.Sidecars(path); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
	if a.Read("bank.db") != b.Read("bank.db") {
		t.Error("it is not the other device's")
	}
	if out := b.MustPush(); out.Changed != 0 {
		t.Errorf("the next push finds %+v", out.Counts)
	}
}

// A database that was damaged when it was saved does not replace one that may be whole, unless
// somebody says so.
func TestDamagedDatabaseReplacesNothing(t *testing.T) {
	a, b, path := newer(t, "wal")
	bad := []byte(a.Read("bank.db"))
	clear(bad[len(bad)/2:][:40960])
	a.Write("bank.db", string(bad))
	a.Write("beside", "goes on")
	a.MustPush()
	must(t, b.Sync())
	before := b.Read("bank.db")
	spared, err := pull(t, b)
	must(t, err)
	if len(spared.Spared) != 1 || spared.Spared[0].Local != "bank.db" || b.Read("bank.db") != before || b.Read("beside") != "goes on" {
		t.Errorf("spared %v", spared.Spared)
	}
	if out := b.MustPush(); out.Changed != 1 { // what is here is pushed on
		t.Errorf("%+v", out.Counts)
	}
	b.Lineage.Base = a.Lineage.Base
	o := options(t, b, a.Lineage.Base)
	o.Force, o.Follow = true, false
	plan, err := restore.Make(ctx, o)
	must(t, err)
	must(t, plan.Run(ctx, nil))
	if got, err := os.ReadFile(path); err != nil || string(got) != string(bad) || len(plan.Unsound) != 1 {
		t.Errorf("forced: %v, unsound %v", err, plan.Unsound)
	}
}

// What was saved as a plain file comes back as one, with a word about it.
func TestPlainDatabaseComesBackAsItWas(t *testing.T) {
	_, a, b := two(t)
	fake := "SQLite format 3\x00" + noise(1, 4080)
	a.Write("encrypted.db", fake)
	a.MustPush()
	plan := mustPull(t, b)
	if b.Read("encrypted.db") != fake || len(plan.Unsound) != 1 {
		t.Errorf("unsound %v", plan.Unsound)
	}
}
