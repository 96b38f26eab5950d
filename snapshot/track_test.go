package snapshot_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store/pack"
	"satchel/store/storetest"
)

func ids(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

func TestLettersOfChanges(t *testing.T) {
	file := func(id byte, mode uint32, mtime int64) *snapshot.Entry {
		return &snapshot.Entry{Type: snapshot.File, Size: 5, IDs: ids(id), Mode: mode, Mtime: mtime}
	}
	link := func(to string) *snapshot.Entry { return &snapshot.Entry{Type: snapshot.Symlink, Target: []byte(to)} }
	dir := func(node byte) *snapshot.Entry {
		return &snapshot.Entry{Type: snapshot.Dir, Node: pack.ID(ids(node))}
	}
	for _, c := range []struct {
		old, now *snapshot.Entry
		want     snapshot.Letter
	}{
		{nil, file(1, 0o644, 1), snapshot.Added},
		{file(1, 0o644, 1), nil, snapshot.Removed},
		{file(1, 0o644, 1), file(2, 0o644, 1), snapshot.Modified},
		{file(1, 0o644, 1), file(1, 0o600, 1), snapshot.Touched},
		{file(1, 0o644, 1), file(1, 0o644, 2), snapshot.Touched},
		{file(1, 0o644, 1), link("a"), snapshot.Retyped},
		{link("a"), link("b"), snapshot.Modified},
		{dir(1), dir(2), snapshot.Modified},
		{dir(1), file(1, 0o644, 1), snapshot.Retyped},
	} {
		if got := (snapshot.Change{Old: c.old, New: c.now}).Letter(); got != c.want {
			t.Errorf("%+v to %+v is %c, not %c", c.old, c.now, got, c.want)
		}
	}
}

func TestRenamedDoesNotGuess(t *testing.T) {
	gone := func(name string, id byte) snapshot.Change {
		return snapshot.Change{Remote: name, Old: &snapshot.Entry{Size: 5, IDs: ids(id)}}
	}
	came := func(name string, id byte) snapshot.Change {
		return snapshot.Change{Remote: name, New: &snapshot.Entry{Size: 5, IDs: ids(id)}}
	}
	empty := &snapshot.Entry{}
	got := snapshot.Renamed([]snapshot.Change{
		gone("once", 1), came("there", 1),
		gone("one of two", 2), came("copy", 2), came("another copy", 2),
		gone("a", 3), gone("b", 3), came("c", 3),
		{Remote: "empty", Old: empty}, {Remote: "empty too", New: empty},
		gone("other size", 4), {Remote: "longer", New: &snapshot.Entry{Size: 6, IDs: ids(4)}},
		{Remote: "changed", Old: &snapshot.Entry{Size: 5, IDs: ids(5)}, New: &snapshot.Entry{Size: 5, IDs: ids(6)}}, gone("x", 6),
	})
	if diff := cmp.Diff(map[string]string{"there": "once"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDiffInReadsOnlyWhatItIsToldTo(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	d.Write("a/x", "1")
	d.Write("b/x", "1")
	d.Write("top", "1")
	first := d.MustPush()
	d.Write("a/x", "2")
	d.Write("b/x", "2")
	d.Write("top", "2")
	second := d.MustPush()
	old, _ := d.State().Snapshot(first.Snapshot)
	now, _ := d.State().Snapshot(second.Snapshot)
	var got, dirs []string
	err := d.Reader.DiffIn(ctx, old.Root, now.Root, func(dir string) bool { dirs = append(dirs, dir); return dir != "b" },
		func(c snapshot.Change) error { got = append(got, c.Remote); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a/x", "top"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"", "a", "b"}, dirs); diff != "" {
		t.Error(diff)
	}
}

// A path is found in each snapshot; what two snapshots have in common is read once.
func TestTrackFollowsAPath(t *testing.T) {
	store := storetest.NewMemory()
	d := snapshottest.Found(t, store)
	d.Write("a/b/f", "1")
	d.Write("other", "1")
	var roots []pack.ID
	push := func() {
		t.Helper()
		out := d.MustPush()
		v, _ := d.State().Snapshot(out.Snapshot)
		roots = append(roots, v.Root)
	}
	push()
	d.Write("other", "2")
	push()
	d.Write("a/b/f", "22")
	push()
	if err := os.RemoveAll(filepath.Join(d.Root, "a")); err != nil {
		t.Fatal(err)
	}
	d.Write("a", "a file where a folder was")
	push()
	track := d.Reader.Track("a/b/f")
	var got []string
	var entries []*snapshot.Entry
	for _, root := range roots {
		e, err := track.In(ctx, root)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
		got = append(got, "none")
		if e != nil {
			got[len(got)-1] = strings.Repeat("x", int(e.Size))
		}
	}
	if diff := cmp.Diff([]string{"x", "x", "xx", "none"}, got); diff != "" {
		t.Error(diff)
	}
	if entries[0] != entries[1] {
		t.Error("the folder that two snapshots share was read twice")
	}
	if e, err := d.Reader.Track("").In(ctx, roots[0]); err != nil || e.Node != roots[0] {
		t.Errorf("the root: %+v, %v", e, err)
	}
}

// What snapshots share is searched once: of a second snapshot only the folders that changed are read.
func TestSearchReadsEachFolderOnce(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	d.Write("a/deep/f.csv", "1")
	d.Write("b/g.csv", "1")
	d.Write("b/g.txt", "1")
	first := d.MustPush()
	d.Write("b/h.csv", "1")
	second := d.MustPush()
	read := map[string]int{}
	search := d.Reader.Search(func(dir string) bool { read[dir]++; return dir != "c" },
		func(remote string, e *snapshot.Entry) bool { return strings.HasSuffix(remote, ".csv") })
	var got [][]string
	for _, id := range []pack.ID{first.Snapshot, second.Snapshot, first.Snapshot} {
		v, _ := d.State().Snapshot(id)
		var paths []string
		if err := search.In(ctx, v.Root, snapshot.MaxEntries, func(f snapshot.Found) { paths = append(paths, f.Remote) }); err != nil {
			t.Fatal(err)
		}
		got = append(got, paths)
	}
	one := []string{"a/deep/f.csv", "b/g.csv"}
	if diff := cmp.Diff([][]string{one, {"a/deep/f.csv", "b/g.csv", "b/h.csv"}, one}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"": 2, "a": 1, "a/deep": 1, "b": 2}, read); diff != "" {
		t.Error(diff)
	}
}
