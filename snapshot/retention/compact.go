package retention

import (
	"context"
	"fmt"
	"slices"

	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Segments are written anew where there are many, and they are far larger than what they are
// to tell: each lists what was registered at its time, dead by now or not.
const (
	manySegments = 8
	slack        = 8 << 20 // bytes
)

// rowSize is about how many bytes a directory has for each chunk.
const rowSize = 36

// compact replaces the index segments by ones that list the live packs alone. They are a short
// cut only, so nothing depends on which of them a reader finds.
func (p *Prune) compact(ctx context.Context, listed *listing) error {
	old := p.Push.Log.State().Segments()
	size := int64(0)
	for _, h := range old {
		size += listed.objects[ledger.SegmentName(h)].Size
	}
	sum, err := p.Push.Index.Summary()
	large := len(old) >= manySegments && size >= 2*rowSize*int64(sum.Chunks)+slack
	if err != nil || !large && (p.Segments == 0 || len(old) < p.Segments) {
		return err
	}
	return p.replaceSegments(ctx, old)
}

// replaceSegments puts new ones in the place of old ones.
func (p *Prune) replaceSegments(ctx context.Context, old []ledger.Hash) error {
	if len(old) == 0 {
		return nil
	}
	fresh, err := p.segments(ctx)
	if err != nil {
		return fmt.Errorf("index segments: %w", err)
	}
	_, err = p.Push.Log.Append(ctx, p.Push.Me, ledger.Condemn, func(s *ledger.State) (any, error) {
		c := ledger.CondemnContent{Segments: fresh}
		for _, h := range s.Segments() {
			if slices.Contains(old, h) {
				c.Names = append(c.Names, ledger.SegmentName(h))
			}
		}
		if len(c.Names) == 0 || !s.Takes(nil, fresh) {
			return nil, errMoved
		}
		return c, nil
	})
	return err
}

// segments puts the directories of all live packs into segments.
func (p *Prune) segments(ctx context.Context) (fresh []ledger.Hash, err error) {
	var group []pack.Entry
	size := 0
	flush := func() error {
		for _, payload := range pack.EncodeSegments(group) {
			h, err := ledger.PutSealed(ctx, p.Push.Store, p.Push.Keys, seal.Segment, payload, p.Push.Rand)
			if err != nil {
				return err
			}
			fresh = append(fresh, h)
		}
		group, size = nil, 0
		return nil
	}
	for _, lp := range p.Push.Log.State().Packs() {
		d, ok, err := p.Push.Index.Directory(lp.Key)
		if err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		group = append(group, pack.Entry{Key: lp.Key, Size: lp.Size, Directory: d.Encoding()})
		if size += len(d.Encoding()); size > 64<<20 {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return fresh, flush()
}
