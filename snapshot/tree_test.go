package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"satchel/index"
	"satchel/store/canon"
	"satchel/store/ledger"
	"satchel/store/pack"
)

func file(name string, ids ...byte) Entry {
	e := Entry{Name: []byte(name), Mode: 0o644, Mtime: 1}
	for _, b := range ids {
		e.IDs = append(e.IDs, bytes.Repeat([]byte{b}, 32)...)
	}
	e.Size = uint64(len(ids)) * 1000
	return e
}

func TestNodeRefusesWhatIsNotCanonical(t *testing.T) {
	dir := Entry{Name: []byte("d"), Type: Dir, Node: pack.ID{1}}
	link := Entry{Name: []byte("l"), Type: Symlink, Target: []byte("t")}
	change := func(e Entry, f func(*Entry)) []Entry { f(&e); return []Entry{e} }
	for _, c := range []struct {
		what string
		es   []Entry
	}{
		{"an empty name", change(file("a"), func(e *Entry) { e.Name = nil })},
		{"dot", []Entry{file(".")}},
		{"dot dot", []Entry{file("..")}},
		{"a slash", []Entry{file("a/b")}},
		{"a NUL", []Entry{file("a\x00b")}},
		{"a long name", []Entry{file(string(bytes.Repeat([]byte{'n'}, 1025)))}},
		{"names out of order", []Entry{file("b"), file("a")}},
		{"a name twice", []Entry{file("a"), file("a")}},
		{"half an id", change(file("a", 1), func(e *Entry) { e.IDs = e.IDs[:31] })},
		{"bytes without chunks", change(file("a"), func(e *Entry) { e.Size = 1 })},
		{"chunks without bytes", change(file("a", 1), func(e *Entry) { e.Size = 0 })},
		{"too deep", change(file("a", 1), func(e *Entry) { e.Depth = 4 })},
		{"a mode of 13 bits", change(file("a", 1), func(e *Entry) { e.Mode = 1 << 12 })},
		{"an unknown type", change(file("a"), func(e *Entry) { e.Type = 7 })},
		{"a directory without a node", change(dir, func(e *Entry) { e.Node = pack.ID{} })},
		{"a directory with content", change(dir, func(e *Entry) { e.Size = 1 })},
		{"a file with a node", change(file("a"), func(e *Entry) { e.Node = pack.ID{1} })},
		{"a link without a target", change(link, func(e *Entry) { e.Target = nil })},
		{"a link to a NUL", change(link, func(e *Entry) { e.Target = []byte("a\x00") })},
		{"a file with a target", change(file("a"), func(e *Entry) { e.Target = []byte("t") })},
	} {
		if _, _, err := parseNode(canon.Marshal(node{Entries: c.es})); !errors.Is(err, ErrTree) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if _, _, err := parseNode(canon.Marshal(node{Entries: []Entry{file("a", 1), dir, link}})); err != nil {
		t.Error(err)
	}
	if _, _, err := parseNode(canon.Marshal(node{Entries: []Entry{file("a")}, Parts: []pack.ID{{1}, {2}}})); !errors.Is(err, ErrTree) {
		t.Errorf("entries and parts: %v", err)
	}
}

// gather keeps what an encoder emits.
func gather(m map[pack.ID][]byte) func(pack.ID, []byte) error {
	return func(id pack.ID, b []byte) error {
		if pack.Sum(b) != id {
			return fmt.Errorf("chunk %x is not what it is called", id[:4])
		}
		m[id] = bytes.Clone(b)
		return nil
	}
}

func TestLargeDirectoryIsSplitWhereNamesSay(t *testing.T) {
	var es []Entry
	for i := range 30_000 {
		es = append(es, file(fmt.Sprintf("file-%06d", i)))
	}
	one, two := map[pack.ID][]byte{}, map[pack.ID][]byte{}
	top, err := encodeNode(es, gather(one))
	if err != nil {
		t.Fatal(err)
	}
	_, parts, err := parseNode(one[top])
	if err != nil || len(parts) < 4 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	n := 0
	for _, p := range parts {
		part, _, err := parseNode(one[p])
		if err != nil {
			t.Fatal(err)
		}
		for i := range part {
			if !bytes.Equal(part[i].Name, es[n].Name) {
				t.Fatalf("entry %d is %q", n, part[i].Name)
			}
			n++
		}
	}
	if n != len(es) {
		t.Errorf("%d entries of %d", n, len(es))
	}
	es = append(es[:1:1], append([]Entry{file("file-000000a")}, es[1:]...)...)
	if _, err := encodeNode(es, gather(two)); err != nil {
		t.Fatal(err)
	}
	fresh := 0
	for id := range two {
		if one[id] == nil {
			fresh++
		}
	}
	if fresh > 3 {
		t.Errorf("one more name changes %d of %d chunks", fresh, len(two))
	}
}

func TestLongFilesHaveListsOfLists(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, maxInline, maxInline + 1, 5000, 70_000} {
		ids := make([]byte, n*32)
		for i := range ids {
			ids[i] = byte(rnd.Uint32())
		}
		chunks := map[pack.ID][]byte{}
		top, depth, err := encodeIDs(ids, gather(chunks))
		if err != nil || len(top) > maxInline*32 {
			t.Fatalf("%d ids: %d at the top, %v", n, len(top)/32, err)
		}
		if (depth == 0) != (n <= maxInline) {
			t.Errorf("%d ids: depth %d", n, depth)
		}
		for ; depth > 0; depth-- {
			var below []byte
			for ; len(top) > 0; top = top[32:] {
				below = append(below, chunks[pack.ID(top)]...)
			}
			top = below
		}
		if !bytes.Equal(top, ids) {
			t.Errorf("%d ids do not come back", n)
		}
	}
}

func FuzzParseNode(f *testing.F) {
	f.Add(canon.Marshal(node{}))
	f.Add(canon.Marshal(node{Entries: []Entry{file("a", 1, 2), {Name: []byte("d"), Type: Dir, Node: pack.ID{1}}}}))
	f.Add(canon.Marshal(node{Parts: []pack.ID{{1}, {2}}}))
	f.Add(canon.Marshal(node{Entries: everything()}))
	for _, e := range everything() {
		f.Add(canon.Marshal(node{Entries: []Entry{e}}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		es, parts, err := parseNode(b)
		if err != nil {
			return
		}
		if again := canon.Marshal(node{Entries: es, Parts: parts}); !bytes.Equal(again, b) {
			t.Errorf("%x is taken, and encodes to %x", b, again)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	m := Manifest{Workspace: ledger.Workspace{1}, Root: pack.ID{2}, Name: "n", Problems: []Problem{{Path: []byte("p"), Mark: 1, Text: "t"}}}
	f.Add(canon.Marshal(m))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseManifest(b); err == nil && !bytes.Equal(canon.Marshal(m), b) {
			t.Errorf("%x is taken, and encodes otherwise", b)
		}
	})
}

// A directory of 1,000 files, as a node and back.
func BenchmarkNode(b *testing.B) {
	es := make([]Entry, 1000)
	for i := range es {
		es[i] = file(fmt.Sprintf("file-%04d.txt", i), byte(i), byte(i>>8))
		es[i].Owner, es[i].Group, es[i].UID, es[i].GID = "root", "root", 1, 1
	}
	var node []byte
	keep := func(_ pack.ID, b []byte) error { node = b; return nil }
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := encodeNode(es, keep); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(es)), "ns/file")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := DecodeState(index.Dir{Node: node, Stats: make([]index.Stat, len(es))}); err != nil || len(got) != len(es) {
				b.Fatal(len(got), err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(es)), "ns/file")
	})
}
