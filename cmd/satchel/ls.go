package main

import (
	"fmt"
	"io/fs"

	"satchel/snapshot"
)

type lsCmd struct {
	At       string   `placeholder:"TIME" help:"The newest snapshot at or before this time, such as yesterday."`
	Long     bool     `short:"l" help:"Mode, size and time too."`
	Problems bool     `help:"List what could not be read when the snapshot was made."`
	Args     []string `arg:"" optional:"" name:"snapshot|path"`
}

func (lsCmd) Help() string {
	return `Lists the files of a snapshot, the newest unless one is named, or what lies below the paths given.

Example:
  satchel ls -l
  satchel ls --at yesterday data
  satchel ls 3f2a9c01 data`
}

func (c lsCmd) Run(a *app) error {
	return a.withSelection(c.Args, c.At, func(s *session, sel selection) error {
		rules, m, err := s.rulesOf(sel.snapshot)
		if err != nil {
			return err
		}
		if c.Problems {
			for _, p := range m.Problems {
				fmt.Fprintf(a.out, "%s: %s\n", quoted(string(p.Path)), quoted(p.Text))
			}
			return nil
		}
		return s.eachSelected(a.ctx, sel, rules, func(remote string, e *snapshot.Entry) error {
			if e.Type == snapshot.Dir {
				return nil
			}
			local := remote
			if l, ok := rules.Local(remote); ok {
				local = l
			}
			c.print(a, local, remote, e)
			return nil
		})
	})
}

func (c lsCmd) print(a *app, local, remote string, e *snapshot.Entry) {
	switch {
	case a.JSON:
		a.json("file", map[string]any{"path": local, "remote": remote, "type": e.Type.String(), "mode": fmt.Sprintf("%04o", e.Mode), "size": e.Size, "mtime": stamp(e.Mtime)})
	case c.Long:
		fmt.Fprintf(a.out, "%s %12s  %s  %s%s\n", fs.FileMode(e.Mode&0o777), thousands(int64(e.Size)), moment(e.Mtime), quoted(local), arrow(e))
	default:
		fmt.Fprintln(a.out, quoted(local))
	}
}

func arrow(e *snapshot.Entry) string {
	if e.Type == snapshot.Symlink {
		return " -> " + quoted(string(e.Target))
	}
	return ""
}
