package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
)

type findCmd struct {
	At   string `placeholder:"TIME" help:"Only in the newest snapshot at or before this time, such as yesterday."`
	Glob string `arg:"" name:"glob" help:"Such as '*.csv', 'data/**/2025*' or '**/*.{xls,xlsx}'. Without a slash it is a name, in any folder."`
}

func (findCmd) Help() string {
	return `Says which snapshots have paths that match, below the workspace's folder, whether they are still there or not:
each path with the first and the last snapshot that has it, the newest first.

Example:
  satchel find '*.xlsx'
  satchel find 'data/**/visits*' --at 'last friday'`
}

func (c findCmd) Run(a *app) error {
	c.Glob = strings.TrimPrefix(c.Glob, "./")
	if !doublestar.ValidatePattern(c.Glob) {
		return usageError{fmt.Errorf("find: %q is no pattern", c.Glob)}
	}
	return a.reading(func(s *session) error {
		all := s.ofWorkspace()
		if c.At != "" {
			v, err := s.snapshotAt(c.At)
			if err != nil {
				return err
			}
			s.sayTaken(v)
			all = []ledger.Snapshot{v}
		}
		if len(all) == 0 {
			return noSnapshot(s.workspaceName())
		}
		var found []*finding
		err := s.retry(a.ctx, func(ctx context.Context) (err error) { found, err = s.find(ctx, c.Glob, all); return err })
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("nothing in %s of %s matches %s", count(len(all), "snapshot"), quoted(s.workspaceName()), quoted(c.Glob))
		}
		return s.printFindings(found)
	})
}

// finding is a path that matches, in one snapshot or more.
type finding struct {
	local       string
	last        snapshot.Found // as the last one has it
	snapshots   int
	first, upTo ledger.Snapshot
}

// find looks for a pattern in snapshots, which come oldest first.
func (s *session) find(ctx context.Context, glob string, all []ledger.Snapshot) ([]*finding, error) {
	rules, _, err := s.rulesOf(all[len(all)-1])
	if err != nil {
		return nil, err
	}
	search := s.reader.Search(within(rules, glob), matcher(rules, glob))
	byPath := map[string]*finding{}
	for _, v := range all {
		if err := s.there(v); err != nil {
			return nil, err
		}
		err := search.In(ctx, v.Root, snapshot.Limit(v.Files), func(f snapshot.Found) {
			g := byPath[f.Remote]
			if g == nil {
				g = &finding{local: localOf(rules, f.Remote, f.Entry), first: v}
				byPath[f.Remote] = g
			}
			g.last, g.upTo = f, v
			g.snapshots++
		})
		if err != nil {
			return nil, fmt.Errorf("snapshot %x: %w", v.ID[:4], err)
		}
	}
	return slices.SortedFunc(maps.Values(byPath), func(a, b *finding) int {
		return cmp.Or(cmp.Compare(b.upTo.Position, a.upTo.Position), strings.Compare(a.local, b.local))
	}), nil
}

// localOf is a remote path as it is called here.
func localOf(rules *workspace.Rules, remote string, e *snapshot.Entry) string {
	name := remote
	if e.Type == snapshot.Dir {
		name += "/"
	}
	if local, ok := rules.Local(name); ok {
		return local
	}
	return remote
}

// matcher compares local paths with a pattern; one without a slash is for names alone.
func matcher(rules *workspace.Rules, glob string) func(string, *snapshot.Entry) bool {
	return func(remote string, e *snapshot.Entry) bool {
		local := localOf(rules, remote, e)
		if !strings.Contains(glob, "/") {
			local = path.Base(local)
		}
		return doublestar.MatchUnvalidated(glob, local)
	}
}

// within spares the search the folders that the pattern's fixed beginning rules out.
func within(rules *workspace.Rules, glob string) func(string) bool {
	base, _ := doublestar.SplitPattern(glob)
	return func(remote string) bool {
		local, ok := rules.Local(remote + "/")
		return !ok || remote == "" || base == "." || below(local, base) || below(base, local)
	}
}

// below reports whether a path is the folder or in it.
func below(path, folder string) bool {
	return path == folder || folder == "." || strings.HasPrefix(path, folder+"/")
}

func (s *session) printFindings(found []*finding) error {
	newest, _ := snapshot.Newest(s.state(), s.lineage.Workspace)
	if s.a.JSON {
		for _, g := range found {
			s.a.json("found", map[string]any{"path": g.local, "remote": g.last.Remote, "entry": entryFields(g.last.Entry), "snapshots": g.snapshots,
				"first": s.snapshotFields(g.first), "last": s.snapshotFields(g.upTo), "in_newest": g.upTo.ID == newest.ID})
		}
		return nil
	}
	t := s.a.table()
	fmt.Fprintln(t, "SNAPSHOTS\tFIRST\tLAST\tSIZE\tPATH")
	for _, g := range found {
		local := quoted(g.local)
		if g.last.Entry.Type == snapshot.Dir {
			local += "/"
		}
		fmt.Fprintf(t, "%s\t%x %s\t%x %s\t%s\t%s\n", thousands(int64(g.snapshots)), g.first.ID[:4], moment(g.first.Time), g.upTo.ID[:4], moment(g.upTo.Time), looks(g.last.Entry), local)
	}
	return t.Flush()
}
