package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type leaveCmd struct {
	Yes bool `short:"y" help:"Push although many files are gone."`
	acceptFlag
	Dir string `arg:"" optional:"" name:"dir" help:"The workspace folder."`
}

func (leaveCmd) Help() string {
	return `Pushes, then asks the store for what it has acknowledged: each object of this push by name and size, and the
newest entry of the ledger, which has to be this push or come after it. It says what is still open, what changed meanwhile, and
what git has not pushed. Only "Safe to leave" means that nothing here stays on this computer alone.

Example:
  satchel leave`
}

func (c leaveCmd) Run(a *app) error {
	began := a.now()
	s, err := a.openGated(&gate{accept: c.Accept}, c.Dir, true)
	if err != nil {
		return err
	}
	defer s.close()
	before := s.state().Position()
	pushed := pushCmd{Yes: c.Yes}.run(s, began)
	s.tellGit()
	if pushed != nil && !errors.Is(pushed, errIncomplete) {
		return pushed
	}
	v, err := s.prove(a.ctx, before)
	if err != nil {
		return fmt.Errorf("not safe to leave: %w", err)
	}
	var r *report
	err = s.retry(a.ctx, func(ctx context.Context) (err error) { r, err = s.compare(ctx); return err })
	if err != nil {
		return err
	}
	return s.left(v, r)
}

// prove reads back from the store that it has what this device pushed after the position before, and returns the
// snapshot that the files here are.
func (s *session) prove(ctx context.Context, before uint64) (ledger.Snapshot, error) {
	if err := s.access.Log.Confirm(ctx); err != nil {
		return ledger.Snapshot{}, err
	}
	if err := snapshot.SyncIndex(ctx, s.access.Log, s.index); err != nil {
		return ledger.Snapshot{}, err
	}
	base, _ := s.state().Snapshot(s.lineage.Base)
	w, _ := s.state().Workspace(s.lineage.Workspace)
	for _, head := range w.Heads {
		if base.ID != (pack.ID{}) && snapshot.Ancestor(s.state(), base.ID, head) {
			return base, s.acknowledged(ctx, before)
		}
	}
	return base, fmt.Errorf("%w: it does not have what was pushed from here", ledger.ErrDamaged)
}

// acknowledged lists the packs that were registered after the position before, and compares their sizes.
func (s *session) acknowledged(ctx context.Context, before uint64) error {
	want := map[string]int64{}
	prefixes := map[string]bool{}
	for _, p := range s.state().Packs() {
		if name := p.Key.Name(); p.Position > before {
			want[name] = p.Size
			prefixes[name[:strings.LastIndexByte(name, '/')+1]] = true
		}
	}
	for prefix := range prefixes {
		for o, err := range s.store.List(ctx, prefix) {
			if err != nil {
				return err
			}
			if want[o.Name] == o.Size {
				delete(want, o.Name)
			}
		}
	}
	for name := range want {
		return fmt.Errorf("%w: %s was acknowledged by the store, and is not there as it was sent", pack.ErrDamaged, name)
	}
	return nil
}

// notSafe says why a person should not leave yet.
type notSafe struct {
	reasons []string
	hint    string
}

func (e *notSafe) Error() string { return "not safe to leave: " + strings.Join(e.reasons, "; ") }

// toAzure is the way out of a store that no other computer reaches.
const toAzure = "To save it elsewhere: satchel init --store https://ACCOUNT.blob.core.windows.net/CONTAINER, or a folder on another disk"

// left is the verdict.
func (s *session) left(v ledger.Snapshot, r *report) error {
	a := s.a
	e := &notSafe{hint: "Then once more: satchel leave"}
	for _, o := range r.open {
		if o.document() {
			e.reasons = append(e.reasons, o.text())
		} else {
			a.note("! %s", o.text())
		}
	}
	if n := len(r.mine.Changes); n > 0 {
		e.reasons = append(e.reasons, fmt.Sprintf("%s changed while it was pushed, %s first", count(n, "file"), quoted(s.localName(r.mine.Changes[0].Remote))))
	}
	if n := len(r.mine.Conflicts); n > 0 {
		e.reasons = append(e.reasons, conflictWords(n)+quoted(r.mine.Conflicts[0]))
	}
	if n := len(r.mine.Problems); n > 0 {
		p := r.mine.Problems[0]
		e.reasons = append(e.reasons, fmt.Sprintf("%s could not be read whole, %s first: %s", count(n, "file"), quoted(s.localName(string(p.Path))), p.Text))
	}
	if s.at.builtin {
		e.reasons = append(e.reasons, fmt.Sprintf("the store %s is on this computer alone", s.at))
		e.hint = toAzure
	}
	if a.JSON {
		f := s.snapshotFields(v)
		f["safe"], f["reasons"], f["requests"] = len(e.reasons) == 0, append([]string{}, e.reasons...), s.store.requests()
		a.json("leave", f)
	}
	if len(e.reasons) > 0 {
		return e
	}
	a.say("Safe to leave: pushed %s, verified", s.clock(v.Time))
	return nil
}

