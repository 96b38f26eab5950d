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
	return r.walk(ctx, root, "", 0, f)
}

func (r *Reader) walk(ctx context.Context, node pack.ID, dir string, level int, f func(string, *Entry) error) error {
	if level > maxLevels {
		return fmt.Errorf("%w: %q is more than %d folders deep", ErrTree, dir, maxLevels)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	es, err := r.Entries(ctx, node)
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
			err = r.walk(ctx, e.Node, remote, level+1, f)
		}
		if err != nil {
			return err
		}
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
	return r.diff(ctx, a, b, "", in, f)
}

func (r *Reader) diff(ctx context.Context, a, b pack.ID, dir string, in func(string) bool, f func(Change) error) error {
	if a == b || !in(dir) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var as, bs []Entry
	var err error
	if a != (pack.ID{}) {
		if as, err = r.Entries(ctx, a); err != nil {
			return err
		}
	}
	if b != (pack.ID{}) {
		if bs, err = r.Entries(ctx, b); err != nil {
			return err
		}
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
		if err := r.diffEntry(ctx, old, now, dir, in, f); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) diffEntry(ctx context.Context, old, now *Entry, dir string, in func(string) bool, f func(Change) error) error {
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
		if err := f(c); err != nil {
			return err
		}
	}
	return r.diff(ctx, below[0], below[1], c.Remote, in, f)
}

// Content calls f with the bytes of a file, chunk by chunk; f must not keep them.
func (r *Reader) Content(ctx context.Context, e *Entry, f func([]byte) error) error {
	return r.ChunkIDs(ctx, e, func(id pack.ID) error {
		b, err := r.Chunk(ctx, id)
		if err != nil {
			return err
		}
		return f(b)
	})
}
