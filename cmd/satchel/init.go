package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/durable"
	"satchel/store/pack"
)

type initCmd struct {
	NoManifest bool   `help:"Make the repository only; write no manifest."`
	Dir        string `arg:"" optional:"" name:"dir" help:"The workspace folder."`
}

func (initCmd) Help() string {
	return `Makes the repository in the store (a container of Azure's is made, or taken if it is empty), and
writes .gitignore-sync.json, which proposes what git ignores and leaves out what can be rebuilt.
Read the manifest, change it as you like, then push. A repository that exists is taken up.

Example:
  satchel init --store https://ACCOUNT.blob.core.windows.net/CONTAINER
  satchel init --no-manifest --store /mnt/backup/satchel`
}

func (c initCmd) Run(a *app) error {
	s := &session{a: a}
	defer s.close()
	var err error
	if s.root, err = a.root(c.Dir); err != nil {
		return err
	}
	if s.rules, err = workspace.Load(a.ctx, s.root, nil); err != nil {
		return err
	}
	m := s.rules.Manifest()
	if s.at, err = a.locate(m); err != nil {
		return err
	}
	if err := s.foundOrJoin(); err != nil {
		return err
	}
	if a.JSON {
		a.json("init", map[string]any{"store": s.at.String(), "repository": s.access.Repository.String(), "founded": s.founded})
	}
	switch {
	case c.NoManifest:
		return nil
	case m != nil:
		a.say("%s is there already and stays as it is.\nNext: satchel push", workspace.ManifestName)
		return nil
	}
	return s.propose()
}

// foundOrJoin makes the repository, or takes up the one that is there.
func (s *session) foundOrJoin() error {
	place, err := s.a.place()
	if err != nil {
		return err
	}
	c := access.Config{Location: s.at.String(), Place: place, Device: s.a.device(), User: s.a.user(), Secret: s.a.joinSecret, Rand: s.a.rand}
	if err := s.found(c); !errors.Is(err, access.ErrExists) {
		return err
	}
	c.Store = s.store
	if s.access, err = access.Open(s.a.ctx, c); err != nil {
		return err
	}
	s.joined()
	s.a.note("The repository in %s exists and is taken up.", s.at)
	return nil
}

// propose writes a first manifest and shows what it says.
func (s *session) propose() error {
	p, err := workspace.Propose(s.a.ctx, s.root)
	if err != nil {
		return err
	}
	m := p.Manifest
	if m.Workspace, err = s.workspaceID(); err != nil {
		return err
	}
	if s.at.from != "" && !s.at.builtin {
		m.Store = s.at.String()
		if s.at.Kind == store.Azure && s.at.Location == store.AzureLocation(s.at.Account, s.at.Container) {
			m.Store, m.StorageAccount, m.Container = "", s.at.Account, s.at.Container
		}
	}
	path := filepath.Join(s.root, workspace.ManifestName)
	err = durable.CreateExclusive(path, m.Encode(), 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	if s.a.JSON {
		for _, r := range p.Rows {
			s.a.json("rule", map[string]any{"path": r.Path, "taken": r.Taken, "files": r.Files, "bytes": r.Size, "reason": r.Reason})
		}
	}
	s.a.say("Wrote %s from %s.", rel(path), p.Source)
	s.rows("It takes:", p.Rows, true)
	s.rows("It leaves out:", p.Rows, false)
	for _, w := range p.Warnings {
		s.a.note("%s", w)
	}
	next := "push"
	if s.known && s.lineage.Base == (pack.ID{}) {
		next = "pull"
	}
	s.a.say("Read it, change it as you like, then: satchel %s", next)
	return nil
}

func (s *session) rows(title string, rows []workspace.Row, taken bool) {
	for _, r := range rows {
		if r.Taken == taken {
			if title != "" {
				s.a.say("%s", title)
			}
			title = ""
			s.a.say("  %-32s %9s in %s%s", quoted(r.Path), size(r.Size), count(r.Files, "file"), because(r.Reason))
		}
	}
}

// because is a reason in brackets, if there is one.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// workspaceID is the id of the workspace that the folder is in the repository, by what this
// computer remembers, the git remote or the name; else a new one.
func (s *session) workspaceID() (string, error) {
	if s.founded {
		return workspace.NewWorkspaceID(), nil
	}
	place, err := s.a.place()
	if err != nil {
		return "", err
	}
	if !s.synced {
		if err := s.access.Sync(s.a.ctx); err != nil {
			return "", err
		}
	}
	if s.lineage, err = snapshot.OpenLineage(place.State, s.access.Repository, s.root); err != nil {
		return "", err
	}
	s.gitInfo()
	if err := s.identify(); err != nil {
		return "", err
	}
	if !s.known {
		return workspace.NewWorkspaceID(), nil
	}
	s.a.say("This folder is the workspace %s of the repository.", quoted(s.workspaceName()))
	return hex.EncodeToString(s.lineage.Workspace[:]), nil
}

// rel is a path as seen from here, where that is shorter.
func rel(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if r, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(r, "..") {
		return r
	}
	return path
}

// count says how many of something.
func count[N int | int64 | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%s %ss", thousands(int64(n)), what)
}
