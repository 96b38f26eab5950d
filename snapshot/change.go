package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
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
	Touched  Letter = '~' // the same bytes: mode, time, owner or the like is another
)

// Differs reports whether there is anything to tell: the time of a link or directory alone is nothing.
func (c Change) Differs() bool {
	switch {
	case c.Old == nil || c.New == nil:
		return c.Old != c.New
	case c.Old.Type == Dir && c.New.Type == Dir:
		return c.Old.Node != c.New.Node || !c.Old.SameProperties(c.New)
	}
	return !c.Old.same(c.New)
}

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
