package index

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"satchel/store/pack"
)

// sample is a file with all that an index holds, and an older version of it.
type sample struct {
	m         *model
	dirs      map[string]Dir
	underway  map[pack.Key]Pack
	old, file []byte
}

func makeSample(t testing.TB, src *rand.ChaCha8) *sample {
	path := filepath.Join(t.TempDir(), "sample")
	x := mustOpen(t, path)
	s := &sample{m: newModel(), dirs: map[string]Dir{}, underway: map[pack.Key]Pack{}}
	fill := func(tie uint64) {
		var remove []pack.Key
		for k := range s.m.packs {
			remove = append(remove, k)
			break
		}
		mustUpdate(t, x, s.m, tie, randomPacks(s.m, src, 15, 80), remove)
		for i := range 200 {
			d := Dir{Node: make([]byte, 20+i%100)}
			src.Read(d.Node)
			for range i % 10 {
				d.Stats = append(d.Stats, Stat{Size: int64(i), Inode: src.Uint64(), Mtime: int64(tie)})
			}
			s.dirs[fmt.Sprintf("dir %d/%d", i%20, i)] = d
		}
		if err := x.PutDirs(repo, maps.All(s.dirs), nil); err != nil {
			t.Fatal(err)
		}
		for _, p := range randomPacks(s.m, src, 5, 50) {
			s.underway[p.Key] = p
			if err := x.AddUnderway(repo, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func() []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	fill(1)
	s.old = read()
	fill(2)
	x.Close()
	s.file = read()
	return s
}

// question asks an index of the sample for everything. What it answers must be right,
// or the error ErrTorn; nothing may be missing in rows and packs unless stale is set.
func (s *sample) question(t testing.TB, x *Index, stale bool) error {
	t.Helper()
	for id, keys := range s.m.at {
		l, ok, err := x.Lookup(id)
		switch {
		case err != nil:
			return err
		case ok && !s.m.right(id, l) && !stale:
			t.Fatalf("Lookup(%x) = %+v", id, l)
		case !ok && len(keys) > 0 && !stale:
			t.Fatalf("Lookup(%x) misses", id)
		case ok: // what is stale may be in a pack that is gone since, but in it it is
			d, ok, err := x.Directory(l.Pack)
			if err != nil {
				return err
			}
			if !ok || d.ID(l.Chunk) != id || d.Size(l.Chunk) != l.Size {
				t.Fatalf("Lookup(%x) = %+v, and it is not there", id, l)
			}
		}
	}
	n := 0
	for p, err := range x.Packs() {
		if err != nil {
			return err
		}
		if want, ok := s.m.packs[p.Key]; !stale && (!ok || want.Hash != p.Hash || want.Size != p.Size) {
			t.Fatalf("Packs: %+v", p)
		}
		n++
	}
	if n != len(s.m.packs) && !stale {
		t.Fatalf("%d packs of %d", n, len(s.m.packs))
	}
	for path, want := range s.dirs {
		d, ok, err := x.Dir(repo, path)
		if err != nil {
			return err
		}
		if ok && !stale && gocmp.Diff(d, want) != "" {
			t.Fatalf("Dir(%s) = %v", path, d)
		}
	}
	packs, err := x.Underway(repo)
	for _, p := range packs {
		if want := s.underway[p.Key]; gocmp.Diff(p, want) != "" {
			t.Fatalf("Underway: %+v", p)
		}
	}
	return err
}

// survive opens a damaged file, asks, and brings the index up to date as a push does: with a
// new file if this one is torn.
func (s *sample) survive(t testing.TB, path string, stale bool) (rebuilt bool) {
	t.Helper()
	x := mustOpen(t, path)
	if x.Tie() != (Tie{}) {
		err := s.question(t, x, stale)
		if err == nil {
			err = s.repair(t, x)
		}
		if err == nil {
			x.Close()
			return false
		}
		if !errors.Is(err, ErrTorn) {
			t.Fatal(err)
		}
		if _, _, err := x.Lookup(pack.ID{}); !errors.Is(err, ErrTorn) && x.state.Load().prefixes.has(0) {
			t.Fatal("a torn index goes on:", err)
		}
		x.Close()
		if x = mustOpen(t, path); x.Rebuilt() == "" || x.Tie() != (Tie{}) {
			t.Fatal("opened again after", err)
		}
	}
	if err := s.repair(t, x); err != nil {
		t.Fatal(err)
	}
	x.Close()
	return true
}

func (s *sample) repair(t testing.TB, x *Index) error {
	t.Helper()
	here := map[pack.Key][32]byte{}
	var remove []pack.Key
	for p, err := range x.Packs() {
		if err != nil {
			return err
		}
		if here[p.Key] = p.Hash; s.m.packs[p.Key].Hash != p.Hash {
			remove = append(remove, p.Key)
		}
	}
	var add []Pack
	for k, p := range s.m.packs {
		if here[k] != p.Hash {
			add = append(add, p)
		}
	}
	if err := x.Update(Tie{Position: 3}, add, remove); err != nil {
		return err
	}
	if err := x.PutDirs(repo, maps.All(s.dirs), nil); err != nil {
		return err
	}
	return nil
}

func writeFile(t testing.TB, b []byte) string {
	path := filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTruncatedFile(t *testing.T) {
	src := newSeed(t)
	s := makeSample(t, src)
	r := rand.New(src)
	t.Logf("%d bytes", len(s.file))
	var sizes []int
	for n := 0; n < len(s.file); n += pageSize {
		sizes = append(sizes, n)
	}
	for range 8 {
		n := r.IntN(len(s.file)/pageSize) * pageSize
		sizes = append(sizes, n+1, max(n-1, 0), r.IntN(len(s.file)))
	}
	whole := 0
	for _, n := range sizes {
		path := writeFile(t, s.file[:n])
		if !s.survive(t, path, false) {
			whole++ // what was cut off was not in use
		}
	}
	t.Logf("%d of %d sizes needed no rebuilding", whole, len(sizes))
}

// damages change a copy of a file.
var damages = []struct {
	name  string
	stale bool // there may be content of before, see question
	spoil func(b []byte, r *rand.Rand)
}{
	{"a byte", false, func(b []byte, r *rand.Rand) { b[r.IntN(len(b))] ^= byte(1 + r.IntN(255)) }},
	{"a bit", false, func(b []byte, r *rand.Rand) { b[r.IntN(len(b))] ^= 1 << r.IntN(8) }},
	{"bytes", false, func(b []byte, r *rand.Rand) {
		for range 20 {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
	}},
	{"page heads", false, func(b []byte, r *rand.Rand) {
		for range 3 {
			b[r.IntN(len(b)/pageSize)*pageSize+r.IntN(100)] = byte(r.IntN(40))
		}
	}},
	{"garbage", false, func(b []byte, r *rand.Rand) {
		at := r.IntN(len(b))
		for i := at; i < min(len(b), at+r.IntN(5000)); i++ {
			b[i] = byte(r.Uint32())
		}
	}},
	{"a page of zeros", false, func(b []byte, r *rand.Rand) { clear(somePage(b, r)) }},
	{"a page twice", false, func(b []byte, r *rand.Rand) { copy(somePage(b, r), somePage(b, r)) }},
	{"a page twice, with the right number", true, func(b []byte, r *rand.Rand) {
		copy(somePage(b, r)[8:], somePage(b, r)[8:])
	}},
}

func somePage(b []byte, r *rand.Rand) []byte {
	n := r.IntN(len(b)/pageSize) * pageSize
	return b[n : n+pageSize]
}

func TestDamagedFile(t *testing.T) {
	src := newSeed(t)
	s := makeSample(t, src)
	r := rand.New(src)
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			rebuilt := 0
			for range 1 + *tries/len(damages) {
				b := bytes.Clone(s.file)
				d.spoil(b, r)
				path := writeFile(t, b)
				if !d.stale && r.IntN(2) == 0 {
					stamp(path) // it rotted
				}
				if s.survive(t, path, d.stale) {
					rebuilt++
				}
			}
			t.Logf("%d rebuilt", rebuilt)
		})
	}
}

// TestLostWrites: some pages are of an older version, as after a disk that lied. Then a chunk may be
// missed, but never found where it is not.
func TestLostWrites(t *testing.T) {
	src := newSeed(t)
	s := makeSample(t, src)
	r := rand.New(src)
	rebuilt := 0
	for range 1 + *tries/4 {
		b := bytes.Clone(s.file)
		for range 1 + r.IntN(5) {
			n := r.IntN(len(s.old)/pageSize) * pageSize
			copy(b[n:], s.old[n:n+pageSize])
		}
		if s.survive(t, writeFile(t, b), true) {
			rebuilt++
		}
	}
	t.Logf("%d rebuilt", rebuilt)
}

// TestDamagedWhileOpen damages the file behind the memory map.
func TestDamagedWhileOpen(t *testing.T) {
	src := newSeed(t)
	s := makeSample(t, src)
	r := rand.New(src)
	torn := 0
	for range 1 + *tries/4 {
		path := writeFile(t, s.file)
		x := mustOpen(t, path)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 { // not the metas: bbolt believes what it read
			f.WriteAt([]byte{byte(r.Uint32())}, 2*pageSize+r.Int64N(int64(len(s.file)-2*pageSize)))
		}
		err = s.question(t, x, false)
		if err == nil {
			err = s.repair(t, x)
		}
		if err != nil {
			torn++
			if !errors.Is(err, ErrTorn) {
				t.Fatal(err)
			}
		}
		f.Close()
		x.Close()
		s.survive(t, path, false)
	}
	t.Logf("%d torn", torn)
}

// TestTruncatedWhileOpen cuts the file under the memory map.
func TestTruncatedWhileOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut")
	}
	s := makeSample(t, newSeed(t))
	for n := 0; n < len(s.file); n += len(s.file) / 10 {
		path := writeFile(t, s.file)
		x := mustOpen(t, path)
		if err := os.Truncate(path, int64(n)); err != nil {
			t.Fatal(err)
		}
		err := s.question(t, x, false)
		if err == nil {
			err = s.repair(t, x)
		}
		if err != nil && !errors.Is(err, ErrTorn) || err == nil && n < len(s.file)/4 {
			t.Fatal(n, err)
		}
		if again := x.PutDirs(repo, one("d", Dir{}), nil); err != nil && !errors.Is(again, ErrTorn) {
			t.Fatal(n, again)
		}
		if err := x.Close(); err != nil {
			t.Error(n, err)
		}
		s.survive(t, path, false)
	}
}

