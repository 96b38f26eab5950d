package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"satchel/index"
	"satchel/snapshot"
	"satchel/snapshot/check"
	"satchel/store"
	"satchel/store/pack"
	"satchel/store/seal"
)

// PackOptions is what Packs needs.
type PackOptions struct {
	Push  *snapshot.Push // store, keys, ledger, index, and whose files they are; Damaged is set here
	Files bool           // look for lost chunks in the workspace

	Damaged []pack.Key       // as check found them
	Lost    map[pack.ID]bool // chunks that are in no pack at all
}

// Mended is what Packs did.
type Mended struct {
	Frames    int // copied from damaged packs into new ones
	Salvaged  int // chunks in them
	Elsewhere int // chunks that lie whole in another pack
	FromFiles int // chunks found in the workspace
	Holes     []check.Hurt
}

// Packs saves what can be saved of damaged packs: frames that still open are copied into new
// packs, and chunks that do not are looked for in other packs and in the workspace. What was saved
// is registered. A chunk that has a whole location already is left alone, so a second run has
// nothing to do.
func Packs(ctx context.Context, o PackOptions) (*Mended, error) {
	s := &salvage{PackOptions: o, damaged: map[pack.Key]bool{}, lost: map[pack.ID]bool{}}
	for _, k := range o.Damaged {
		s.damaged[k] = true
	}
	for id := range o.Lost {
		s.lost[id] = true
	}
	var err error
	if s.reader, err = snapshot.NewReader(o.Push.Store, o.Push.Keys, o.Push.Index); err != nil {
		return nil, err
	}
	if s.dec, err = pack.NewDecoder(); err != nil {
		return nil, err
	}
	push := *o.Push
	push.Damaged = s.damaged
	err = push.Resend(ctx, o.Files, func(add func(seal.Kind, *pack.Frame) error) (map[pack.ID]bool, error) {
		for _, k := range o.Damaged {
			if err := s.pack(ctx, k, add); err != nil {
				return nil, err
			}
		}
		return s.lost, nil
	})
	if err != nil {
		return nil, err
	}
	return s.result(ctx)
}

// salvage is a Packs under way.
type salvage struct {
	PackOptions
	damaged map[pack.Key]bool
	lost    map[pack.ID]bool // what is looked for in the files
	reader  *snapshot.Reader
	dec     *pack.Decoder
	plain   []byte
	out     Mended
}

// pack copies the frames of one damaged pack.
func (s *salvage) pack(ctx context.Context, k pack.Key, add func(seal.Kind, *pack.Frame) error) error {
	d, ok, err := s.Push.Index.Directory(k)
	if err != nil || !ok {
		return err // what it held is in Lost, as far as a snapshot needs it
	}
	data, err := s.Push.Store.Get(ctx, k.Name(), 0, -1)
	if err != nil && (!errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNoContainer)) {
		return err
	}
	o, err := pack.Opener(s.Push.Keys, k, d)
	if err != nil {
		return err
	}
	for i := range d.Frames() {
		if err := s.frame(ctx, k, d, i, o, data, add); err != nil {
			return fmt.Errorf("pack %s: %w", k.Name(), err)
		}
	}
	return nil
}

func (s *salvage) frame(ctx context.Context, k pack.Key, d *pack.Directory, i int, o *seal.Opener, data []byte, add func(seal.Kind, *pack.Frame) error) error {
	f := d.Frames()[i]
	needed := false
	for _, c := range d.Chunks(f) {
		whole, err := s.whole(c.ID)
		if err != nil {
			return err
		}
		needed = needed || !whole
	}
	if !needed {
		return nil
	}
	end := min(f.Offset+int64(f.Stored), int64(len(data)))
	sealed := data[min(f.Offset, end):end]
	plain, err := s.dec.Frame(s.plain[:0], o, k, d, i, sealed, nil)
	if errors.Is(err, pack.ErrDamaged) {
		return s.lose(ctx, d.Chunks(f))
	} else if err != nil {
		return err
	}
	s.plain = plain
	copied, err := d.Unsealed(f, o, sealed)
	if err != nil {
		return err
	}
	s.out.Frames++
	s.out.Salvaged += len(copied.Chunks)
	for _, c := range copied.Chunks {
		delete(s.lost, c.ID)
	}
	return add(k.Kind(), copied)
}

// whole reports whether a chunk has a location that is not in a damaged pack.
func (s *salvage) whole(id pack.ID) (bool, error) {
	locs, err := s.Push.Index.Locations(id)
	return slices.ContainsFunc(locs, func(l index.Location) bool { return !s.damaged[l.Pack] }), err
}

// lose notes the chunks of a frame that does not open, unless another pack gives them.
func (s *salvage) lose(ctx context.Context, chunks []pack.Chunk) error {
	for _, c := range chunks {
		switch _, err := s.reader.Chunk(ctx, c.ID); {
		case err == nil:
			s.out.Elsewhere++
		case errors.Is(err, pack.ErrDamaged):
			s.lost[c.ID] = true
		default:
			return err
		}
	}
	return nil
}

// result counts what was found, and lists what was not by the paths that it hurts.
func (s *salvage) result(ctx context.Context) (*Mended, error) {
	for id := range s.lost {
		whole, err := s.whole(id)
		if err != nil {
			return nil, err
		}
		if whole {
			s.out.FromFiles++
			delete(s.lost, id)
		}
	}
	var err error
	s.out.Holes, err = check.Holes(ctx, s.Push.Log, s.Push.Index, s.lost)
	return &s.out, err
}
