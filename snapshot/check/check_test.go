package check_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/index"
	"satchel/snapshot/check"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// hurts is what a report says to be hurt, as snapshot and path.
func (r *repo) hurts(hs []check.Hurt) (out []string) {
	for _, h := range hs {
		for _, v := range h.Snapshots() {
			out = append(out, fmt.Sprintf("%d %s", slices.Index(r.v[:], v), h.Path))
		}
	}
	slices.Sort(out)
	return out
}

// packOf is the name of the pack that has the chunk which these bytes are.
func (r *repo) packOf(t *testing.T, content string) string {
	t.Helper()
	loc, ok, err := r.office.Index.Lookup(pack.Sum([]byte(content)))
	must(t, err)
	if !ok {
		t.Fatal("no such chunk")
	}
	return loc.Pack.Name()
}

func TestCheckReadsNoDataUnlessItIsAskedTo(t *testing.T) {
	r := whole(t)
	c := storetest.NewCounter(r.store)
	rep := r.check(t, c, check.Options{})
	if len(rep.Problems) > 0 || rep.Snapshots != 4 || rep.Packs != len(r.objects["d"])+len(r.objects["t"]) || rep.Entries != uint64(len(r.objects["l"])) {
		t.Errorf("%+v", rep)
	}
	for _, name := range c.Names(storetest.Get) {
		if strings.HasPrefix(name, "d/") || strings.HasPrefix(name, "i/") {
			t.Errorf("%s was read", name)
		}
	}
	if lists := c.Names(storetest.List); len(lists) > 3 {
		t.Errorf("listings of %q", lists)
	}
}

func TestCheckDecryptReadsEachPackInOneRequest(t *testing.T) {
	r := whole(t)
	c := storetest.NewCounter(r.store)
	rep := r.check(t, c, check.Options{Decrypt: true})
	if rep.Opened != rep.Packs {
		t.Errorf("%d packs of %d were opened", rep.Opened, rep.Packs)
	}
	reads := map[string]int{}
	for _, name := range c.Names(storetest.Get) {
		reads[name]++
	}
	for name, n := range reads {
		if most := map[byte]int{'d': 1, 'i': 1, 's': 1, 't': 2}[name[0]]; most > 0 && n > most { // a tree pack also for the walk
			t.Errorf("%s was read %d times", name, n)
		}
	}
}

