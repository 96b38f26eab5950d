package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"satchel/index"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// How a push gathers what is new, in bytes.
const (
	frameTarget = 1 << 20 // plaintext gathered into one frame
	smallPush   = 2 << 20 // coded data up to here goes into the tree pack: no data pack at all
	secondOpen  = pack.DataTarget
)

// A sink takes the chunks that the repository does not have and puts them into packs:
// data frames spread over two open data packs, trees into a tree pack, a small push's
// data into the tree pack too. What the store has acknowledged is noted in the index as under
// way, so that an interrupted push does not send it again.
//
// Its methods may be called concurrently. The memory it holds is two open data packs, `uploads`-1
// on their way and a tree pack: who needs another waits until the store has taken one.
type sink struct {
	store    store.Store
	keys     *seal.Keys
	index    *index.Index
	owner    [16]byte // whose push is under way
	session  pack.Session
	rand     io.Reader
	progress *Progress

	register func([]index.Pack) error // called with ackMu held
	every    int                      // packs at once
	small    int                      // bytes of held that go into the tree pack

	uploads *errgroup.Group
	ctx     context.Context
	rooms   chan []byte // for data packs; nil: not made yet

	mu      sync.Mutex      // guards what follows
	held    []*pack.Frame   // data frames, until there are more than small bytes
	heldLen int             //
	data    []*pack.Builder // open data packs
	sealed  int             // bytes added to data packs so far

	treeMu sync.Mutex // guards what follows
	tree   *pack.Builder
	enc    *pack.Encoder
	plain  []byte       // tree chunks of the frame under construction
	chunks []pack.Chunk //

	ackMu sync.Mutex
	acked []index.Pack // acknowledged, not yet registered
	told  []index.Pack // of this push, registered before its end

	stored atomic.Int64
}

func newSink(ctx context.Context, s store.Store, keys *seal.Keys, x *index.Index, owner [16]byte, session pack.Session, uploads int, rand io.Reader, p *Progress) (*sink, error) {
	enc, err := pack.NewEncoder()
	if err != nil {
		return nil, err
	}
	k := &sink{store: s, keys: keys, index: x, owner: owner, session: session, rand: &lockedReader{r: rand}, progress: p, enc: enc, every: registerEvery, small: smallPush}
	k.uploads, k.ctx = errgroup.WithContext(ctx)
	k.uploads.SetLimit(uploads)
	k.rooms = make(chan []byte, max(uploads+1, 3))
	for range cap(k.rooms) {
		k.rooms <- nil
	}
	return k, nil
}

// lockedReader lets several goroutines draw from one source of randomness.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

// room is memory for a data pack. It waits while there is none.
func (k *sink) room() ([]byte, error) {
	select {
	case b := <-k.rooms:
		if b == nil {
			b = make([]byte, 0, pack.DataTarget)
		}
		return b, nil
	case <-k.ctx.Done():
		return nil, context.Cause(k.ctx)
	}
}

// addData takes a data frame, of which it keeps nothing.
func (k *sink) addData(f *pack.Frame) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.data) == 0 {
		own := *f
		own.Coded, own.Chunks = bytes.Clone(f.Coded), slices.Clone(f.Chunks)
		k.held = append(k.held, &own)
		if k.heldLen += len(f.Coded); k.heldLen <= k.small {
			return nil
		}
		held := k.held
		k.held, k.heldLen = nil, 0
		for _, f := range held {
			if err := k.spread(f); err != nil {
				return err
			}
		}
		return nil
	}
	return k.spread(f)
}

// spread adds a frame to one of the open data packs at random.
func (k *sink) spread(f *pack.Frame) error {
	i := 0
	if k.sealed > secondOpen {
		var r [1]byte
		if _, err := io.ReadFull(k.rand, r[:]); err != nil {
			return err
		}
		i = int(r[0] & 1)
	}
	for len(k.data) <= i {
		k.data = append(k.data, nil)
	}
	if k.data[i] != nil && !k.data[i].Fits(f) {
		if err := k.close(k.data[i]); err != nil {
			return err
		}
		k.data[i] = nil
	}
	if k.data[i] == nil {
		room, err := k.room()
		if err != nil {
			return err
		}
		b, err := pack.NewBuilder(seal.Data, k.session, k.keys, k.rand, room)
		if err != nil {
			return err
		}
		k.data[i] = b
	}
	k.sealed += len(f.Coded)
	return k.data[i].Add(f)
}

// addTree takes a chunk of a tree: a node, a list, a manifest.
func (k *sink) addTree(id pack.ID, b []byte) error {
	k.treeMu.Lock()
	defer k.treeMu.Unlock()
	if len(k.plain)+len(b) > frameTarget || len(k.chunks) == pack.MaxChunks {
		if err := k.treeFrame(); err != nil {
			return err
		}
	}
	k.plain = append(k.plain, b...)
	k.chunks = append(k.chunks, pack.Chunk{ID: id, Size: len(b)})
	return nil
}

