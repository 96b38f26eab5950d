package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type pullCmd struct {
	Theirs bool `xor:"side" help:"Where both sides changed a file, take theirs."`
	Mine   bool `xor:"side" help:"Where both sides changed a file, keep mine alone."`
	Force  bool `short:"f" xor:"side" help:"Make the folder what the snapshot is, whatever was changed here."`
	DryRun bool `short:"n" help:"Only say what would be done."`
	acceptFlag
	Dir string `arg:"" optional:"" name:"dir" help:"The workspace folder; made if it is not there."`
}

func (pullCmd) Help() string {
	return `Brings this folder to the workspace's newest snapshot. What was changed here stays: file by file, the
side that changed it wins. Where both did, yours stays and theirs comes beside it as NAME.conflict-DEVICE-TIME.EXT:
compare, keep what is right, delete or rename the copy, and push. A file that was removed on one side and changed
on the other is kept.

What only this computer had is kept for 30 days, and satchel undo goes back to it.

Example:
  satchel pull
  satchel pull --dry-run
  satchel pull --store https://ACCOUNT.blob.core.windows.net/CONTAINER work/patients`
}

func (c pullCmd) Run(a *app) error {
	began := a.now()
	s, err := a.openGated(&gate{accept: c.Accept}, c.Dir, false)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.whichWorkspace(); err != nil {
		return err
	}
	to, out, p, err := c.pull(s)
	if err != nil || out == nil {
		return err
	}
	defer s.tellCode(to)
	return s.merged(c, to, out, p, a.now().Sub(began))
}

// pull carries it out; nil if there was nothing to do. Where the newest snapshot is forgotten under it,
// it begins anew with the one that is the newest then.
func (c pullCmd) pull(s *session) (to ledger.Snapshot, out *restore.Changed, p *snapshot.Progress, err error) {
	for {
		to, out, p, err = c.once(s)
		if !errors.Is(err, errForgotten) {
			return to, out, p, err
		}
	}
}

func (c pullCmd) once(s *session) (to ledger.Snapshot, out *restore.Changed, p *snapshot.Progress, err error) {
	newest, ok := snapshot.Newest(s.state(), s.lineage.Workspace)
	if !ok {
		return to, nil, nil, noSnapshot(s.workspaceName())
	}
	if to, ok = s.lineage.Incoming(s.state()); !ok {
		to = newest
		if !c.Force {
			s.upToDate(newest)
			s.tellCode(newest)
			return to, nil, nil, nil
		}
	}
	var rules *workspace.Rules
	var local func(string) (string, bool)
	err = s.retry(s.a.ctx, func(ctx context.Context) (err error) {
		if err := s.there(to); err != nil {
			return err
		}
		base, _ := s.state().Snapshot(s.lineage.Base)
		rules, local, err = s.rulesToPull(ctx, to, base, c.Force)
		return err
	})
	if err != nil {
		return to, nil, nil, err
	}
	s.warn(rules)
	if err := s.gate.check(s.a, rules.Manifest(), s.root); err != nil {
		return to, nil, nil, err
	}
	if !c.DryRun {
		if err := s.overridden(); err != nil {
			return to, nil, nil, err
		}
	}
	if err := os.MkdirAll(s.root, 0o755); err != nil {
		return to, nil, nil, err
	}
	p = &snapshot.Progress{}
	out, err = s.change(rules, local, p, c.DryRun, func(ctx context.Context, ch *restore.Change) (*restore.Changed, error) {
		if err := s.there(to); err != nil {
			return nil, err
		}
		if !c.DryRun {
			ch.Planned = s.readPlan(rules, ledger.Pulled, to, s.root)
		}
		out, err := ch.Pull(ctx, to, restore.PullOptions{Prefer: c.side(), Force: c.Force})
		return out, inSnapshot(to.ID, err)
	})
	return to, out, p, err
}

func (c pullCmd) side() snapshot.Side {
	switch {
	case c.Theirs:
		return snapshot.Theirs
	case c.Mine:
		return snapshot.Mine
	}
	return snapshot.Both
}

