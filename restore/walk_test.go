package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/dir"
	"satchel/store/durable"
	"satchel/store/durable/durabletest"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/storetest"
)

// merging is a device that has a pull to merge.
func merging(t *testing.T) (*snapshottest.Device, func(*restore.Change) error) {
	_, a, b := pair(t, "f", "g", "d/x")
	a.Write("f", "new")
	remove(t, a, "g")
	a.Write("d/y", noise(7, 300_000))
	a.MustPush()
	b.Write("f", "mine")
	b.Write("d/x", "mine")
	must(t, b.Sync())
	to, _ := b.Lineage.Incoming(b.State())
	return b, func(c *restore.Change) error {
		_, err := c.Pull(ctx, to, restore.PullOptions{})
		return err
	}
}

// undoing is a device that has a forced pull to undo.
func undoing(t *testing.T) (*snapshottest.Device, func(*restore.Change) error) {
	_, a, b := pair(t, "f", "g", "d/x")
	a.Write("f", "new")
	remove(t, a, "g")
	_, err := commit(t, a)
	must(t, err)
	b.Write("f", "mine")
	b.Write("d/x", "mine")
	merge(t, b, restore.PullOptions{Prefer: snapshot.Theirs})
	b.Write("f", "mine again")
	return b, func(c *restore.Change) error {
		_, err := c.Undo(ctx, c.Safety.Taken()[0])
		return err
	}
}

// restoring is a device that has files to restore in place.
func restoring(t *testing.T) (*snapshottest.Device, func(*restore.Change) error) {
	_, _, b := pair(t, "f", "g", "d/x")
	from, _ := b.State().Snapshot(b.Lineage.Base)
	b.Write("f", "mine")
	remove(t, b, "g")
	remove(t, b, "d")
	b.Write("d", "a file now")
	return b, func(c *restore.Change) error {
		_, err := c.Restore(ctx, from, nil, true)
		return err
	}
}

func TestRestoreCrashesAtEveryFileSystemCall(t *testing.T) { crashes(t, restoring) }

// A failure at any call of the repository, or of the folder of safety snapshots, leaves the files as
// they were; the next run finishes, and undo goes back.
func TestChangesFailAtEveryStoreCall(t *testing.T) {
	for name, setup := range map[string]func(*testing.T) (*snapshottest.Device, func(*restore.Change) error){
		"merge": merging, "undo": undoing, "restore": restoring,
	} {
		for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
			t.Run(name+", "+mode.String(), func(t *testing.T) {
				d, act := setup(t)
				storeFailures(t, d, act, mode, false)
				storeFailures(t, d, act, mode, true)
			})
		}
	}
}

// storeFailures makes each store call of a change fail; in the end the device is as it was.
func storeFailures(t *testing.T, d *snapshottest.Device, act func(*restore.Change) error, mode storetest.Mode, spool bool) {
	before, base := contents(t, d.Root), d.Lineage.Base
	m := d.Store
	restoreHere := keepHere(t, d)
	var after map[string]string
	for k := 0; ; k++ {
		faults := storetest.NewFaults(m)
		open := openSpool
		if spool {
			open = func(path string) (store.Store, error) {
				s, err := dir.Open(path)
				if err != nil {
					return nil, err
				}
				faults = storetest.NewFaults(s)
				faults.FailAt(k, mode)
				return faults, nil
			}
			d.Reopen(m)
			must(t, d.Sync())
		} else {
			d.Reopen(faults)
			must(t, d.Sync())
			faults.FailAt(k, mode)
		}
		c := change(t, d)
		var err error
		c.Safety, err = snapshot.OpenSafety(d.Lineage.SpoolPath(), open)
		must(t, err)
		err = act(c)
		injected := faults.Injected()
		faults.Heal()
		if !injected {
			must(t, err)
			if after != nil && !cmp.Equal(after, contents(t, d.Root)) {
				t.Fatalf("without a failure the files are others: %s", cmp.Diff(after, contents(t, d.Root)))
			}
			t.Logf("%d calls, safety %v", k, spool)
			restoreHere()
			return
		}
		if err != nil {
			if !errors.Is(err, storetest.ErrInjected) {
				t.Fatalf("call %d: %v", k, err)
			}
			afterCrash(t, d)
			if diff := cmp.Diff(before, contents(t, d.Root)); diff != "" || d.Lineage.Base != base {
				t.Fatalf("call %d (-before +now):\n%s", k, diff)
			}
			must(t, d.Sync())
			must(t, act(change(t, d)))
		}
		if got := contents(t, d.Root); after == nil {
			after = got
		} else if diff := cmp.Diff(after, got); diff != "" {
			t.Fatalf("call %d: the next run (-others +this):\n%s", k, diff)
		}
		undo(t, d)
		if diff := cmp.Diff(before, contents(t, d.Root)); diff != "" {
			t.Fatalf("call %d: after undo (-want +got):\n%s", k, diff)
		}
		restoreHere()
	}
}

