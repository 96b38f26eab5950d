package snapshottest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"satchel/snapshot"
	"satchel/store/canon"
	"satchel/store/pack"
)

// A Lie is a tree that every reader refuses.
type Lie struct {
	Name string
	Path string // what a refusal has to name, "" for the root
	Root func(l *Liar) pack.ID
}

// Lies are made of what the format forbids in names, nodes, lists, frames and shapes.
func Lies() []Lie {
	return slices.Concat(lyingNames(), lyingEntries(), lyingNodes(), lyingLists(), lyingFrames(), endless())
}

// docs puts entries into the folder docs, so that there is a path to be named.
func docs(l *Liar, es ...snapshot.Entry) pack.ID {
	return l.Node(Folder("docs", l.Node(es...)))
}

func lyingNames() (lies []Lie) {
	for _, name := range []string{"../x", "..", ".", "", "a/b", "/etc/passwd", "a\x00b", strings.Repeat("n", 1025)} {
		lies = append(lies, Lie{fmt.Sprintf("the name %.20q", name), "docs", func(l *Liar) pack.ID {
			return docs(l, l.File(name, "evil"))
		}}, Lie{fmt.Sprintf("a folder of the name %.20q", name), "docs", func(l *Liar) pack.ID {
			return docs(l, Folder(name, l.Node(l.File("x", "evil"))))
		}})
	}
	order := func(name string, entries func(l *Liar) []snapshot.Entry) {
		lies = append(lies, Lie{name, "docs", func(l *Liar) pack.ID { return docs(l, entries(l)...) }})
	}
	order("entries out of order", func(l *Liar) []snapshot.Entry { return []snapshot.Entry{l.File("b", "b"), l.File("a", "a")} })
	order("a file twice", func(l *Liar) []snapshot.Entry { return []snapshot.Entry{l.File("a", "1"), l.File("a", "2")} })
	order("a link and a folder through it", func(l *Liar) []snapshot.Entry {
		return []snapshot.Entry{Link("a", "/"), Folder("a", l.Node(l.File("x", "evil")))}
	})
	order("a folder twice", func(l *Liar) []snapshot.Entry {
		return []snapshot.Entry{Folder("a", l.Node(l.File("x", "1"))), Folder("a", l.Node(l.File("y", "2")))}
	})
	return lies
}

func lyingEntries() (lies []Lie) {
	add := func(name string, change func(e *snapshot.Entry)) {
		lies = append(lies, Lie{name, "docs", func(l *Liar) pack.ID {
			e := l.File("f", "twelve bytes")
			change(&e)
			return docs(l, e)
		}})
	}
	add("a larger size", func(e *snapshot.Entry) { e.Size++ })
	add("a smaller size", func(e *snapshot.Entry) { e.Size-- })
	add("a size of 2^63", func(e *snapshot.Entry) { e.Size = 1 << 63 })
	add("a size of 2^64 - 1", func(e *snapshot.Entry) { e.Size = 1<<64 - 1 })
	add("no size", func(e *snapshot.Entry) { e.Size = 0 })
	add("no ids", func(e *snapshot.Entry) { e.IDs = nil })
	add("half an id", func(e *snapshot.Entry) { e.IDs = e.IDs[:16] })
	add("more ids than an entry has", func(e *snapshot.Entry) { e.IDs, e.Size = bytes.Repeat(e.IDs, 65), 65*12 })
	add("a chunk for a list", func(e *snapshot.Entry) { e.Depth = 1 })
	add("four levels of lists", func(e *snapshot.Entry) { e.Depth = 4 })
	add("a type that is none", func(e *snapshot.Entry) { e.Type, e.IDs, e.Size = 7, nil, 0 })
	add("a mode that is none", func(e *snapshot.Entry) { e.Mode = 0o10000 })
	add("a link with content", func(e *snapshot.Entry) { e.Type, e.Target = snapshot.Symlink, []byte("x") })
	add("a link that leads nowhere", func(e *snapshot.Entry) { *e = Link("f", "") })
	add("a link with NUL", func(e *snapshot.Entry) { *e = Link("f", "a\x00b") })
	add("a link that is too long", func(e *snapshot.Entry) { *e = Link("f", strings.Repeat("x", 4097)) })
	add("a folder without a node", func(e *snapshot.Entry) { *e = Folder("f", pack.ID{}) })
	add("a folder that is nowhere", func(e *snapshot.Entry) { *e = Folder("f", pack.ID{1}) })
	add("a chunk that is nowhere", func(e *snapshot.Entry) { e.IDs = bytes.Repeat([]byte{1}, 32) })
	return lies
}

