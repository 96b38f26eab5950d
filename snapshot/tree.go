package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"satchel/index"
	"satchel/store/canon"
	"satchel/store/durable"
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
	MarkJournal                  // a SQLite database without what its -wal or -journal held
	MarkGrew                     // it only grew; what is stored is its first part
	MarkUnread                   // it could not be read; the content is the parent snapshot's
	MarkPlain                    // it begins as a SQLite database, and SQLite cannot read it
)

// Entry is one name in a directory (FORMAT.md §5).
type Entry struct {
	Name    []byte        `cbor:"1,keyasint,omitempty"`
	Type    Type          `cbor:"2,keyasint,omitempty"`
	Mode    uint32        `cbor:"3,keyasint,omitempty"` // 12 bits, as chmod takes them
	Size    uint64        `cbor:"4,keyasint,omitempty"` // bytes
	Mtime   int64         `cbor:"5,keyasint,omitempty"` // ns since 1970
	IDs     []byte        `cbor:"6,keyasint,omitempty"` // chunks, or lists where Depth > 0
	Depth   uint8         `cbor:"7,keyasint,omitempty"`
	Node    pack.ID       `cbor:"8,keyasint,omitzero"`
	Target  []byte        `cbor:"9,keyasint,omitempty"`
	Owner   string        `cbor:"10,keyasint,omitempty"` // not known if UID is 0 too
	Group   string        `cbor:"11,keyasint,omitempty"` // the same with GID
	UID     uint32        `cbor:"12,keyasint,omitempty"`
	GID     uint32        `cbor:"13,keyasint,omitempty"`
	Link    uint64        `cbor:"14,keyasint,omitempty"` // files of one number, size and content are one file
	Xattrs  []Xattr       `cbor:"15,keyasint,omitempty"` // by name
	Holes   []Hole        `cbor:"16,keyasint,omitempty"` // in order; their bytes are zeros, and in IDs all the same
	Device  uint64        `cbor:"17,keyasint,omitempty"` // major ‖ minor, 32 bits each
	Flags   durable.Flags `cbor:"18,keyasint,omitempty"`
	Btime   int64         `cbor:"19,keyasint,omitempty"` // ns since 1970
	Streams []Stream      `cbor:"20,keyasint,omitempty"` // by name
	Marks   Mark          `cbor:"21,keyasint,omitempty"`
}

// Xattr is one extended attribute.
type Xattr struct {
	_     struct{} `cbor:",toarray"`
	Name  []byte
	Value []byte
}

// Hole is a part of a file that need not be stored on disk.
type Hole struct {
	_              struct{} `cbor:",toarray"`
	Offset, Length uint64   // bytes
}

// Stream is an alternate stream: an entry of which Size, IDs and Depth are used.
type Stream struct {
	_       struct{} `cbor:",toarray"`
	Name    []byte
	Content Entry
}

// Contents are all that chunks hold of an entry: its own bytes, and those of its streams.
func (e *Entry) Contents() []*Entry {
	all := []*Entry{e}
	for i := range e.Streams {
		all = append(all, &e.Streams[i].Content)
	}
	return all
}

// SameContent reports whether two entries hold the same bytes of the same kind.
func (e *Entry) SameContent(o *Entry) bool {
	return e.Type == o.Type && e.Size == o.Size && e.Depth == o.Depth && bytes.Equal(e.IDs, o.IDs) && bytes.Equal(e.Target, o.Target) && e.Device == o.Device
}

// SameProperties reports whether two entries of one kind differ in nothing beside their
// content that makes a snapshot worth while: the time of a directory or a link alone does
// not, nor do holes and the time of creation.
func (e *Entry) SameProperties(o *Entry) bool {
	return e.Mode == o.Mode && (e.Mtime == o.Mtime || e.Type != File) && e.Link == o.Link && e.Flags == o.Flags &&
		sameOwner(e.Owner, o.Owner, e.UID, o.UID) && sameOwner(e.Group, o.Group, e.GID, o.GID) &&
		slices.EqualFunc(e.Xattrs, o.Xattrs, func(a, b Xattr) bool { return bytes.Equal(a.Name, b.Name) && bytes.Equal(a.Value, b.Value) }) &&
		e.SameStreams(o)
}

// SameStreams reports whether the alternate streams are the same.
func (e *Entry) SameStreams(o *Entry) bool {
	return slices.EqualFunc(e.Streams, o.Streams, func(a, b Stream) bool { return bytes.Equal(a.Name, b.Name) && a.Content.SameContent(&b.Content) })
}

// sameOwner compares by name where both have one: numbers are a device's own. One that is not
// known is no other.
func sameOwner(a, b string, x, y uint32) bool {
	switch {
	case a == "" && x == 0 || b == "" && y == 0:
		return true
	case a != "" && b != "":
		return a == b
	}
	return x == y
}

func (e *Entry) same(o *Entry) bool {
	return e.SameContent(o) && e.Marks == o.Marks && e.SameProperties(o)
}

