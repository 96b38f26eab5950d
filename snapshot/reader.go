package snapshot

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"satchel/index"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// ErrMissing says that no live pack holds a chunk that a snapshot needs.
var ErrMissing = errors.New("a chunk is missing from the repository")

// Reader reads trees, lists and manifests by id. It fetches whole tree packs, one request
// each, and keeps the last few. It is safe for concurrent use.
type Reader struct {
	store store.Store
	keys  *seal.Keys
	index *index.Index

	mu     sync.Mutex
	dec    *pack.Decoder
	lent   map[pack.ID][]byte
	spool  store.Store
	packs  lru[pack.Key, *readPack]
	frames lru[frameKey, []byte]
}

type frameKey struct {
	pack  pack.Key
	frame int
}

type readPack struct {
	dir    *pack.Directory
	opener *seal.Opener
	data   []byte // the whole object; nil for one too large to keep
}

// How much a Reader keeps in memory: packs of at most wholePack bytes, and frames.
const (
	keptPacks  = 3
	keptFrames = 24
	wholePack  = pack.TreeTarget + 1<<20
)

// NewReader returns a Reader of a repository whose index is up to date.
func NewReader(s store.Store, keys *seal.Keys, x *index.Index) (*Reader, error) {
	dec, err := pack.NewDecoder()
	if err != nil {
		return nil, err
	}
	return &Reader{store: s, keys: keys, index: x, dec: dec,
		packs: newLRU[pack.Key, *readPack](keptPacks), frames: newLRU[frameKey, []byte](keptFrames)}, nil
}

// Lend makes the Reader know chunks that are in no pack, and packs that only spool has.
func (r *Reader) Lend(chunks map[pack.ID][]byte, spool store.Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lent, r.spool = chunks, spool
}

// Chunk returns the bytes of a chunk, which are not to be changed. It reports ErrMissing,
// pack.ErrDamaged, or what the store says. Where one pack is damaged it looks into the others
// that have the chunk too.
func (r *Reader) Chunk(ctx context.Context, id pack.ID) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.lent[id]; ok {
		return b, nil
	}
	loc, ok, err := r.index.Lookup(id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: %x", ErrMissing, id[:])
	}
	b, err := r.at(ctx, loc)
	if !errors.Is(err, pack.ErrDamaged) {
		return b, err
	}
	others, lerr := r.index.Locations(id)
	if lerr != nil {
		return nil, lerr
	}
	for _, other := range others {
		if other.Pack == loc.Pack {
			continue
		}
		if b, oerr := r.at(ctx, other); !errors.Is(oerr, pack.ErrDamaged) {
			return b, oerr
		}
	}
	return nil, err
}

// at reads a chunk from one location.
func (r *Reader) at(ctx context.Context, loc index.Location) ([]byte, error) {
	p, err := r.open(ctx, loc.Pack)
	if err != nil {
		return nil, err
	}
	frame := p.dir.FrameOf(loc.Chunk)
	plain, err := r.frame(ctx, loc.Pack, p, frame)
	if err != nil {
		return nil, err
	}
	at := 0
	for c := p.dir.Frames()[frame].First; c < loc.Chunk; c++ {
		at += p.dir.Size(c)
	}
	return plain[at : at+p.dir.Size(loc.Chunk)], nil
}

func (r *Reader) open(ctx context.Context, k pack.Key) (*readPack, error) {
	if p, ok := r.packs.get(k); ok {
		return p, nil
	}
	d, ok, err := r.index.Directory(k)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: the index lost pack %s", ErrMissing, k.Name())
	}
	o, err := pack.Opener(r.keys, k, d)
	if err != nil {
		return nil, err
	}
	p := &readPack{dir: d, opener: o}
	if d.End() <= wholePack {
		p.data, err = Over(r.spool, r.store).Get(ctx, k.Name(), 0, d.End())
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // of one that was cut off, some frames may be left
			return nil, pack.GetError(k, err)
		}
	}
	r.packs.put(k, p)
	return p, nil
}

func (r *Reader) frame(ctx context.Context, k pack.Key, p *readPack, frame int) ([]byte, error) {
	key := frameKey{k, frame}
	if b, ok := r.frames.get(key); ok {
		return b, nil
	}
	f := p.dir.Frames()[frame]
	var sealed []byte
	if p.data != nil {
		sealed = p.data[f.Offset : f.Offset+int64(f.Stored)]
	} else {
		b, err := Over(r.spool, r.store).Get(ctx, k.Name(), f.Offset, int64(f.Stored))
		if err != nil {
			return nil, pack.GetError(k, err)
		}
		sealed = b
	}
	plain, err := r.dec.Frame(nil, p.opener, k, p.dir, frame, sealed, nil)
	if err != nil {
		return nil, err
	}
	r.frames.put(key, plain)
	return plain, nil
}