func lyingNodes() (lies []Lie) {
	add := func(name string, root func(l *Liar) pack.ID) {
		lies = append(lies, Lie{name, "docs", func(l *Liar) pack.ID { return l.Node(Folder("docs", root(l))) }})
	}
	for name, b := range map[string][]byte{
		"a node that is none":                     []byte("hello"),
		"ten million entries that are not there":  {0xa1, 0x01, 0x9a, 0x00, 0x98, 0x96, 0x80},
		"2^60 entries that are not there":         {0xa1, 0x01, 0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0},
		"a name of 2^40 bytes that are not there": {0xa1, 0x01, 0x81, 0xa1, 0x01, 0x5b, 0, 0, 1, 0, 0, 0, 0, 0},
		"bytes after a node":                      append(canon.Marshal(node{}), 0),
		"a node with a key that is none":          {0xa1, 0x03, 0x01},
		"containers in containers":                bytes.Repeat([]byte{0x81}, 1<<16),
	} {
		add(name, func(l *Liar) pack.ID { return l.Chunk(b) })
	}
	add("a node under another id", func(l *Liar) pack.ID { return l.Forged(pack.ID{7}, canon.Marshal(node{})) })
	add("a node that holds itself", func(l *Liar) pack.ID {
		return l.Forged(pack.ID{7}, canon.Marshal(node{Entries: []snapshot.Entry{Folder("docs", pack.ID{7})}}))
	})
	add("one part", func(l *Liar) pack.ID { return l.Parts(l.Node(l.File("a", "a"))) })
	add("an empty part", func(l *Liar) pack.ID { return l.Parts(l.Node(l.File("a", "a")), l.Node()) })
	add("parts out of order", func(l *Liar) pack.ID { return l.Parts(l.Node(l.File("b", "b")), l.Node(l.File("a", "a"))) })
	add("parts within parts", func(l *Liar) pack.ID {
		return l.Parts(l.Node(l.File("a", "a")), l.Parts(l.Node(l.File("b", "b")), l.Node(l.File("c", "c"))))
	})
	add("a part a hundred thousand times", func(l *Liar) pack.ID {
		return l.Parts(slices.Repeat([]pack.ID{l.Node(l.many(8192, nil)...)}, 100_000)...)
	})
	add("entries and parts", func(l *Liar) pack.ID {
		a, b := l.Node(l.File("a", "a")), l.Node(l.File("b", "b"))
		return l.Chunk(canon.Marshal(node{Entries: []snapshot.Entry{l.File("c", "c")}, Parts: []pack.ID{a, b}}))
	})
	add("more entries than a node has", func(l *Liar) pack.ID { return l.Node(l.many(8193, nil)...) })
	return lies
}

// many is n entries, empty files or folders with a node of their own.
func (l *Liar) many(n int, node *pack.ID) []snapshot.Entry {
	es := make([]snapshot.Entry, n)
	for i := range es {
		es[i] = snapshot.Entry{Name: fmt.Appendf(nil, "%08d", i), Mode: 0o644}
		if node != nil {
			es[i] = Folder(string(es[i].Name), *node)
		}
	}
	return es
}