// treeFrame closes the tree frame under construction.
func (k *sink) treeFrame() error {
	if len(k.chunks) == 0 {
		return nil
	}
	f, err := k.enc.Encode(k.plain, k.chunks)
	if err != nil {
		return err
	}
	k.plain, k.chunks = k.plain[:0], k.chunks[:0]
	return k.addToTree(f)
}

func (k *sink) addToTree(f *pack.Frame) (err error) {
	if k.tree != nil && !k.tree.Fits(f) {
		if err := k.close(k.tree); err != nil {
			return err
		}
		k.tree = nil
	}
	if k.tree == nil {
		if k.tree, err = pack.NewBuilder(seal.Tree, k.session, k.keys, k.rand, make([]byte, 0, pack.TreeTarget)); err != nil {
			return err
		}
	}
	return k.tree.Add(f)
}

// close finishes a pack and sends it off. It waits while too many are on their way.
func (k *sink) close(b *pack.Builder) error {
	p, err := b.Finish()
	if err != nil {
		return err
	}
	if err := k.ctx.Err(); err != nil {
		return context.Cause(k.ctx)
	}
	k.uploads.Go(func() error {
		if err := k.store.Put(k.ctx, p.Key.Name(), p.Data); err != nil && !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("pack %s: %w", p.Key.Name(), err)
		}
		size := int64(len(p.Data))
		k.stored.Add(size)
		if k.progress != nil {
			k.progress.Stored.Add(size)
		}
		if p.Key.Kind() == seal.Data {
			k.rooms <- p.Data
		}
		return k.acknowledge(index.Pack{Key: p.Key, Size: size, Hash: p.Directory.Hash(), Directory: p.Directory.Encoding()})
	})
	return nil
}

// registerEvery is after how many packs a long push tells the ledger of them, if it does not say: 8 GiB.
const registerEvery = 256

func (k *sink) acknowledge(p index.Pack) error {
	k.ackMu.Lock()
	defer k.ackMu.Unlock()
	k.acked = append(k.acked, p)
	if err := k.index.AddUnderway(k.owner, p); err != nil || len(k.acked) < k.every {
		return err
	}
	many := k.acked
	k.acked, k.told = nil, append(k.told, many...)
	return k.register(many)
}

// take returns the packs acknowledged since the last call.
func (k *sink) take() []index.Pack {
	k.ackMu.Lock()
	defer k.ackMu.Unlock()
	out := k.acked
	k.acked = nil
	return out
}

// finish closes what is open and waits until the store has acknowledged everything.
func (k *sink) finish() error {
	err := func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.treeMu.Lock()
		defer k.treeMu.Unlock()
		for _, f := range k.held {
			if err := k.addToTree(f); err != nil {
				return err
			}
		}
		k.held = nil
		if err := k.treeFrame(); err != nil {
			return err
		}
		for _, b := range append(k.data, k.tree) {
			if b != nil {
				if err := k.close(b); err != nil {
					return err
				}
			}
		}
		k.data, k.tree = nil, nil
		return nil
	}()
	return errors.Join(err, k.uploads.Wait())
}

// abandon forgets what is open and waits for what is on its way.
func (k *sink) abandon() { k.uploads.Wait() }

// refs lists packs for a ledger entry. Small directories go into the entry itself, else
// into index segments; a few packs with large ones are read from their own ends.
func (k *sink) refs(ctx context.Context, packs []index.Pack) (refs []ledger.PackRef, segments []ledger.Hash, err error) {
	total := 0
	for _, p := range packs {
		total += len(p.Directory)
	}
	inline := total <= maxInlineDirectories
	if !inline && len(packs) > 1 {
		var entries []pack.Entry
		for _, p := range packs {
			entries = append(entries, pack.Entry{Key: p.Key, Size: p.Size, Directory: p.Directory})
		}
		for _, payload := range pack.EncodeSegments(entries) {
			h, err := ledger.PutSealed(ctx, k.store, k.keys, seal.Segment, payload, k.rand)
			if err != nil {
				return nil, nil, fmt.Errorf("index segment: %w", err)
			}
			k.stored.Add(int64(seal.WholeSize(len(payload))))
			segments = append(segments, h)
		}
	}
	for _, p := range packs {
		r := ledger.PackRef{Key: p.Key, Size: p.Size, Hash: p.Hash}
		if inline {
			r.Directory = p.Directory
		}
		refs = append(refs, r)
	}
	return refs, segments, nil
}

// maxInlineDirectories is how many bytes of directories an entry may carry.
const maxInlineDirectories = 700 << 10