func conflictWords(n int) string {
	if n == 1 {
		return "1 copy of a conflict waits here, and does not travel: "
	}
	return thousands(int64(n)) + " copies of conflicts wait here, and do not travel, the first: "
}

// clock is a time of the ledger's: the hour and minute, of another day with its date.
func (s *session) clock(ns int64) string {
	t, now := time.Unix(0, ns).Local(), s.a.now().Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// tellGit says what of the code only this computer has. It is told, and stops nothing.
func (s *session) tellGit() {
	a := s.a
	left, err := workspace.GitUnsaved(a.ctx, s.root)
	if a.JSON {
		f := map[string]any{"commits": left.Commits, "branches": append([]string{}, left.Branches...), "files": left.Files, "stashes": left.Stashes, "remote": left.Remote, "problem": nil}
		if err != nil {
			f["problem"] = err.Error()
		}
		a.json("git", f)
		return
	}
	if err != nil {
		a.note("! Git could not be asked what is not pushed: %s", quoted(err.Error()))
	}
	for _, line := range gitLines(left) {
		a.note("! Git: %s", line)
	}
}

func gitLines(left workspace.GitLeft) (lines []string) {
	var branches []string
	for _, b := range left.Branches {
		branches = append(branches, quoted(b))
	}
	on := ""
	if len(branches) > 0 {
		on = " (" + strings.Join(branches, ", ") + ")"
	}
	switch {
	case left.Commits > 0 && left.Remote:
		lines = append(lines, count(left.Commits, "commit")+on+" not pushed: git push")
	case left.Commits > 0:
		lines = append(lines, count(left.Commits, "commit")+on+" on this computer alone: the repository has no remote")
	}
	if left.Files > 0 {
		lines = append(lines, count(left.Files, "file")+" not committed: git status")
	}
	if left.Stashes > 0 {
		lines = append(lines, fmt.Sprintf("%d stashed, which git does not push: git stash list", left.Stashes))
	}
	return lines
}

// codeNote says how the code here stands to the code that a snapshot was pushed beside; "" if
// it is the same, or one of the two is not known.
func (s *session) codeNote(v ledger.Snapshot) string {
	if s.git.Commit == "" {
		return ""
	}
	m, err := s.reader.ManifestOf(s.a.ctx, v)
	if err != nil || m.Git == nil {
		return ""
	}
	relation, err := workspace.GitRelation(s.a.ctx, s.root, m.Git.Commit)
	if err != nil {
		s.a.debug("git: %v", err)
	}
	here, there := commitName(s.git.Commit, s.git.Branch), commitName(m.Git.Commit, m.Git.Branch)
	text := "The code here is at " + here + ", the data was pushed beside " + there
	otherBranch := m.Git.Branch != "" && m.Git.Branch != s.git.Branch
	switch {
	case relation == workspace.Same || err != nil:
		return ""
	case relation == workspace.Older:
		return text + ", which is older: git pull on the other computer, or to see it as it was, git checkout " + commitName(m.Git.Commit, "")
	case otherBranch && relation == workspace.Unknown:
		return text + ": git fetch, then git checkout " + quoted(m.Git.Branch)
	case otherBranch:
		return text + ": git checkout " + quoted(m.Git.Branch)
	}
	return text + ": git pull"
}

// commitName is a commit as git shows it, with its branch.
func commitName(commit, branch string) string {
	commit = quoted(commit[:min(9, len(commit))])
	if branch == "" {
		return commit
	}
	return commit + " (" + quoted(branch) + ")"
}

// tellCode prints what codeNote says.
func (s *session) tellCode(v ledger.Snapshot) {
	if text := s.codeNote(v); text != "" {
		s.a.note("%s", text)
	}
}