// keepHere copies a device's files and state, and returns what puts them back.
func keepHere(t *testing.T, d *snapshottest.Device) (back func()) {
	keep, state := t.TempDir(), filepath.Join(d.Home, "state")
	d.Close()
	copyTree(t, d.Root, filepath.Join(keep, "root"))
	copyTree(t, state, filepath.Join(keep, "state"))
	d.Reopen(d.Store)
	return func() {
		d.Close()
		must(t, os.RemoveAll(d.Root))
		must(t, os.RemoveAll(state))
		copyTree(t, filepath.Join(keep, "root"), d.Root)
		copyTree(t, filepath.Join(keep, "state"), state)
		d.Reopen(d.Store)
	}
}

// A merge is pushed through a failure at every call of the store: the next push finishes, what the
// device had before the merge is in the ledger once, and another device ends with all of it.
func TestMergingPushFailsAtEveryCall(t *testing.T) {
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		t.Run(mode.String(), func(t *testing.T) {
			base, a, b := pair(t, "f", "g", "d/x")
			a.Write("f", "new")
			a.MustPush()
			b.Write("f", "mine")
			b.Write("large", noise(8, 3<<20))
			merge(t, b, restore.PullOptions{})
			b.Write("later", noise(9, 3<<20))
			before := contents(t, b.Root)
			home := b.Home
			b.Close()
			for k := 0; ; k++ {
				m := base.Clone()
				b.Home = t.TempDir()
				copyTree(t, home, b.Home)
				faults := storetest.NewFaults(m)
				b.Reopen(faults)
				must(t, b.Sync())
				faults.FailAt(k, mode)
				first, err := push(t, b)
				if !faults.Injected() {
					must(t, err)
					if k < 6 || first.Snapshot == (pack.ID{}) {
						t.Errorf("%d calls, %+v", k, first)
					}
					return
				}
				if err != nil && !errors.Is(err, storetest.ErrInjected) {
					t.Fatalf("call %d: %v", k, err)
				}
				packs := dataPacks(m)
				b.Reopen(m)
				must(t, b.Sync())
				if _, err := push(t, b); err != nil {
					t.Fatalf("call %d, the second push: %v", k, err)
				}
				must(t, b.Sync())
				if diff := cmp.Diff(before, contents(t, b.Root)); diff != "" {
					t.Fatalf("call %d: a push changed files:\n%s", k, diff)
				}
				pushedOnce(t, k, b)
				if sent := len(dataPacks(m)) - len(packs); len(packs) >= 2 && sent > 0 && mode == storetest.Lost {
					t.Errorf("call %d: %d data packs were sent again", k, sent)
				}
			}
		})
	}
}

// pushedOnce checks what the ledger has after a merging push: one head with two parents, and one safety
// snapshot, each whole.
func pushedOnce(t *testing.T, k int, d *snapshottest.Device) {
	t.Helper()
	w, _ := d.State().Workspace(d.Lineage.Workspace)
	if len(w.Heads) != 1 {
		t.Fatalf("call %d: %d heads", k, len(w.Heads))
	}
	look := &world{t: t}
	var safety, merged int
	for _, v := range d.State().Snapshots(w.ID) {
		m := map[string]string{}
		look.tree(d, snapshot.State{Root: v.Root}, m)
		switch {
		case v.Flags&ledger.FlagSafety != 0:
			safety++
			if m["f"] != "mine" || m["large"] != noise(8, 3<<20) || m["later"] != "" {
				t.Errorf("call %d: the safety snapshot has %d files, f %q", k, len(m), m["f"])
			}
		case v.ID == w.Heads[0]:
			if len(v.Parents) >= 2 {
				merged++
			}
			if m["f"] != "mine" || m["later"] != noise(9, 3<<20) {
				t.Errorf("call %d: the head has %d files, f %q", k, len(m), m["f"])
			}
		}
	}
	if safety != 1 || merged != 1 {
		t.Errorf("call %d: %d safety snapshots, %d merges", k, safety, merged)
	}
}

