package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"time"

	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type statusCmd struct {
	Why string `placeholder:"PATH" help:"Say which rule takes PATH in or leaves it out."`
	Dir string `arg:"" optional:"" name:"dir" help:"The workspace folder."`
}

func (statusCmd) Help() string {
	return `Compares three things: the files here, the snapshot they come from, and the newest snapshot.

  >  a push would take it there     <  a pull would bring it here
  +  only here now     -  only in the repository now     ~  in both, and different

Example:
  satchel status
  satchel status --why logs/old.txt`
}

func (c statusCmd) Run(a *app) error {
	if c.Why != "" {
		return c.why(a)
	}
	s, err := a.open(c.Dir, false)
	if err != nil {
		return err
	}
	defer s.close()
	var r *report
	err = s.retry(a.ctx, func(ctx context.Context) (err error) { r, err = s.compare(ctx); return err })
	if err != nil {
		return err
	}
	if a.JSON {
		s.printJSON(r)
		return nil
	}
	s.print(r)
	return nil
}

func (c statusCmd) why(a *app) error {
	root, err := a.root(c.Dir)
	if err != nil {
		return err
	}
	rules, err := workspace.Load(a.ctx, root, nil)
	if err != nil {
		return err
	}
	path, err := a.abs(c.Why)
	if err != nil {
		return err
	}
	v, err := rules.Why(a.ctx, path)
	if err != nil {
		return usageError{err}
	}
	if a.JSON {
		a.json("why", map[string]any{"path": v.Path, "taken": v.Taken, "remote": v.Remote, "rule": v.Rule, "reason": v.Reason})
		return nil
	}
	verb := "stays here"
	if v.Taken {
		verb = "travels"
		if v.Remote != v.Path {
			verb += " as " + quoted(v.Remote)
		}
	}
	fmt.Fprintf(a.out, "%s %s: %s%s\n", quoted(v.Path), verb, v.Reason, because(v.Rule))
	return nil
}

// report is what status found.
type report struct {
	newest   ledger.Snapshot // of those that come in, else of all
	has      bool            // there is one
	behind   bool            // it comes in
	mine     *snapshot.Compared
	incoming []snapshot.Change
	open     []opened
}

func (s *session) compare(ctx context.Context) (*report, error) {
	r := &report{}
	base, _ := s.state().Snapshot(s.lineage.Base)
	if r.newest, r.behind = s.lineage.Incoming(s.state()); r.behind {
		r.has = true
	} else {
		r.newest, r.has = snapshot.Newest(s.state(), s.lineage.Workspace)
	}
	var err error
	if r.mine, err = s.comparer().Compare(ctx, base); err != nil {
		return nil, err
	}
	r.open = s.opened(r.mine.Open)
	if r.behind {
		from := snapshot.Common(s.state(), r.newest.ID, append(slices.Clone(s.lineage.Merged), base.ID)...)
		err = s.reader.Diff(ctx, from.Root, r.newest.Root, func(c snapshot.Change) error {
			r.incoming = append(r.incoming, c)
			return nil
		})
	}
	return r, err
}

// comparer is what compares the files here with a snapshot.
func (s *session) comparer() *snapshot.Push {
	return &snapshot.Push{Store: s.store, Keys: s.access.Keys, Keyring: s.access.Keyring, Log: s.access.Log, Index: s.index, Me: s.access.Me,
		Lineage: s.lineage, Rules: s.rules, Images: s.images, Rand: s.a.rand, Now: s.a.now, Sleep: s.a.sleep}
}

// sign is + for what is only here, - for what is only there, ~ for what differs.
func sign(c snapshot.Change, mine bool) string {
	switch {
	case c.Old != nil && c.New != nil:
		return "~"
	case (c.New != nil) == mine:
		return "+"
	}
	return "-"
}

// happened says what was done to a path on the side where it changed.
func happened(c snapshot.Change) string {
	switch {
	case c.Old == nil:
		return "new"
	case c.New == nil:
		return "removed"
	}
	return "changed"
}

// verdict is the answer to the two questions that status is asked.
func (s *session) verdict(r *report) (state, line string) {
	ahead, behind := len(r.mine.Changes) > 0, r.behind
	others := s.state().Workspaces()
	switch {
	case !r.has && !s.known && len(others) > 0:
		return "new", "This folder is new to the repository: satchel push. If it is one of the workspaces there (" + workspaceNames(others) + "): satchel pull --workspace NAME"
	case !r.has:
		return "new", "No snapshot yet: satchel push"
	case behind && s.lineage.Base == (pack.ID{}):
		return "behind", "Nothing was pulled into this folder yet: satchel pull"
	case ahead && behind:
		return "diverged", "Diverged: changed here, and pushed from elsewhere: satchel pull"
	case behind:
		return "behind", "Behind: satchel pull"
	case len(r.mine.Conflicts) > 0:
		return "conflicts", "Conflicts to resolve: compare, keep what is right, delete or rename the .conflict- copies; then satchel push"
	case len(r.mine.Problems) > 0 && !ahead:
		return "incomplete", "Not all of it is safe: see what is marked with !"
	case ahead:
		return "ahead", "Not safe to leave yet: satchel push"
	case len(documents(r.open)) > 0:
		return "open", "In sync, as far as it is saved. Not safe to leave yet: close what is open, then satchel push"
	case s.at.builtin:
		return "local", "In sync, with a store on this computer alone: no other can pull from it. " + toAzure
	}
	return "synced", "In sync. Safe to leave."
}

