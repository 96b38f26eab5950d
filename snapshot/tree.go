package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"satchel/index"
	"satchel/store/canon"
	"satchel/store/pack"
)

// Type is what an entry of a tree is.
type Type uint8

const (
	File Type = iota
	Dir
	Symlink
	Fifo
	Socket
	CharDevice
	BlockDevice
)

var typeNames = [...]string{"file", "dir", "symlink", "fifo", "socket", "chardev", "blockdev"}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Mark is what a person should know of a file's content.
type Mark uint64

const (
	MarkChanged Mark = 1 << iota // it changed while it was read
	MarkJournal                  // a SQLite database whose -wal or -journal was not empty
	MarkGrew                     // it only grew; what is stored is its first part
	MarkUnread                   // it could not be read; the content is the parent snapshot's
)

// Entry is one name in a directory (FORMAT.md §5). Fields beyond 9 and 21 are written by
// none yet and refused by canon, so that no meaning is lost.
type Entry struct {
	Name   []byte  `cbor:"1,keyasint,omitempty"`
	Type   Type    `cbor:"2,keyasint,omitempty"`
	Mode   uint32  `cbor:"3,keyasint,omitempty"` // 12 bits, as chmod takes them
	Size   uint64  `cbor:"4,keyasint,omitempty"` // bytes
	Mtime  int64   `cbor:"5,keyasint,omitempty"` // ns since 1970
	IDs    []byte  `cbor:"6,keyasint,omitempty"` // chunks, or lists where Depth > 0
	Depth  uint8   `cbor:"7,keyasint,omitempty"`
	Node   pack.ID `cbor:"8,keyasint,omitzero"`
	Target []byte  `cbor:"9,keyasint,omitempty"`
	Marks  Mark    `cbor:"21,keyasint,omitempty"`
}

// SameContent reports whether two entries hold the same bytes of the same kind.
func (e *Entry) SameContent(o *Entry) bool {
	return e.Type == o.Type && e.Size == o.Size && e.Depth == o.Depth && bytes.Equal(e.IDs, o.IDs) && bytes.Equal(e.Target, o.Target)
}

// same reports whether two entries differ in nothing that makes a snapshot worth while: the
// time of a directory or a link alone does not.
func (e *Entry) same(o *Entry) bool {
	return e.SameContent(o) && e.Mode == o.Mode && e.Marks == o.Marks && (e.Mtime == o.Mtime || e.Type != File)
}

// Limits of FORMAT.md §5 and §4.
const (
	maxName    = 1024
	maxTarget  = 4096
	maxEntries = 8192 // of a node or a part
	maxDepth   = 3    // levels of lists
	maxInline  = 64   // ids in an entry
	maxList    = 2048 // ids in a list that we write
	maxLevels  = 255  // of directories
)

// ErrTree is wrapped by every error about a node, list or manifest that is not canonical.
var ErrTree = errors.New("bad tree")

type node struct {
	Entries []Entry   `cbor:"1,keyasint,omitempty"`
	Parts   []pack.ID `cbor:"2,keyasint,omitempty"`
}

func (e *Entry) check() error {
	n := e.Name
	switch {
	case len(n) == 0 || len(n) > maxName || bytes.ContainsAny(n, "/\x00") || string(n) == "." || string(n) == "..":
		return fmt.Errorf("%w: the name %q is not possible", ErrTree, n)
	case e.Type > BlockDevice || e.Mode > 0o7777:
		return fmt.Errorf("%w: %q: type %d, mode %o", ErrTree, n, e.Type, e.Mode)
	case e.Type == File && (len(e.IDs)%sha256.Size != 0 || e.Depth > maxDepth || (e.Size == 0) != (len(e.IDs) == 0) || e.Depth > 0 && len(e.IDs) == 0):
		return fmt.Errorf("%w: %q: %d bytes in %d bytes of ids", ErrTree, n, e.Size, len(e.IDs))
	case e.Type != File && (len(e.IDs) != 0 || e.Size != 0 || e.Depth != 0):
		return fmt.Errorf("%w: %q: a %v with content", ErrTree, n, e.Type)
	case (e.Type == Dir) != (e.Node != pack.ID{}):
		return fmt.Errorf("%w: %q: a %v with or without a node", ErrTree, n, e.Type)
	case (e.Type == Symlink) != (len(e.Target) > 0) || len(e.Target) > maxTarget || bytes.IndexByte(e.Target, 0) >= 0:
		return fmt.Errorf("%w: %q: a %v with a target of %d bytes", ErrTree, n, e.Type, len(e.Target))
	}
	return nil
}