// TestBranchesInACircle: bbolt would descend until the stack is full, which no recover
// catches.
func TestBranchesInACircle(t *testing.T) {
	s := makeSample(t, newSeed(t))
	self, leaf := 0, 0
	for n := 2 * pageSize; n < len(s.file); n += pageSize {
		page := s.file[n : n+pageSize]
		id := uint64(n / pageSize)
		if native.Uint16(page[8:]) != branchFlag || native.Uint64(page) != id {
			continue
		}
		// A branch that names itself.
		b := bytes.Clone(s.file)
		for i := range int(native.Uint16(page[10:])) {
			native.PutUint64(b[n+pageHead+elemSize*i+8:], id)
		}
		path := writeFile(t, b)
		stamp(path)
		if strings.Contains(mustOpen(t, path).Rebuilt(), "twice") {
			self++
		}
		// A leaf that became a copy of its branch, under its own number.
		b = bytes.Clone(s.file)
		child := int(native.Uint64(page[pageHead+elemSize+8:]))
		copy(b[child*pageSize+8:(child+1)*pageSize], page[8:])
		if strings.Contains(mustOpen(t, writeFile(t, b)).Rebuilt(), "twice") {
			leaf++
		}
	}
	if self < 2 || leaf < 2 {
		t.Fatalf("found %d and %d", self, leaf)
	}
}

// TestCloseStamps: only a file that was closed as it ought to be is read by its skeleton.
func TestCloseStamps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	is := func(want bool) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil || stamped(info) != want {
			t.Fatal(info.ModTime(), err)
		}
	}
	x := mustOpen(t, path)
	mustUpdate(t, x, nil, 1, nil, nil)
	is(false)
	x.Close()
	is(true)
	x = mustOpen(t, path)
	is(true)
	x.settle(torn("for this test"))
	x.Close()
	is(false)
}
