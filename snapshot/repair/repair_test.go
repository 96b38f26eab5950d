package repair_test

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/index"
	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/check"
	"satchel/snapshot/repair"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func noise(seed uint64, n int) string {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(b)
	return string(b)
}

// clinic is a device with two snapshots: files of one chunk and of several, small ones, and
// a data pack of several frames.
func clinic(t *testing.T) (*storetest.Memory, *snapshottest.Device) {
	m := storetest.NewMemory()
	d := snapshottest.Found(t, m)
	d.Write("a.txt", "alpha")
	d.Write("dir/b.txt", "beta")
	d.Write("large", noise(1, 5<<20))
	d.MustPush()
	d.Write("a.txt", "alpha, changed")
	d.Write("middle", noise(2, 300_000))
	d.MustPush()
	return m, d
}

func run(t *testing.T, d *snapshottest.Device) *check.Report {
	t.Helper()
	r, err := check.Run(ctx, check.Options{Log: d.Access.Log, Index: d.Index, Me: d.Access.Me, Decrypt: true, Workers: 2})
	must(t, err)
	return r
}

// mend repairs what a check finds.
func mend(t *testing.T, d *snapshottest.Device, files bool) *repair.Mended {
	t.Helper()
	r := run(t, d)
	out, err := repair.Packs(ctx, repair.PackOptions{Push: d.Push(), Files: files, Damaged: r.Damaged, Lost: r.Lost})
	must(t, err)
	return out
}

// where is the location of the chunk that a file of one chunk, or the nth of a file, is.
func where(t *testing.T, d *snapshottest.Device, path string, nth int) (index.Location, *pack.Directory, pack.FrameInfo) {
	t.Helper()
	s := d.State().Snapshots(ledger.Workspace{})
	e, err := d.Reader.Find(ctx, s[len(s)-1].Root, path)
	must(t, err)
	var ids []pack.ID
	must(t, d.Reader.ChunkIDs(ctx, e, func(id pack.ID) error { ids = append(ids, id); return nil }))
	loc, ok, err := d.Index.Lookup(ids[nth])
	must(t, err)
	if !ok {
		t.Fatal("no such chunk")
	}
	dir, _, err := d.Index.Directory(loc.Pack)
	must(t, err)
	return loc, dir, dir.Frames()[dir.FrameOf(loc.Chunk)]
}

// damage flips a bit in the frame that holds the nth chunk of a file.
func damage(t *testing.T, m *storetest.Memory, d *snapshottest.Device, path string, nth int) {
	t.Helper()
	loc, _, f := where(t, d, path, nth)
	m.Corrupt(loc.Pack.Name(), func(b []byte) []byte { b[f.Offset+5] ^= 1; return b })
}

// content reads everything of every snapshot that can be read.
func content(t *testing.T, d *snapshottest.Device) map[string]string {
	t.Helper()
	out := map[string]string{}
	r, err := snapshot.NewReader(d.Store, d.Access.Keys, d.Index)
	must(t, err)
	for i, s := range d.State().Snapshots(ledger.Workspace{}) {
		must(t, r.Walk(ctx, s.Root, func(remote string, e *snapshot.Entry) error {
			if e.Type != snapshot.File {
				return nil
			}
			var b strings.Builder
			err := r.Content(ctx, e, func(p []byte) error { b.Write(p); return nil })
			out[fmt.Sprintf("%d %s", i, remote)] = fmt.Sprintf("%x %v", sha256.Sum256([]byte(b.String())), err)
			return nil
		}))
	}
	return out
}

// pulled is what a new device gets.
func pulled(t *testing.T, d *snapshottest.Device) (map[string]string, error) {
	t.Helper()
	e := d.Join(d.Store)
	if err := e.Sync(); err != nil {
		return nil, err
	}
	newest, _ := snapshot.Newest(e.State(), e.Lineage.Workspace)
	root, err := durable.OpenRoot(e.Root)
	must(t, err)
	defer root.Close()
	plan, err := restore.Make(ctx, restore.Options{Store: e.Store, Keys: e.Access.Keys, Index: e.Index, Reader: e.Reader, Root: root, Target: newest.Root,
		Local: func(remote string) (string, bool) { return strings.TrimSuffix(remote, "/"), true }, Empty: true})
	if err != nil {
		return nil, err
	}
	err = plan.Run(ctx, nil)
	out := map[string]string{}
	for _, path := range []string{"a.txt", "dir/b.txt", "large", "middle"} {
		if s := e.Read(path); s != "" {
			out[path] = fmt.Sprintf("%x", sha256.Sum256([]byte(s)))
		}
	}
	return out, err
}

