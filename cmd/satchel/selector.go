package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/when"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// ambiguous: the folder could be any of several workspaces, or none.
type ambiguous struct {
	root string
	all  []ledger.WorkspaceInfo
}

func (e *ambiguous) Error() string {
	return fmt.Sprintf("which workspace is %s? By name and git remote it is none of those that the repository has: %s", e.root, workspaceNames(e.all))
}

func parseWorkspace(s string, id *ledger.Workspace) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return usageError{fmt.Errorf("%q is not a workspace id (32 hex digits)", s)}
	}
	copy(id[:], b)
	return nil
}

// findWorkspace looks a workspace up by name or id.
func findWorkspace(s *ledger.State, name string) (ledger.WorkspaceInfo, error) {
	var found []ledger.WorkspaceInfo
	for _, w := range s.Workspaces() {
		if w.Name == name || len(name) >= 8 && strings.HasPrefix(hex.EncodeToString(w.ID[:]), strings.ToLower(name)) {
			found = append(found, w)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return ledger.WorkspaceInfo{}, usageError{fmt.Errorf("no workspace %q in the repository (it has %s)", name, workspaceNames(s.Workspaces()))}
	}
	return ledger.WorkspaceInfo{}, usageError{fmt.Errorf("several workspaces are called %q: give the id (%s)", name, workspaceNames(found))}
}

func workspaceNames(ws []ledger.WorkspaceInfo) string {
	if len(ws) == 0 {
		return "none"
	}
	var out []string
	for _, w := range ws {
		out = append(out, fmt.Sprintf("%s %x", quoted(w.Name), w.ID[:4]))
	}
	return strings.Join(out, ", ")
}

var errNoSnapshot = errors.New("no snapshot")

// noSnapshot: there is nothing to take.
func noSnapshot(workspace string) error {
	return fmt.Errorf("%w of %s here", errNoSnapshot, quoted(workspace))
}

// selection is which snapshot, and which local paths of it; no paths are all.
type selection struct {
	snapshot ledger.Snapshot
	paths    []string
}

// choose understands [SNAPSHOT] [PATH…], as restore, ls and cat take them. What stands behind
// -- is a path, and so is everything where a time names the snapshot.
func (s *session) choose(args []string, at string) (sel selection, err error) {
	found := false
	switch words := len(args) - s.a.forced; {
	case at != "":
		found = true
		sel.snapshot, err = s.snapshotAt(at)
	case words > 0:
		if sel.snapshot, found, err = s.byName(args[0]); found {
			args = args[1:]
		}
	}
	if err == nil && !found {
		if sel.snapshot, found = snapshot.Newest(s.state(), s.lineage.Workspace); !found {
			err = noSnapshot(s.workspaceName())
		}
	}
	if err != nil {
		return sel, err
	}
	for _, arg := range args {
		p, err := s.belowRoot(arg)
		if err != nil {
			return sel, err
		}
		sel.paths = append(sel.paths, p)
	}
	return sel, nil
}

// unmatched says which of the paths the snapshot does not have.
func (sel selection) unmatched(matched map[string]bool) error {
	for _, p := range sel.paths {
		if matched[p] || p == "." {
			continue
		}
		if looksLikeID(p) {
			return fmt.Errorf("no snapshot's id begins with %s, and snapshot %x (%s) has no such path", p, sel.snapshot.ID[:4], moment(sel.snapshot.Time))
		}
		return fmt.Errorf("%s is not in snapshot %x (%s)", quoted(p), sel.snapshot.ID[:4], moment(sel.snapshot.Time))
	}
	return nil
}

// looksLikeID reports whether a word may be the beginning of a snapshot's id.
func looksLikeID(word string) bool {
	return len(word) >= 8 && len(word) <= 64 && strings.Trim(strings.ToLower(word), "0123456789abcdef") == ""
}

// take is a filter for local paths; it notes which of them something was found for.
func take(rules *workspace.Rules, paths []string, matched map[string]bool) func(string, bool) restore.Taken {
	return func(remote string, dir bool) restore.Taken {
		local := remote
		if dir {
			l, ok := rules.Local(remote + "/")
			if !ok {
				return restore.Descend // only what is in it has a place here
			}
			local = l
		} else if l, ok := rules.Local(remote); ok {
			local = l
		}
		for _, p := range paths {
			if p == "." || local == p || strings.HasPrefix(local, p+"/") {
				matched[p] = true
				return restore.Whole
			}
		}
		for _, p := range paths {
			if dir && (remote == "" || local == "." || strings.HasPrefix(p, local+"/")) {
				return restore.Descend
			}
		}
		return restore.Skip
	}
}

// byName finds the snapshot that a word names: latest, @N for the one N before it, or a unique
// prefix of an id.
func (s *session) byName(word string) (ledger.Snapshot, bool, error) {
	if word == "latest" {
		v, ok := snapshot.Newest(s.state(), s.lineage.Workspace)
		if !ok {
			return v, false, noSnapshot(s.workspaceName())
		}
		return v, true, nil
	}
	if n, ok := stepsBack(word); ok {
		v, err := s.before(n)
		return v, err == nil, err
	}
	if !looksLikeID(word) {
		return ledger.Snapshot{}, false, nil
	}
	var found []ledger.Snapshot
	for _, v := range s.state().Snapshots(ledger.Workspace{}) {
		if strings.HasPrefix(hex.EncodeToString(v.ID[:]), strings.ToLower(word)) {
			found = append(found, v)
		}
	}
	if len(found) > 1 {
		return ledger.Snapshot{}, false, usageError{fmt.Errorf("%d snapshots begin with %s: give more digits", len(found), word)}
	}
	if len(found) == 0 {
		return ledger.Snapshot{}, false, nil
	}
	return found[0], true, nil
}

// stepsBack understands @N.
func stepsBack(word string) (int, bool) {
	digits, ok := strings.CutPrefix(word, "@")
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), ok && err == nil
}

