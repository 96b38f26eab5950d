package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"satchel/snapshot/retention"
	"satchel/snapshot/when"
	"satchel/store/ledger"
	"satchel/store/seal"
)

type pruneCmd struct {
	Keep keepFlags `embed:"" prefix:"keep-"`

	Grace  string `placeholder:"D" help:"How long what nobody needs is kept, such as 3d; with 0 it is deleted at once. Else 3 days, and 7 for what an unfinished push left."`
	DryRun bool   `short:"n" help:"Only say what would be done, and why each snapshot stays or goes."`
	Plan   bool   `help:"The same, with the objects that wait to be deleted by somebody who may. Reading is enough."`
	Yes    bool   `short:"y" help:"Also where much goes at once."`
	All    bool   `help:"Apply the flags to every workspace in the repository."`
}

func (pruneCmd) Help() string {
	return `Lets old snapshots go, and frees what they alone held. Which ones stay say the flags, else "retention" in the manifest
.gitignore-sync.json:

    "retention": {"last": 10, "daily": 30, "weekly": 8, "monthly": 24, "within": "90d", "tags": ["audit"]}

The rules add up. What is held stays in any case, and so do the newest snapshot and the newest of each device. Without a rule
nothing goes but safety snapshots after 30 days. What went is deleted by a prune three days later: until then satchel unforget
brings it back. Others may push and pull meanwhile.

Example:
  satchel prune --dry-run
  satchel prune --keep-last 10 --keep-daily 30 --keep-monthly 24`
}

func (c pruneCmd) Run(a *app) error {
	began := a.now()
	grace, unfinished, err := c.graces()
	if err != nil {
		return err
	}
	flags, given, err := c.Keep.policy()
	if err != nil {
		return err
	}
	if c.All && !given {
		return usageError{errors.New("--all needs a rule, such as --keep-last 10: the manifest's are for this workspace")}
	}
	s, err := a.open("", false)
	if err != nil {
		return err
	}
	defer s.close()
	if !given {
		flags, err = s.manifestPolicy()
	} else if !s.known && !c.All {
		err = usageError{fmt.Errorf("%s is no workspace of the repository: --workspace NAME says which one is meant, --all takes every one (%s)", s.root, workspaceNames(s.state().Workspaces()))}
	}
	if err != nil {
		return err
	}
	all := s.judge(flags, c.All)
	return c.prune(&pruning{session: s, all: all, took: func() time.Duration { return a.now().Sub(began) },
		Prune: retention.Prune{Forget: going(all), Grace: grace, Unfinished: unfinished, DryRun: true}})
}

func (c pruneCmd) prune(p *pruning) error {
	switch {
	case c.DryRun || c.Plan:
		return p.plan(c.Plan)
	case p.access.Me == nil:
		return errReadOnly
	case !p.may(seal.Prune):
		return p.lacks("prune")
	case !c.Yes:
		if err := p.allowed(); err != nil {
			return err
		}
	}
	if p.a.Verbose {
		p.list()
	}
	p.DryRun = false
	out, err := p.run()
	if err != nil {
		return err
	}
	p.pruned(out)
	return nil
}

// graces are how long what is condemned, and what an unfinished push left, is kept.
func (c pruneCmd) graces() (grace, unfinished time.Duration, err error) {
	if c.Grace == "" {
		return retention.DefaultGrace, retention.DefaultUnfinished, nil
	}
	if grace, err = when.Duration(c.Grace); err != nil {
		err = usageError{fmt.Errorf("--grace: %w", err)}
	}
	return grace, grace, err
}

// pruning is a prune under way.
type pruning struct {
	*session
	retention.Prune
	all  []judged
	took func() time.Duration
}

func (p *pruning) run() (out *retention.Report, err error) {
	if p.Push, err = p.push(nil); err != nil {
		return nil, err
	}
	err = p.retry(p.a.ctx, func(ctx context.Context) error {
		p.Push.Index, p.Reader = p.index, p.reader
		out, err = p.Run(ctx)
		return err
	})
	return out, err
}

// A prune that lets more go than this at once is one that a person should mean.
const (
	manySnapshots = 10  // of which only heads would stay
	muchData      = 0.2 // of the bytes
)

// needsYes is a prune that lets much go.
type needsYes struct{ text string }

func (e *needsYes) Error() string { return e.text + "; nothing was done" }

// allowed reports needsYes where too much would go.
func (p *pruning) allowed() error {
	for _, w := range p.all {
		if n := w.onlyHeads(); n > manySnapshots {
			return &needsYes{fmt.Sprintf("of the %s of %s only the newest would stay", count(n, "snapshot"), quoted(w.Name))}
		}
	}
	if len(p.Forget) == 0 {
		return nil
	}
	out, err := p.run()
	if err != nil {
		return err
	}
	if all := out.Freed + out.Live; float64(out.Freed) > muchData*float64(all) {
		return &needsYes{fmt.Sprintf("%s would go, and with them %s of %s, more than a fifth", count(len(p.Forget), "snapshot"), size(out.Freed), size(all))}
	}
	return nil
}

// onlyHeads is the number of snapshots of which only those would stay that always do; 0 if others do too.
func (w judged) onlyHeads() (n int) {
	for _, v := range w.verdicts {
		switch {
		case v.Snapshot.Flags&ledger.FlagSafety != 0:
		case v.Keep && !slices.Contains(w.Heads, v.Snapshot.ID) && !slices.Equal(v.Reasons, []string{retention.NewestOfDevice}):
			return 0
		default:
			n++
		}
	}
	return n
}

// list prints each verdict.
func (p *pruning) list() {
	t := p.a.table()
	for _, w := range p.all {
		for _, v := range w.verdicts {
			if p.a.JSON {
				f := p.snapshotFields(v.Snapshot)
				f["workspace"], f["workspace_id"], f["keep"], f["reasons"] = w.Name, hex.EncodeToString(w.ID[:]), v.Keep, v.Reasons
				p.a.json("verdict", f)
				continue
			}
			word := "stays"
			if !v.Keep {
				word = "goes"
			}
			fmt.Fprintf(t, "%s\t%x\t%s\t%s\t%s\t%s\n", word, v.Snapshot.ID[:4], moment(v.Snapshot.Time), quoted(p.deviceName(v.Snapshot)), quoted(w.Name), reasons(v))
		}
	}
	t.Flush()
}
