package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"satchel/store/pack"
)

// A Track finds one path in many snapshots. What they have in common it reads once. It is for
// one goroutine.
type Track struct {
	r     *Reader
	names []string
	seen  map[trackKey]*Entry
}

type trackKey struct {
	node  pack.ID
	level int
}

// Track returns a Track of a remote path; "" is the root.
func (r *Reader) Track(remote string) *Track {
	return &Track{r, strings.FieldsFunc(remote, func(c rune) bool { return c == '/' }), map[trackKey]*Entry{}}
}

// In returns the path's entry below a root node, nil if it is not there. It is not to be changed.
func (t *Track) In(ctx context.Context, root pack.ID) (*Entry, error) {
	return t.below(ctx, &Entry{Type: Dir, Node: root}, 0)
}

func (t *Track) below(ctx context.Context, e *Entry, level int) (*Entry, error) {
	if level == len(t.names) {
		return e, nil
	}
	if e.Type != Dir {
		return nil, nil
	}
	key := trackKey{e.Node, level}
	if found, ok := t.seen[key]; ok {
		return found, nil
	}
	found, err := t.r.Find(ctx, e.Node, t.names[level])
	if errors.Is(err, fs.ErrNotExist) {
		found, err = nil, nil
	}
	if found != nil {
		found, err = t.below(ctx, found, level+1)
	}
	if err == nil {
		t.seen[key] = found
	}
	return found, err
}

// A Search lists what matches in many snapshots. It reads each directory once.
type Search struct {
	r     *Reader
	in    func(dir string) bool
	match func(remote string, e *Entry) bool
	seen  map[searchKey]*searched
	left  int // entries of this snapshot that may still be seen for the first time
}

// Found is a path that matches.
type Found struct {
	Remote string
	Entry  *Entry // not to be changed
}

type searchKey struct {
	node pack.ID
	dir  string
}

// searched is what one directory holds.
type searched struct {
	found []Found
	below []*searched // that hold something
}

// Search returns a Search for the entries that match, in the directories that in takes.
func (r *Reader) Search(in func(dir string) bool, match func(remote string, e *Entry) bool) *Search {
	return &Search{r, in, match, map[searchKey]*searched{}, 0}
}

// In calls f with what matches below a root node; a directory's own matches come before those in its folders.
// It reports ErrTree where there are more entries than limit.
func (s *Search) In(ctx context.Context, root pack.ID, limit int, f func(Found)) error {
	s.left = limit
	d, err := s.dir(ctx, root, "", 0)
	if err == nil {
		d.each(f)
	}
	return err
}

func (d *searched) each(f func(Found)) {
	for _, found := range d.found {
		f(found)
	}
	for _, b := range d.below {
		b.each(f)
	}
}

func (s *Search) dir(ctx context.Context, node pack.ID, dir string, level int) (*searched, error) {
	key := searchKey{node, dir}
	if d, ok := s.seen[key]; ok {
		return d, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	d := &searched{}
	if s.in(dir) {
		es, err := s.r.Entries(ctx, node)
		if err == nil {
			err = Within(es, dir, level, &s.left)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", dir, err)
		}
		for i := range es {
			if err := s.entry(ctx, d, join(dir, string(es[i].Name)), &es[i], level); err != nil {
				return nil, err
			}
		}
	}
	s.seen[key] = d
	return d, nil
}

func (s *Search) entry(ctx context.Context, d *searched, remote string, e *Entry, level int) error {
	if s.match(remote, e) {
		kept := *e // the others of its directory are let go
		d.found = append(d.found, Found{remote, &kept})
	}
	if e.Type != Dir {
		return nil
	}
	b, err := s.dir(ctx, e.Node, remote, level+1)
	if err == nil && len(b.found)+len(b.below) > 0 {
		d.below = append(d.below, b)
	}
	return err
}
