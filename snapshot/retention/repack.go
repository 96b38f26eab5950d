package retention

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"satchel/snapshot"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// repackPack is a pack of which only a part is needed, or that is small.
type repackPack struct {
	pack   ledger.Pack
	stored int64           // bytes that are needed
	dir    *pack.Directory // of those that are about to be copied
	need   bits            // chunks
}

// packs lists the packs that nobody needs, and those to be written anew, in the order in which
// they were registered.
func (p *Prune) packs(r *reach, out *Report) (dead []ledger.Pack, some []repackPack, err error) {
	small := map[seal.Kind][]repackPack{}
	out.Live = 0
	for lp := range p.Push.Log.State().LivePacks() {
		stored, known, err := r.stored(lp.Key)
		if err != nil {
			return nil, nil, err
		}
		target := int64(pack.DataTarget)
		if lp.Key.Kind() == seal.Tree {
			target = pack.TreeTarget
		}
		switch {
		case !known: // nobody can tell what it holds
			continue
		case stored == 0:
			dead = append(dead, lp)
			continue
		case p.Push.Damaged[lp.Key]: // what it still gives a repair may need
		case float64(stored) < repackBelow*float64(lp.Size) && lp.Size-stored > worthwhile:
			some = append(some, repackPack{pack: lp, stored: stored})
		case lp.Size < target/smallShare:
			small[lp.Key.Kind()] = append(small[lp.Key.Kind()], repackPack{pack: lp, stored: stored})
		}
		out.Live += lp.Size
	}
	for _, kind := range []seal.Kind{seal.Data, seal.Tree} {
		if len(small[kind]) >= manySmall {
			some = append(some, small[kind]...)
		}
	}
	slices.SortFunc(dead, ledger.Pack.Compare)
	slices.SortFunc(some, func(a, b repackPack) int { return a.pack.Compare(b.pack) })
	return dead, some, nil
}

// load reads the directories of packs that are about to be copied. One that has gone is left out.
func (p *Prune) load(r *reach, some []repackPack) (out []repackPack, err error) {
	for _, rp := range some {
		var ok bool
		if rp.dir, ok, err = p.Push.Index.Directory(rp.pack.Key); err != nil {
			return nil, err
		}
		if b := r.marked[rp.pack.Key]; ok && b != nil {
			rp.need = slices.Clone(*b)
			out = append(out, rp)
		}
	}
	return out, nil
}

// repack copies what is needed of packs that hold little of it, a batch at a time, and condemns
// them.
func (p *Prune) repack(ctx context.Context, r *reach, listed *listing, out *Report) error {
	_, some, err := p.packs(r, out)
	if err != nil {
		return err
	}
	for len(some) > 0 {
		n, size := 0, int64(0)
		for n < len(some) && (n == 0 || size+some[n].stored <= repackBatch) {
			size += some[n].stored
			n++
		}
		if err := p.batch(ctx, r, some[:n], listed, out); err != nil {
			return err
		}
		some = some[n:]
	}
	return nil
}

