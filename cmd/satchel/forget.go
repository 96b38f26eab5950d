package main

import (
	"errors"
	"fmt"
	"slices"

	"satchel/store/ledger"
	"satchel/store/pack"
)

type forgetCmd struct {
	All bool `help:"Every snapshot of this workspace: the repository has it no more."`
	Yes bool `short:"y" help:"Also the whole workspace."`

	IDs []string `arg:"" optional:"" name:"snapshot" help:"Snapshots: the first digits of the id, or @N."`
}

func (forgetCmd) Help() string {
	return `Lets single snapshots go, whatever the policy says. What they alone held is freed by satchel prune; until that has
deleted it, satchel unforget brings them back.

The newest snapshot goes only with the whole workspace, as other computers go on from it.

Example:
  satchel forget 3f2a9c01
  satchel forget --all --yes`
}

func (c forgetCmd) Run(a *app) error {
	if c.All == (len(c.IDs) > 0) {
		return usageError{errors.New("name the snapshots to forget, or --all")}
	}
	return a.writing(func(s *session) error {
		vs, err := c.chosen(s)
		if err != nil {
			return err
		}
		whole, err := s.mayForget(vs)
		if err != nil {
			return err
		}
		if whole != "" && !c.Yes {
			return &needsYes{fmt.Sprintf("all of %s would go: %s", quoted(whole), count(len(vs), "snapshot"))}
		}
		err = s.append(ledger.Forget, func(st *ledger.State) any {
			var there []pack.ID
			for _, v := range vs {
				if _, live := st.Snapshot(v.ID); live {
					there = append(there, v.ID)
				}
			}
			return ledger.ForgetContent{Snapshots: there}
		})
		if err != nil {
			return err
		}
		for _, v := range vs {
			if a.JSON {
				a.json("forgotten", s.snapshotFields(v))
			}
		}
		a.say("%s forgotten. satchel prune frees what nobody else needs; until it has deleted that, satchel unforget %x brings it back.", count(len(vs), "snapshot"), vs[0].ID[:4])
		return nil
	})
}

// chosen are the snapshots that are meant.
func (c forgetCmd) chosen(s *session) (vs []ledger.Snapshot, err error) {
	if c.All {
		if vs = s.state().Snapshots(s.lineage.Workspace); len(vs) == 0 {
			return nil, noSnapshot(s.workspaceName())
		}
		return vs, nil
	}
	for _, word := range c.IDs {
		v, err := s.named(word)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(vs, func(w ledger.Snapshot) bool { return w.ID == v.ID }) {
			vs = append(vs, v)
		}
	}
	return vs, nil
}

// errHead: a head is to go, and other snapshots of its workspace are to stay.
var errHead = errors.New("it goes only with the whole workspace, as other computers go on from it")

// errHeld: a snapshot is held.
var errHeld = errors.New("it is held")

// mayForget asks what the ledger's rules will ask, in words for a person, and names the workspace
// that goes as a whole, if one does.
func (s *session) mayForget(vs []ledger.Snapshot) (whole string, err error) {
	goes := map[pack.ID]bool{}
	for _, v := range vs {
		goes[v.ID] = true
	}
	for _, v := range vs {
		if h, held := s.state().Hold(v.ID, s.now().UnixNano()); held {
			return "", fmt.Errorf("snapshot %s: %w: %s", s.described(v), errHeld, quoted(h.Reason))
		}
		w, _ := s.state().Workspace(v.Workspace)
		if !slices.Contains(w.Heads, v.ID) {
			continue
		}
		whole = w.Name
		for _, other := range s.state().Snapshots(w.ID) {
			if other.Flags&ledger.FlagSafety == 0 && !goes[other.ID] {
				return "", fmt.Errorf("snapshot %s is the newest of %s: %w", s.described(v), quoted(w.Name), errHead)
			}
		}
	}
	return whole, nil
}

// writing opens the repository for a command that says something of this workspace's snapshots.
func (a *app) writing(f func(*session) error) error {
	return a.reading(func(s *session) error {
		if s.access.Me == nil {
			return errReadOnly
		}
		return f(s)
	})
}

// append adds an entry to the ledger, which build makes for each attempt's state.
func (s *session) append(kind ledger.Kind, build func(*ledger.State) any) error {
	_, err := s.access.Log.Append(s.a.ctx, s.access.Me, kind, func(st *ledger.State) (any, error) { return build(st), nil })
	return err
}

// named is the snapshot that a word names.
func (s *session) named(word string) (ledger.Snapshot, error) {
	v, found, err := s.byName(word)
	if err == nil && !found {
		err = fmt.Errorf("%w: none has an id that begins with %s (eight digits at least), and @N and latest are the others", errNoSnapshot, quoted(word))
	}
	return v, err
}