func dataPacks(m *storetest.Memory) (names []string) {
	for o := range m.List(ctx, "d/") {
		names = append(names, o.Name)
	}
	return names
}

// restore --to: a crash at any file-system call leaves in the folder what the next restore into it
// finishes or takes away, whether it was empty or had files that go.
func TestRestoreBesideCrashesAtEveryFileSystemCall(t *testing.T) {
	_, _, b := pair(t, "f", "g", "d/x")
	want := contents(t, b.Root)
	for _, c := range []struct {
		name  string
		empty bool
		mode  durabletest.Mode
	}{
		{"empty, lost", true, durabletest.Lost},
		{"empty, landed", true, durabletest.Landed},
		{"not empty, lost", false, durabletest.Lost},
		{"not empty, landed", false, durabletest.Landed},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k := 0; ; k++ {
				to := t.TempDir()
				if !c.empty {
					must(t, os.WriteFile(filepath.Join(to, "f"), []byte("in the way"), 0o600))
				}
				had := contents(t, to)
				root, err := durable.OpenRoot(to)
				must(t, err)
				faults := durabletest.NewFaults(root)
				faults.CrashAt(k, c.mode)
				err = elsewhere(t, b, faults, c.empty)
				if !faults.Injected() {
					must(t, err)
					root.Close()
					return
				}
				_, rerr := restore.Recover(root)
				must(t, errors.Join(rerr, restore.Finish(root)))
				if got := contents(t, to); !c.empty && !cmp.Equal(got, had) && !cmp.Equal(got, want) {
					t.Fatalf("call %d (%s): neither what was there nor what comes: %q", k, faults.Trace()[k], got)
				}
				must(t, elsewhere(t, b, root, false))
				root.Close()
				if diff := cmp.Diff(want, contents(t, to)); diff != "" {
					t.Fatalf("call %d: the next restore (-want +got):\n%s", k, diff)
				}
				if left, _ := filepath.Glob(filepath.Join(to, ".satchel-*")); len(left) > 0 {
					t.Fatalf("call %d left %v", k, left)
				}
			}
		})
	}
}

// elsewhere restores the base of a device into a folder, over what is there.
func elsewhere(t *testing.T, d *snapshottest.Device, root durable.Root, empty bool) error {
	o := options(t, d, d.Lineage.Base)
	o.Root, o.Base, o.State, o.Follow, o.Force, o.Empty, o.Workers = root, pack.ID{}, [16]byte{}, false, true, empty, 1
	plan, err := restore.Make(ctx, o)
	if err != nil {
		return err
	}
	if len(plan.Conflicts) > 0 {
		t.Fatalf("%v", plan.Conflicts)
	}
	return plan.Run(ctx, nil)
}

// What cannot be fetched is not restored in part: each store call of restore --to fails once.
func TestRestoreBesideFailsAtEveryStoreCall(t *testing.T) {
	m, _, b := pair(t, "f", "g", "d/x")
	want := contents(t, b.Root)
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		for k := 0; ; k++ {
			faults := storetest.NewFaults(m)
			b.Reopen(faults)
			must(t, b.Sync())
			faults.FailAt(k, mode)
			to := t.TempDir()
			root, err := durable.OpenRoot(to)
			must(t, err)
			err = elsewhere(t, b, root, true)
			if faults.Injected() && err != nil {
				if left, _ := os.ReadDir(to); len(left) > 0 || !errors.Is(err, storetest.ErrInjected) {
					t.Errorf("%v, call %d: %v, %v is left", mode, k, err, left)
				}
				err = elsewhere(t, b, root, true)
			}
			must(t, err)
			root.Close()
			if diff := cmp.Diff(want, contents(t, to)); diff != "" {
				t.Errorf("%v, call %d: %s", mode, k, diff)
			}
			if !faults.Injected() {
				break
			}
		}
	}
}
