package snapshot

import (
	"context"

	"satchel/index"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Resend gives the repository back what it has lost, and makes no snapshot. salvage hands
// on frames of damaged packs that still open, and returns the chunks that are lost for
// good there; if files is set, those are looked for in the workspace, which p.Rules name.
// What was found is registered, and the index brought up to date. p.Damaged names the
// damaged packs, and must not be nil.
func (p *Push) Resend(ctx context.Context, files bool, salvage func(add func(seal.Kind, *pack.Frame) error) (lost map[pack.ID]bool, err error)) error {
	s := p.Log.State()
	b, err := p.builder(ctx, s, false)
	if err != nil {
		return err
	}
	defer b.close()
	defer b.capture.sink.abandon()
	b.dry = true // the file state stays as it is: no snapshot comes of this
	lost, err := salvage(b.capture.sink.copy)
	b.capture.only = lost
	if err == nil && files && len(lost) > 0 {
		parent, _ := Newest(s, p.Lineage.Workspace)
		_, err = b.build(ctx, parent.Root)
	} else {
		b.capture.fail(err)
		if cerr := b.capture.finish(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return err
	}
	_, err = p.again(ctx, b)
	return err
}

// copy takes a frame of another pack as it is.
func (k *sink) copy(kind seal.Kind, f *pack.Frame) error {
	if kind == seal.Data {
		return k.addData(f)
	}
	k.treeMu.Lock()
	defer k.treeMu.Unlock()
	return k.addToTree(f)
}

// again registers what was stored for no snapshot, as the repository had lost it, and returns
// how many bytes of chunks that are.
func (p *Push) again(ctx context.Context, b *builder) (int64, error) {
	if p.Damaged == nil {
		return 0, nil
	}
	sink := b.capture.sink
	if err := sink.finish(); err != nil {
		return 0, err
	}
	packs := sink.take()
	if len(packs) == 0 {
		return 0, nil
	}
	if err := p.register(ctx, sink, packs); err != nil {
		return 0, err
	}
	return b.capture.newSize.Load(), SyncIndex(ctx, p.Log, p.Index)
}

// elsewhere finds a pack that has the chunk and is not known to be damaged.
func (c *capture) elsewhere(id pack.ID) (index.Location, bool, error) {
	locs, err := c.index.Locations(id)
	for _, loc := range locs {
		if !c.damaged[loc.Pack] {
			return loc, err == nil, err
		}
	}
	return index.Location{}, false, err
}

// whole reports whether no chunk of a file is in a pack that is known to be damaged, and
// nowhere else.
func (b *builder) whole(e *Entry) bool {
	if b.capture.damaged == nil {
		return true
	}
	for _, content := range e.Contents() {
		err := b.reader.ChunkIDs(b.capture.ctx, content, func(id pack.ID) error {
			if !b.capture.live(id) {
				return ErrMissing
			}
			return nil
		})
		if err != nil {
			return false
		}
	}
	return true
}
