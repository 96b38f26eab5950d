package ledger

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"
	"maps"
	"math/bits"
	"slices"

	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Elements of the state, in the order of FORMAT.md §7. Each is written as an array that
// begins with its tag.
type (
	scalars struct {
		_          struct{} `cbor:",toarray"`
		Tag        uint8
		Time       int64
		Checkpoint uint64
		Horizon    uint64
		Generation uint32
	}
	// Snapshot is a live snapshot as the ledger knows it.
	Snapshot struct {
		_         struct{} `cbor:",toarray"`
		Tag       uint8
		ID        pack.ID
		Workspace Workspace
		Position  uint64
		Time      int64 // ns, the store's clock; strictly increasing with Position
		Author    seal.ID
		Parents   []pack.ID
		Root      pack.ID
		Files     uint64
		Bytes     uint64
		NewBytes  uint64
		Problems  uint64
		Flags     uint64
	}
	// WorkspaceInfo is what is known of a workspace.
	WorkspaceInfo struct {
		_      struct{} `cbor:",toarray"`
		Tag    uint8
		ID     Workspace
		Name   string
		Remote string
		Heads  []pack.ID // ascending
	}
	// Pack is a registered pack that is not dead.
	Pack struct {
		_        struct{} `cbor:",toarray"`
		Tag      uint8
		Key      pack.Key
		Size     int64
		Hash     Hash // of its directory
		Position uint64
	}
	segment struct {
		_        struct{} `cbor:",toarray"`
		Tag      uint8
		Name     Hash
		Position uint64
	}
	// Member is a principal and its standing.
	Member struct {
		_         struct{} `cbor:",toarray"`
		Tag       uint8
		Principal seal.Principal
		Sequence  uint64 // of its last entry
		Enrolled  uint64 // position
		Revoked   uint64 // position, 0 while live
	}
)

const (
	tagScalars = 1 + iota
	tagSnapshot
	tagWorkspace
	tagPack
	tagSegment
	tagDead
	tagMember
	_ // features
	tagHold
	tagTag
	tagGeneration
)

// sum is a number modulo 2^256, least significant word first.
type sum [4]uint64

func (s *sum) add(h [32]byte) {
	var c uint64
	for i := range s {
		s[i], c = bits.Add64(s[i], binary.BigEndian.Uint64(h[24-8*i:]), c)
	}
}

func (s *sum) sub(h [32]byte) {
	var b uint64
	for i := range s {
		s[i], b = bits.Sub64(s[i], binary.BigEndian.Uint64(h[24-8*i:]), b)
	}
}

func (s sum) bytes() (out [32]byte) {
	for i := range s {
		binary.BigEndian.PutUint64(out[24-8*i:], s[i])
	}
	return out
}

// State is State(N), the fold of entries 1 to N. What it returns is not to be changed.
type State struct {
	repo    seal.RepoID
	secret  [32]byte // of the balance
	balance sum

	position uint64
	head     Hash // the chain over the raw bytes of all entries up to position

	scalars    scalars
	snapshots  map[pack.ID]Snapshot
	workspaces map[Workspace]WorkspaceInfo
	packs      map[pack.Key]Pack
	segments   map[Hash]segment
	dead       map[string]DeadName
	members    map[seal.ID]Member
	holds      map[pack.ID]Hold
	tags       map[tagKey]snapshotTag

	generations map[uint32]generation

	broken breach

	hash hash.Hash // of the balance
	buf  []byte    // of an element
}

// newState is State(0) of a repository.
func newState(repo seal.RepoID, secret [32]byte) *State {
	return &State{repo: repo, secret: secret, scalars: scalars{Tag: tagScalars, Generation: 1},
		snapshots: map[pack.ID]Snapshot{}, workspaces: map[Workspace]WorkspaceInfo{}, packs: map[pack.Key]Pack{},
		segments: map[Hash]segment{}, dead: map[string]DeadName{}, members: map[seal.ID]Member{},
		holds: map[pack.ID]Hold{}, tags: map[tagKey]snapshotTag{}, generations: map[uint32]generation{}}
}

// Position is N.
func (s *State) Position() uint64 { return s.position }

// Head is the chain over the raw bytes of entries 1 to N.
func (s *State) Head() Hash { return s.head }

// Time is the newest valid entry's, in ns since 1970.
func (s *State) Time() int64 { return s.scalars.Time }

// SinceCheckpoint is how many entries came after the newest checkpoint.
func (s *State) SinceCheckpoint() uint64 { return s.position - s.scalars.Checkpoint }

