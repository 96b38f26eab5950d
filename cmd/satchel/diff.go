package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/when"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
)

type diffCmd struct {
	At   string   `placeholder:"TIME" help:"Compare the newest snapshot at or before this time with the files here; then all words are paths."`
	Stat bool     `help:"Only how many files, and how large."`
	Args []string `arg:"" optional:"" name:"a|b|path" help:"One or two of: latest, @1, a snapshot's id, a time, or here for the files; then paths; -- before paths that look like one."`

	ShowSecrets bool `help:"Also list the tables of databases that the manifest's secrets name."`
}

func (diffCmd) Help() string {
	return `Says what became of each path from A to B. Without B, B is the files here; without A, A is the snapshot that
they come from.

  +  added     -  removed     M  other content     T  another kind, such as a link instead of a file
  ~  the same content, another mode or time        R  the same content under another name

Of a SQLite database that differs the tables are listed, with their rows in A and B.

Example:
  satchel diff
  satchel diff yesterday
  satchel diff 3f2a9c01 latest data
  satchel diff @1 latest --stat`
}

// side is one of the two that are compared: a snapshot, or the files here.
type side struct {
	snapshot ledger.Snapshot
	here     bool
}

func (c diffCmd) Run(a *app) error {
	return a.reading(func(s *session) error {
		d, err := s.differ(c)
		if err != nil {
			return err
		}
		err = s.retry(a.ctx, func(ctx context.Context) error {
			for _, side := range []side{d.a, d.b} {
				if err := s.there(side.snapshot); err != nil && !side.here {
					return err
				}
			}
			if err := d.compare(ctx); err != nil || c.Stat {
				return err
			}
			return d.readTables(ctx)
		})
		if err != nil {
			return err
		}
		d.print(c.Stat)
		return nil
	})
}

// differ is one comparison.
type differ struct {
	s       *session
	a, b    side
	rules   *workspace.Rules
	paths   []string
	matched map[string]bool
	secrets bool // are shown too

	changes  []snapshot.Change
	renamed  map[string]string                // new remote path to old
	origin   map[string]snapshot.Change       // of what was renamed, by old remote path
	tables   map[string][]tableChange         // by remote path
	problems map[string]string                // why a database could not be read, by remote path
	take     func(string, bool) restore.Taken // nil: everything
}

func (s *session) differ(c diffCmd) (*differ, error) {
	d := &differ{s: s, rules: s.rules, matched: map[string]bool{}, secrets: c.ShowSecrets}
	args, err := d.sides(c.Args, c.At)
	if err != nil {
		return nil, err
	}
	for _, arg := range args {
		p, err := s.belowRoot(arg)
		if err != nil {
			return nil, err
		}
		d.paths = append(d.paths, p)
	}
	if !d.a.here && !d.b.here {
		if d.rules, _, err = s.rulesOf(d.b.snapshot); err != nil {
			return nil, err
		}
	}
	if len(d.paths) > 0 {
		d.take = take(d.rules, d.paths, d.matched)
	}
	return d, nil
}

// sides takes what is compared off the front of the words, and returns the rest.
func (d *differ) sides(args []string, at string) ([]string, error) {
	var err error
	var sides []side
	for at == "" && len(sides) < 2 && len(args) > d.s.a.forced {
		v, ok, err := d.s.side(args[0])
		if err != nil {
			return nil, err
		} else if !ok {
			break
		}
		sides, args = append(sides, v), args[1:]
	}
	switch {
	case at != "":
		d.a.snapshot, err = d.s.snapshotAt(at)
		d.b.here = true
	case len(sides) == 2:
		d.a, d.b = sides[0], sides[1]
	case len(sides) == 1:
		d.a, d.b.here = sides[0], true
	default:
		d.a.snapshot, err = d.s.base()
		d.b.here = true
	}
	if d.a.here && d.b.here {
		err = usageError{errors.New("diff: the files here are compared with a snapshot: name one")}
	}
	return args, err
}

