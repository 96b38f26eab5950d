package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type restoreCmd struct {
	At    string `placeholder:"TIME" help:"The newest snapshot at or before this time, such as yesterday or 2026-11-20 17:30."`
	To    string `placeholder:"DIR" help:"Write into DIR instead of in place."`
	Force bool   `short:"f" help:"Overwrite what cannot be kept first, and put a database in place that SQLite finds damaged."`
	acceptFlag
	Args []string `arg:"" optional:"" name:"snapshot|path" help:"latest, @1 for the one before it, or at least 8 digits of a snapshot's id; then paths; -- before paths that look like one."`
}

func (restoreCmd) Help() string {
	return `Puts files back as a snapshot has them: all, or the paths given. In place it removes nothing, and what only
this computer had is kept for 30 days: satchel undo goes back to it.

A time is that of this computer: yesterday (its last snapshot), friday 14:00, 2026-11-20 17:30, 3h, 2 days ago. The
newest snapshot that is not younger is taken, and named.

Example:
  satchel restore data/patients.db --at yesterday
  satchel restore 3f2a9c01 data --to ~/old
  satchel restore --at "friday 14:00" --to ~/friday`
}

func (c restoreCmd) Run(a *app) error {
	began := a.now()
	g := &gate{accept: c.Accept}
	if c.To != "" {
		to, err := a.abs(c.To)
		if err != nil {
			return err
		}
		g.also = to
	}
	s, err := a.openGated(g, "", false)
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
	var p snapshot.Progress
	plan, err := c.restore(s, sel, &p)
	if err != nil {
		return err
	}
	return s.pulled("Restored", sel.snapshot, plan, &p, a.now().Sub(began))
}

func (c restoreCmd) restore(s *session, sel selection, p *snapshot.Progress) (plan *restore.Plan, err error) {
	var rules *workspace.Rules
	err = s.retry(s.a.ctx, func(context.Context) (err error) {
		if err := s.there(sel.snapshot); err != nil {
			return err
		}
		rules, _, err = s.rulesOf(sel.snapshot)
		return inSnapshot(sel.snapshot.ID, err)
	})
	if err != nil {
		return nil, err
	}
	if err := s.admit(rules); err != nil {
		return nil, err
	}
	matched := map[string]bool{}
	var filter func(string, bool) restore.Taken
	if len(sel.paths) > 0 {
		filter = take(rules, sel.paths, matched)
	}
	if c.To != "" {
		err = s.retry(s.a.ctx, func(ctx context.Context) (err error) {
			if err := s.there(sel.snapshot); err != nil {
				return err
			}
			plan, err = c.beside(ctx, s, sel, rules, filter, matched, p)
			return inSnapshot(sel.snapshot.ID, err)
		})
		return plan, err
	}
	out, err := s.change(rules, rules.Local, p, false, func(ctx context.Context, ch *restore.Change) (*restore.Changed, error) {
		if err := s.there(sel.snapshot); err != nil {
			return nil, err
		}
		tell := s.readPlan(rules, ledger.Restored, sel.snapshot, s.root)
		ch.Planned = func(p *restore.Plan) error {
			if err := sel.unmatched(matched); err != nil {
				return err
			}
			return tell(p)
		}
		out, err := ch.Restore(ctx, sel.snapshot, filter, c.Force)
		return out, inSnapshot(sel.snapshot.ID, err)
	})
	if err != nil {
		return nil, err
	}
	return out.Plan, nil
}

// beside restores into another folder than the workspace.
func (c restoreCmd) beside(ctx context.Context, s *session, sel selection, rules *workspace.Rules, filter func(string, bool) restore.Taken, matched map[string]bool,
	p *snapshot.Progress) (*restore.Plan, error) {
	target, err := s.a.abs(c.To)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return nil, err
	}
	root, err := durable.OpenRoot(target)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := s.finishIn(root); err != nil {
		return nil, err
	}
	o := restore.Options{Store: s.store, Keys: s.access.Keys, Index: s.index, Reader: s.reader, Root: root, Target: sel.snapshot.Root, Local: anywhere(rules), Take: filter,
		Limit: snapshot.Limit(sel.snapshot.Files), Images: s.images, Force: c.Force, Empty: isEmpty(target), Progress: p}
	plan, err := restore.Make(ctx, o)
	if err == nil {
		err = sel.unmatched(matched)
	}
	if err == nil && len(plan.Conflicts) > 0 {
		err = &wouldLose{plan.Conflicts, "Restore into another folder, or let them go: --force"}
	}
	if err == nil {
		err = s.readPlan(rules, ledger.Restored, sel.snapshot, target)(plan)
	}
	if err != nil {
		return nil, err
	}
	stop := s.a.showProgress(p, "fetched")
	defer stop()
	return plan, plan.Run(ctx, nil)
}

// finishIn finishes what an interrupted restore into a folder left there, or takes it away. A pull
// into it is another workspace's, which notes its end itself.
func (s *session) finishIn(root durable.Root) error {
	done, err := restore.Recover(root)
	for _, r := range done {
		s.a.note("Finished what was interrupted in %s: %s put in place.", root.Name(), count(r.Files, "file"))
	}
	if err != nil || slices.ContainsFunc(done, func(r restore.Recovered) bool { return r.Snapshot != (pack.ID{}) }) {
		return err
	}
	return restore.Finish(root)
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
