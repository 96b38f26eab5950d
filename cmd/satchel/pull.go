package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type pullCmd struct {
	Force bool   `short:"f" help:"Overwrite local changes."`
	Dir   string `arg:"" optional:"" name:"dir" help:"The workspace folder; made if it is not there."`
}

func (pullCmd) Help() string {
	return `Brings this folder to the workspace's newest snapshot. A file that was changed here since the last
push or pull is never overwritten: pull then stops before it touches anything. Files that were removed
elsewhere are removed here if they are unchanged.

Example:
  satchel pull
  satchel pull --store https://ACCOUNT.blob.core.windows.net/CONTAINER work/patients`
}

func (c pullCmd) Run(a *app) error {
	began := a.now()
	s, err := a.open(c.Dir, false)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.whichWorkspace(); err != nil {
		return err
	}
	newest, ok := snapshot.Newest(s.state(), s.lineage.Workspace)
	if !ok {
		return noSnapshot(s.workspaceName())
	}
	base, _ := s.state().Snapshot(s.lineage.Base)
	if base.ID == newest.ID && !c.Force {
		s.upToDate(newest)
		return nil
	}
	if err := os.MkdirAll(s.root, 0o755); err != nil {
		return err
	}
	var plan *restore.Plan
	var p snapshot.Progress
	err = s.retry(a.ctx, func(ctx context.Context) error {
		var err error
		plan, err = s.pull(ctx, newest, base, c.Force, &p)
		return inSnapshot(newest.ID, err)
	})
	if err != nil {
		return err
	}
	s.pulled("Pulled", newest, plan, &p, a.now().Sub(began))
	return nil
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
	if len(all) == 1 && s.a.terminal() {
		fmt.Fprintf(s.a.err, "Pull the workspace %s into %s? [y/N] ", quoted(all[0].Name), s.root)
		var answer string
		fmt.Fscanln(s.a.in, &answer)
		if strings.HasPrefix(strings.ToLower(answer), "y") {
			s.lineage.Workspace, s.known = all[0].ID, true
			return nil
		}
	}
	return &ambiguous{s.root, all}
}

// pull plans and runs the way to a snapshot.
func (s *session) pull(ctx context.Context, to, base ledger.Snapshot, force bool, p *snapshot.Progress) (*restore.Plan, error) {
	rules, local, err := s.rulesToPull(ctx, to, base, force)
	if err != nil {
		return nil, err
	}
	s.warn(rules)
	root, err := durable.OpenRoot(s.root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	plan, err := restore.Make(ctx, restore.Options{Store: s.store, Keys: s.access.Keys, Index: s.index, Reader: s.reader, Root: root,
		Target: to.Root, Snapshot: to.ID, Base: base.Root, Local: local, State: s.lineage.StateKey(), Limit: snapshot.Limit(to.Files), Follow: !force || base.ID != to.ID, Force: force, Progress: p})
	if err != nil {
		return nil, err
	}
	if len(plan.Conflicts) > 0 {
		return nil, &wouldLose{plan.Conflicts, "Copy them elsewhere, or let them go: satchel pull --force"}
	}
	stop := s.a.showProgress(p, "fetched")
	defer stop()
	return plan, plan.Run(ctx, func() error {
		s.lineage.Base = to.ID
		return s.lineage.Save()
	})
}

// rulesToPull returns the rules by which a snapshot is pulled, and where they say that a
// remote path belongs. The manifest here governs, else the snapshot's; but where the pull
// is about to replace the one here with the snapshot's, that one governs already.
func (s *session) rulesToPull(ctx context.Context, to, base ledger.Snapshot, force bool) (*workspace.Rules, func(string) (string, bool), error) {
	rules, m, err := s.rulesOf(to)
	if err != nil {
		return nil, nil, err
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
		was, err := s.reader.Manifest(ctx, base.ID)
		force = err == nil && was.Rules != nil && bytes.Equal(here.Encode(), was.Rules.Manifest)
	}
	if same || !force {
		return rules, rules.Local, nil
	}
	next, err := workspace.ParseManifest(m.Rules.Manifest)
	if err != nil {
		return nil, nil, fmt.Errorf("the snapshot's manifest: %w", err)
	}
	if rules, err = workspace.New(ctx, s.root, next); err != nil {
		return nil, nil, err
	}
	return rules, rules.Local, s.leaveOut(rules)
}

// pulled tells what a pull or restore did.
func (s *session) pulled(verb string, v ledger.Snapshot, plan *restore.Plan, p *snapshot.Progress, took time.Duration) {
	a := s.a
	s.damagedElsewhere(plan.Damaged)
	for _, k := range plan.Kept {
		a.note("kept %s: %s", quoted(k.Local), k.Reason)
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
			"workspace": s.workspaceName(), "written": plan.Writes, "removed": plan.Removes, "right": plan.Right, "bytes": plan.Bytes, "kept": len(plan.Kept),
			"fetched": p.Stored.Load(), "problems": v.Problems, "requests": s.store.requests(), "seconds": took.Seconds()})
		return
	}
	a.say("%s snapshot %x of %s (%s, %s, %s) from %s", verb, v.ID[:4], quoted(s.workspaceName()), quoted(s.deviceName(v)), moment(v.Time),
		ago(a.now().Sub(time.Unix(0, v.Time))), s.at)
	a.say("%s written, %s removed, %s already right · %s restored, %s fetched in %s · %s", count(plan.Writes, "file"), thousands(int64(plan.Removes)),
		thousands(int64(plan.Right)), size(plan.Bytes), size(p.Stored.Load()), count(s.store.requests(), "request"), seconds(took))
	if v.Problems > 0 {
		a.note("The snapshot is not complete: %s could not be read whole when it was made (satchel ls --problems %x)", count(v.Problems, "path"), v.ID[:4])
	}
}