// late is a device that joins after a checkpoint without index segments: of the packs before
// it, it knows the directories from their own ends alone.
func late(t *testing.T, d *snapshottest.Device, s store.Store) *snapshottest.Device {
	t.Helper()
	a := d.Access
	payload := d.State().Payload()
	object, err := ledger.PutSealed(ctx, d.Store, a.Keys, seal.State, payload, cryptorand.Reader)
	must(t, err)
	_, err = a.Log.Append(ctx, a.Me, ledger.Checkpoint, func(now *ledger.State) (any, error) {
		return ledger.CheckpointContent{Covers: now.Position(), Object: object, Payload: sha256.Sum256(payload)}, nil
	})
	must(t, err)
	return d.Join(s)
}

func TestIndexFromPacksAlone(t *testing.T) {
	m, d := clinic(t)
	c := storetest.NewCounter(m)
	e := late(t, d, c)
	c.Reset()
	out, err := repair.Index(ctx, repair.IndexOptions{Log: e.Access.Log, Index: e.Index})
	must(t, err)
	if out.Packs != len(d.State().Packs()) || len(out.Lost) > 0 {
		t.Errorf("%+v", out)
	}
	for _, name := range c.Names(storetest.Get) {
		if name[0] != 'd' && name[0] != 't' {
			t.Errorf("%s was read", name)
		}
	}
	if diff := cmp.Diff(content(t, d), content(t, e)); diff != "" {
		t.Error(diff)
	}
	if tie := e.Index.Tie(); tie.Position != e.State().Position() {
		t.Errorf("tied to entry %d", tie.Position)
	}
}