func TestCheckReadDataTakesTheSamePartForTheSameSeed(t *testing.T) {
	r := whole(t)
	reads := func(part float64, seed uint64) []string {
		c := storetest.NewCounter(r.store)
		r.check(t, c, check.Options{ReadData: part, Seed: seed})
		var out []string
		for _, op := range c.Trace() {
			if op.Kind == storetest.Get && op.N < 0 && strings.ContainsAny(op.Name[:1], "dti") {
				out = append(out, op.Name)
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	if all := reads(1, 1); len(all) != len(r.objects["d"])+len(r.objects["t"])+len(r.objects["i"]) {
		t.Errorf("all are %d objects", len(all))
	}
	seen := map[string]bool{}
	for seed := range uint64(20) {
		part := reads(0.3, seed)
		if diff := cmp.Diff(part, reads(0.3, seed)); diff != "" {
			t.Errorf("seed %d: %s", seed, diff)
		}
		for _, name := range part {
			seen[name] = true
		}
	}
	if len(seen) != len(reads(1, 1)) {
		t.Errorf("20 parts of 30 %% are %d objects", len(seen))
	}
}

// Without reading data, what is missing is found by the listing, and what is damaged in a tree
// by walking it; both name the paths.
func TestCheckNamesPathsFromStructureAlone(t *testing.T) {
	r := whole(t)
	data := r.packOf(t, noise(100, 3000))
	want := []string{"0 large/0.bin", "0 large/too/0.bin", "1 large/0.bin", "1 large/too/0.bin", "2 large/0.bin", "2 large/too/0.bin", "3 large/0.bin", "3 large/too/0.bin"}
	for what, change := range map[string]func([]byte) []byte{
		"gone":     func([]byte) []byte { return nil },
		"cut off":  func(b []byte) []byte { return b[:100] },
		"as small": func(b []byte) []byte { return append(b[:100:100], make([]byte, len(b)-100)...) }, // of the right size
	} {
		m := r.store.Clone()
		m.Corrupt(data, change)
		rep := r.check(t, m, check.Options{})
		p, ok := problemOf(rep, data)
		if what == "as small" {
			if ok {
				t.Errorf("%s: %+v", what, p)
			}
			continue
		}
		if diff := cmp.Diff(want, r.hurts(p.Hurts)); diff != "" || !rep.Damage() || len(rep.Damaged) != 1 || len(rep.Lost) != 2 {
			t.Errorf("%s: %+v\n%s", what, rep, diff)
		}
	}
	newest, _ := r.office.State().Snapshot(r.v[3])
	loc, _, err := r.office.Index.Lookup(newest.Root)
	must(t, err)
	dir, _, err := r.office.Index.Directory(loc.Pack)
	must(t, err)
	tree := loc.Pack.Name()
	m := r.store.Clone()
	m.Corrupt(tree, func(b []byte) []byte { b[dir.Frames()[dir.FrameOf(loc.Chunk)].Offset] ^= 1; return b })
	p, ok := problemOf(r.check(t, m, check.Options{}), tree)
	if !ok || p.Severity != check.Damage || !slices.Contains(r.hurts(p.Hurts), "3 /") {
		t.Errorf("%+v hurts %v", p, r.hurts(p.Hurts))
	}
}

// A pack of which everything lies elsewhere too is worth a word, and no damage.
func TestCheckIsLenientWithDamageThatHurtsNothing(t *testing.T) {
	r := whole(t)
	before := r.store
	r.store = before.Clone()
	r.office.Store, r.office.Access.Log.Store = r.store, r.store
	data := r.packOf(t, noise(100, 3000))
	r.dataPack(t, noise(100, 3000), noise(300, 2000))
	m := r.store.Clone()
	m.Corrupt(data, func([]byte) []byte { return nil })
	rep := r.check(t, m, check.Options{Decrypt: true})
	p, _ := problemOf(rep, data)
	if rep.Damage() || p.Severity != check.Notice || len(p.Hurts) > 0 || len(rep.Damaged) != 1 || len(rep.Lost) > 0 {
		t.Errorf("%+v", rep)
	}
	m.Corrupt(r.newest100(t, data), func(b []byte) []byte { b[100] ^= 1; return b })
	rep = r.check(t, m, check.Options{Decrypt: true})
	if !rep.Damage() || len(rep.Damaged) != 2 || len(rep.Lost) != 1 {
		t.Errorf("with the other location damaged too: %+v", rep)
	}
}

// newest100 is the other pack that has the chunk.
func (r *repo) newest100(t *testing.T, but string) string {
	locs, err := r.office.Index.Locations(pack.Sum([]byte(noise(100, 3000))))
	must(t, err)
	i := slices.IndexFunc(locs, func(l index.Location) bool { return l.Pack.Name() != but })
	return locs[i].Pack.Name()
}

func TestCheckNoticesWhatNobodyAskedFor(t *testing.T) {
	r := whole(t)
	m := r.store.Clone()
	session, err := pack.NewSession(5, rand.Reader)
	must(t, err)
	left := pack.MakeKey(seal.Data, session, [32]byte{7}).Name()
	slot := "k/1/" + strings.Repeat("ab", 16)
	for _, name := range []string{left, "i/" + strings.Repeat("cd", 32), slot, "holiday/photo", "k/1/x", "k/01/ring", "satchel2"} {
		must(t, m.Put(ctx, name, []byte("?")))
	}
	rep := r.check(t, m, check.Options{Decrypt: true})
	if rep.Damage() || len(rep.Unregistered) != 2 {
		t.Errorf("%+v", rep)
	}
	var got []string
	for _, p := range rep.Problems {
		got = append(got, p.Object)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"holiday/photo", "k/01/ring", slot, "k/1/x", "satchel2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCheckOfALedgerThatShrankOrForked(t *testing.T) {
	r := whole(t)
	head := r.office.State().Position()
	m := r.store.Clone()
	for n := head; n > head-3; n-- {
		m.Corrupt(ledger.Name(n), func([]byte) []byte { return nil })
	}
	p, ok := problemOf(r.check(t, m, check.Options{}), ledger.Name(head-2))
	if !ok || p.Severity != check.Damage || !strings.Contains(p.What, "ends at entry") {
		t.Errorf("shrunk: %+v", p)
	}
	// Another device goes on from there.
	other := fresh(t, outlives{t}, r, m)
	defer discard(other)
	must(t, other.Sync())
	for other.State().Position() <= head {
		_, err := other.Access.Log.Append(ctx, other.Access.Me, ledger.Register, func(*ledger.State) (any, error) { return ledger.RegisterContent{}, nil })
		must(t, err)
	}
	rep := r.check(t, m, check.Options{})
	for n := head - 2; n <= head; n++ {
		if p, ok := problemOf(rep, ledger.Name(n)); !ok || p.Severity != check.Damage || !strings.Contains(p.What, "forked") {
			t.Errorf("forked at %d: %+v", n, rep.Problems)
		}
	}
}

// A device that has just joined, without any copy of its own, sees the same damage.
func TestCheckOnANewDevice(t *testing.T) {
	r := whole(t)
	data := r.packOf(t, noise(101, 3000))
	m := r.store.Clone()
	d := fresh(t, outlives{t}, r, m)
	defer discard(d)
	for _, name := range []string{r.objects["i"][0], data} {
		m.Corrupt(name, func([]byte) []byte { return nil })
	}
	rep, err := check.Run(ctx, check.Options{Log: d.Access.Log, Index: d.Index, Me: d.Access.Me, Decrypt: true})
	must(t, err)
	p, ok := problemOf(rep, "") // nobody can tell what was in the pack: its directory lay in the segment
	want := []string{"1 large/1.bin", "1 large/too/1.bin", "2 large/1.bin", "2 large/too/1.bin", "3 large/1.bin", "3 large/too/1.bin"}
	if diff := cmp.Diff(want, r.hurts(p.Hurts)); !ok || diff != "" {
		t.Errorf("%+v\n%s", rep.Problems, diff)
	}
	for _, name := range []string{r.objects["i"][0], data} {
		if p, ok := problemOf(rep, name); !ok || p.Severity != check.Damage {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestNoteRemembersKeysAndDamage(t *testing.T) {
	r := whole(t)
	path := filepath.Join(t.TempDir(), "state", "health.json")
	open := func() *check.Note {
		n, err := check.OpenNote(path)
		must(t, err)
		return n
	}
	note := open()
	if note.Damaged() != nil {
		t.Error("an empty note has damage")
	}
	data := r.packOf(t, noise(100, 3000))
	m := r.store.Clone()
	m.Corrupt(data, func(b []byte) []byte { b[100] ^= 1; return b })
	r.check(t, m, check.Options{Decrypt: true, Note: note})
	must(t, note.Save())
	note = open()
	if k, _ := pack.ParseName(data); len(note.Damaged()) != 1 || !note.Damaged()[k] {
		t.Errorf("noted %v", note.Damaged())
	}
	// It is put right from outside: the next look finds it whole, a look at the structure does not look.
	r.check(t, r.store, check.Options{Note: note})
	if len(note.Damaged()) != 1 {
		t.Error("forgotten without a look")
	}
	r.check(t, r.store, check.Options{Decrypt: true, Note: note})
	if note.Damaged() != nil {
		t.Errorf("still noted %v", note.Damaged())
	}
	// What the ledger does not know is nothing to remember.
	note.Add(pack.Key{'d'})
	r.check(t, r.store, check.Options{Note: note})
	must(t, note.Save())
	if note = open(); note.Damaged() != nil {
		t.Errorf("still noted %v", note.Damaged())
	}
	m = r.store.Clone()
	m.Corrupt(r.objects["p"][0], func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	if rep := r.check(t, m, check.Options{Note: note}); !rep.Damage() {
		t.Error("a change of a key is not noticed")
	}
	must(t, os.WriteFile(path, []byte("{"), 0o600))
	if open().Damaged() != nil {
		t.Error("a torn note has damage")
	}
}

// Ten snapshots of one tree cost little more than one.
func TestCheckReadsSharedNodesOnce(t *testing.T) {
	r := whole(t)
	r.store = r.store.Clone()
	r.office.Store, r.office.Access.Log.Store = r.store, r.store
	d := r.office
	for n := range 10 {
		d.Write("letter.txt", fmt.Sprintf("draft %d", n))
		d.MustPush()
	}
	c := storetest.NewCounter(r.store)
	rep := r.check(t, c, check.Options{})
	trees := 0
	for _, name := range c.Names(storetest.Get) {
		if name[0] == 't' {
			trees++
		}
	}
	if live := len(d.State().Packs()) - len(r.objects["d"]); trees > live || rep.Snapshots != 14 {
		t.Errorf("%d reads of %d tree packs for %d snapshots", trees, live, rep.Snapshots)
	}
}

// A push that ends while a check is under way is no damage.
func TestCheckBesideAPush(t *testing.T) {
	r := whole(t)
	m := r.store.Clone()
	other := fresh(t, outlives{t}, r, m)
	defer discard(other)
	mustPull(t, other, r.v[3])
	f := storetest.NewFaults(m)
	var mu sync.Mutex
	n := 0
	f.Before = func(op storetest.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind == storetest.List || op.Name[0] == 'd' {
			n++
			other.Write("letter.txt", fmt.Sprintf("draft %d", n))
			other.MustPush()
		}
		return nil
	}
	rep := r.check(t, f, check.Options{Decrypt: true})
	if rep.Damage() || n < 4 {
		t.Errorf("%d pushes: %+v", n, rep.Problems)
	}
}
