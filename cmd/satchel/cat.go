package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
)

type catCmd struct {
	At   string   `placeholder:"TIME" help:"The newest snapshot at or before this time, such as yesterday."`
	Args []string `arg:"" name:"snapshot|path"`

	ShowSecrets bool `help:"Also print what the manifest's secrets name (.env*, *.pem and *.key if it names none)."`
}

func (catCmd) Help() string {
	return `Prints a file as a snapshot has it, the newest unless one is named.

Example:
  satchel cat data/notes.csv
  satchel cat --at "friday 14:00" --show-secrets .env
  satchel cat 3f2a9c01 logs/app.log`
}

func (c catCmd) Run(a *app) error {
	out := &firstTry{Writer: a.bytes}
	a.raw = true
	return a.withSelection(c.Args, c.At, func(s *session, sel selection) error {
		return out.run(func() error { return c.cat(s, sel, out) })
	})
}

func (c catCmd) cat(s *session, sel selection, w io.Writer) error {
	if len(sel.paths) == 0 {
		return usageError{errors.New("cat: name a file")}
	}
	rules, _, err := s.rulesOf(sel.snapshot)
	if err != nil {
		return err
	}
	for _, p := range sel.paths {
		if !c.ShowSecrets && secret(rules, filepath.ToSlash(p)) {
			return usageError{fmt.Errorf("%s is a secret by the manifest's secrets: --show-secrets prints it, where everybody here can see it", quoted(p))}
		}
	}
	if err := s.read(rules, ledger.Disclosed, sel.snapshot, sel.paths, ""); err != nil {
		return err
	}
	for _, p := range sel.paths {
		remote, ok := rules.Remote(p)
		if !ok {
			remote = p
		}
		e, err := s.reader.Find(s.a.ctx, sel.snapshot.Root, remote)
		if errors.Is(err, fs.ErrNotExist) {
			return selection{sel.snapshot, []string{p}}.unmatched(nil)
		} else if err != nil {
			return fmt.Errorf("%s: %w", quoted(p), err)
		}
		if e.Type != snapshot.File {
			return fmt.Errorf("%s is no file in snapshot %x", quoted(p), sel.snapshot.ID[:4])
		}
		if err := s.reader.Content(s.a.ctx, e, func(b []byte) error { _, err := w.Write(b); return err }); err != nil {
			return fmt.Errorf("%s: %w", quoted(p), err)
		}
	}
	return nil
}

// secret reports whether a path, local or remote, is a secret under either of its names.
func secret(rules *workspace.Rules, path string) bool {
	remote, _ := rules.Remote(path)
	local, _ := rules.Local(path)
	return rules.Secret(path) || remote != "" && rules.Secret(remote) || local != "" && rules.Secret(local)
}

// firstTry is an output that cannot be taken back: what has begun to write is not run again.
type firstTry struct {
	io.Writer
	begun bool
	err   error
}

func (f *firstTry) Write(b []byte) (int, error) {
	f.begun = true
	return f.Writer.Write(b)
}

func (f *firstTry) run(write func() error) error {
	if !f.begun {
		f.err = write()
	}
	return f.err
}