// side understands a word that says what to compare.
func (s *session) side(word string) (side, bool, error) {
	if word == "here" {
		return side{here: true}, true, nil
	}
	v, ok, err := s.byName(word)
	if ok || err != nil {
		return side{snapshot: v}, ok, err
	}
	if _, err := when.Parse(word, s.a.now()); err != nil {
		return side{}, false, nil
	}
	if path, err := s.a.abs(word); err == nil {
		if _, err := os.Lstat(path); err == nil {
			return side{}, false, usageError{fmt.Errorf("diff: %s is a time, and a path here: --at before the time, or -- before the path", quoted(word))}
		}
	}
	v, err = s.snapshotAt(word)
	return side{snapshot: v}, err == nil, err
}

// base is the snapshot that the files here come from, else the newest.
func (s *session) base() (ledger.Snapshot, error) {
	if v, ok := s.state().Snapshot(s.lineage.Base); ok {
		return v, nil
	}
	v, ok := snapshot.Newest(s.state(), s.lineage.Workspace)
	if !ok {
		return v, noSnapshot(s.workspaceName())
	}
	return v, nil
}

// compare finds what differs.
func (d *differ) compare(ctx context.Context) error {
	d.changes = nil
	note := func(c snapshot.Change) error {
		if d.take == nil || d.take(c.Remote, false) == restore.Whole {
			d.changes = append(d.changes, c)
		}
		return nil
	}
	if d.a.here || d.b.here {
		if err := d.compareHere(ctx, note); err != nil {
			return err
		}
	} else if err := d.s.reader.DiffIn(ctx, d.a.snapshot.Root, d.b.snapshot.Root, d.in, note); err != nil {
		return err
	}
	d.rename()
	return d.unmatched(ctx)
}

// in reports whether something in a remote directory may be wanted.
func (d *differ) in(dir string) bool { return d.take == nil || d.take(dir, true) != restore.Skip }

// compareHere compares a snapshot with the files, as a push would.
func (d *differ) compareHere(ctx context.Context, note func(snapshot.Change) error) error {
	from := d.a.snapshot
	if d.a.here {
		from = d.b.snapshot
	}
	found, err := d.s.comparer().Compare(ctx, from)
	if err != nil {
		return err
	}
	for _, p := range found.Problems {
		d.s.a.problem(d.s.localName(string(p.Path)), p.Text)
	}
	for _, c := range found.Changes {
		if d.a.here {
			c.Old, c.New = c.New, c.Old
		}
		if err := note(c); err != nil {
			return err
		}
	}
	return nil
}

// rename takes out what is only gone because it has another name now.
func (d *differ) rename() {
	d.renamed, d.origin = snapshot.Renamed(d.changes), map[string]snapshot.Change{}
	for _, old := range d.renamed {
		d.origin[old] = snapshot.Change{}
	}
	d.changes = slices.DeleteFunc(d.changes, func(c snapshot.Change) bool {
		_, moved := d.origin[c.Remote]
		if moved = moved && c.New == nil; moved {
			d.origin[c.Remote] = c
		}
		return moved
	})
}

// unmatched refuses a path that neither side has.
func (d *differ) unmatched(ctx context.Context) error {
	for _, p := range d.paths {
		if d.matched[p] || p == "." {
			continue
		}
		there, err := d.has(ctx, p)
		if err != nil {
			return err
		} else if !there {
			return fmt.Errorf("%s is in neither: %s, %s", quoted(p), d.name(d.a), d.name(d.b))
		}
	}
	return nil
}

func (d *differ) has(ctx context.Context, local string) (bool, error) {
	for _, v := range []side{d.a, d.b} {
		if v.here {
			if has(d.s.root, filepath.FromSlash(local)) {
				return true, nil
			}
			continue
		}
		for _, remote := range remotes(d.rules, local) {
			if _, err := d.s.reader.Find(ctx, v.snapshot.Root, remote); err == nil {
				return true, nil
			} else if !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
	}
	return false, nil
}

func (d *differ) name(v side) string {
	if v.here {
		return "the files here"
	}
	return "snapshot " + d.s.described(v.snapshot)
}

// local is a remote path as it is called here.
func (d *differ) local(remote string) string {
	if l, ok := d.rules.Local(remote); ok {
		return l
	}
	return remote
}