func (s *session) print(r *report) {
	a := s.a
	fmt.Fprintf(a.out, "Workspace %s in %s%s\n", quoted(s.workspaceName()), s.at, because(s.at.from))
	fmt.Fprintf(a.out, "Rules: %s\n", s.rules.Source())
	if base, ok := s.state().Snapshot(s.lineage.Base); ok {
		fmt.Fprintf(a.out, "Files come from snapshot %x (%s, %s)\n", base.ID[:4], s.deviceName(base), moment(base.Time))
	}
	if r.behind {
		fmt.Fprintf(a.out, "Newest is snapshot %x (%s, %s)\n", r.newest.ID[:4], s.deviceName(r.newest), moment(r.newest.Time))
	}
	s.printChanges("To push:", r.mine.Changes, true, ">")
	s.printChanges("To pull:", r.incoming, false, "<")
	for i, local := range r.mine.Conflicts {
		if i == 0 {
			fmt.Fprintln(a.out, "Conflicts, the other side's version:")
		}
		fmt.Fprintf(a.out, "  C %s\n", quoted(local))
	}
	for _, p := range r.mine.Problems {
		fmt.Fprintf(a.out, "! %s: %s\n", quoted(s.localName(string(p.Path))), p.Text)
	}
	for _, o := range r.open {
		fmt.Fprintf(a.out, "! %s\n", o.text())
	}
	for _, w := range append(r.mine.Warnings, s.rules.Warnings()...) {
		fmt.Fprintf(a.out, "! %s\n", quoted(w))
	}
	for _, d := range s.devices() {
		fmt.Fprintf(a.out, "%s last pushed on %s (%s)\n", quoted(d.name), moment(d.last), ago(a.now().Sub(time.Unix(0, d.last))))
	}
	if place, err := a.place(); err == nil {
		if text := reminder(place, s.access.Repository); text != "" {
			fmt.Fprintf(a.out, "! %s\n", text)
		}
	}
	fmt.Fprintf(a.out, "%s unchanged, %s to push, %s to pull\n", count(r.mine.Unchanged, "file"), thousands(int64(len(r.mine.Changes))), thousands(int64(len(r.incoming))))
	_, line := s.verdict(r)
	fmt.Fprintln(a.out, line)
}

// shownChanges is how many paths status lists unless --verbose.
const shownChanges = 50

func (s *session) printChanges(title string, cs []snapshot.Change, mine bool, direction string) {
	if len(cs) == 0 {
		return
	}
	fmt.Fprintln(s.a.out, title)
	for i, c := range cs {
		if i == shownChanges && !s.a.Verbose {
			fmt.Fprintf(s.a.out, "  … and %s more (--verbose lists all)\n", thousands(int64(len(cs)-i)))
			return
		}
		fmt.Fprintf(s.a.out, "  %s %s %s (%s)\n", direction, sign(c, mine), quoted(s.localName(c.Remote)), happened(c))
	}
}

type deviceLine struct {
	name string
	last int64
}

// devices lists who has pushed this workspace, the latest first.
func (s *session) devices() []deviceLine {
	last := map[string]int64{}
	for _, v := range s.state().Snapshots(s.lineage.Workspace) {
		if s.lineage.Workspace != (ledger.Workspace{}) && v.Flags&ledger.FlagSafety == 0 {
			last[s.deviceName(v)] = max(last[s.deviceName(v)], v.Time)
		}
	}
	var out []deviceLine
	for name, t := range last {
		out = append(out, deviceLine{name, t})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].last > out[j].last })
	return out
}

func (s *session) printJSON(r *report) {
	list := func(cs []snapshot.Change, mine bool) []map[string]any {
		out := []map[string]any{}
		for _, c := range cs {
			out = append(out, map[string]any{"path": s.localName(c.Remote), "remote": c.Remote, "sign": sign(c, mine)})
		}
		return out
	}
	state, _ := s.verdict(r)
	f := map[string]any{"state": state, "workspace": s.workspaceName(), "store": s.at.String(), "rules": s.rules.Source(), "to_push": list(r.mine.Changes, true),
		"to_pull": list(r.incoming, false), "unchanged": r.mine.Unchanged, "requests": s.store.requests(), "base": nil, "newest": nil}
	if s.lineage.Base != (pack.ID{}) {
		f["base"] = hex.EncodeToString(s.lineage.Base[:])
	}
	if r.has {
		f["newest"] = hex.EncodeToString(r.newest.ID[:])
	}
	devices := []map[string]any{}
	for _, d := range s.devices() {
		devices = append(devices, map[string]any{"device": d.name, "last_push": stamp(d.last)})
	}
	f["devices"] = devices
	f["conflicts"] = append([]string{}, r.mine.Conflicts...)
	problems := []map[string]any{}
	for _, p := range r.mine.Problems {
		problems = append(problems, map[string]any{"path": s.localName(string(p.Path)), "text": p.Text})
	}
	f["problems"] = problems
	f["open"] = openFields(r.open)
	if place, err := s.a.place(); err == nil {
		f["recovery_code_confirmed"] = reminder(place, s.access.Repository) == ""
	}
	s.a.json("status", f)
}
