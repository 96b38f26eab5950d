package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"satchel/snapshot/retention"
	"satchel/snapshot/when"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// keepFlags are a policy as typed.
type keepFlags struct {
	Last    *int     `placeholder:"N" help:"Keep the newest N."`
	Hourly  *int     `placeholder:"N" help:"Keep the newest of each of the N latest hours that have one; and so on."`
	Daily   *int     `placeholder:"N" help:"Days."`
	Weekly  *int     `placeholder:"N" help:"Weeks."`
	Monthly *int     `placeholder:"N" help:"Months."`
	Yearly  *int     `placeholder:"N" help:"Years."`
	Within  string   `placeholder:"D" help:"Keep what is no older, such as 90d, 12w, 6mo or 2y."`
	Tag     []string `placeholder:"WORD" sep:"none" help:"Keep those with this tag. May be repeated."`
}

// policy is what the flags say, and whether there are any.
func (k keepFlags) policy() (p retention.Policy, given bool, err error) {
	for _, f := range []struct {
		name string
		n    *int
		to   *int
	}{{"last", k.Last, &p.Last}, {"hourly", k.Hourly, &p.Hourly}, {"daily", k.Daily, &p.Daily}, {"weekly", k.Weekly, &p.Weekly}, {"monthly", k.Monthly, &p.Monthly},
		{"yearly", k.Yearly, &p.Yearly}} {
		if f.n == nil {
			continue
		}
		if *f.to, given = *f.n, true; *f.n < 1 {
			return p, true, usageError{fmt.Errorf("--keep-%s=%d: it must be at least 1; what no rule keeps goes anyway", f.name, *f.n)}
		}
	}
	if k.Within != "" {
		given = true
		if p.Within, err = when.Duration(k.Within); err == nil && p.Within == 0 {
			err = fmt.Errorf("%q keeps nothing", k.Within)
		}
		if err != nil {
			return p, true, usageError{fmt.Errorf("--keep-within: %w", err)}
		}
	}
	if slices.Contains(k.Tag, "") {
		return p, true, usageError{errors.New("--keep-tag: the word is missing")}
	}
	p.Tags = k.Tag
	return p, given || len(k.Tag) > 0, nil
}

// manifestPolicy is what this folder's manifest says; without a word of it there all stays.
func (s *session) manifestPolicy() (p retention.Policy, err error) {
	m := s.rules.Manifest()
	if m == nil || m.Retention == nil {
		return p, nil
	}
	for _, field := range m.Unknown {
		if strings.HasPrefix(field, "retention.") {
			return p, fmt.Errorf("%s: %s is not known to this satchel, and what it is to keep would go", workspace.ManifestName, field)
		}
	}
	r := m.Retention
	p = retention.Policy{Last: r.Last, Hourly: r.Hourly, Daily: r.Daily, Weekly: r.Weekly, Monthly: r.Monthly, Yearly: r.Yearly, Tags: r.Tags}
	if r.Within != "" {
		p.Within, err = when.Duration(r.Within)
	}
	return p, err
}

// judged is a workspace and what becomes of its snapshots.
type judged struct {
	ledger.WorkspaceInfo
	verdicts []retention.Verdict
}

// judge applies this folder's policy to its workspace, or to all, and to every other one none.
func (s *session) judge(p retention.Policy, all bool) (out []judged) {
	for _, w := range s.state().Workspaces() {
		var own retention.Policy
		if all || s.known && w.ID == s.lineage.Workspace {
			own = p
		}
		now := s.now()
		out = append(out, judged{w, own.Apply(retention.HistoryOf(s.state(), w.ID, now), now, time.Local)})
	}
	return out
}

// now is the store's clock, which the ledger goes by.
func (s *session) now() time.Time {
	return time.Unix(0, max(s.store.Now().UnixNano(), s.state().Time()))
}

// going lists the snapshots that do not stay.
func going(all []judged) (ids []pack.ID) {
	for _, w := range all {
		for _, v := range w.verdicts {
			if !v.Keep {
				ids = append(ids, v.Snapshot.ID)
			}
		}
	}
	return ids
}