func lyingLists() (lies []Lie) {
	add := func(name string, file func(l *Liar, id pack.ID) (ids []byte, depth uint8, size uint64)) {
		lies = append(lies, Lie{name, "docs/f", func(l *Liar) pack.ID {
			id := l.Chunk([]byte("x"))
			e := snapshot.Entry{Name: []byte("f"), Mode: 0o644}
			e.IDs, e.Depth, e.Size = file(l, id)
			return docs(l, e)
		}})
	}
	list := func(l *Liar, id pack.ID, n int) []byte {
		id = l.Chunk(bytes.Repeat(id[:], n))
		return id[:]
	}
	add("half a list", func(l *Liar, id pack.ID) ([]byte, uint8, uint64) {
		half := l.Chunk(id[:31])
		return half[:], 1, 1
	})
	add("a list of 4,097 ids", func(l *Liar, id pack.ID) ([]byte, uint8, uint64) { return list(l, id, 4097), 1, 4097 })
	add("a list of a byte each", func(l *Liar, id pack.ID) ([]byte, uint8, uint64) { return list(l, id, 4096), 1, 4096 })
	add("2^42 chunks that are one", func(l *Liar, id pack.ID) ([]byte, uint8, uint64) {
		two := pack.ID(list(l, pack.ID(list(l, id, 4096)), 4096))
		return bytes.Repeat(list(l, two, 4096), 64), 3, 1 << 42
	})
	add("2^42 chunks that are none", func(l *Liar, _ pack.ID) ([]byte, uint8, uint64) {
		two := pack.ID(list(l, pack.ID(list(l, pack.ID{1}, 4096)), 4096))
		return bytes.Repeat(list(l, two, 4096), 64), 3, 1 << 42
	})
	add("a list that names itself", func(l *Liar, _ pack.ID) ([]byte, uint8, uint64) {
		id := pack.ID{9}
		l.Forged(id, id[:])
		return id[:], 3, 1
	})
	return lies
}

func lyingFrames() (lies []Lie) {
	zeros := func(n int) []byte {
		w, _ := zstd.NewWriter(nil)
		return w.EncodeAll(make([]byte, n), nil)
	}
	add := func(name string, plain int, coded []byte) {
		lies = append(lies, Lie{name, "docs/f", func(l *Liar) pack.ID {
			id := pack.ID{5}
			l.Frame(&pack.Frame{Coding: pack.Zstd, Plain: plain, Chunks: []pack.Chunk{{ID: id, Size: plain}}, Coded: coded})
			return docs(l, snapshot.Entry{Name: []byte("f"), Size: uint64(plain), IDs: id[:]})
		}})
	}
	bomb := zeros(512 << 20)
	add("a frame that is larger than it says", len(bomb), bomb)
	add("a frame that is smaller than it says", pack.MaxFrame, zeros(1000))
	add("a frame that is two", 2000, append(zeros(1000), zeros(1000)...))
	add("a frame that is none", 1000, []byte("not zstd"))
	return lies
}

func endless() (lies []Lie) {
	add := func(name, path string, root func(l *Liar) pack.ID) { lies = append(lies, Lie{name, path, root}) }
	add("folders without end", "", func(l *Liar) pack.ID {
		id := l.Node()
		for range 100 {
			id = l.Node(l.many(1000, &id)...)
		}
		return id
	})
	add("files without end", "", func(l *Liar) pack.ID {
		id := l.Node(l.many(8192, nil)...)
		for range 100 {
			id = l.Node(l.many(1000, &id)...)
		}
		return id
	})
	add("damage without end", "", func(l *Liar) pack.ID {
		id := pack.ID{1}
		for range 100 {
			id = l.Node(l.many(100, &id)...)
		}
		return id
	})
	add("a thousand levels", "", func(l *Liar) pack.ID {
		id := l.Node(l.File("x", "deep"))
		for range 1000 {
			id = l.Node(Folder("d", id))
		}
		return id
	})
	add("a path of 200,000 bytes", "", func(l *Liar) pack.ID {
		id := l.Node(l.File("x", "deep"))
		for range 200 {
			id = l.Node(Folder(strings.Repeat("d", 1000), id))
		}
		return id
	})
	return lies
}
