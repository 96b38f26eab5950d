package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"time"

	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/durable"
	"satchel/store/ledger"
)

type arriveCmd struct {
	acceptFlag
	Dir string `arg:"" optional:"" name:"dir" help:"The workspace folder; made if it is not there."`
}

func (arriveCmd) Help() string {
	return `Pulls, then tells what changed since this computer's last snapshot and who did it, whether the code here is that
which the data was pushed beside, and what has to be installed anew.

Example:
  satchel arrive`
}

func (c arriveCmd) Run(a *app) error {
	a.command = "pull" // what stops it says what pull says
	before, err := c.base(a)
	if err != nil {
		return err
	}
	pulled := (pullCmd{Dir: c.Dir, acceptFlag: c.acceptFlag}).Run(a)
	if left := (*conflictsLeft)(nil); pulled != nil && !errors.As(pulled, &left) {
		return pulled
	}
	s, err := a.open(c.Dir, false)
	if err != nil {
		return err
	}
	defer s.close()
	return errors.Join(s.arrived(before), pulled)
}

// base is the snapshot that the files come from before anything is pulled.
func (c arriveCmd) base(a *app) (ledger.Snapshot, error) {
	s, err := a.openGated(&gate{accept: c.Accept}, c.Dir, false)
	if err != nil {
		return ledger.Snapshot{}, err
	}
	defer s.close()
	v, _ := s.state().Snapshot(s.lineage.Base)
	return v, nil
}

// arrived tells what came since the snapshot before.
func (s *session) arrived(before ledger.Snapshot) error {
	a := s.a
	now, ok := s.state().Snapshot(s.lineage.Base)
	if !ok {
		return noSnapshot(s.workspaceName())
	}
	var came []snapshot.Change
	if err := s.reader.Diff(a.ctx, before.Root, now.Root, func(c snapshot.Change) error { came = append(came, c); return nil }); err != nil {
		return err
	}
	s.tellCame(came, before, now)
	s.tellPushers(before, now)
	if err := s.tellRequirements(); err != nil {
		a.note("What is required here cannot be compared: %v", err)
	}
	if before.ID != now.ID {
		a.say("Here is what %s pushed on %s (%s)", quoted(s.deviceName(now)), moment(now.Time), ago(a.now().Sub(time.Unix(0, now.Time))))
	} else {
		a.say("Nothing came since this computer's last push or pull")
	}
	return nil
}

// shownCame is how many paths arrive lists: one screen.
const shownCame = 12

func (s *session) tellCame(came []snapshot.Change, before, now ledger.Snapshot) {
	a := s.a
	counts := map[snapshot.Letter]int{}
	for i, c := range came {
		counts[c.Letter()]++
		switch {
		case a.JSON:
			a.json("came", map[string]any{"path": s.localName(c.Remote), "letter": string(rune(c.Letter()))})
		case i < shownCame:
			a.say("  %c %s", c.Letter(), quoted(s.localName(c.Remote)))
		case i == shownCame && before.Position == 0:
			a.say("  … and %s more: satchel ls", thousands(int64(len(came)-i)))
		case i == shownCame:
			a.say("  … and %s more: satchel diff %x %x", thousands(int64(len(came)-i)), before.ID[:4], now.ID[:4])
		}
	}
	changed := counts[snapshot.Modified] + counts[snapshot.Retyped] + counts[snapshot.Touched]
	if a.JSON {
		f := map[string]any{"before": nil, "now": s.snapshotFields(now), "new": counts[snapshot.Added], "changed": changed, "removed": counts[snapshot.Removed]}
		if before.Position > 0 {
			f["before"] = s.snapshotFields(before)
		}
		a.json("arrive", f)
	} else if len(came) > 0 {
		a.say("Came: %d new, %d changed, %d removed", counts[snapshot.Added], changed, counts[snapshot.Removed])
	}
}

// tellPushers says who made the snapshots after one that lead to another.
func (s *session) tellPushers(before, now ledger.Snapshot) {
	type pusher struct {
		snapshots int
		last      int64
	}
	by := map[string]*pusher{}
	for _, v := range s.ofWorkspace() {
		if v.Position <= before.Position || !snapshot.Ancestor(s.state(), v.ID, now.ID) {
			continue
		}
		p := by[s.deviceName(v)]
		if p == nil {
			p = &pusher{}
			by[s.deviceName(v)] = p
		}
		p.snapshots++
		p.last = v.Time
	}
	names := slices.Collect(maps.Keys(by))
	sort.Slice(names, func(i, j int) bool { return by[names[i]].last > by[names[j]].last })
	for _, name := range names {
		p := by[name]
		if s.a.JSON {
			s.a.json("pusher", map[string]any{"device": name, "snapshots": p.snapshots, "last": stamp(p.last)})
		}
		s.a.say("By %s: %s, the last on %s", quoted(name), count(p.snapshots, "snapshot"), moment(p.last))
	}
}

// tellRequirements says what has to be installed anew since the last time here, and remembers it.
func (s *session) tellRequirements() error {
	was, err := s.knownRequirements()
	if err != nil {
		return err
	}
	now, err := workspace.Requirements(s.root)
	if err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(now)) {
		old, known := was[p]
		if old == now[p].Hash {
			continue
		}
		if s.a.JSON {
			s.a.json("required", map[string]any{"path": p, "new": !known, "install": now[p].Install})
			continue
		}
		what := "changed since the last time here"
		if !known {
			what = "is new here"
		}
		s.a.say("%s %s: %s", quoted(p), what, quoted(now[p].Install))
	}
	return s.keepRequirements(now)
}

// requirementsPath is a small file of this device, one for each workspace folder.
func (s *session) requirementsPath() (string, error) {
	place, err := s.a.place()
	sum := sha256.Sum256([]byte(s.root))
	return filepath.Join(place.State, s.access.Repository.String(), "requirements", hex.EncodeToString(sum[:8])+".json"), err
}

// knownRequirements are the hashes by path, none where nothing is remembered.
func (s *session) knownRequirements() (map[string]string, error) {
	path, err := s.requirementsPath()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var known map[string]string
	if err := json.Unmarshal(b, &known); err != nil {
		s.a.debug("%s: %v", path, err) // as if it were lost
		return nil, nil
	}
	return known, nil
}

func (s *session) keepRequirements(now map[string]workspace.Requirement) error {
	path, err := s.requirementsPath()
	if err != nil {
		return err
	}
	known := map[string]string{}
	for p, r := range now {
		known[p] = r.Hash
	}
	b, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := durable.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("requirements: %w", err)
	}
	return nil
}