// before is the snapshot that n others of this workspace have followed.
func (s *session) before(n int) (ledger.Snapshot, error) {
	all := s.ofWorkspace()
	if n >= len(all) {
		return ledger.Snapshot{}, fmt.Errorf("%w: @%d goes back too far, there are %s", noSnapshot(s.workspaceName()), n, count(len(all), "snapshot"))
	}
	return all[len(all)-1-n], nil
}

// ofWorkspace lists this workspace's snapshots, oldest first, without the safety snapshots.
func (s *session) ofWorkspace() []ledger.Snapshot {
	return slices.DeleteFunc(slices.Clone(s.state().Snapshots(s.lineage.Workspace)), func(v ledger.Snapshot) bool { return v.Flags&ledger.FlagSafety != 0 })
}

// snapshotAt is the newest snapshot that is not younger than a moment, said in words.
func (s *session) snapshotAt(phrase string) (ledger.Snapshot, error) {
	t, err := when.Parse(phrase, s.a.now())
	if err != nil {
		return ledger.Snapshot{}, usageError{fmt.Errorf("--at %w", err)}
	}
	all := s.ofWorkspace()
	for _, v := range slices.Backward(all) {
		if !time.Unix(0, v.Time).After(t) {
			return v, nil
		}
	}
	err = fmt.Errorf("%w at or before %s", noSnapshot(s.workspaceName()), t.Local().Format("2006-01-02 15:04:05"))
	if len(all) > 0 {
		err = fmt.Errorf("%w; the oldest is %s", err, s.described(all[0]))
	}
	return ledger.Snapshot{}, err
}

// described says which snapshot, by which device, when and how long ago.
func (s *session) described(v ledger.Snapshot) string {
	return fmt.Sprintf("%x (%s, %s, %s)", v.ID[:4], quoted(s.deviceName(v)), moment(v.Time), ago(s.a.now().Sub(time.Unix(0, v.Time))))
}

// sayTaken says which snapshot a time stands for.
func (s *session) sayTaken(v ledger.Snapshot) {
	if s.a.JSON {
		s.a.json("taken", s.snapshotFields(v))
		return
	}
	s.a.note("Snapshot %s", s.described(v))
}