// Entries returns the entries of the directory whose node is id.
func (r *Reader) Entries(ctx context.Context, id pack.ID) ([]Entry, error) {
	return r.EntriesParts(ctx, id, func(pack.ID) {})
}

// EntriesParts is Entries; visit is called with the id of each part of a large directory.
func (r *Reader) EntriesParts(ctx context.Context, id pack.ID, visit func(pack.ID)) ([]Entry, error) {
	b, err := r.Chunk(ctx, id)
	if err != nil {
		return nil, err
	}
	es, parts, err := parseNode(b)
	if err != nil || len(parts) == 0 {
		return es, err
	}
	for _, p := range parts {
		visit(p)
		if b, err = r.Chunk(ctx, p); err != nil {
			return nil, err
		}
		more, deeper, err := parseNode(b)
		if err != nil {
			return nil, err
		}
		switch last := len(es) - 1; {
		case len(deeper) > 0:
			return nil, fmt.Errorf("%w: parts within parts", ErrTree)
		case len(more) == 0:
			return nil, fmt.Errorf("%w: an empty part", ErrTree)
		case last >= 0 && bytes.Compare(es[last].Name, more[0].Name) >= 0: // so no part can come twice
			return nil, fmt.Errorf("%w: %q does not stand after %q", ErrTree, more[0].Name, es[last].Name)
		}
		es = append(es, more...)
	}
	return es, nil
}

// Manifest returns the manifest of a snapshot.
func (r *Reader) Manifest(ctx context.Context, id pack.ID) (*Manifest, error) {
	b, err := r.Chunk(ctx, id)
	if err != nil {
		return nil, err
	}
	return ParseManifest(b)
}

// ManifestOf reads the manifest of a snapshot that the ledger has. It reports ErrTree if it is another
// snapshot's.
func (r *Reader) ManifestOf(ctx context.Context, v ledger.Snapshot) (*Manifest, error) {
	m, err := r.Manifest(ctx, v.ID)
	if err == nil && (m.Root != v.Root || m.Workspace != v.Workspace) {
		return nil, fmt.Errorf("%w: a manifest of another snapshot", ErrTree)
	}
	return m, err
}

// ChunkIDs calls f with the id of each chunk of a file, in order. A liar's file has more of
// them than anybody can count: f adds them up in a Sum.
func (r *Reader) ChunkIDs(ctx context.Context, e *Entry, f func(pack.ID) error) error {
	return r.chunkIDs(ctx, e.IDs, int(e.Depth), f)
}

func (r *Reader) chunkIDs(ctx context.Context, ids []byte, depth int, f func(pack.ID) error) error {
	for ; len(ids) > 0; ids = ids[sha256.Size:] {
		if depth == 0 {
			if err := f(pack.ID(ids)); err != nil {
				return err
			}
			continue
		}
		list, err := r.List(ctx, pack.ID(ids))
		if err != nil {
			return err
		}
		if err := r.chunkIDs(ctx, list, depth-1, f); err != nil {
			return err
		}
	}
	return nil
}

// List returns a list of ids, which are not to be changed.
func (r *Reader) List(ctx context.Context, id pack.ID) ([]byte, error) {
	b, err := r.Chunk(ctx, id)
	if err == nil && (len(b)%sha256.Size != 0 || len(b) > maxIDs*sha256.Size) {
		err = fmt.Errorf("%w: a list of %d bytes", ErrTree, len(b))
	}
	return b, err
}

// lru keeps the last n values.
type lru[K comparable, V any] struct {
	n     int
	order *list.List
	m     map[K]*list.Element
}

type lruItem[K comparable, V any] struct {
	k K
	v V
}

func newLRU[K comparable, V any](n int) lru[K, V] {
	return lru[K, V]{n, list.New(), map[K]*list.Element{}}
}

func (l *lru[K, V]) get(k K) (v V, ok bool) {
	e, ok := l.m[k]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(lruItem[K, V]).v, true
}

func (l *lru[K, V]) put(k K, v V) {
	l.m[k] = l.order.PushFront(lruItem[K, V]{k, v})
	for l.order.Len() > l.n {
		last := l.order.Back()
		delete(l.m, l.order.Remove(last).(lruItem[K, V]).k)
	}
}
