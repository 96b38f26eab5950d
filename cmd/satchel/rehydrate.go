package main

import (
	"context"
	"errors"
	"fmt"

	"satchel/snapshot"
	"satchel/store/azure"
	"satchel/store/pack"
)

type rehydrateCmd struct {
	At   string   `placeholder:"TIME" help:"The newest snapshot at or before this time, such as yesterday."`
	Args []string `arg:"" optional:"" name:"snapshot|path"`
}

func (rehydrateCmd) Help() string {
	return `Where a rule of the Azure account has moved data packs to the archive tier, they can be read only after they were
brought back, which takes up to 15 hours and costs. This starts it for the packs that a snapshot, or the paths given, need; a
second time it says how many are on their way.

Example:
  satchel rehydrate 3f2a9c01 data/patients.db
  satchel restore 3f2a9c01 data/patients.db`
}

func (c rehydrateCmd) Run(a *app) error {
	return a.withSelection(c.Args, c.At, func(s *session, sel selection) error {
		cloud, ok := s.store.Store.(*azure.Store)
		if !ok {
			return usageError{errors.New("only Azure has an archive tier")}
		}
		packs, err := s.packsOf(a.ctx, sel)
		if err != nil {
			return err
		}
		out, err := cloud.Rehydrate(a.ctx, func(name string) bool { return packs[name] })
		if err != nil {
			return err
		}
		if a.JSON {
			a.json("rehydrate", map[string]any{"packs": len(packs), "started": out.Started, "waiting": out.Waiting, "bytes": out.Bytes})
			return nil
		}
		if out.Started+out.Waiting == 0 {
			a.say("None of the %s that it needs is in the archive tier.", count(len(packs), "pack"))
			return nil
		}
		a.say("Of the %s that it needs %s, %s, are on their way back from the archive tier; %d of them since now. That takes up to 15 hours.",
			count(len(packs), "pack"), thousands(int64(out.Started+out.Waiting)), size(out.Bytes), out.Started)
		return nil
	})
}

// packsOf names the packs that the selected files lie in.
func (s *session) packsOf(ctx context.Context, sel selection) (map[string]bool, error) {
	rules, _, err := s.rulesOf(sel.snapshot)
	if err != nil {
		return nil, err
	}
	packs := map[string]bool{}
	note := func(id pack.ID) error {
		loc, ok, err := s.index.Lookup(id)
		if err == nil && !ok {
			err = fmt.Errorf("%w: %x", snapshot.ErrMissing, id[:])
		}
		packs[loc.Pack.Name()] = true
		return err
	}
	err = s.eachSelected(ctx, sel, rules, func(_ string, e *snapshot.Entry) error {
		if e.Type != snapshot.File {
			return nil
		}
		return s.reader.ChunkIDs(ctx, e, note)
	})
	return packs, err
}