// snapshotFields is what a JSON line says of a snapshot.
func (s *session) snapshotFields(v ledger.Snapshot) map[string]any {
	return map[string]any{"snapshot": hex.EncodeToString(v.ID[:]), "time": stamp(v.Time), "device": s.deviceName(v),
		"age_seconds": int64(s.a.now().Sub(time.Unix(0, v.Time)).Seconds())}
}

// belowRoot turns a path as typed into one below the workspace's root, slash separated.
func (s *session) belowRoot(p string) (string, error) {
	abs, err := s.a.abs(p)
	if err != nil {
		return "", err
	}
	r, err := filepath.Rel(s.root, abs)
	if err != nil || r == ".." || strings.HasPrefix(r, ".."+string(filepath.Separator)) {
		return "", usageError{fmt.Errorf("%s is not in the workspace %s", p, s.root)}
	}
	return filepath.ToSlash(r), nil
}

// rulesOf returns the rules in force for a snapshot: this folder's manifest, else the
// snapshot's own.
func (s *session) rulesOf(v ledger.Snapshot) (*workspace.Rules, *snapshot.Manifest, error) {
	m, err := s.reader.ManifestOf(s.a.ctx, v)
	if err != nil {
		return nil, nil, err
	}
	if s.rules.Manifest() != nil || m.Rules == nil || len(m.Rules.Manifest) == 0 {
		return s.rules, m, nil
	}
	r, err := workspace.Load(s.a.ctx, s.root, m.Rules.Manifest)
	if err == nil {
		err = s.leaveOut(r)
	}
	if err == nil {
		err = s.a.gateSignIn(s.at, r.Manifest())
	}
	return r, m, err
}

// withSelection opens the repository for a command that only reads it.
func (a *app) withSelection(args []string, at string, f func(*session, selection) error) error {
	return a.reading(func(s *session) error {
		sel, err := s.choose(args, at)
		if err != nil {
			return err
		}
		if at != "" && !(a.JSON && a.raw) {
			s.sayTaken(sel.snapshot)
		}
		return s.retry(a.ctx, func(context.Context) error {
			if err := s.there(sel.snapshot); err != nil {
				return err
			}
			return inSnapshot(sel.snapshot.ID, f(s, sel))
		})
	})
}

// eachSelected calls f with all that is selected of a snapshot, folders too, and reports paths that it does not have.
func (s *session) eachSelected(ctx context.Context, sel selection, rules *workspace.Rules, f func(remote string, e *snapshot.Entry) error) error {
	matched := map[string]bool{}
	filter := func(string, bool) restore.Taken { return restore.Whole }
	if len(sel.paths) > 0 {
		filter = take(rules, sel.paths, matched)
	}
	err := s.reader.WalkUpTo(ctx, sel.snapshot.Root, snapshot.Limit(sel.snapshot.Files), func(remote string, e *snapshot.Entry) error {
		switch t := filter(remote, e.Type == snapshot.Dir); {
		case t == restore.Skip && e.Type == snapshot.Dir:
			return snapshot.SkipDir
		case t != restore.Whole:
			return nil
		}
		return f(remote, e)
	})
	if err != nil {
		return err
	}
	return sel.unmatched(matched)
}

// reading opens the repository for a command that only reads this workspace's snapshots.
func (a *app) reading(f func(*session) error) error {
	s, err := a.open("", false)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.theOnly(); err != nil {
		return err
	}
	return f(s)
}

// errForgotten: what was to be read is no snapshot any more.
var errForgotten = errors.New("was forgotten meanwhile")

// there reports errForgotten unless a snapshot is live still: whoever reads it asks in each attempt, as
// another device may have forgotten it, and pruned what it held, since it was chosen (R6).
func (s *session) there(v ledger.Snapshot) error {
	if _, live := s.state().Snapshot(v.ID); !live {
		return fmt.Errorf("snapshot %x %w", v.ID[:4], errForgotten)
	}
	return nil
}

// inSnapshot adds to an error that says what is damaged in which snapshot.
func inSnapshot(id pack.ID, err error) error {
	if errors.Is(err, pack.ErrDamaged) || errors.Is(err, snapshot.ErrMissing) || errors.Is(err, snapshot.ErrTree) {
		return fmt.Errorf("snapshot %x: %w", id[:4], err)
	}
	return err
}
