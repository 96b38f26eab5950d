package snapshot

import (
	"context"
	"path"
	"slices"

	"satchel/snapshot/workspace"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// Compared is how the files here differ from a snapshot.
type Compared struct {
	Counts
	Changes   []Change // by path
	Conflicts []string // local paths of conflict copies, which do not travel
	Problems  []Problem
	Warnings  []string
	Open      []Open
}

// Compare tells how the workspace differs from the snapshot base (the zero value: from
// nothing), as a push would find it. It reads files that were touched, stores nothing and asks
// the store nothing unless this device has lost what it knew of the base.
func (p *Push) Compare(ctx context.Context, base ledger.Snapshot) (*Compared, error) {
	b, err := p.builder(ctx, p.Log.State(), true)
	if err != nil {
		return nil, err
	}
	defer b.close()
	root := base.Root
	if _, err := b.build(ctx, root); err != nil {
		return nil, err
	}
	slices.SortFunc(b.changes, func(a, c Change) int {
		if a.Remote < c.Remote {
			return -1
		}
		return 1
	})
	out := &Compared{Counts: b.counts, Changes: b.changes, Problems: b.problems, Warnings: b.warnings, Open: b.open}
	for _, l := range b.leftOut {
		if workspace.IsConflict(path.Base(l.Local)) {
			out.Conflicts = append(out.Conflicts, l.Local)
		}
	}
	slices.Sort(out.Conflicts)
	return out, nil
}

// Ancestor reports whether a is b or among the live ancestors of b.
func Ancestor(s *ledger.State, a, b pack.ID) bool {
	return a == b || ancestors(s, b)[a]
}

// Common is the newest live snapshot that b and one of as are or come from, as far as the
// live snapshots tell; zero if there is none.
func Common(s *ledger.State, b pack.ID, as ...pack.ID) (best ledger.Snapshot) {
	of := ancestors(s, as...)
	for id := range ancestors(s, b) {
		if v, live := s.Snapshot(id); live && of[id] && v.Position > best.Position {
			best = v
		}
	}
	return best
}

// ancestors are some snapshots and all that they come from.
func ancestors(s *ledger.State, ids ...pack.ID) map[pack.ID]bool {
	seen := map[pack.ID]bool{}
	for todo := ids; len(todo) > 0; {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if v, ok := s.Snapshot(id); !seen[id] {
			seen[id] = true
			if ok {
				todo = append(todo, v.Parents...)
			}
		}
	}
	return seen
}
