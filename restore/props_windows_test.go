package restore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/store/durable"
	"satchel/store/pack"
)

// What Windows keeps of a file comes back on Windows, and a push after that finds nothing new.
func TestWindowsPullBringsAttributes(t *testing.T) {
	_, a, b := two(t)
	long := strings.Repeat("a-name-of-some-length/", 14) + "file" // more than 260 characters
	for _, name := range []string{"hidden", "system", "read-only", "plain", long} {
		a.Write(name, name)
	}
	root, err := durable.OpenRoot(a.Root)
	must(t, err)
	defer root.Close()
	want := map[string]durable.Flags{"hidden": durable.Hidden, "system": durable.System | durable.Hidden, "read-only": durable.ReadOnly, "plain": 0, long: 0}
	for name, flags := range want {
		must(t, root.SetFlags(name, flags))
	}
	a.MustPush()
	if plan := mustPull(t, b); len(plan.Unheld) > 0 {
		t.Errorf("told: %v", plan.Unheld)
	}
	here, err := durable.OpenRoot(b.Root)
	must(t, err)
	defer here.Close()
	for name, flags := range want {
		info, err := here.Lstat(name)
		must(t, err)
		if got := durable.InfoOf(info).Flags &^ durable.Archive; got != flags {
			t.Errorf("%s has the flags %b, want %b", name, got, flags)
		}
		if b.Read(name) != name {
			t.Errorf("%s holds %q", name, b.Read(name))
		}
	}
	if out := b.MustPush(); out.Snapshot != (pack.ID{}) || out.Read != 0 {
		t.Errorf("a push after the pull found %+v", out.Counts)
	}
	must(t, here.SetFlags("plain", durable.Hidden))
	must(t, here.SetFlags("read-only", 0))
	must(t, os.WriteFile(filepath.Join(b.Root, "hidden2"), nil, 0o644))
	if out := b.MustPush(); out.Changed != 2 || out.New != 1 {
		t.Errorf("a push after changes found %+v", out.Counts)
	}
	mustPull(t, a)
	info, err := root.Lstat("plain")
	must(t, err)
	if durable.InfoOf(info).Flags&durable.Hidden == 0 {
		t.Error("what was hidden there is not here")
	}
	for _, r := range []durable.Root{root, here} { // what testing cannot remove under Wine
		entries, err := r.ReadDir(".")
		must(t, err)
		for _, e := range entries {
			must(t, r.RemoveAll(e.Name()))
		}
	}
}
