package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"satchel/store/pack"
)

// SkipDir, returned by the function given to Walk, passes over what is in the directory.
var SkipDir = fs.SkipDir

// Walk calls f with each entry below a root node and its remote path, directories before
// what is in them, by name.
func (r *Reader) Walk(ctx context.Context, root pack.ID, f func(remote string, e *Entry) error) error {
	return r.WalkUpTo(ctx, root, MaxEntries, f)
}

// WalkUpTo is a Walk that reports ErrTree where there are more entries than limit.
func (r *Reader) WalkUpTo(ctx context.Context, root pack.ID, limit int, f func(remote string, e *Entry) error) error {
	return r.walk(ctx, root, "", 0, &limit, f)
}

func (r *Reader) walk(ctx context.Context, node pack.ID, dir string, level int, left *int, f func(string, *Entry) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	es, err := r.Entries(ctx, node)
	if err == nil {
		err = Within(es, dir, level, left)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", dir, err)
	}
	for i := range es {
		e := &es[i]
		remote := join(dir, string(e.Name))
		err := f(remote, e)
		if errors.Is(err, SkipDir) && e.Type == Dir {
			continue
		}
		if err == nil && e.Type == Dir {
			err = r.walk(ctx, e.Node, remote, level+1, left, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Within takes the entries of a directory off what a walk may still see, and reports ErrTree
// where that is less, or where the directory lies too deep.
func Within(es []Entry, dir string, level int, left *int) error {
	if level > MaxLevels || len(dir) > MaxPath {
		return fmt.Errorf("%w: %d folders deep, a path of %d bytes", ErrTree, level, len(dir))
	}
	if *left -= len(es); *left < 0 {
		return fmt.Errorf("%w: it has more entries than its snapshot can have", ErrTree)
	}
	return nil
}

// Find looks a remote path up. It reports fs.ErrNotExist.
func (r *Reader) Find(ctx context.Context, root pack.ID, remote string) (*Entry, error) {
	e := &Entry{Type: Dir, Node: root}
	for name := range strings.SplitSeq(strings.Trim(remote, "/"), "/") {
		if name == "" {
			continue
		}
		if e.Type != Dir {
			return nil, fs.ErrNotExist
		}
		es, err := r.Entries(ctx, e.Node)
		if err != nil {
			return nil, err
		}
		if e = find(es, []byte(name)); e == nil {
			return nil, fs.ErrNotExist
		}
	}
	return e, nil
}

// Diff calls f with each file, link and so on that differs between two root nodes, by path.
// Subtrees that are the same are not read; a directory itself is no change.
func (r *Reader) Diff(ctx context.Context, a, b pack.ID, f func(Change) error) error {
	return r.DiffIn(ctx, a, b, func(string) bool { return true }, f)
}

// DiffIn is Diff for the directories that in takes, by their remote paths; "" is the root.
func (r *Reader) DiffIn(ctx context.Context, a, b pack.ID, in func(dir string) bool, f func(Change) error) error {
	d := differ{r, in, f, 2 * MaxEntries}
	return d.diff(ctx, a, b, "", 0)
}

// differ is a Diff under way.
type differ struct {
	*Reader
	in   func(dir string) bool
	f    func(Change) error
	left int // entries that may still be seen
}

func (r *differ) diff(ctx context.Context, a, b pack.ID, dir string, level int) error {
	if a == b || !r.in(dir) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var as, bs []Entry
	var err error
	if a != (pack.ID{}) {
		if as, err = r.Entries(ctx, a); err != nil {
			return fmt.Errorf("%q: %w", dir, err)
		}
	}
	if b != (pack.ID{}) {
		if bs, err = r.Entries(ctx, b); err != nil {
			return fmt.Errorf("%q: %w", dir, err)
		}
	}
	if err := errors.Join(Within(as, dir, level, &r.left), Within(bs, dir, level, &r.left)); err != nil {
		return fmt.Errorf("%q: %w", dir, err)
	}
	for len(as) > 0 || len(bs) > 0 {
		var old, now *Entry
		order := 0
		if len(as) == 0 {
			order = 1
		} else if len(bs) == 0 {
			order = -1
		} else {
			order = bytes.Compare(as[0].Name, bs[0].Name)
		}
		if order <= 0 {
			old, as = &as[0], as[1:]
		}
		if order >= 0 {
			now, bs = &bs[0], bs[1:]
		}
		if err := r.diffEntry(ctx, old, now, dir, level); err != nil {
			return err
		}
	}
	return nil
}

func (r *differ) diffEntry(ctx context.Context, old, now *Entry, dir string, level int) error {
	var below [2]pack.ID
	c := Change{Old: old, New: now}
	for i, e := range []*Entry{old, now} {
		if e == nil {
			continue
		}
		c.Remote = join(dir, string(e.Name))
		if e.Type == Dir {
			below[i] = e.Node
		}
	}
	if c.Old != nil && c.Old.Type == Dir {
		c.Old = nil
	}
	if c.New != nil && c.New.Type == Dir {
		c.New = nil
	}
	if c.Old != nil && c.New != nil && c.Old.same(c.New) {
		return nil
	}
	if c.Old != nil || c.New != nil {
		if err := r.f(c); err != nil {
			return err
		}
	}
	return r.diff(ctx, below[0], below[1], c.Remote, level+1)
}

// Content calls f with the bytes of a file, chunk by chunk; f must not keep them.
func (r *Reader) Content(ctx context.Context, e *Entry, f func([]byte) error) error {
	var sum Sum
	err := r.ChunkIDs(ctx, e, func(id pack.ID) error {
		b, err := r.Chunk(ctx, id)
		if err == nil {
			err = sum.Add(e, 1, uint64(len(b)))
		}
		if err != nil {
			return err
		}
		return f(b)
	})
	if err != nil {
		return err
	}
	return sum.End(e)
}
