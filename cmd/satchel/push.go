package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// uploads is how many packs are on their way to the store at once, unless --connections says it.
const uploads = 2

type pushCmd struct {
	Force bool `short:"f" help:"Read every file again, whatever this computer remembers of it."`
	Yes   bool `short:"y" help:"Push although many files are gone."`

	NewHead bool `help:"Push although another computer has pushed: both lines are kept, and a later pull joins them."`

	acceptFlag

	Dir string `arg:"" optional:"" name:"dir" help:"The workspace folder."`
}

func (pushCmd) Help() string {
	return `Saves what the manifest .gitignore-sync.json names; without one, what git ignores; without git, the
whole folder. Without a store it goes into a folder of your own on this computer.

It never overwrites what another computer has pushed: it then says so, and satchel pull comes first.

Example:
  satchel push
  satchel push --store https://ACCOUNT.blob.core.windows.net/CONTAINER`
}

func (c pushCmd) Run(a *app) error {
	began := a.now()
	s, err := a.openGated(&gate{accept: c.Accept}, c.Dir, true)
	if err != nil {
		return err
	}
	defer s.close()
	return c.run(s, began)
}

// run pushes, and tells what was done since began.
func (c pushCmd) run(s *session, began time.Time) error {
	a := s.a
	if s.access.Me == nil {
		return errReadOnly
	}
	s.warn(s.rules)
	if err := s.begin(); err != nil {
		return err
	}
	if err := s.overridden(); err != nil {
		return err
	}
	var p snapshot.Progress
	push, err := s.push(&p)
	if err != nil {
		return err
	}
	push.Force, push.Yes, push.NewHead = c.Force, c.Yes, c.NewHead
	var out *snapshot.Pushed
	stop := a.showProgress(&p, "sent")
	err = s.retry(a.ctx, func(ctx context.Context) error {
		push.Index, push.Keys, push.Keyring = s.index, s.access.Keys, s.access.Keyring
		out, err = push.Run(ctx)
		return err
	})
	stop()
	switch {
	case errors.Is(err, snapshot.ErrBehind):
		return s.behind()
	case errors.Is(err, snapshot.ErrShrunk):
		newest, _ := snapshot.Newest(s.state(), s.lineage.Workspace)
		return &shrunk{s.root, out.Files, newest.Files}
	case err != nil:
		return err
	}
	s.summary(out, a.now().Sub(began))
	if out.Snapshot != (pack.ID{}) {
		if err := s.access.Log.Checkpoint(a.ctx, s.access.Me); err != nil {
			a.note("The snapshot is safe; the checkpoint after it is not made: %v", err)
		}
		s.rekeySome(push)
	}
	if len(out.Problems) > 0 {
		return errIncomplete
	}
	return nil
}

// push is a push of the folder, of which nothing has been done.
func (s *session) push(p *snapshot.Progress) (*snapshot.Push, error) {
	a := s.a
	health, err := s.health()
	if err != nil {
		return nil, err
	}
	y, err := s.safety()
	if err != nil {
		return nil, err
	}
	return &snapshot.Push{Safety: y, Store: s.store, Keys: s.access.Keys, Keyring: s.access.Keyring, Log: s.access.Log, Index: s.index,
		Me: s.access.Me, Lineage: s.lineage, Rules: s.rules, Name: s.name(), Git: s.git, Version: version, Images: s.images, Damaged: health.Damaged(),
		Uploads: a.uploadsAtOnce(), Progress: p, Rand: a.rand, Now: a.now, Sleep: a.sleep}, nil
}

// begin gives a workspace that the repository does not know an id, and says so where it
// could be one that it knows.
func (s *session) begin() error {
	if others := s.state().Workspaces(); !s.known && len(others) > 0 {
		s.a.note("New workspace %s. If this folder is one of those that the repository has (%s): satchel pull --workspace NAME", quoted(s.name()), workspaceNames(others))
	}
	if s.lineage.Workspace != (ledger.Workspace{}) {
		return nil
	}
	if _, err := io.ReadFull(s.a.rand, s.lineage.Workspace[:]); err != nil {
		return err
	}
	return s.lineage.Save()
}

