package snapshottest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"satchel/snapshot"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/canon"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Large fills a repository with a history that is large in number. Each snapshot replaces one
// file, in turn. Ledger, index segments, trees and manifests are real, and so are the
// directories of the data packs; the packs themselves are not, so nothing can be restored.
type Large struct {
	Snapshots int
	Files     int           // that there are in the end; 0: 1,000
	Chunks    int           // of all snapshots together; at least a pack of each is made
	Step      time.Duration // from one to the next; a prune asks that the last is not in the future
	Seed      uint64

	// Pretend makes an object of a data pack's name and size. What it holds nobody asks.
	Pretend func(name string, size int64) error
}

const (
	largePack   = 32      // chunks of a data pack, each of 1 MiB in a frame of its own: the most packs for a number of chunks
	largeDir    = 25      // files of a directory
	largeChunk  = 1 << 20 // bytes
	largeStored = 900_000 // bytes of a frame
	largeGroup  = 2000    // packs of an entry
)

// Workspace is the history's.
var Workspace = ledger.Workspace{'l', 'a', 'r', 'g', 'e'}

// large is a history under construction.
type large struct {
	Large
	*access.Access
	ctx     context.Context
	store   *past
	rand    *rand.ChaCha8
	enc     *pack.Encoder
	session pack.Session

	files  []snapshot.Entry
	dirs   []snapshot.Entry
	tree   *pack.Builder
	plain  []byte
	chunks []pack.Chunk
	packs  []pack.Entry
	told   []ledger.RegisterContent // of all packs; entries come last, as a short state is quick
}

// past is a store at another time.
type past struct {
	store.Store
	now time.Time
}

func (p *past) Now() time.Time { return p.now }

// Fill makes the history, and a checkpoint after it. The ledger of a is up to date.
func (l Large) Fill(ctx context.Context, a *access.Access) error {
	if l.Files == 0 {
		l.Files = 1000
	}
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], l.Seed)
	enc, err := pack.NewEncoder()
	if err != nil {
		return err
	}
	began := time.Unix(0, a.Log.State().Time())
	f := &large{Large: l, Access: a, ctx: ctx, store: &past{a.Log.Store, began}, rand: rand.NewChaCha8(seed), enc: enc}
	defer func(s store.Store) { a.Log.Store = s }(a.Log.Store)
	a.Log.Store = f.store
	if f.session, err = pack.NewSession(a.Log.State().Position(), f.rand); err != nil {
		return err
	}
	for i := range l.Snapshots {
		if err := f.snapshot(i); err != nil {
			return err
		}
	}
	if err := errors.Join(f.closeFrame(), f.closePack(), f.flush()); err != nil {
		return err
	}
	for _, c := range f.told {
		if _, err := a.Log.Append(ctx, a.Me, ledger.Register, func(*ledger.State) (any, error) { return c, nil }); err != nil {
			return err
		}
	}
	return a.Log.MoveHorizon(ctx, a.Me, a.Log.State().Horizon(), nil)
}

// snapshot makes the next one: a new version of a file.
func (l *large) snapshot(i int) error {
	n := max(1, (l.Chunks/l.Snapshots+largePack-1)/largePack) * largePack
	ids := make([]byte, n*len(pack.ID{}))
	l.rand.Read(ids)
	for p := range slices.Chunk(ids, largePack*len(pack.ID{})) {
		if err := l.data(p); err != nil {
			return err
		}
	}
	e := snapshot.Entry{Mode: 0o644, Size: uint64(n) * largeChunk, Mtime: l.store.now.UnixNano(), IDs: ids}
	if n > 64 {
		e.IDs, e.Depth = nil, 1
		for list := range slices.Chunk(ids, 2048*len(pack.ID{})) {
			id, err := l.add(list)
			if err != nil {
				return err
			}
			e.IDs = append(e.IDs, id[:]...)
		}
	}
	root, err := l.put(i%l.Files, e)
	if err != nil {
		return err
	}
	return l.commit(root)
}

// put replaces a file, and returns the root's node.
func (l *large) put(at int, e snapshot.Entry) (root pack.ID, err error) {
	e.Name = fmt.Appendf(nil, "file-%04d", at)
	if at < len(l.files) {
		l.files[at] = e
	} else {
		l.files = append(l.files, e)
	}
	d := at / largeDir
	node, err := l.node(l.files[d*largeDir : min((d+1)*largeDir, len(l.files))])
	if err != nil {
		return root, err
	}
	dir := snapshot.Entry{Name: fmt.Appendf(nil, "dir-%03d", d), Type: snapshot.Dir, Mode: 0o755, Node: node}
	if d < len(l.dirs) {
		l.dirs[d] = dir
	} else {
		l.dirs = append(l.dirs, dir)
	}
	return l.node(l.dirs)
}