// upToDate says that nothing came since this folder's base.
func (s *session) upToDate(v ledger.Snapshot) {
	a := s.a
	if a.JSON {
		a.json("summary", map[string]any{"snapshot": hex.EncodeToString(v.ID[:]), "store": s.at.String(), "workspace": s.workspaceName(), "written": 0, "removed": 0,
			"kept": 0, "bytes": 0, "fetched": 0, "requests": s.store.requests()})
	}
	a.say("Already up to date with snapshot %x (%s, %s) in %s · %s", v.ID[:4], s.deviceName(v), moment(v.Time), s.at, count(s.store.requests(), "request"))
}

// whichWorkspace asks where nothing tells which workspace the folder is.
func (s *session) whichWorkspace() error {
	if s.known {
		return nil
	}
	all := s.state().Workspaces()
	if len(all) == 0 {
		return noSnapshot(s.name())
	}
	if m := s.rules.Manifest(); m != nil && m.Workspace != "" && s.a.Workspace == "" {
		return noSnapshot(s.name()) // it is one that nobody has pushed
	}
	if len(all) == 1 && s.a.agree(fmt.Sprintf("Pull the workspace %s into %s?", quoted(all[0].Name), s.root)) {
		s.lineage.Workspace, s.known = all[0].ID, true
		return nil
	}
	return &ambiguous{s.root, all}
}

// rulesToPull returns the rules by which a snapshot is pulled, and where they say that a
// remote path belongs. The manifest here governs, else the snapshot's; but where the pull
// is about to replace the one here with the snapshot's, that one governs already.
func (s *session) rulesToPull(ctx context.Context, to, base ledger.Snapshot, force bool) (*workspace.Rules, func(string) (string, bool), error) {
	rules, m, err := s.rulesOf(to)
	if err != nil {
		return nil, nil, inSnapshot(to.ID, err)
	}
	here := rules.Manifest()
	if here == nil || m.Rules == nil || len(m.Rules.Manifest) == 0 {
		return rules, rules.Local, nil
	}
	same := bytes.Equal(here.Encode(), m.Rules.Manifest)
	if tracked, err := workspace.TracksManifest(ctx, s.root); err == nil && tracked {
		if !same {
			s.a.note("%s differs from the snapshot's; git tracks it, so it stays as it is.", workspace.ManifestName)
		}
		return rules, func(remote string) (string, bool) {
			l, ok := rules.Local(remote)
			return l, ok && l != workspace.ManifestName
		}, nil
	}
	if !same && !force && base.ID != (pack.ID{}) {
		was, err := s.reader.ManifestOf(ctx, base)
		force = err == nil && was.Rules != nil && bytes.Equal(here.Encode(), was.Rules.Manifest)
	}
	if same || !force {
		return rules, rules.Local, nil
	}
	next, err := workspace.ParseManifest(m.Rules.Manifest)
	if err != nil {
		return nil, nil, fmt.Errorf("the snapshot's manifest: %w", err)
	}
	if err := s.a.gateSignIn(s.at, next); err != nil {
		return nil, nil, err
	}
	if rules, err = workspace.New(ctx, s.root, next); err != nil {
		return nil, nil, err
	}
	return rules, rules.Local, s.leaveOut(rules)
}

// merged tells what a pull did, and ends it with what is left to a person.
func (s *session) merged(c pullCmd, to ledger.Snapshot, out *restore.Changed, p *snapshot.Progress, took time.Duration) error {
	for _, path := range out.Survived {
		s.a.note("kept %s: removed on one side, changed on the other", quoted(s.localName(path)))
	}
	left := s.conflicts(out)
	if c.DryRun {
		s.planned(to, out.Plan)
		return nil
	}
	err := s.pulled("Pulled", to, out.Plan, p, took)
	if left > 0 {
		return &conflictsLeft{left}
	}
	return err
}

// conflicts lists the paths that both sides changed, and returns of how many both versions are
// here now.
func (s *session) conflicts(out *restore.Changed) (left int) {
	a := s.a
	for i, f := range out.Merged {
		path, copied, took := s.localName(f.Path), out.Copy(f), "mine"
		switch {
		case copied != "":
			took = "both"
			left++
		case !f.Mine:
			took = "theirs"
		}
		switch {
		case a.JSON:
			a.json("conflict", map[string]any{"path": path, "copy": copied, "took": took})
		case i == shownChanges && !a.Verbose:
			a.note("… and %s more (--verbose lists all)", thousands(int64(len(out.Merged)-i)))
		case i > shownChanges && !a.Verbose:
		case copied != "":
			a.note("changed on both sides: %s is yours, %s theirs", quoted(path), quoted(copied))
		default:
			a.note("changed on both sides: %s is %s", quoted(path), map[string]string{"mine": "yours", "theirs": "theirs"}[took])
		}
	}
	return left
}

