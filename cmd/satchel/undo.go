package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/store/pack"
)

type undoCmd struct {
	List   bool `short:"l" help:"List what can be undone, the newest first."`
	DryRun bool `short:"n" help:"Only say what would be done."`
	Step   int  `arg:"" optional:"" name:"n" default:"1" help:"Go back to before the nth newest of the list."`
}

func (undoCmd) Help() string {
	return `Puts the files of this folder back to just before the last pull, restore or undo. What is here now is kept first, so
an undo can be undone. No network is needed for what only this computer had.

What other computers have pushed is not touched: after the undo of a pull, satchel status says behind again.

Example:
  satchel undo
  satchel undo --list
  satchel undo 3`
}

func (c undoCmd) Run(a *app) error {
	began := a.now()
	s := &session{a: a, offline: true}
	defer s.close()
	if err := s.open("", false); err != nil {
		return err
	}
	y, err := s.safety()
	if err != nil {
		return err
	}
	steps := y.Taken()
	if c.List {
		return s.listSteps(steps)
	}
	switch {
	case len(steps) == 0:
		return errNoUndo
	case c.Step < 1 || c.Step > len(steps):
		return usageError{fmt.Errorf("%d: there are %d steps to undo", c.Step, len(steps))}
	}
	step := steps[c.Step-1]
	var p snapshot.Progress
	out, err := s.change(s.rules, s.rules.Local, &p, c.DryRun, func(ctx context.Context, ch *restore.Change) (*restore.Changed, error) { return ch.Undo(ctx, step) })
	if s.alone && err != nil && a.ctx.Err() == nil {
		return fmt.Errorf("not all of what was here then is on this computer, and the store cannot be reached: %w", err)
	} else if err != nil {
		return err
	}
	s.undone(step, out, c.DryRun, &p, a.now().Sub(began))
	if len(out.Unheld) > 0 {
		return errUnheld
	}
	return nil
}

func (s *session) listSteps(steps []snapshot.Step) error {
	a := s.a
	if a.JSON {
		for i, step := range steps {
			a.json("step", map[string]any{"n": i + 1, "time": stamp(step.Time.UnixNano()), "what": step.What, "before": hex.EncodeToString(step.Before.ID[:]),
				"files": step.Files, "bytes": step.Bytes, "here": len(step.Packs) > 0, "sent": step.Sent})
		}
		return nil
	}
	if len(steps) == 0 {
		a.say("There is nothing to undo.")
		return nil
	}
	t := a.table()
	fmt.Fprintln(t, "N\tTIME\tUNDOES\tFILES BEFORE\tSIZE")
	for i, step := range steps {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", i+1, moment(step.Time.UnixNano()), step.What, thousands(int64(step.Files)), size(int64(step.Bytes)))
	}
	return t.Flush()
}

func (s *session) undone(step snapshot.Step, out *restore.Changed, dry bool, p *snapshot.Progress, took time.Duration) {
	a := s.a
	for _, k := range out.Kept {
		a.note("kept %s: %s", quoted(k.Local), k.Reason)
	}
	a.unsound(out.Plan)
	for _, u := range out.Unheld {
		a.problem(u.Local, u.Reason)
	}
	verb := "written"
	if dry {
		verb = "would be written"
	}
	if a.JSON {
		a.json("summary", map[string]any{"undone": step.What, "dry_run": dry, "written": out.Writes, "removed": out.Removes, "bytes": out.Bytes, "fetched": p.Stored.Load(),
			"requests": s.store.requests(), "seconds": took.Seconds()})
		return
	}
	a.say("Back to just before the %s of %s: %s %s, %s removed · %s · %s", step.What, moment(step.Time.UnixNano()), count(out.Writes, "file"), verb,
		thousands(int64(out.Removes)), size(out.Bytes), seconds(took))
	if !dry && step.Before.Base != (pack.ID{}) {
		a.say("satchel undo once more takes this back.")
	}
}