func (l *large) node(es []snapshot.Entry) (pack.ID, error) {
	return l.add(canon.Marshal(struct {
		Entries []snapshot.Entry `cbor:"1,keyasint,omitempty"`
	}{es}))
}

func (l *large) commit(root pack.ID) error {
	s := l.Log.State()
	m := snapshot.Manifest{Workspace: Workspace, Name: "large", Device: l.Me.Principal.ID, DeviceAs: l.Me.Principal.Name, Root: root,
		Started: l.store.now.UnixNano(), Read: l.store.now.UnixNano(), Files: uint64(len(l.files))}
	for _, f := range l.files {
		m.Bytes += f.Size
	}
	if w, known := s.Workspace(Workspace); known {
		m.Parents = w.Heads
	}
	l.rand.Read(m.Nonce[:])
	id, err := l.add(canon.Marshal(m))
	if err != nil {
		return err
	}
	l.store.now = l.store.now.Add(l.Step)
	_, err = l.Log.Append(l.ctx, l.Me, ledger.Commit, func(*ledger.State) (any, error) {
		return ledger.CommitContent{Snapshot: id, Workspace: Workspace, Name: "large", Parents: m.Parents, Root: root, Files: m.Files, Bytes: m.Bytes,
			NewBytes: m.Bytes / uint64(len(l.files)), Clock: m.Read}, nil
	})
	return err
}

// add puts a chunk of a tree into the tree pack.
func (l *large) add(b []byte) (pack.ID, error) {
	id := pack.Sum(b)
	if len(l.plain)+len(b) > largeChunk {
		if err := l.closeFrame(); err != nil {
			return id, err
		}
	}
	l.plain, l.chunks = append(l.plain, b...), append(l.chunks, pack.Chunk{ID: id, Size: len(b)})
	return id, nil
}

func (l *large) closeFrame() error {
	f, err := l.enc.Encode(l.plain, l.chunks)
	if err != nil {
		return err
	}
	l.plain, l.chunks = l.plain[:0], nil
	if l.tree != nil && !l.tree.Fits(f) {
		if err := l.closePack(); err != nil {
			return err
		}
	}
	if l.tree == nil {
		if l.tree, err = pack.NewBuilder(seal.Tree, l.session, l.Keys, l.rand, nil); err != nil {
			return err
		}
	}
	return l.tree.Add(f)
}

func (l *large) closePack() error {
	p, err := l.tree.Finish()
	if err != nil {
		return err
	}
	l.tree = nil
	l.packs = append(l.packs, pack.Entry{Key: p.Key, Size: int64(len(p.Data)), Directory: p.Directory.Encoding()})
	return l.store.Put(l.ctx, p.Key.Name(), p.Data)
}

// data makes up a data pack of chunks: FORMAT.md §3, the directory.
func (l *large) data(ids []byte) error {
	n := len(ids) / len(pack.ID{})
	enc := make([]byte, 48, 60+n*(13+36))
	l.rand.Read(enc)
	for _, v := range []int{n, n, 0} {
		enc = binary.BigEndian.AppendUint32(enc, uint32(v))
	}
	for range n {
		enc = binary.BigEndian.AppendUint32(enc, largeStored)
		enc = binary.BigEndian.AppendUint32(enc, largeChunk)
		enc = append(binary.BigEndian.AppendUint32(enc, 1), byte(pack.Zstd))
	}
	for id := range slices.Chunk(ids, len(pack.ID{})) {
		enc = binary.BigEndian.AppendUint32(append(enc, id...), largeChunk)
	}
	k := pack.MakeKey(seal.Data, l.session, pack.Sum(enc))
	size := int64(seal.Padme(uint64(80 + n*largeStored + len(enc) + 52)))
	l.packs = append(l.packs, pack.Entry{Key: k, Size: size, Directory: enc})
	if len(l.packs) >= largeGroup {
		if err := l.flush(); err != nil {
			return err
		}
	}
	return l.Pretend(k.Name(), size)
}

// flush puts the directories gathered into segments.
func (l *large) flush() error {
	var c ledger.RegisterContent
	for _, payload := range pack.EncodeSegments(l.packs) {
		h, err := ledger.PutSealed(l.ctx, l.store, l.Keys, seal.Segment, payload, l.rand)
		if err != nil {
			return err
		}
		c.Segments = append(c.Segments, h)
	}
	for _, p := range l.packs {
		c.Packs = append(c.Packs, ledger.PackRef{Key: p.Key, Size: p.Size, Hash: ledger.Hash(pack.Sum(p.Directory))})
	}
	l.told, l.packs = append(l.told, c), nil
	return nil
}