// planned tells what would be done.
func (s *session) planned(to ledger.Snapshot, plan *restore.Plan) {
	a := s.a
	writes, removes := plan.Paths()
	if a.JSON {
		a.json("summary", map[string]any{"dry_run": true, "snapshot": hex.EncodeToString(to.ID[:]), "writes": append([]string{}, writes...), "removes": append([]string{}, removes...),
			"bytes": plan.Bytes, "requests": s.store.requests()})
		return
	}
	for _, w := range writes {
		a.say("  < %s", quoted(w))
	}
	for _, r := range removes {
		a.say("  - %s", quoted(r))
	}
	a.say("Would write %s (%s) and remove %s, to become snapshot %x (%s, %s). Nothing was done.", count(len(writes), "file"), size(plan.Bytes), thousands(int64(len(removes))), to.ID[:4],
		quoted(s.deviceName(to)), moment(to.Time))
}

// unsound tells of databases that came back as damaged as they were saved.
func (a *app) unsound(plan *restore.Plan) {
	for _, d := range plan.Unsound {
		a.note("%s is as it was saved, and SQLite finds fault with it: %s", quoted(d.Local), d.Reason)
	}
}

// pulled tells what a pull or restore did, and reports errUnheld if this computer cannot hold all of it.
func (s *session) pulled(verb string, v ledger.Snapshot, plan *restore.Plan, p *snapshot.Progress, took time.Duration) (err error) {
	a := s.a
	s.damagedElsewhere(plan.Damaged)
	for _, k := range plan.Kept {
		a.note("kept %s: %s", quoted(k.Local), k.Reason)
	}
	a.unsound(plan)
	for _, d := range plan.Spared {
		a.problem(d.Local, "stays as it is here: SQLite finds fault with the one that was saved: "+d.Reason)
		err = errSpared
	}
	for _, u := range plan.Unheld {
		a.problem(u.Local, u.Reason)
		err = errUnheld
	}
	manifest, _ := s.rules.Remote(workspace.ManifestName)
	homeless := slices.DeleteFunc(slices.Clone(plan.Homeless), func(remote string) bool { return remote == manifest })
	if n := len(homeless); n == 1 {
		a.note("By the rules in force 1 file of the snapshot has no place here: %s", quoted(homeless[0]))
	} else if n > 1 {
		a.note("By the rules in force %s of the snapshot have no place here (--verbose lists them).", count(n, "file"))
		for _, r := range homeless {
			a.debug("  %s", quoted(r))
		}
	}
	if a.JSON {
		a.json("summary", map[string]any{"snapshot": hex.EncodeToString(v.ID[:]), "time": stamp(v.Time), "device": s.deviceName(v), "store": s.at.String(),
			"workspace": s.workspaceName(), "written": plan.Writes, "removed": plan.Removes, "right": plan.Right, "bytes": plan.Bytes, "kept": len(plan.Kept), "unheld": len(plan.Unheld),
			"fetched": p.Stored.Load(), "problems": v.Problems, "requests": s.store.requests(), "seconds": took.Seconds()})
		return err
	}
	a.say("%s snapshot %x of %s (%s, %s, %s) from %s", verb, v.ID[:4], quoted(s.workspaceName()), quoted(s.deviceName(v)), moment(v.Time),
		ago(a.now().Sub(time.Unix(0, v.Time))), s.at)
	a.say("%s written, %s removed, %s already right · %s restored, %s fetched in %s · %s", count(plan.Writes, "file"), thousands(int64(plan.Removes)),
		thousands(int64(plan.Right)), size(plan.Bytes), size(p.Stored.Load()), count(s.store.requests(), "request"), seconds(took))
	if v.Problems > 0 {
		a.note("The snapshot is not complete: %s could not be read whole when it was made (satchel ls --problems %x)", count(v.Problems, "path"), v.ID[:4])
	}
	return err
}
