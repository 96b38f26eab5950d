package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"

	"satchel/store/pack"
)

// Change is one path that differs between two trees, or between a tree and the files.
type Change struct {
	Remote string
	Old    *Entry // nil: it is new
	New    *Entry // nil: it is gone
}

// Letter is what became of a path, as history and diff show it.
type Letter byte

// The letters.
const (
	Added    Letter = '+'
	Removed  Letter = '-'
	Modified Letter = 'M' // other bytes, or a link that leads elsewhere
	Retyped  Letter = 'T' // a file became a link, and the like
	Touched  Letter = '~' // the same bytes: mode, time or a mark is another
)

// Letter is what became of the path.
func (c Change) Letter() Letter {
	switch {
	case c.Old == nil:
		return Added
	case c.New == nil:
		return Removed
	case c.Old.Type != c.New.Type:
		return Retyped
	case c.Old.Type == Dir && c.Old.Node != c.New.Node, !c.Old.SameContent(c.New):
		return Modified
	}
	return Touched
}

// Renamed finds files that were removed under one name and added under another: new remote
// path to old. Where the same bytes came or went twice it does not guess, and an empty file is like any other.
func Renamed(cs []Change) map[string]string {
	old, now := map[[sha256.Size]byte][]string{}, map[[sha256.Size]byte][]string{}
	for _, c := range cs {
		switch {
		case c.New == nil && c.Old.Size > 0:
			old[c.Old.sum()] = append(old[c.Old.sum()], c.Remote)
		case c.Old == nil && c.New.Size > 0:
			now[c.New.sum()] = append(now[c.New.sum()], c.Remote)
		}
	}
	out := map[string]string{}
	for sum, to := range now {
		if from := old[sum]; len(to) == 1 && len(from) == 1 {
			out[to[0]] = from[0]
		}
	}
	return out
}

// sum stands for a file's content.
func (e *Entry) sum() [sha256.Size]byte {
	b := binary.BigEndian.AppendUint64(nil, e.Size)
	return sha256.Sum256(append(append(b, e.Depth), e.IDs...))
}

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
