package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/durable"
)

type restoreCmd struct {
	At    string   `placeholder:"TIME" help:"The newest snapshot at or before this time, such as yesterday or 2026-11-20 17:30."`
	To    string   `placeholder:"DIR" help:"Write into DIR instead of in place."`
	Force bool     `short:"f" help:"Overwrite local changes."`
	Args  []string `arg:"" optional:"" name:"snapshot|path" help:"latest, @1 for the one before it, or at least 8 digits of a snapshot's id; then paths; -- before paths that look like one."`
}

func (restoreCmd) Help() string {
	return `Puts files back as a snapshot has them: all, or the paths given. In place it overwrites nothing that
was changed since the last push or pull, and removes nothing.

A time is that of this computer: yesterday (its last snapshot), friday 14:00, 2026-11-20 17:30, 3h, 2 days ago. The
newest snapshot that is not younger is taken, and named.

Example:
  satchel restore data/patients.db --at yesterday
  satchel restore 3f2a9c01 data --to ~/old
  satchel restore --at "friday 14:00" --to ~/friday`
}

func (c restoreCmd) Run(a *app) error {
	began := a.now()
	s, err := a.open("", false)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.theOnly(); err != nil {
		return err
	}
	sel, err := s.choose(c.Args, c.At)
	if err != nil {
		return err
	}
	var plan *restore.Plan
	var p snapshot.Progress
	err = s.retry(a.ctx, func(ctx context.Context) error {
		var err error
		plan, err = c.restore(ctx, s, sel, &p)
		return inSnapshot(sel.snapshot.ID, err)
	})
	if err != nil {
		return err
	}
	s.pulled("Restored", sel.snapshot, plan, &p, a.now().Sub(began))
	return nil
}

func (c restoreCmd) restore(ctx context.Context, s *session, sel selection, p *snapshot.Progress) (*restore.Plan, error) {
	rules, _, err := s.rulesOf(sel.snapshot)
	if err != nil {
		return nil, err
	}
	o := restore.Options{Store: s.store, Keys: s.access.Keys, Index: s.index, Reader: s.reader, Target: sel.snapshot.Root, Local: rules.Local, Limit: snapshot.Limit(sel.snapshot.Files),
		Force: c.Force, Progress: p}
	target := s.root
	if c.To != "" {
		if target, err = s.a.abs(c.To); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(target, 0o755); err != nil {
			return nil, err
		}
		o.Empty = isEmpty(target)
		o.Local = anywhere(rules)
	} else {
		base, _ := s.state().Snapshot(s.lineage.Base)
		o.Base, o.State = base.Root, s.lineage.StateKey()
	}
	matched := map[string]bool{}
	if len(sel.paths) > 0 {
		o.Take = take(rules, sel.paths, matched)
	}
	if o.Root, err = durable.OpenRoot(target); err != nil {
		return nil, err
	}
	defer o.Root.Close()
	plan, err := restore.Make(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := sel.unmatched(matched); err != nil {
		return nil, err
	}
	if len(plan.Conflicts) > 0 {
		return nil, &wouldLose{plan.Conflicts, "Push them first, restore elsewhere with --to DIR, or let them go: --force"}
	}
	stop := s.a.showProgress(p, "fetched")
	defer stop()
	return plan, plan.Run(ctx, nil)
}

// anywhere maps remote paths as the rules do, and those that belong nowhere to their own names:
// beside the workspace nothing is in the way.
func anywhere(rules *workspace.Rules) func(string) (string, bool) {
	return func(remote string) (string, bool) {
		if local, ok := rules.Local(remote); ok {
			return local, true
		}
		if strings.HasSuffix(remote, "/") {
			return "", false
		}
		return remote, true
	}
}

func isEmpty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return errors.Is(err, io.EOF)
}
