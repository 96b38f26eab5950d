package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"satchel/store"
	"satchel/store/access"
	"satchel/store/durable"
	"satchel/store/seal"
)

// found makes a repository at the session's location and hands the recovery code over.
func (s *session) found(c access.Config) error {
	_, known, err := c.Place.Pinned(c.Location)
	if err != nil {
		return err
	}
	raw, err := s.a.openStore(s.at, !known)
	if known && errors.Is(err, store.ErrNoContainer) {
		return c.Place.Vanished(c.Location)
	} else if err != nil {
		return err
	}
	s.store = s.a.counted(raw)
	c.Store = s.store
	pass, err := s.a.secret(s.a.ctx)
	if pass == "" && err == nil && !s.at.builtin && s.a.terminal() { // the default is reached by no other computer
		if _, err := access.Look(s.a.ctx, s.store); err == nil {
			return access.ErrExists
		}
		pass, err = s.a.newPassphrase()
	}
	if err != nil {
		return err
	}
	var kept string
	keep := func(repo seal.RepoID, code string) error {
		kept = recoveryPath(c.Place, repo)
		return durable.WriteFile(kept, []byte(code+"\n"), 0o600)
	}
	var code string
	if s.access, code, err = access.Found(s.a.ctx, c, access.Founding{Passphrase: pass, PassphraseLN: s.a.scrypt, Keep: keep}); err != nil {
		if code != "" { // the repository may be there all the same
			s.a.note("If the repository is there when you try again, its recovery code is in %s", kept)
		}
		return err
	}
	s.founded = true
	if s.at.builtin {
		s.a.note("New repository in %s: the embedded default, on this computer alone.", s.at)
	} else {
		s.a.note("New repository in %s.", s.at)
	}
	return s.a.handOver(c.Place, s.access.Repository, code)
}

// recoveryPath is the file of a recovery code that nobody has confirmed yet.
func recoveryPath(p access.Place, repo seal.RepoID) string {
	return filepath.Join(p.Config, repo.String(), "recovery-code.txt")
}

// shownCode is what the file holds when the code was shown on the terminal instead.
const shownCode = "shown on the terminal when the repository was made\n"

// handOver shows the recovery code once on a terminal; else it stays in the file of the user's own
// where it was kept. Either way status reminds until it is confirmed.
func (a *app) handOver(p access.Place, repo seal.RepoID, code string) error {
	path := recoveryPath(p, repo)
	if !a.terminal() {
		fmt.Fprintf(a.err, "Recovery code: in %s\nIt opens the repository when every computer is lost. Copy it to a safe place away from this one, then: satchel key confirm\n", path)
		return nil
	}
	fmt.Fprintf(a.err, "\nRecovery code, shown this once. Write it down and keep it away from this computer:\n\n    %s\n\n"+
		"It opens the repository when every computer is lost. Once it is safe: satchel key confirm\n\n", code)
	if err := durable.WriteFile(path, []byte(shownCode), 0o600); err != nil {
		return fmt.Errorf("recovery code: %w", err)
	}
	return nil
}

// reminder says what to do about a recovery code that waits to be confirmed; "" if none does.
func reminder(p access.Place, repo seal.RepoID) string {
	path := recoveryPath(p, repo)
	switch b, err := os.ReadFile(path); {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case string(b) == shownCode:
		return "Is the recovery code written down? Then: satchel key confirm"
	}
	return "The recovery code lies on this computer alone, in " + path + ": copy it to a safe place, then: satchel key confirm"
}
