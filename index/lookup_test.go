package index

import (
	"cmp"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"satchel/store/pack"
)

// model is what an index ought to know.
type model struct {
	packs map[pack.Key]Pack
	dirs  map[pack.Key]*pack.Directory
	at    map[pack.ID][]pack.Key
}

func newModel() *model {
	return &model{map[pack.Key]Pack{}, map[pack.Key]*pack.Directory{}, map[pack.ID][]pack.Key{}}
}

func (m *model) update(t testing.TB, add []Pack, remove []pack.Key) {
	t.Helper()
	for _, k := range remove {
		d, ok := m.dirs[k]
		if !ok {
			continue
		}
		for c := range d.Len() {
			m.at[d.ID(c)] = slices.DeleteFunc(m.at[d.ID(c)], func(o pack.Key) bool { return o == k })
		}
		delete(m.packs, k)
		delete(m.dirs, k)
	}
	for _, p := range add {
		d, err := pack.ParseDirectory(p.Directory)
		if err != nil {
			t.Fatal(err)
		}
		if m.dirs[p.Key] != nil {
			continue
		}
		m.packs[p.Key], m.dirs[p.Key] = p, d
		for c := range d.Len() {
			m.at[d.ID(c)] = append(m.at[d.ID(c)], p.Key)
		}
	}
}

// right reports whether a location is one of the chunk.
func (m *model) right(id pack.ID, l Location) bool {
	d := m.dirs[l.Pack]
	return d != nil && l.Chunk < d.Len() && d.ID(l.Chunk) == id && d.Size(l.Chunk) == l.Size &&
		d.Frames()[d.FrameOf(l.Chunk)].Coding.Delta() == l.Delta
}

// compare looks everything up. A miss of what is known is wrong too.
func (m *model) compare(t testing.TB, x *Index) {
	t.Helper()
	for id, keys := range m.at {
		l, ok, err := x.Lookup(id)
		if err != nil || ok != (len(keys) > 0) || ok && !m.right(id, l) {
			t.Fatalf("Lookup(%x) = %+v, %v, %v, want one of %d", id, l, ok, err, len(keys))
		}
	}
	chunks := 0
	for k, d := range m.dirs {
		chunks += d.Len()
		got, ok, err := x.Directory(k)
		if err != nil || !ok || got.Hash() != d.Hash() {
			t.Fatalf("Directory(%s) = %v, %v", k.Name(), ok, err)
		}
	}
	m.comparePacks(t, x)
	s, err := x.Summary()
	if err != nil || s.Packs != len(m.packs) || s.Chunks != chunks || s.Size == 0 {
		t.Fatalf("Summary = %+v, %v, want %d packs, %d chunks", s, err, len(m.packs), chunks)
	}
}

func (m *model) comparePacks(t testing.TB, x *Index) {
	t.Helper()
	var want []Pack
	for _, p := range m.packs {
		p.Directory = nil
		want = append(want, p)
	}
	slices.SortFunc(want, func(a, b Pack) int { return slices.Compare(a.Key[:], b.Key[:]) })
	if diff := gocmp.Diff(want, allPacks(t, x)); diff != "" {
		t.Fatal(diff)
	}
}

func allPacks(t testing.TB, x *Index) (packs []Pack) {
	t.Helper()
	for p, err := range x.Packs() {
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, p)
	}
	return packs
}

func mustUpdate(t testing.TB, x *Index, m *model, tie uint64, add []Pack, remove []pack.Key) {
	t.Helper()
	if err := x.Update(Tie{Position: tie}, add, remove); err != nil {
		t.Fatal(err)
	}
	if m != nil {
		m.update(t, add, remove)
	}
}

// newSeed makes the source of a random test and logs its seed.
func newSeed(t testing.TB) *rand.ChaCha8 {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	return seeded(n)
}

// randomPacks makes n packs of up to size chunks. One chunk in ten is one that m knows,
// one pack in four is of session 0 and up, some frames hold many chunks, some are deltas.
func randomPacks(m *model, src *rand.ChaCha8, n, size int) []Pack {
	r := rand.New(src)
	var known []pack.ID
	for id := range m.at {
		if known = append(known, id); len(known) == 1000 {
			break
		}
	}
	slices.SortFunc(known, func(a, b pack.ID) int { return cmp.Compare(a[0], b[0]) })
	var packs []Pack
	for range n {
		var frames []*pack.Frame
		in := map[pack.ID]bool{}
		for left := 1 + r.IntN(size); left > 0; {
			var ids []pack.ID
			for range min(left, 1+r.IntN(8)) {
				id := randomID(src)
				if len(known) > 0 && r.IntN(10) == 0 {
					id = known[r.IntN(len(known))]
				}
				if left--; !in[id] {
					in[id], ids = true, append(ids, id)
				}
			}
			switch {
			case len(ids) == 1 && len(known) > 0:
				frames = append(frames, makeDelta(ids[0], known[0]))
			case len(ids) > 0:
				frames = append(frames, makeFrame(ids...))
			}
		}
		if len(frames) > 0 {
			packs = append(packs, makePack(r.Uint64N(1000), frames...))
		}
	}
	return packs
}

