package snapshot

import (
	"context"
	"slices"

	"satchel/store/pack"
)

// Side says whose bytes a merge takes where both sides changed a path.
type Side uint8

const (
	Both   Side = iota // mine stay, theirs come beside them
	Mine               // theirs are left in their snapshot
	Theirs             // mine are left in the safety snapshot
)

// A Merge joins what this device did to a tree with what another did, path by path:
//
//	mine \ theirs    as in the base    changed           removed
//	as in the base   the same          theirs            removed
//	changed          mine              a conflict (1)    mine
//	removed          removed           theirs            removed
//
// (1) unless both have the same content now. A path that neither base has is changed on the
// side that has it. Without a base nothing is ever removed.
type Merge struct {
	Reader *Reader
	Prefer Side
	Copy   func(name string) string // what theirs is called beside mine
	Place  func(remote string) bool // whether a path belongs anywhere here: where not, mine stays; nil: all do
}

// A Conflict is a path that both sides changed. Paths are remote.
type Conflict struct {
	Path string
	Copy string // where theirs is in the merged tree, "" if Prefer left one side away
	Mine bool   // Path has this device's bytes
}

// Merged is what a Merge made. Nodes are chunks of the merged tree that may be in no pack.
type Merged struct {
	Root      pack.ID
	Nodes     map[pack.ID][]byte
	Conflicts []Conflict
	Kept      []string // changed on one side, removed on the other
}

// Trees merges by root node; base is zero where the two have no snapshot in common.
func (m *Merge) Trees(ctx context.Context, base, mine, theirs pack.ID) (*Merged, error) {
	r := &merging{Merge: m, ctx: ctx, out: &Merged{Nodes: map[pack.ID][]byte{}}}
	id, _, err := r.dir("", base, mine, theirs)
	if id == (pack.ID{}) && err == nil {
		id, err = r.encode(nil)
	}
	r.out.Root = id
	return r.out, err
}

type merging struct {
	*Merge
	ctx context.Context
	out *Merged
}

func (r *merging) encode(es []Entry) (pack.ID, error) {
	return encodeNode(es, func(id pack.ID, b []byte) error {
		r.out.Nodes[id] = b
		return nil
	})
}

// entries of a directory; none for the zero id.
func (r *merging) entries(id pack.ID) ([]Entry, error) {
	if id == (pack.ID{}) {
		return nil, nil
	}
	return r.Reader.Entries(r.ctx, id)
}

// dir merges one directory, each of which may be zero: not there. n counts what is in it.
func (r *merging) dir(remote string, base, mine, theirs pack.ID) (id pack.ID, n int, err error) {
	if err := r.ctx.Err(); err != nil {
		return id, 0, context.Cause(r.ctx)
	}
	if mine != (pack.ID{}) && theirs != (pack.ID{}) {
		switch {
		case mine == theirs, base == theirs:
			return mine, 1, nil
		case base == mine:
			return theirs, 1, nil
		}
	}
	var sides [3][]Entry
	for i, id := range [...]pack.ID{base, mine, theirs} {
		if sides[i], err = r.entries(id); err != nil {
			return id, 0, err
		}
	}
	out, err := r.names(remote, sides[0], sides[1], sides[2])
	if err != nil {
		return id, 0, err
	}
	id, err = r.encode(out)
	return id, len(out), err
}

// names merges the entries of one directory.
func (r *merging) names(remote string, base, mine, theirs []Entry) (out []Entry, err error) {
	all := slices.Concat(base, mine, theirs)
	slices.SortFunc(all, byName)
	all = slices.CompactFunc(all, func(a, b Entry) bool { return byName(a, b) == 0 })
	taken := func(name string) bool {
		return find(all, []byte(name)) != nil || slices.ContainsFunc(out, func(e Entry) bool { return string(e.Name) == name })
	}
	for i := range all {
		name := all[i].Name
		p := path3{remote: join(remote, string(name)), base: find(base, name), mine: find(mine, name), theirs: find(theirs, name)}
		e, both, err := r.path(p)
		if err != nil {
			return nil, err
		}
		if both {
			if e, err = r.conflict(remote, p, taken, &out); err != nil {
				return nil, err
			}
		}
		if e != nil {
			out = append(out, *e)
		}
	}
	slices.SortFunc(out, byName)
	return out, nil
}

// path3 is one path on the three sides; nil: not there.
type path3 struct {
	remote             string
	base, mine, theirs *Entry
}

// as reports whether two sides have the same at a path, whatever its mode and time.
func as(a, b *Entry) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Type == Dir && b.Type == Dir {
		return a.Node == b.Node
	}
	return a.SameContent(b)
}

func isDir(e *Entry) bool { return e != nil && e.Type == Dir }

// path decides what becomes of one path; both: each side changed it.
func (r *merging) path(p path3) (e *Entry, both bool, err error) {
	switch {
	case isDir(p.mine) && (isDir(p.theirs) || p.theirs == nil && isDir(p.base)),
		isDir(p.theirs) && p.mine == nil && isDir(p.base):
		e, err = r.folder(p)
		return e, false, err
	case as(p.mine, p.theirs):
		return r.meta(p), false, nil
	case as(p.mine, p.base):
		return p.theirs, false, nil
	case as(p.theirs, p.base):
		return p.mine, false, nil
	case p.mine == nil, p.theirs == nil:
		r.out.Kept = append(r.out.Kept, p.remote)
		if p.mine == nil {
			return p.theirs, false, nil
		}
		return p.mine, false, nil
	}
	return nil, true, nil
}

// meta takes mode, time and the like from the side that changed them, theirs if both did.
func (r *merging) meta(p path3) *Entry {
	if p.mine != nil && p.base != nil && p.theirs.same(p.base) {
		return p.mine
	}
	return p.theirs
}

// folder merges a directory that at least one side has, and the base where it is one only. A
// side's removal removes what the other has left as it was.
func (r *merging) folder(p path3) (*Entry, error) {
	var base, mine, theirs pack.ID
	e := p.mine
	if isDir(p.base) {
		base = p.base.Node
	}
	if p.mine != nil {
		mine = p.mine.Node
	}
	if p.theirs != nil {
		theirs = p.theirs.Node
		if e == nil || p.base == nil || p.base.Type != Dir || !p.theirs.SameProperties(p.base) {
			e = p.theirs
		}
	}
	id, n, err := r.dir(p.remote, base, mine, theirs)
	if err != nil || n == 0 && (p.mine == nil || p.theirs == nil) {
		return nil, err
	}
	out := *e
	out.Node = id
	return &out, nil
}

// conflict notes a path that both sides changed, puts theirs beside mine unless one side is
// preferred, and returns what has the path's name.
func (r *merging) conflict(dir string, p path3, taken func(string) bool, out *[]Entry) (*Entry, error) {
	if r.Place != nil && !r.Place(p.remote) {
		return p.mine, nil
	}
	c := Conflict{Path: p.remote, Mine: r.Prefer != Theirs}
	defer func() { r.out.Conflicts = append(r.out.Conflicts, c) }()
	switch r.Prefer {
	case Theirs:
		return p.theirs, nil
	case Mine:
		return p.mine, nil
	}
	name := freeName(r.Copy(string(p.theirs.Name)), taken)
	c.Copy = join(dir, name)
	theirs := *p.theirs
	theirs.Name = []byte(name)
	*out = append(*out, theirs)
	return p.mine, nil
}