// Limits of FORMAT.md §5 and §4.
const (
	maxName    = 1024
	maxTarget  = 4096
	maxEntries = 8192    // of a node or a part
	maxDepth   = 3       // levels of lists
	maxInline  = 64      // ids in an entry
	maxList    = 2048    // ids in a list that we write
	maxNode    = 8 << 20 // bytes, about, of a node or a part

	maxOwner    = 256 // bytes
	maxXattrs   = 256
	maxAttrName = 255
	maxAttr     = 64 << 10 // bytes of a value
	maxAllAttrs = 1 << 20  // bytes of all names and values
	maxHoles    = 8192
	maxStreams  = 64
	maxStream   = 1024    // bytes of a name
	maxIDs      = 4096    // ids in a list that we read
	maxSize     = 1 << 44 // bytes of a file
	perChunk    = 1 << 17 // bytes of a file for each chunk beyond maxInline

	MaxLevels = 255     // of directories
	MaxPath   = 4096    // bytes
	maxFiles  = 1 << 24 // in a tree
	spare     = 1 << 16 // entries that a tree may have beyond two per file
)

// MaxEntries is how many entries any tree may have, directories included.
const MaxEntries = 2*maxFiles + spare

// Limit is how many entries the tree of a snapshot of so many files may have, directories
// included (FORMAT.md §5). Nodes are named by their hash, so a few that name each other many times
// over are a tree without end; this is what a walk of one costs at most.
func Limit(files uint64) int { return 2*int(min(files, maxFiles)) + spare }

// A Sum adds up the chunks of a file as they come, so that an entry that lies about them is
// refused before the rest is looked at.
type Sum struct {
	Chunks int
	Bytes  uint64
}

// Add reports ErrTree where e cannot have that many chunks, or bytes.
func (s *Sum) Add(e *Entry, chunks int, bytes uint64) error {
	s.Chunks, s.Bytes = s.Chunks+chunks, s.Bytes+bytes
	if s.Bytes > e.Size || s.Chunks > maxInline+int(s.Bytes/perChunk) {
		return fmt.Errorf("%w: %q: %d chunks have %d bytes, the file has %d", ErrTree, e.Name, s.Chunks, s.Bytes, e.Size)
	}
	return nil
}

// End reports ErrTree where these were not all.
func (s *Sum) End(e *Entry) error {
	if s.Bytes != e.Size {
		return fmt.Errorf("%w: %q: its chunks have %d bytes, the file has %d", ErrTree, e.Name, s.Bytes, e.Size)
	}
	return nil
}

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
	case e.Type == File && e.checkContent() != nil:
		return e.checkContent()
	case e.Type != File && (len(e.IDs) != 0 || e.Size != 0 || e.Depth != 0):
		return fmt.Errorf("%w: %q: a %v with content", ErrTree, n, e.Type)
	case (e.Type == Dir) != (e.Node != pack.ID{}):
		return fmt.Errorf("%w: %q: a %v with or without a node", ErrTree, n, e.Type)
	case e.Type != File && (e.Link != 0 || len(e.Holes) != 0 || len(e.Streams) != 0):
		return fmt.Errorf("%w: %q: a %v with a link group, holes or streams", ErrTree, n, e.Type)
	case e.Device != 0 && e.Type != CharDevice && e.Type != BlockDevice:
		return fmt.Errorf("%w: %q: a %v with a device number", ErrTree, n, e.Type)
	case e.Flags >= durable.NoDump<<1:
		return fmt.Errorf("%w: %q: flags %x", ErrTree, n, e.Flags)
	case len(e.Owner) > maxOwner || len(e.Group) > maxOwner:
		return fmt.Errorf("%w: %q: an owner's name of %d bytes", ErrTree, n, max(len(e.Owner), len(e.Group)))
	case (e.Type == Symlink) != (len(e.Target) > 0) || len(e.Target) > maxTarget || bytes.IndexByte(e.Target, 0) >= 0:
		return fmt.Errorf("%w: %q: a %v with a target of %d bytes", ErrTree, n, e.Type, len(e.Target))
	}
	return errors.Join(e.checkXattrs(), e.checkHoles(), e.checkStreams())
}

func (e *Entry) checkXattrs() error {
	if len(e.Xattrs) > maxXattrs {
		return fmt.Errorf("%w: %q: %d extended attributes", ErrTree, e.Name, len(e.Xattrs))
	}
	all := 0
	for i, x := range e.Xattrs {
		all += len(x.Name) + len(x.Value)
		switch {
		case len(x.Name) == 0 || len(x.Name) > maxAttrName || bytes.IndexByte(x.Name, 0) >= 0:
			return fmt.Errorf("%w: %q: the attribute name %q is not possible", ErrTree, e.Name, x.Name)
		case len(x.Value) > maxAttr || all > maxAllAttrs:
			return fmt.Errorf("%w: %q: attribute %q: %d bytes, %d in all", ErrTree, e.Name, x.Name, len(x.Value), all)
		case i > 0 && bytes.Compare(e.Xattrs[i-1].Name, x.Name) >= 0:
			return fmt.Errorf("%w: %q: attribute %q does not stand after %q", ErrTree, e.Name, x.Name, e.Xattrs[i-1].Name)
		}
	}
	return nil
}