// warn says what in the rules in force a person should know.
func (s *session) warn(rules *workspace.Rules) {
	m := rules.Manifest()
	if m != nil || s.a.command == "push" || s.a.command == "leave" { // what git says of a folder that is pulled into is of no use
		for _, w := range rules.Warnings() {
			s.a.note("%s", w)
		}
	}
	if m == nil {
		return
	}
	if m.RequireAzureADAuth {
		s.a.note("Not enforced yet: require_azure_ad_auth of %s.", workspace.ManifestName)
	}
}

// summary tells what a push did.
func (s *session) summary(out *snapshot.Pushed, took time.Duration) {
	a := s.a
	for _, w := range out.Warnings {
		a.note("%s", quoted(w))
	}
	for _, o := range documents(s.opened(out.Open)) {
		a.note("%s", o.text())
	}
	for _, p := range out.Problems {
		a.problem(s.localName(string(p.Path)), p.Text)
	}
	for _, l := range out.LeftOut {
		a.debug("left out: %s (%s)", quoted(l.Local), l.Reason)
	}
	if out.Snapshot == (pack.ID{}) && out.Stored > 0 {
		a.note("Sent again what was damaged in the repository and is here: %s.", size(out.Stored))
	}
	requests := s.store.requests()
	if a.JSON {
		f := map[string]any{"new": out.New, "changed": out.Changed, "removed": out.Removed, "unchanged": out.Unchanged, "files": out.Files,
			"bytes": out.Bytes, "bytes_read": out.Read, "bytes_new": out.NewBytes, "bytes_stored": out.Stored, "requests": requests,
			"seconds": took.Seconds(), "store": s.at.String(), "workspace": s.workspaceName(), "problems": len(out.Problems), "snapshot": nil}
		if out.Snapshot != (pack.ID{}) {
			f["snapshot"], f["time"] = hex.EncodeToString(out.Snapshot[:]), stamp(out.Time.UnixNano())
		}
		a.json("summary", f)
		return
	}
	if out.Snapshot == (pack.ID{}) {
		a.say("Nothing new: %s unchanged since snapshot %x in %s · %s · %s", count(out.Unchanged, "file"), s.lineage.Base[:4], s.at, count(requests, "request"), seconds(took))
		return
	}
	a.say("%s new, %s changed, %s removed, %s unchanged · %s read, %s new, %s stored in %s · %s", thousands(int64(out.New)), thousands(int64(out.Changed)),
		thousands(int64(out.Removed)), thousands(int64(out.Unchanged)), size(out.Read), size(out.NewBytes), size(out.Stored), count(requests, "request"), seconds(took))
	a.say("Snapshot %x of %s in %s", out.Snapshot[:4], quoted(s.workspaceName()), s.at)
	if s.founded {
		a.say("That is a folder on this computer, and no other one reaches it. To take the workspace along by Azure:\n" +
			"  satchel init --store https://ACCOUNT.blob.core.windows.net/CONTAINER\n  satchel push --store https://ACCOUNT.blob.core.windows.net/CONTAINER")
	}
}

// localName is a remote path as it is called here.
func (s *session) localName(remote string) string {
	if local, ok := s.rules.Local(remote); ok {
		return local
	}
	return remote
}

// workspaceName is the workspace's name in the repository, or the one it would get.
func (s *session) workspaceName() string {
	if w, ok := s.state().Workspace(s.lineage.Workspace); ok {
		return w.Name
	}
	return s.name()
}

// behind tells who has pushed what since this device's base.
func (s *session) behind() error {
	newest, _ := snapshot.Newest(s.state(), s.lineage.Workspace)
	return &behindError{who: s.deviceName(newest), when: newest.Time, id: newest.ID, now: s.a.now(), workspace: s.workspaceName(), base: s.lineage.Base != (pack.ID{})}
}

func (s *session) deviceName(v ledger.Snapshot) string {
	if m, ok := s.state().Member(v.Author); ok {
		return m.Principal.Name
	}
	return "an unknown device"
}

var errReadOnly = fmt.Errorf("the store lets this computer only read: %w", store.ErrDenied)