// batch is the repack of some packs. Where the ledger goes on meanwhile, the packs are condemned
// all the same of which nothing is needed but what was copied.
func (p *Prune) batch(ctx context.Context, r *reach, some []repackPack, listed *listing, out *Report) error {
	some, err := p.load(r, some)
	if err != nil {
		return err
	}
	copied, err := p.Push.Copy(ctx, func(add func(seal.Kind, *pack.Frame) error) error { return p.copyAll(ctx, some, add) })
	if errors.Is(err, store.ErrNotFound) && moved(ctx, p.Push.Log) {
		return errMoved
	} else if err != nil {
		return fmt.Errorf("repack: %w", err)
	}
	for range attempts {
		c := ledger.CondemnContent{Packs: copied.Refs, Segments: copied.Segments}
		var old []ledger.Pack
		for _, rp := range some {
			if _, live := p.Push.Log.State().Pack(rp.pack.Key); live && r.within(rp) {
				c.Names, old = append(c.Names, rp.pack.Key.Name()), append(old, rp.pack)
			}
		}
		if len(c.Names) == 0 || !p.Push.Log.State().Takes(copied.Refs, copied.Segments) {
			return errMoved
		}
		slices.Sort(c.Names)
		err := p.append(ctx, r, c)
		if err == nil {
			listed.condemned(old)
			out.Condemned += len(c.Names)
			out.Repacked += len(c.Names)
			out.Copied += copied.Bytes
			return errors.Join(snapshot.SyncIndex(ctx, p.Push.Log, p.Push.Index), r.moved(some))
		} else if !errors.Is(err, errMoved) {
			return err
		}
		if err := snapshot.SyncIndex(ctx, p.Push.Log, p.Push.Index); err != nil {
			return err
		}
		if err := p.update(ctx, r); err != nil {
			return err
		}
	}
	return errMoved
}

// copyAll hands the needed chunks of packs to add: frames as they are where all of it is needed,
// else the chunks in new frames.
func (p *Prune) copyAll(ctx context.Context, packs []repackPack, add func(seal.Kind, *pack.Frame) error) error {
	dec, err := pack.NewDecoder()
	if err != nil {
		return err
	}
	enc, err := pack.NewEncoder()
	if err != nil {
		return err
	}
	c := &copier{keys: p.Push.Keys, dec: dec, enc: enc, add: add}
	for _, rp := range packs {
		data, err := p.Push.Store.Get(ctx, rp.pack.Key.Name(), 0, rp.dir.End())
		if err != nil {
			return pack.GetError(rp.pack.Key, err)
		}
		if err := c.pack(rp, data); err != nil {
			return fmt.Errorf("pack %s: %w", rp.pack.Key.Name(), err)
		}
	}
	return nil
}

type copier struct {
	keys  *seal.Keys
	dec   *pack.Decoder
	enc   *pack.Encoder
	add   func(seal.Kind, *pack.Frame) error
	plain []byte
}

func (c *copier) pack(rp repackPack, data []byte) error {
	o, err := pack.Opener(c.keys, rp.pack.Key, rp.dir)
	if err != nil {
		return err
	}
	for i, f := range rp.dir.Frames() {
		if f.Offset+int64(f.Stored) > int64(len(data)) {
			return io.ErrUnexpectedEOF
		}
		sealed := data[f.Offset : f.Offset+int64(f.Stored)]
		frame, err := c.frame(rp, i, f, o, sealed)
		if err == nil && frame != nil {
			err = c.add(rp.pack.Key.Kind(), frame)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// frame is what a new pack gets of a frame; nil if nothing. Every chunk is hashed again: what is
// damaged is not carried on.
func (c *copier) frame(rp repackPack, i int, f pack.FrameInfo, o *seal.Opener, sealed []byte) (*pack.Frame, error) {
	var chunks []pack.Chunk
	for n := f.First; n < f.First+f.Chunks; n++ {
		if rp.need.has(n) {
			chunks = append(chunks, pack.Chunk{ID: rp.dir.ID(n), Size: rp.dir.Size(n)})
		}
	}
	if len(chunks) == 0 {
		return nil, nil
	}
	plain, err := c.dec.Frame(c.plain[:0], o, rp.pack.Key, rp.dir, i, sealed, nil)
	if err != nil {
		return nil, err
	}
	c.plain = plain
	if len(chunks) == f.Chunks {
		return rp.dir.Unsealed(f, o, sealed)
	}
	var kept []byte
	at := 0
	for n := f.First; n < f.First+f.Chunks; n++ {
		if rp.need.has(n) {
			kept = append(kept, plain[at:at+rp.dir.Size(n)]...)
		}
		at += rp.dir.Size(n)
	}
	return c.enc.Encode(kept, chunks)
}