func TestLookupAgreesWithAMap(t *testing.T) {
	src := newSeed(t)
	r := rand.New(src)
	path := filepath.Join(t.TempDir(), "index")
	x := mustOpen(t, path)
	m := newModel()
	for round := range 20 {
		x.step = []int{stepBytes, 100_000, 1 << 20}[round%3]
		add := randomPacks(m, src, 40, 500)
		var remove []pack.Key
		for k := range m.packs {
			if r.IntN(20) == 0 {
				remove = append(remove, k)
			}
		}
		mustUpdate(t, x, m, uint64(round+1), add, remove)
		if round%5 == 4 {
			x.Close()
			x = mustOpen(t, path)
			m.comparePacks(t, x)
			if x.Rebuilt() != "" || x.Tie().Position != uint64(round+1) {
				t.Fatal(x.Rebuilt(), x.Tie())
			}
		}
	}
	t.Logf("%d chunks in %d packs", len(m.at), len(m.packs))
	m.compare(t, x)
	for range 10_000 {
		if l, ok, err := x.Lookup(randomID(src)); ok || err != nil {
			t.Fatal(l, ok, err)
		}
	}
	near := 0
	for id := range m.at { // as like as can be
		if near++; near > 20_000 {
			break
		}
		id[31]++
		if l, ok, err := x.Lookup(id); ok || err != nil {
			t.Fatal(l, ok, err)
		}
	}
}

func TestLookupTellsEveryPlace(t *testing.T) {
	x, src := newIndex(t), newSeed(t)
	a, b := randomID(src), randomID(src)
	full := makePack(3, makeFrame(b, a))
	delta := makePack(2, makeFrame(b), makeDelta(a, b))
	twin := makePack(1, makeFrame(a))
	mustUpdate(t, x, nil, 1, []Pack{delta}, nil)
	want := Location{Pack: delta.Key, Chunk: 1, Size: sizeOf(a), Delta: true}
	if l, ok, err := x.Lookup(a); !ok || err != nil || l != want {
		t.Fatal(l, ok, err)
	}
	mustUpdate(t, x, nil, 2, []Pack{full, twin}, nil)
	if l, ok, err := x.Lookup(a); !ok || err != nil || l.Delta {
		t.Fatal(l, ok, err)
	}
	locs, err := x.Locations(a)
	all := []Location{want, {full.Key, 1, sizeOf(a), false}, {twin.Key, 0, sizeOf(a), false}}
	if diff := gocmp.Diff(all, locs); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	mustUpdate(t, x, nil, 3, nil, []pack.Key{full.Key, twin.Key})
	if l, ok, err := x.Lookup(a); !ok || err != nil || l != want {
		t.Fatal(l, ok, err)
	}
	if locs, err := x.Locations(randomID(src)); locs != nil || err != nil {
		t.Fatal(locs, err)
	}
}

func TestIdsWithTheSameBeginningAreTold(t *testing.T) {
	x, src := newIndex(t), newSeed(t)
	a := randomID(src)
	ids := make([]pack.ID, 50)
	for i := range ids {
		ids[i] = a
		ids[i][20] = byte(i)
	}
	p, q := rawPack(1, ids[:25]), rawPack(2, ids[25:])
	m := newModel()
	mustUpdate(t, x, m, 1, []Pack{p, q}, nil)
	m.compare(t, x)
	a[20] = 50
	if l, ok, err := x.Lookup(a); ok || err != nil {
		t.Fatal(l, err)
	}
}

func TestReadersAndWritersAtOnce(t *testing.T) {
	x, src := newIndex(t), newSeed(t)
	x.step = 50_000
	m := newModel()
	keep := randomPacks(m, src, 50, 100)
	mustUpdate(t, x, m, 1, keep, nil)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				for id := range m.at {
					select {
					case <-stop:
						return
					default:
					}
					if l, ok, err := x.Lookup(id); !ok || err != nil || !m.right(id, l) && l.Pack.Session().Began() < 5000 {
						t.Error(l, ok, err)
						return
					}
				}
				for _, err := range x.Packs() {
					if err != nil {
						t.Error(err)
					}
				}
				x.Directory(keep[0].Key)
				x.Dir([16]byte{}, "d")
			}
		})
	}
	wg.Go(func() {
		for i := range 50 {
			x.PutDirs([16]byte{}, one("d", Dir{Node: make([]byte, i*1000)}), nil)
			x.AddUnderway([16]byte{}, keep[0])
		}
	})
	for i := range 20 {
		p := randomPacks(newModel(), src, 10, 100)
		for j := range p {
			p[j] = rawPack(uint64(10_000+100*i+j), directoryIDs(p[j]))
		}
		mustUpdate(t, x, nil, uint64(i+2), p, nil)
	}
	close(stop)
	wg.Wait()
}

func directoryIDs(p Pack) (ids []pack.ID) {
	d, err := pack.ParseDirectory(p.Directory)
	if err != nil {
		panic(err)
	}
	for c := range d.Len() {
		ids = append(ids, d.ID(c))
	}
	return ids
}