// parseNode decodes a node: its entries, or the ids of its parts.
func parseNode(b []byte) ([]Entry, []pack.ID, error) {
	var n node
	if err := canon.Unmarshal(b, &n); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	if len(n.Entries) > 0 && len(n.Parts) > 0 || len(n.Entries) > maxEntries || len(n.Parts) == 1 {
		return nil, nil, fmt.Errorf("%w: %d entries and %d parts", ErrTree, len(n.Entries), len(n.Parts))
	}
	return n.Entries, n.Parts, checkEntries(n.Entries)
}

func checkEntries(es []Entry) error {
	for i := range es {
		if err := es[i].check(); err != nil {
			return err
		}
		if i > 0 && bytes.Compare(es[i-1].Name, es[i].Name) >= 0 {
			return fmt.Errorf("%w: %q does not stand after %q", ErrTree, es[i].Name, es[i-1].Name)
		}
	}
	return nil
}

// encodeNode encodes entries that are sorted by name. Every chunk that the directory needs
// goes to emit, the node itself last; the node's id is returned.
func encodeNode(es []Entry, emit func(id pack.ID, b []byte) error) (pack.ID, error) {
	put := func(n node) (pack.ID, error) {
		b := canon.Marshal(n)
		id := pack.Sum(b)
		return id, emit(id, b)
	}
	if len(es) <= maxEntries {
		return put(node{Entries: es})
	}
	var top node
	for start, i := 0, 0; i < len(es); i++ {
		h := sha256.Sum256(es[i].Name)
		if binary.BigEndian.Uint16(h[:])%2048 == 0 || i+1-start == maxEntries || i+1 == len(es) {
			id, err := put(node{Entries: es[start : i+1]})
			if err != nil {
				return id, err
			}
			top.Parts = append(top.Parts, id)
			start = i + 1
		}
	}
	return put(top)
}

// encodeIDs turns a file's chunk ids into what its entry holds: the ids, or lists of them.
// Every list goes to emit.
func encodeIDs(ids []byte, emit func(id pack.ID, b []byte) error) ([]byte, uint8, error) {
	depth := uint8(0)
	for len(ids) > maxInline*sha256.Size {
		if depth++; depth > maxDepth {
			return nil, 0, errors.New("the file is too large for the format")
		}
		var lists []byte
		for start, i := 0, 0; i < len(ids); i += sha256.Size {
			end := i + sha256.Size
			if binary.BigEndian.Uint16(ids[i:])%512 == 0 || end-start == maxList*sha256.Size || end == len(ids) {
				id := pack.Sum(ids[start:end])
				if err := emit(id, ids[start:end]); err != nil {
					return nil, 0, err
				}
				lists = append(lists, id[:]...)
				start = end
			}
		}
		ids = lists
	}
	return ids, depth, nil
}

// EncodeState makes the file state of a directory: its entries, sorted by name, and what
// was seen of each file, zero where nothing is known.
func EncodeState(es []Entry, stats []index.Stat) index.Dir {
	return index.Dir{Node: canon.Marshal(node{Entries: es}), Stats: stats}
}

// DecodeState is the inverse of EncodeState.
func DecodeState(d index.Dir) ([]Entry, error) {
	if d.Node == nil {
		return nil, nil
	}
	var n node
	if err := canon.Unmarshal(d.Node, &n); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	if len(n.Entries) != len(d.Stats) {
		return nil, fmt.Errorf("%w: %d entries, %d file states", ErrTree, len(n.Entries), len(d.Stats))
	}
	return n.Entries, checkEntries(n.Entries)
}

// setMeta takes mode, size and time of what lstat saw.
func setMeta(e *Entry, info fs.FileInfo) {
	m := info.Mode()
	e.Mode = uint32(m.Perm())
	for _, b := range [...]struct {
		bit  fs.FileMode
		mode uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.bit != 0 {
			e.Mode |= b.mode
		}
	}
	e.Mtime = info.ModTime().UnixNano()
}