// Snapshot looks a live snapshot up.
func (s *State) Snapshot(id pack.ID) (Snapshot, bool) { v, ok := s.snapshots[id]; return v, ok }

// Snapshots lists the live snapshots of a workspace, or of all if w is zero, oldest first.
func (s *State) Snapshots(w Workspace) []Snapshot {
	var out []Snapshot
	for _, v := range s.snapshots {
		if w == (Workspace{}) || v.Workspace == w {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b Snapshot) int { return cmp.Compare(a.Position, b.Position) })
	return out
}

// Workspace looks a workspace up.
func (s *State) Workspace(w Workspace) (WorkspaceInfo, bool) { v, ok := s.workspaces[w]; return v, ok }

// Workspaces lists the workspaces by name.
func (s *State) Workspaces() []WorkspaceInfo {
	out := values(s.workspaces)
	slices.SortFunc(out, func(a, b WorkspaceInfo) int {
		if c := bytes.Compare([]byte(a.Name), []byte(b.Name)); c != 0 {
			return c
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return out
}

// Pack looks a live pack up.
func (s *State) Pack(k pack.Key) (Pack, bool) { v, ok := s.packs[k]; return v, ok }

// Packs lists the live packs in the order in which they were registered.
func (s *State) Packs() []Pack {
	out := values(s.packs)
	slices.SortFunc(out, Pack.Compare)
	return out
}

// LivePacks yields what Packs lists, without a copy of them all, in no order.
func (s *State) LivePacks() iter.Seq[Pack] { return maps.Values(s.packs) }

// Compare orders packs as they were registered.
func (p Pack) Compare(q Pack) int {
	return cmp.Or(cmp.Compare(p.Position, q.Position), bytes.Compare(p.Key[:], q.Key[:]))
}

// Segments lists the live index segments.
func (s *State) Segments() []Hash {
	var out []Hash
	for h := range s.segments {
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b Hash) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// Dead reports whether an object's name was condemned.
func (s *State) Dead(name string) bool { _, ok := s.dead[name]; return ok }

// Lapsed reports whether a pack can be registered no more: it is dead, or its session began before
// the horizon.
func (s *State) Lapsed(k pack.Key) bool {
	return (s.Dead(k.Name()) || k.Session().Began() < s.scalars.Horizon) && !s.breaks(neverLapsed)
}

// Takes reports whether packs and segments may be registered still.
func (s *State) Takes(packs []PackRef, segments []Hash) bool {
	return !slices.ContainsFunc(packs, func(r PackRef) bool { return s.Lapsed(r.Key) }) &&
		!slices.ContainsFunc(segments, func(h Hash) bool { return s.Dead(SegmentName(h)) })
}

// Horizon is the position before which no session may have begun that registers a pack now.
func (s *State) Horizon() uint64 { return s.scalars.Horizon }

// Member looks a principal up, live or revoked.
func (s *State) Member(id seal.ID) (Member, bool) { v, ok := s.members[id]; return v, ok }

// Members lists the principals in the order in which they came.
func (s *State) Members() []Member {
	out := values(s.members)
	slices.SortFunc(out, func(a, b Member) int {
		if a.Enrolled != b.Enrolled {
			return cmp.Compare(a.Enrolled, b.Enrolled)
		}
		return bytes.Compare(a.Principal.ID[:], b.Principal.ID[:])
	})
	return out
}

func values[K comparable, V any](m map[K]V) []V {
	out := make([]V, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// Digest commits to the whole state: FORMAT.md §7.
func (s *State) Digest() Hash {
	b := append([]byte("satchel/1 state"), binary.BigEndian.AppendUint64(nil, s.position)...)
	bal := s.balance.bytes()
	return sha256.Sum256(append(b, bal[:]...))
}

// mac is what an element adds to the balance.
func (s *State) mac(e element) [32]byte {
	s.buf = e.append(s.buf[:0])
	return s.macOf(s.buf)
}

func (s *State) macOf(encoding []byte) (out [32]byte) {
	if s.hash == nil {
		s.hash = hmac.New(sha256.New, s.secret[:])
	}
	s.hash.Reset()
	s.hash.Write(encoding)
	s.hash.Sum(out[:0])
	return out
}

// put replaces m[k] by v and keeps the balance.
func put[K comparable, V element](s *State, m map[K]V, k K, v V) {
	remove(s, m, k)
	m[k] = v
	s.balance.add(s.mac(v))
}

func remove[K comparable, V element](s *State, m map[K]V, k K) {
	if old, ok := m[k]; ok {
		s.balance.sub(s.mac(old))
		delete(m, k)
	}
}

func (s *State) setScalars(v scalars) {
	if s.position > 0 {
		s.balance.sub(s.mac(s.scalars))
	}
	s.scalars = v
	s.balance.add(s.mac(v))
}

// Payload is the canonical encoding of State(N), what a checkpoint keeps: all elements in
// ascending byte order, each after its length (u32).
func (s *State) Payload() []byte {
	p := s.sorted()
	out := make([]byte, 0, len(p.buf))
	for _, at := range p.at {
		out = append(out, p.element(at)...)
	}
	return out
}

// payloadHash is the SHA-256 of the payload.
func (s *State) payloadHash() (out Hash) {
	h := sha256.New()
	p := s.sorted()
	for _, at := range p.at {
		h.Write(p.element(at))
	}
	h.Sum(out[:0])
	return out
}

// sorted is the payload in pieces.
func (s *State) sorted() *sorted {
	p := &sorted{buf: make([]byte, 0, 128*(len(s.packs)+len(s.dead))+384*len(s.snapshots)+64<<10)}
	p.add(s.scalars)
	addAll(p, s.snapshots)
	addAll(p, s.workspaces)
	addAll(p, s.packs)
	addAll(p, s.segments)
	addAll(p, s.dead)
	addAll(p, s.members)
	addAll(p, s.holds)
	addAll(p, s.tags)
	addAll(p, s.generations)
	slices.SortFunc(p.at, func(a, b uint32) int { return bytes.Compare(p.element(a)[4:], p.element(b)[4:]) })
	return p
}

var errState = errors.New("bad state payload")

// parseState decodes the payload of State(position).
func parseState(payload []byte, position uint64, repo seal.RepoID, secret [32]byte) (*State, error) {
	s := newState(repo, secret)
	s.position = position
	var last []byte
	scalarsSeen := false
	for b := payload; len(b) > 0; {
		if len(b) < 4 {
			return nil, errState
		}
		n := binary.BigEndian.Uint32(b)
		if b = b[4:]; n < 2 || uint64(n) > uint64(len(b)) {
			return nil, errState
		}
		e := b[:n]
		b = b[n:]
		if bytes.Compare(last, e) >= 0 {
			return nil, fmt.Errorf("%w: out of order", errState)
		}
		last = e
		var err error
		switch e[1] { // the tag, a small integer after the array's head
		case tagScalars:
			if scalarsSeen {
				return nil, errState
			}
			scalarsSeen = true
			err = canon.Unmarshal(e, &s.scalars)
			s.balance.add(s.mac(s.scalars))
		case tagSnapshot:
			err = load(s, s.snapshots, e, parse, func(v Snapshot) pack.ID { return v.ID })
		case tagWorkspace:
			err = load(s, s.workspaces, e, parse, func(v WorkspaceInfo) Workspace { return v.ID })
		case tagPack:
			err = load(s, s.packs, e, parsePack, func(v Pack) pack.Key { return v.Key })
		case tagSegment:
			err = load(s, s.segments, e, parse, func(v segment) Hash { return v.Name })
		case tagDead:
			err = load(s, s.dead, e, parseDead, func(v DeadName) string { return v.Name })
		case tagMember:
			err = load(s, s.members, e, parse, func(v Member) seal.ID { return v.Principal.ID })
		case tagHold:
			err = load(s, s.holds, e, parse, func(v Hold) pack.ID { return v.Snapshot })
		case tagTag:
			err = load(s, s.tags, e, parse, func(v snapshotTag) tagKey { return tagKey{v.Snapshot, v.Word} })
		case tagGeneration:
			err = load(s, s.generations, e, parse, func(v generation) uint32 { return v.Number })
		default:
			err = ErrTooNew
		}
		if err != nil {
			return nil, fmt.Errorf("%w: element %x: %w", errState, e[:2], err)
		}
	}
	if !scalarsSeen {
		return nil, errState
	}
	return s, nil
}

func load[K comparable, V element](s *State, m map[K]V, e []byte, parse func([]byte) (V, error), key func(V) K) error {
	v, err := parse(e)
	if err != nil {
		return err
	}
	n := len(m)
	if m[key(v)] = v; len(m) == n {
		return errState // twice
	}
	s.balance.add(s.macOf(e))
	return nil
}
