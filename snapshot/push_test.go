package snapshot_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/storetest"
)

var ctx = context.Background()

// noise is incompressible text that a seed determines.
func noise(seed uint64, n int) string {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(b)
	return string(b)
}

// content reads a snapshot back through the repository: path → bytes.
func content(t *testing.T, d *snapshottest.Device, id pack.ID) map[string]string {
	t.Helper()
	v, ok := d.State().Snapshot(id)
	if !ok {
		t.Fatalf("snapshot %x is not in the ledger", id[:4])
	}
	got := map[string]string{}
	err := d.Reader.Walk(ctx, v.Root, func(remote string, e *snapshot.Entry) error {
		switch e.Type {
		case snapshot.File:
			var b strings.Builder
			err := d.Reader.Content(ctx, e, func(p []byte) error { b.Write(p); return nil })
			got[remote] = b.String()
			return err
		case snapshot.Symlink:
			got[remote] = "-> " + string(e.Target)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPushKeepsEveryByte(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	want := map[string]string{
		"a.txt":                  "hello",
		"empty":                  "",
		"deep/er/tree/b.bin":     noise(1, 300_000),
		"just.below":             noise(2, 256<<10-1),
		"just.chunked":           noise(3, 256<<10),
		"large.bin":              noise(4, 20<<20),
		"zeros":                  strings.Repeat("\x00", 9<<20),
		"db.sqlite":              "SQLite format 3\x00" + noise(5, 3<<20+17),
		"name with ünïcode.md":   "x",
		strings.Repeat("n", 255): "long name",
	}
	for p, c := range want {
		d.Write(p, c)
	}
	if err := os.Symlink("a.txt", filepath.Join(d.Root, "link")); err != nil {
		t.Fatal(err)
	}
	want["link"] = "-> a.txt"
	p := d.Push()
	p.Workers = 3
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	out, err := p.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if out.New != len(want) || out.Files != uint64(len(want)) || len(out.Problems) != 0 {
		t.Errorf("counted %+v, %d problems", out.Counts, len(out.Problems))
	}
	if diff := cmp.Diff(want, content(t, d, out.Snapshot)); diff != "" {
		t.Error("the snapshot differs (-pushed +stored):", diff[:min(len(diff), 500)])
	}
}

func TestNothingNewMakesNoSnapshotAndOpensNoFile(t *testing.T) {
	counter := storetest.NewCounter(storetest.NewMemory())
	d := snapshottest.Found(t, counter)
	for i := range 300 {
		d.Write(fmt.Sprintf("dir%d/file%d", i%7, i), noise(uint64(i), 100))
	}
	d.Write("large", noise(9, 1<<20))
	first := d.MustPush()
	counter.Reset()
	out := d.MustPush()
	if out.Snapshot != (pack.ID{}) || out.Read != 0 || out.Unchanged != 301 {
		t.Errorf("second push: %+v, snapshot %x, %d bytes read", out.Counts, out.Snapshot[:4], out.Read)
	}
	if n := counter.Total(); n != 1 {
		t.Errorf("%d requests, want the one that looks at the head: %v", n, counter.Trace())
	}
	if n := len(d.State().Snapshots(ledger.Workspace{})); n != 1 || first.Snapshot == (pack.ID{}) {
		t.Errorf("%d snapshots", n)
	}
}

func TestSmallPushIsThreeRequests(t *testing.T) {
	counter := storetest.NewCounter(storetest.NewMemory())
	d := snapshottest.Found(t, counter)
	d.Write("first", "x")
	d.MustPush()
	for i := range 2000 {
		d.Write(fmt.Sprintf("d%d/f%d", i%50, i), noise(uint64(i), 500))
	}
	counter.Reset()
	out := d.MustPush()
	if out.New != 2000 || out.NewBytes != 2000*500 {
		t.Fatalf("%+v", out.Counts)
	}
	if n := counter.Total(); n > 3 {
		t.Errorf("%d requests: %v", n, counter.Trace())
	}
}

// More tiny files than one pack's directory can name are no obstacle.
func TestMoreTinyFilesThanAPackCanName(t *testing.T) {
	counter := storetest.NewCounter(storetest.NewMemory())
	d := snapshottest.Found(t, counter)
	d.Write("first", "x")
	d.MustPush()
	want := pack.MaxChunks + 500
	for i := range 100 {
		must(t, os.Mkdir(filepath.Join(d.Root, fmt.Sprint(i)), 0o755))
	}
	for i := range want {
		must(t, os.WriteFile(filepath.Join(d.Root, fmt.Sprint(i%100), fmt.Sprint(i)), fmt.Append(nil, i, "tiny"), 0o644))
	}
	out := d.MustPush()
	if out.New != want {
		t.Fatalf("%+v", out.Counts)
	}
	got := content(t, d, out.Snapshot)
	if len(got) != want+1 || got["7/20007"] != fmt.Sprint(20007, "tiny") {
		t.Errorf("%d files came back, one as %q", len(got), got["7/20007"])
	}
}

func TestLargePushRequests(t *testing.T) {
	counter := storetest.NewCounter(storetest.NewMemory())
	d := snapshottest.Found(t, counter)
	d.Write("first", "x")
	d.MustPush()
	const files, size = 10, 9 << 20
	for i := range files {
		d.Write(fmt.Sprint("f", i), noise(uint64(i), size))
	}
	counter.Reset()
	d.MustPush()
	if n, most := counter.Total(), (files*size+32<<20-1)/(32<<20)+1+4; n > most {
		t.Errorf("%d requests for %d MiB, want at most %d: %v", n, files*size>>20, most, counter.Trace())
	}
}

// rooms is a store that keeps hold of the memory that data packs come in.
type rooms struct {
	store.Store
	mu   sync.Mutex
	seen map[*byte]bool
	puts int
}

func (r *rooms) Put(ctx context.Context, name string, data []byte) error {
	if name[0] == 'd' {
		r.mu.Lock()
		r.seen[&data[0]] = true
		r.puts++
		r.mu.Unlock()
	}
	return r.Store.Put(ctx, name, data)
}

func TestLargePushBuildsItsPacksInTheMemoryOfThree(t *testing.T) {
	r := &rooms{Store: storetest.NewMemory(), seen: map[*byte]bool{}}
	d := snapshottest.Found(t, r)
	const files, size = 20, 8 << 20
	for i := range files {
		d.Write(fmt.Sprint("f", i), noise(uint64(i), size))
	}
	d.MustPush()
	if r.puts < files*size>>25 || len(r.seen) > 3 {
		t.Errorf("%d data packs came in %d buffers", r.puts, len(r.seen))
	}
}

func TestTouchedFileIsReadButNotStoredAgain(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	d.Write("a", noise(1, 700_000))
	d.MustPush()
	if err := os.Chmod(filepath.Join(d.Root, "a"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := d.MustPush()
	if out.Changed != 1 || out.Read != 700_000 || out.NewBytes != 0 {
		t.Errorf("%+v, %d new bytes", out.Counts, out.NewBytes)
	}
}

func TestForceReadsEverything(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	d.Write("a", "abc")
	d.MustPush()
	p := d.Push()
	p.Force = true
	out, err := p.Run(ctx)
	if err != nil || out.Read != 3 || out.Snapshot != (pack.ID{}) {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestChangesAreCountedAndStoredOnce(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	body := noise(1, 8<<20)
	d.Write("keep", "k")
	d.Write("big", body)
	d.Write("gone/x", "x")
	d.Write("gone/y", "y")
	d.MustPush()
	d.Write("big", body[:4<<20]+"inserted"+body[4<<20:])
	d.Write("copy", body)
	d.Write("new", "n")
	if err := os.RemoveAll(filepath.Join(d.Root, "gone")); err != nil {
		t.Fatal(err)
	}
	d.Write("keep2", "a file instead of a folder that went")
	out := d.MustPush()
	if out.New != 3 || out.Changed != 1 || out.Removed != 2 || out.Unchanged != 1 {
		t.Errorf("%+v", out.Counts)
	}
	if out.NewBytes > 10<<20/2 {
		t.Errorf("an insertion and a copy cost %d new bytes", out.NewBytes)
	}
	got := content(t, d, out.Snapshot)
	if got["big"] != body[:4<<20]+"inserted"+body[4<<20:] || got["copy"] != body || got["gone/x"] != "" {
		t.Error("wrong bytes")
	}
}

func TestPushIsFastForwardOnly(t *testing.T) {
	m := storetest.NewMemory()
	a := snapshottest.Found(t, m)
	a.Write("f", "1")
	a.MustPush()
	b := a.Join(m)
	b.Write("f", "b's own")
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Push().Run(ctx); !errors.Is(err, snapshot.ErrBehind) {
		t.Errorf("a device that never pulled pushed: %v", err)
	}
	if _, err := a.Push().Run(ctx); err != nil {
		t.Error(err)
	}
}

// A push that loses the race at the very commit finds out there.
func TestPushLosesTheRaceAtTheCommit(t *testing.T) {
	m := storetest.NewMemory()
	a := snapshottest.Found(t, m)
	a.Write("f", "1")
	a.MustPush()
	faults := storetest.NewFaults(m)
	b := a.Join(faults)
	b.Write("f", "2")
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
	b.Lineage.Base = a.Lineage.Base
	raced := false
	faults.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put && strings.HasPrefix(op.Name, "l/") && !raced {
			raced = true
			a.Write("f", "3")
			a.MustPush()
		}
		return nil
	}
	if _, err := b.Push().Run(ctx); !raced || !errors.Is(err, snapshot.ErrBehind) {
		t.Errorf("raced %v: %v", raced, err)
	}
	if n := len(a.State().Snapshots(ledger.Workspace{})); n != 2 {
		t.Errorf("%d snapshots", n)
	}
}

func TestMostFilesGoneNeedsYes(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	for i := range 10 {
		d.Write(fmt.Sprint("f", i), "x")
	}
	d.MustPush()
	for i := range 3 {
		os.Remove(filepath.Join(d.Root, fmt.Sprint("f", i)))
	}
	if _, err := d.Push().Run(ctx); !errors.Is(err, snapshot.ErrShrunk) {
		t.Errorf("7 of 10 files were pushed: %v", err)
	}
	p := d.Push()
	p.Yes = true
	if out, err := p.Run(ctx); err != nil || out.Removed != 3 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestDatabaseWithAJournalIsMarked(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	d.Write("p.db", "SQLite format 3\x00"+noise(1, 5000))
	d.Write("p.db-wal", noise(2, 100))
	d.Write("p.db-shm", noise(3, 100))
	out := d.MustPush()
	if len(out.Problems) != 1 || string(out.Problems[0].Path) != "p.db" || out.Problems[0].Mark&snapshot.MarkJournal == 0 {
		t.Fatalf("problems %+v", out.Problems)
	}
	m, err := d.Reader.Manifest(ctx, out.Snapshot)
	if err != nil || len(m.Problems) != 1 {
		t.Errorf("the manifest has %v, %v", m, err)
	}
	if got := slices.Collect(keys(content(t, d, out.Snapshot))); len(got) != 1 || got[0] != "p.db" {
		t.Errorf("travelled: %v", got)
	}
	os.Remove(filepath.Join(d.Root, "p.db-wal"))
	if out := d.MustPush(); len(out.Problems) != 0 || out.Changed != 1 {
		t.Errorf("at rest: %+v %v", out.Counts, out.Problems)
	}
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Whatever becomes of the index, the next push and what it stores are right.
func TestIndexMayBeLostStaleOrOld(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, d *snapshottest.Device, old []byte)
	}{
		{"lost", func(t *testing.T, d *snapshottest.Device, _ []byte) { must(t, os.Remove(d.IndexPath())) }},
		{"cut off", func(t *testing.T, d *snapshottest.Device, _ []byte) { must(t, os.Truncate(d.IndexPath(), 20_000)) }},
		{"empty", func(t *testing.T, d *snapshottest.Device, _ []byte) { must(t, os.Truncate(d.IndexPath(), 0)) }},
		{"an old copy", func(t *testing.T, d *snapshottest.Device, old []byte) {
			must(t, os.WriteFile(d.IndexPath(), old, 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := storetest.NewMemory()
			d := snapshottest.Found(t, m)
			d.Write("a", noise(1, 400_000))
			d.MustPush()
			d.Close()
			old, err := os.ReadFile(d.IndexPath())
			must(t, err)
			d.Reopen(m)
			d.Write("b", noise(2, 300_000))
			d.MustPush()
			d.Close()
			c.do(t, d, old)
			d.Reopen(m)
			if out := d.MustPush(); out.Snapshot != (pack.ID{}) || out.Unchanged != 2 || out.NewBytes != 0 {
				t.Errorf("nothing changed, and yet %+v, %d new bytes", out.Counts, out.NewBytes)
			}
			d.Write("c", noise(1, 400_000)+"tail")
			out := d.MustPush()
			if diff := cmp.Diff(map[string]string{"a": noise(1, 400_000), "b": noise(2, 300_000), "c": noise(1, 400_000) + "tail"}, content(t, d, out.Snapshot)); diff != "" {
				t.Error(diff[:min(len(diff), 300)])
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A failure at any call of the store leaves the old state or the new one, and the next run
// finishes; what was acknowledged is not sent again.
func TestPushFailsAtEveryCall(t *testing.T) {
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		t.Run(mode.String(), func(t *testing.T) {
			base := storetest.NewMemory()
			d := snapshottest.Found(t, base)
			d.Write("old", "old")
			first := d.MustPush()
			d.Write("small", "s")
			d.Write("large", noise(1, 6<<20))
			home := d.Home
			for k := 0; ; k++ {
				m := base.Clone()
				d.Home = t.TempDir()
				must(t, os.CopyFS(d.Home, os.DirFS(home)))
				fixModes(t, d.Home)
				faults := storetest.NewFaults(m)
				d.Reopen(faults)
				faults.FailAt(k, mode)
				err := func() error {
					if err := d.Sync(); err != nil {
						return err
					}
					_, err := d.Push().Run(ctx)
					return err
				}()
				if !faults.Injected() {
					must(t, err)
					if k < 4 {
						t.Fatalf("only %d calls were made to fail", k)
					}
					break
				}
				if err != nil && !errors.Is(err, storetest.ErrInjected) {
					t.Fatalf("call %d: %v", k, err)
				}
				counter := storetest.NewCounter(m)
				d.Reopen(counter)
				must(t, d.Sync())
				all := d.State().Snapshots(ledger.Workspace{})
				if len(all) < 1 || len(all) > 2 || all[0].ID != first.Snapshot {
					t.Fatalf("call %d: %d snapshots", k, len(all))
				}
				for _, v := range all {
					content(t, d, v.ID)
				}
				packs := packNames(m)
				out := d.MustPush()
				if len(all) == 2 && out.Snapshot != (pack.ID{}) {
					t.Fatalf("call %d: the second run pushed again what had been committed", k)
				}
				newest := d.State().Snapshots(ledger.Workspace{})
				got := content(t, d, newest[len(newest)-1].ID)
				if diff := cmp.Diff(map[string]string{"old": "old", "small": "s", "large": noise(1, 6<<20)}, got); diff != "" {
					t.Fatalf("call %d: %s", k, diff[:min(300, len(diff))])
				}
				for _, name := range packNames(m) {
					if !slices.Contains(packs, name) && strings.HasPrefix(name, "d/") && slices.ContainsFunc(packs, isData) && err != nil && mode == storetest.Lost {
						t.Errorf("call %d: %s was sent though %v were acknowledged", k, name, packs)
					}
				}
			}
		})
	}
}

func isData(name string) bool { return strings.HasPrefix(name, "d/") }

func packNames(m *storetest.Memory) (names []string) {
	for _, prefix := range []string{"d/", "t/"} {
		for o := range m.List(ctx, prefix) {
			names = append(names, o.Name)
		}
	}
	return names
}

// fixModes gives copied keys the modes that they had.
func fixModes(t *testing.T, dir string) {
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	}))
}
