package index

import (
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"satchel/store/pack"
)

func TestUpdateTwiceIsOnce(t *testing.T) {
	x, src := newIndex(t), newSeed(t)
	m := newModel()
	a, b := randomPacks(m, src, 5, 30), randomPacks(m, src, 5, 30)
	mustUpdate(t, x, m, 1, a, nil)
	for range 2 {
		mustUpdate(t, x, m, 2, append(b, a[0]), []pack.Key{a[1].Key, {9}})
		m.compare(t, x)
	}
	if x.Tie() != (Tie{Position: 2}) {
		t.Fatal(x.Tie())
	}
	next := x.state.Load().next
	if next != 11 {
		t.Fatalf("%d numbers for 10 packs", next-1)
	}
}

func TestUpdateReplacesWhatTheLedgerSaysOtherwise(t *testing.T) {
	x, src := newIndex(t), newSeed(t)
	p := rawPack(1, []pack.ID{randomID(src), randomID(src)})
	mustUpdate(t, x, nil, 1, []Pack{p}, nil)
	q := rawPack(1, []pack.ID{randomID(src)})
	q.Key = p.Key
	m := newModel()
	mustUpdate(t, x, m, 2, []Pack{q}, nil)
	m.compare(t, x)
	if _, ok, err := x.Lookup(directoryIDs(p)[0]); ok || err != nil {
		t.Fatal(ok, err)
	}
	p.Size++
	m = newModel()
	mustUpdate(t, x, m, 3, []Pack{p}, []pack.Key{p.Key})
	m.compare(t, x)
}

func TestUpdateRefusesWhatIsNotAPack(t *testing.T) {
	x, src := newIndex(t), newSeed(t)
	good, p := rawPack(1, []pack.ID{randomID(src)}), rawPack(2, []pack.ID{randomID(src)})
	for name, spoil := range map[string]func(*Pack){
		"other directory": func(p *Pack) { p.Hash[0]++ },
		"no directory":    func(p *Pack) { p.Directory = nil },
		"not canonical":   func(p *Pack) { *p = makePack(2); p.Size = 5 },
		"no pack":         func(p *Pack) { p.Key[0] = 'l' },
		"no size":         func(p *Pack) { p.Size = 0 },
		"twice":           func(p *Pack) { *p = good },
	} {
		bad := p
		spoil(&bad)
		if err := x.Update(Tie{Position: 1}, []Pack{good, bad}, nil); err == nil {
			t.Errorf("%s: added", name)
		}
		if err := x.AddUnderway([16]byte{}, bad); err == nil && name != "twice" {
			t.Errorf("%s: under way", name)
		}
	}
	newModel().compare(t, x)
	if x.Tie() != (Tie{}) {
		t.Fatal(x.Tie())
	}
}

// TestUpdateCutShort ends an Update after each of its transactions: what the index then
// says is right, the tie covers nothing, and the same Update completes it.
func TestUpdateCutShort(t *testing.T) {
	src := newSeed(t)
	for cut := 1; ; cut++ {
		path := filepath.Join(t.TempDir(), "index")
		x := mustOpen(t, path)
		m := newModel()
		before := randomPacks(m, src, 10, 60)
		mustUpdate(t, x, m, 1, before, nil)
		add := randomPacks(m, src, 10, 60)
		remove := []pack.Key{before[0].Key, before[1].Key}

		x.step = 300_000
		u, err := x.plan(Tie{Position: 2}, add, remove)
		if err != nil {
			t.Fatal(err)
		}
		done := false
		for i := 0; i < cut && !done; i++ {
			if err := x.update(func(tx *bolt.Tx) (err error) { done, err = u.run(tx); return err }); err != nil {
				t.Fatal(err)
			}
		}
		x.Close()
		x = mustOpen(t, path)
		if done != (x.Tie() == Tie{Position: 2}) || !done && x.Tie() != (Tie{}) {
			t.Fatal(cut, done, x.Tie())
		}
		m.update(t, add, nil) // a superset
		for id := range m.at {
			if l, ok, err := x.Lookup(id); err != nil || ok && !m.right(id, l) {
				t.Fatal(cut, l, ok, err)
			}
		}
		for p, err := range x.Packs() {
			if err != nil || m.packs[p.Key].Hash != p.Hash {
				t.Fatal(cut, p, err)
			}
		}
		m.update(t, nil, remove)
		mustUpdate(t, x, nil, 2, add, remove)
		m.compare(t, x)
		if done {
			if t.Logf("%d transactions", cut); cut < 4 {
				t.Fatal("too few to cut")
			}
			return
		}
	}
}

// TestCommitThatLandedUnseen: a Commit that failed in its last fsync may be there.
func TestCommitThatLandedUnseen(t *testing.T) {
	x, src := newIndex(t), newSeed(t)
	m := newModel()
	old := x.state.Load()
	mustUpdate(t, x, m, 1, randomPacks(m, src, 10, 60), nil)
	x.state.Store(old)
	mustUpdate(t, x, m, 2, randomPacks(m, src, 10, 60), nil)
	m.compare(t, x)
}

func TestOldCopyPutBackIsRepairedByComparing(t *testing.T) {
	src := newSeed(t)
	path := filepath.Join(t.TempDir(), "index")
	x := mustOpen(t, path)
	m := newModel()
	first := randomPacks(m, src, 20, 60)
	mustUpdate(t, x, m, 7, first, nil)
	x.Close()
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	x = mustOpen(t, path)
	mustUpdate(t, x, m, 8, randomPacks(m, src, 20, 60), []pack.Key{first[0].Key})
	x.Close()
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}

	x = mustOpen(t, path)
	if x.Rebuilt() != "" || x.Tie().Position != 7 {
		t.Fatal(x.Rebuilt(), x.Tie())
	}
	add, remove := difference(t, x, m)
	mustUpdate(t, x, nil, 8, add, remove)
	m.compare(t, x)
}

// difference is what separates an index from the truth, as a caller finds it.
func difference(t testing.TB, x *Index, m *model) (add []Pack, remove []pack.Key) {
	here := map[pack.Key][32]byte{}
	for _, p := range allPacks(t, x) {
		here[p.Key] = p.Hash
		if m.packs[p.Key].Hash != p.Hash {
			remove = append(remove, p.Key)
		}
	}
	for k, p := range m.packs {
		if here[k] != p.Hash {
			add = append(add, p)
		}
	}
	return add, remove
}
