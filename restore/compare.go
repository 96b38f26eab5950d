package restore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"satchel/index"
	"satchel/snapshot"
	"satchel/store/pack"
)

// known is the file state of one directory, by name.
type known struct {
	entries []snapshot.Entry
	stats   []index.Stat
}

func newKnown(d index.Dir) known {
	es, err := snapshot.DecodeState(d)
	if err != nil {
		return known{}
	}
	return known{es, d.Stats}
}

// content returns what a file held when it was last read, if it was not touched since.
func (k known) content(name []byte, info fs.FileInfo, beside uint64) *snapshot.Entry {
	e := find(k.entries, name)
	if e == nil {
		return nil
	}
	i := slices.IndexFunc(k.entries, func(o snapshot.Entry) bool { return string(o.Name) == string(name) })
	now := snapshot.StatOf(info, time.Time{})
	now.Beside = beside
	if !k.stats[i].Fresh(now) {
		return nil
	}
	return e
}

// holds reports whether the local path is what the entry says, bytes and kind. Modes and
// times do not count. It reads the file unless its state is known.
func (p *Plan) holds(ctx context.Context, k known, local string, info fs.FileInfo, e *snapshot.Entry) (bool, error) {
	switch e.Type {
	case snapshot.File:
		if !info.Mode().IsRegular() {
			return false, nil
		}
	case snapshot.Symlink:
		if info.Mode().Type() != fs.ModeSymlink {
			return false, nil
		}
		target, err := p.o.Root.Readlink(local)
		return err == nil && target == string(e.Target), err
	case snapshot.Fifo:
		return info.Mode().Type() == fs.ModeNamedPipe, nil
	default:
		return true, nil // a kind that is not made here
	}
	beside, err := p.beside(local, info)
	if err != nil {
		return false, err
	}
	switch c := k.content(e.Name, info, beside); {
	case c != nil:
		return c.SameContent(e), nil
	case beside != 0:
		return p.imageHolds(ctx, local, e)
	}
	return p.reads(ctx, local, info, e)
}

// errOther ends a comparison.
var errOther = errors.New("other bytes")

// reads compares a file with the chunks of an entry.
func (p *Plan) reads(ctx context.Context, local string, info fs.FileInfo, e *snapshot.Entry) (bool, error) {
	if uint64(info.Size()) != e.Size {
		return false, nil
	}
	f, err := p.o.Root.OpenFile(local, os.O_RDONLY, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return p.matches(ctx, f, e)
}

// matches compares what f has with the chunks of an entry.
func (p *Plan) matches(ctx context.Context, f io.Reader, e *snapshot.Entry) (bool, error) {
	var buf []byte
	var sum snapshot.Sum
	err := p.o.Reader.ChunkIDs(ctx, e, func(id pack.ID) error {
		loc, ok, err := p.o.Index.Lookup(id)
		if err != nil {
			return err
		}
		if !ok {
			return errOther
		}
		if err := sum.Add(e, 1, uint64(loc.Size)); err != nil {
			return err
		}
		buf = slices.Grow(buf[:0], loc.Size)[:loc.Size]
		if _, err := io.ReadFull(f, buf); err != nil || pack.Sum(buf) != id {
			return errOther
		}
		return nil
	})
	if errors.Is(err, errOther) {
		return false, nil
	}
	if err == nil {
		err = sum.End(e)
	}
	return err == nil, err
}