// Of a pack whose own end is damaged a ledger entry may still tell what is in it; if nothing
// does, the pack is named. Everything else can be pulled all the same, and who has the files
// gives them back.
func TestIndexNamesPacksThatNobodyKnows(t *testing.T) {
	m, d := clinic(t)
	e := late(t, d, m)
	loc, _, _ := where(t, d, "large", 1)
	m.Corrupt(loc.Pack.Name(), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	for _, dev := range []*snapshottest.Device{d, e} {
		dev.Close()
		must(t, index.Remove(dev.IndexPath()))
		dev.Reopen(m)
		must(t, dev.Access.Log.Sync(ctx))
		out, err := repair.Index(ctx, repair.IndexOptions{Log: dev.Access.Log, Index: dev.Index})
		must(t, err)
		if knows := dev == d; knows != (len(out.Lost) == 0) || !knows && out.Lost[0] != loc.Pack {
			t.Errorf("%s: %+v", dev.Name, out)
		}
	}
	_, err := pulled(t, d)
	var damaged *restore.DamageError
	if !errors.As(err, &damaged) || !slices.Equal(damaged.Paths, []string{"dir/b.txt", "large"}) {
		t.Errorf("a new device: %v", err)
	}
	out := mend(t, d, true) // it knows what was in the pack
	if out.Frames == 0 || len(out.Holes) > 0 {
		t.Errorf("%+v", out)
	}
	got, err := pulled(t, d)
	must(t, err)
	if len(got) != 4 {
		t.Errorf("after the repair: %v", got)
	}
}

// A device that cannot even tell what was in a lost pack still gives back what it has.
func TestPacksFromFilesOfADeviceThatKnowsNothing(t *testing.T) {
	m, d := clinic(t)
	before := content(t, d)
	e := late(t, d, m)
	loc, _, _ := where(t, d, "large", 1)
	m.Corrupt(loc.Pack.Name(), func([]byte) []byte { return nil })
	e.Write("large", d.Read("large"))
	e.Write("elsewhere/beta.txt", "beta")
	out := mend(t, e, true)
	if out.Frames != 0 || out.FromFiles == 0 || len(out.Holes) != 1 || out.Holes[0].Path != "a.txt" || len(out.Holes[0].Snapshots()) != 1 {
		t.Errorf("%+v", out)
	}
	after := content(t, e)
	if diff := cmp.Diff(before["1 large"]+before["1 dir/b.txt"]+before["0 large"], after["1 large"]+after["1 dir/b.txt"]+after["0 large"]); diff != "" {
		t.Error(diff)
	}
	if got, err := pulled(t, d); err != nil || len(got) != 4 {
		t.Errorf("%v, %v", got, err)
	}
}

// One frame is damaged: the others survive in a new pack, and the lost chunk comes back
// from the file.
func TestPacksSalvagesAndTakesTheRestFromFiles(t *testing.T) {
	m, d := clinic(t)
	before := content(t, d)
	damage(t, m, d, "large", 1)
	if _, err := pulled(t, d); err == nil {
		t.Fatal("a pull did not notice")
	}
	out := mend(t, d, true)
	if out.Frames == 0 || out.FromFiles != 1 || len(out.Holes) > 0 || out.Elsewhere != 0 {
		t.Errorf("%+v", out)
	}
	if diff := cmp.Diff(before, content(t, d)); diff != "" {
		t.Error(diff)
	}
	got, err := pulled(t, d)
	must(t, err)
	if len(got) != 4 || got["large"] != fmt.Sprintf("%x", sha256.Sum256([]byte(d.Read("large")))) {
		t.Errorf("a new device pulled %v", got)
	}
	r := run(t, d)
	if r.Damage() || len(r.Damaged) != 1 {
		t.Errorf("after the repair: %+v", r)
	}
	// A second repair has nothing to do.
	position := d.State().Position()
	if out := mend(t, d, true); out.Frames+out.FromFiles+len(out.Holes) > 0 || d.State().Position() != position {
		t.Errorf("a second time: %+v", out)
	}
	if s := d.State().Snapshots(ledger.Workspace{}); len(s) != 2 {
		t.Errorf("%d snapshots", len(s))
	}
}

// If the file is gone, or other by now, the hole is listed, and nothing fills it.
func TestPacksListsHoles(t *testing.T) {
	m, d := clinic(t)
	before := content(t, d)
	damage(t, m, d, "large", 1)
	d.Write("large", noise(3, 5<<20))
	out := mend(t, d, true)
	if len(out.Holes) != 1 || out.Holes[0].Path != "large" || len(out.Holes[0].Snapshots()) != 2 || out.FromFiles != 0 {
		t.Errorf("%+v", out)
	}
	after := content(t, d)
	for name, was := range before {
		if hole := strings.HasSuffix(name, " large"); hole == (after[name] == was) {
			t.Errorf("%s: %s", name, after[name])
		}
	}
	if _, err := pulled(t, d); err == nil {
		t.Error("a pull filled the hole")
	}
	r := run(t, d)
	if !r.Damage() {
		t.Error("the hole is not damage")
	}
	// Without the files nothing is looked for in them.
	d.Write("large", noise(1, 5<<20))
	if out := mend(t, d, false); len(out.Holes) != 1 {
		t.Errorf("without files: %+v", out)
	}
	if out := mend(t, d, true); len(out.Holes) != 0 || out.FromFiles != 1 {
		t.Errorf("with the file back: %+v", out)
	}
	if diff := cmp.Diff(before, content(t, d)); diff != "" {
		t.Error(diff)
	}
}

// A pack that is gone altogether: everything in it comes from the files, as far as they have it.
func TestPacksAfterALostPack(t *testing.T) {
	for _, path := range []string{"large", "middle"} { // a data pack, and a tree pack with trees and a manifest
		m, d := clinic(t)
		before := content(t, d)
		loc, _, _ := where(t, d, path, 0)
		m.Corrupt(loc.Pack.Name(), func([]byte) []byte { return nil })
		out := mend(t, d, true)
		var holes []string
		for _, h := range out.Holes {
			holes = append(holes, h.Path)
		}
		want, old := "a.txt", "0 a.txt" // of which the files have a newer one
		if path == "middle" {
			want, old = "", "" // the manifest alone is nowhere else
		}
		if !slices.Equal(holes, []string{want}) {
			t.Errorf("%s: holes %q, %+v", path, holes, out)
		}
		after := content(t, d)
		after[old] = before[old]
		delete(after, "")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		if _, err := pulled(t, d); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A damaged pack whose chunks lie in another one too costs nobody anything.
func TestPullPassesOverADamagedPack(t *testing.T) {
	m, d := clinic(t)
	damage(t, m, d, "large", 1)
	mend(t, d, true)
	loc, _, _ := where(t, d, "large", 0)
	e := d.Join(m)
	must(t, e.Sync())
	newest, _ := snapshot.Newest(e.State(), e.Lineage.Workspace)
	root, err := durable.OpenRoot(e.Root)
	must(t, err)
	defer root.Close()
	plan, err := restore.Make(ctx, restore.Options{Store: e.Store, Keys: e.Access.Keys, Index: e.Index, Reader: e.Reader, Root: root, Target: newest.Root,
		Local: func(remote string) (string, bool) { return strings.TrimSuffix(remote, "/"), true }, Empty: true})
	must(t, err)
	must(t, plan.Run(ctx, nil))
	if e.Read("large") != d.Read("large") {
		t.Error("other bytes")
	}
	if loc.Pack.Kind() == 'd' && len(plan.Damaged) > 1 {
		t.Errorf("damaged: %d packs", len(plan.Damaged))
	}
}

// A push that knows of the damage sends again what it has, with no new snapshot if nothing is new.
func TestPushSendsDamagedChunksAgain(t *testing.T) {
	for _, c := range []struct {
		path   string
		nth    int
		change bool
	}{{"large", 1, false}, {"large", 1, true}, {"middle", 0, false}} {
		m, d := clinic(t)
		before := content(t, d)
		damage(t, m, d, c.path, c.nth)
		loc, _, _ := where(t, d, c.path, c.nth)
		if out := d.MustPush(); out.Snapshot != (pack.ID{}) || out.Stored > 0 {
			t.Fatalf("a push that knows of nothing: %+v", out)
		}
		if c.change {
			d.Write("a.txt", "changed again")
		}
		push := d.Push()
		push.Damaged = map[pack.Key]bool{loc.Pack: true}
		out, err := push.Run(ctx)
		must(t, err)
		if (out.Snapshot != pack.ID{}) != c.change || out.Stored == 0 {
			t.Errorf("%+v: %+v", c, out)
		}
		after := content(t, d)
		for name, was := range before {
			if after[name] != was {
				t.Errorf("%+v: %s: %s", c, name, after[name])
			}
		}
		if _, err := pulled(t, d); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		push = d.Push()
		push.Damaged = map[pack.Key]bool{loc.Pack: true}
		if out, err := push.Run(ctx); err != nil || out.Stored > 0 || out.Read > 0 {
			t.Errorf("%+v: a second time: %+v, %v", c, out, err)
		}
	}
}

// A file of lists is compared list by list, and read again only if a chunk of it is lost.
func TestPushReadsOnlyFilesThatLostSomething(t *testing.T) {
	m := storetest.NewMemory()
	d := snapshottest.Found(t, m)
	database := "SQLite format 3\x00" + noise(5, 80*256<<10)
	d.Write("other", noise(6, 4<<20))
	d.MustPush()
	d.Write("db", database)
	d.MustPush()
	for path, want := range map[string]int64{"other": 4 << 20, "db": int64(len(database))} {
		loc, _, _ := where(t, d, path, 3)
		push := d.Push()
		push.Damaged = map[pack.Key]bool{loc.Pack: true}
		out, err := push.Run(ctx)
		must(t, err)
		if out.Read != want || out.Stored < 1<<20 {
			t.Errorf("%s: %d bytes read, %d stored; want %d", path, out.Read, out.Stored, want)
		}
	}
}

// Each call of a repair may fail, also after it has landed; the next repair finishes, and at no
// time is anything worse than it was.
func TestPacksThroughFaults(t *testing.T) {
	m, d := clinic(t)
	before := content(t, d)
	damage(t, m, d, "large", 1)
	report := run(t, d)
	d.Close()
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		for k := 0; ; k++ {
			s := m.Clone()
			e := &snapshottest.Device{T: t, Name: d.Name, Root: d.Root, Home: t.TempDir(), Lineage: d.Lineage}
			must(t, os.CopyFS(e.Home, os.DirFS(d.Home)))
			keys, err := filepath.Glob(filepath.Join(e.Home, "config", "*", "device.key"))
			must(t, err)
			must(t, os.Chmod(keys[0], 0o600))
			f := storetest.NewFaults(s)
			e.Reopen(f)
			must(t, e.Sync())
			f.FailAt(k, mode)
			o := repair.PackOptions{Push: e.Push(), Files: true, Damaged: report.Damaged, Lost: report.Lost}
			_, err = repair.Packs(ctx, o)
			injected := f.Injected()
			f.Heal()
			if err != nil {
				must(t, e.Sync())
				o.Push = e.Push()
				_, err = repair.Packs(ctx, o)
				must(t, err)
			}
			if diff := cmp.Diff(before, content(t, e)); diff != "" {
				t.Errorf("call %d, %v: %s", k, mode, diff)
			}
			e.Close()
			if !injected {
				break
			}
		}
	}
}