func (e *Entry) checkHoles() error {
	if len(e.Holes) > maxHoles {
		return fmt.Errorf("%w: %q: %d holes", ErrTree, e.Name, len(e.Holes))
	}
	end := uint64(0)
	for i, h := range e.Holes {
		if h.Length == 0 || i > 0 && h.Offset <= end || h.Offset > e.Size || h.Length > e.Size-h.Offset {
			return fmt.Errorf("%w: %q: a hole of %d bytes at %d, in %d", ErrTree, e.Name, h.Length, h.Offset, e.Size)
		}
		end = h.Offset + h.Length
	}
	return nil
}

func (e *Entry) checkStreams() error {
	if len(e.Streams) > maxStreams {
		return fmt.Errorf("%w: %q: %d streams", ErrTree, e.Name, len(e.Streams))
	}
	for i := range e.Streams {
		s := &e.Streams[i]
		rest, sized := s.Content, s.Content
		rest.Size, rest.IDs, rest.Depth = 0, nil, 0
		sized.Name = s.Name
		switch {
		case len(s.Name) == 0 || len(s.Name) > maxStream || bytes.ContainsAny(s.Name, "/\\:\x00") || !utf8.Valid(s.Name):
			return fmt.Errorf("%w: %q: the stream name %q is not possible", ErrTree, e.Name, s.Name)
		case i > 0 && bytes.Compare(e.Streams[i-1].Name, s.Name) >= 0:
			return fmt.Errorf("%w: %q: stream %q does not stand after %q", ErrTree, e.Name, s.Name, e.Streams[i-1].Name)
		case !reflect.ValueOf(rest).IsZero():
			return fmt.Errorf("%w: %q: stream %q is more than content", ErrTree, e.Name, s.Name)
		}
		if err := sized.checkContent(); err != nil {
			return err
		}
	}
	return nil
}

// checkContent checks what a file says of its bytes.
func (e *Entry) checkContent() error {
	if e.Size > maxSize || len(e.IDs)%sha256.Size != 0 || len(e.IDs) > maxInline*sha256.Size || e.Depth > maxDepth || (e.Size == 0) != (len(e.IDs) == 0) || e.Depth > 0 && len(e.IDs) == 0 {
		return fmt.Errorf("%w: %q: %d bytes in %d bytes of ids", ErrTree, e.Name, e.Size, len(e.IDs))
	}
	return nil
}

// weight is about how many bytes an entry is, encoded.
func (e *Entry) weight() int {
	n := 128 + len(e.Name) + len(e.IDs) + len(e.Target) + len(e.Owner) + len(e.Group) + 20*len(e.Holes)
	for _, x := range e.Xattrs {
		n += 8 + len(x.Name) + len(x.Value)
	}
	for i := range e.Streams {
		n += 64 + len(e.Streams[i].Name) + len(e.Streams[i].Content.IDs)
	}
	return n
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

// inParts says whether a directory is more than one node.
func inParts(es []Entry) bool { return len(es) > maxEntries || weight(es) > maxNode }

func weight(es []Entry) (n int) {
	for i := range es {
		n += es[i].weight()
	}
	return n
}

// encodeNode encodes entries that are sorted by name. Every chunk that the directory needs
// goes to emit, the node itself last; the node's id is returned.
func encodeNode(es []Entry, emit func(id pack.ID, b []byte) error) (pack.ID, error) {
	put := func(n node) (pack.ID, error) {
		b := canon.Marshal(n)
		id := pack.Sum(b)
		return id, emit(id, b)
	}
	if !inParts(es) {
		return put(node{Entries: es})
	}
	var top node
	for start, i, heavy := 0, 0, 0; i < len(es); i++ {
		h := sha256.Sum256(es[i].Name)
		heavy += es[i].weight()
		last := i+1 == len(es)
		if binary.BigEndian.Uint16(h[:])%2048 == 0 || i+1-start == maxEntries || last || heavy+es[i+1].weight() > maxNode {
			id, err := put(node{Entries: es[start : i+1]})
			if err != nil {
				return id, err
			}
			top.Parts = append(top.Parts, id)
			start, heavy = i+1, 0
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

// setMeta takes mode and times of what lstat saw, and flags where it tells them.
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
	e.Mtime = nanoseconds(info.ModTime())
	i := durable.InfoOf(info)
	e.Flags, e.Btime = i.Flags, i.Birth
}

// nanoseconds since 1970; the nearest that there is for a time before 1677 or after 2262.
func nanoseconds(t time.Time) int64 {
	const second = int64(time.Second)
	switch s := t.Unix(); {
	case s <= math.MinInt64/second:
		return math.MinInt64
	case s >= math.MaxInt64/second:
		return math.MaxInt64
	}
	return t.UnixNano()
}
