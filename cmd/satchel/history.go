package main

import (
	"context"
	"fmt"

	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type historyCmd struct {
	Path string `arg:"" name:"path" help:"A file or folder, also one that is gone."`
}

func (historyCmd) Help() string {
	return `Lists the versions of a file or folder, oldest first: when, by which device, how large, and in how many
snapshots it stayed so.

  +  added    -  removed    M  other content    T  another kind    ~  the same content, another mode or time

Example:
  satchel history data/patients.db
  satchel cat 3f2a9c01 data/patients.db > then.db`
}

func (c historyCmd) Run(a *app) error {
	return a.reading(func(s *session) error {
		path, err := s.belowRoot(c.Path)
		if err != nil {
			return err
		}
		var versions []pathVersion
		err = s.retry(a.ctx, func(ctx context.Context) error {
			versions, err = s.versions(ctx, path)
			return err
		})
		if err != nil {
			return err
		}
		if len(versions) == 0 {
			return fmt.Errorf("%s is in no snapshot of %s", quoted(path), quoted(s.workspaceName()))
		}
		if a.JSON {
			s.versionLines(path, versions)
			return nil
		}
		return s.printVersions(versions)
	})
}

// pathVersion is a path as some snapshots in a row have it.
type pathVersion struct {
	snapshot.Change
	first     ledger.Snapshot
	snapshots int
	within    string // a folder: what became of its files
}

// versions follows a local path through this workspace's snapshots.
func (s *session) versions(ctx context.Context, local string) ([]pathVersion, error) {
	all := s.ofWorkspace()
	if len(all) == 0 {
		return nil, noSnapshot(s.workspaceName())
	}
	rules, _, err := s.rulesOf(all[len(all)-1])
	if err != nil {
		return nil, err
	}
	for _, remote := range remotes(rules, local) {
		vs, err := s.follow(ctx, remote, all)
		if len(vs) > 0 || err != nil {
			return vs, err
		}
	}
	return nil, nil
}

// remotes are the names that a local path may have in a snapshot: of a file, of a folder, and its own.
func remotes(rules *workspace.Rules, local string) []string {
	if local == "." {
		return []string{""}
	}
	var out []string
	for _, p := range []string{local, local + "/"} {
		if remote, ok := rules.Remote(p); ok && (len(out) == 0 || out[0] != remote) {
			out = append(out, remote)
		}
	}
	return append(out, local)
}

// follow compares a remote path in each snapshot with its parents: where it is as in one of them nothing
// was done to it. A snapshot whose parents are gone is compared with the one before it.
func (s *session) follow(ctx context.Context, remote string, all []ledger.Snapshot) ([]pathVersion, error) {
	track, entries := s.reader.Track(remote), map[pack.ID]*snapshot.Entry{}
	var out []pathVersion
	for i, v := range all {
		now, err := track.In(ctx, v.Root)
		if err != nil {
			return nil, fmt.Errorf("snapshot %x: %w", v.ID[:4], err)
		}
		entries[v.ID] = now
		from := v.Parents
		if i > 0 && !anyIn(entries, from) {
			from = []pack.ID{all[i-1].ID}
		}
		c, differs := changed(remote, now, from, entries)
		if !differs {
			if len(out) > 0 {
				out[len(out)-1].snapshots++
			}
			continue
		}
		n := pathVersion{Change: c, first: v, snapshots: 1}
		if n.within, err = s.within(ctx, c); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func anyIn(entries map[pack.ID]*snapshot.Entry, ids []pack.ID) bool {
	for _, id := range ids {
		if _, ok := entries[id]; ok {
			return true
		}
	}
	return false
}

// changed compares an entry with that of each parent known; the first says what was done.
func changed(remote string, now *snapshot.Entry, parents []pack.ID, entries map[pack.ID]*snapshot.Entry) (first snapshot.Change, differs bool) {
	found := false
	for _, id := range parents {
		old, ok := entries[id]
		if !ok {
			continue
		}
		c := snapshot.Change{Remote: remote, Old: old, New: now}
		if !c.Differs() {
			return c, false
		}
		if !found {
			first, found = c, true
		}
	}
	if !found {
		first = snapshot.Change{Remote: remote, New: now}
	}
	return first, first.Differs()
}

// within adds up what became of a folder's files.
func (s *session) within(ctx context.Context, c snapshot.Change) (string, error) {
	var nodes [2]pack.ID
	folder := false
	for i, e := range []*snapshot.Entry{c.Old, c.New} {
		if e != nil && e.Type == snapshot.Dir {
			nodes[i], folder = e.Node, true
		}
	}
	if !folder {
		return "", nil
	}
	n := map[snapshot.Letter]int{}
	err := s.reader.Diff(ctx, nodes[0], nodes[1], func(c snapshot.Change) error {
		l := c.Letter()
		if l == snapshot.Retyped || l == snapshot.Touched {
			l = snapshot.Modified
		}
		n[l]++
		return nil
	})
	return fmt.Sprintf("%d new, %d changed, %d removed", n[snapshot.Added], n[snapshot.Modified], n[snapshot.Removed]), err
}

func (s *session) printVersions(vs []pathVersion) error {
	t := s.a.table()
	fmt.Fprintln(t, "  ID\tTIME\tDEVICE\tSNAPSHOTS\tSIZE")
	for _, v := range vs {
		fmt.Fprintf(t, "%c %x\t%s\t%s\t%s\t%s\n", v.Letter(), v.first.ID[:4], moment(v.first.Time), quoted(s.deviceName(v.first)), thousands(int64(v.snapshots)), v.size())
	}
	return t.Flush()
}

func (v pathVersion) size() string {
	switch {
	case v.within != "":
		return v.within
	case v.New == nil:
		return ""
	}
	return looks(v.New)
}

func (s *session) versionLines(path string, vs []pathVersion) {
	for _, v := range vs {
		f := s.snapshotFields(v.first)
		f["path"], f["remote"], f["letter"], f["snapshots"], f["entry"] = path, v.Remote, string(rune(v.Letter())), v.snapshots, entryFields(v.New)
		s.a.json("version", f)
	}
}
