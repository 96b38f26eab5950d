package main

import (
	"fmt"
	"strings"
	"time"

	"satchel/index"
	"satchel/snapshot"
	"satchel/snapshot/check"
	"satchel/snapshot/repair"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type repairCmd struct {
	Index  repairIndexCmd  `cmd:"" help:"Make this computer's index anew, from the packs alone."`
	Packs  repairPacksCmd  `cmd:"" help:"Save what can be saved of damaged packs."`
	Ledger repairLedgerCmd `cmd:"" help:"Put lost ledger entries back from this computer's copy."`
}

type repairIndexCmd struct{}

func (repairIndexCmd) Help() string {
	return `Throws this computer's index away and reads from each pack itself what is in it. The next push of each folder
reads its files again. An index that is lost or torn is made anew by itself; this is for one that you do not trust.

Example:
  satchel repair index`
}

func (repairIndexCmd) Run(a *app) error {
	began := a.now()
	s, err := a.openToMend()
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.access.Sync(a.ctx); err != nil {
		return err
	}
	path, err := s.indexPath()
	if err != nil {
		return err
	}
	if err := s.index.Close(); err != nil {
		return err
	}
	s.index = nil
	if err := index.Remove(path); err != nil {
		return err
	}
	if err := s.openIndex(); err != nil {
		return err
	}
	var p snapshot.Progress
	stop := a.showProgress(&p, "read")
	out, err := repair.Index(a.ctx, repair.IndexOptions{Log: s.access.Log, Index: s.index, Progress: &p})
	stop()
	if err != nil {
		return err
	}
	sum, err := s.index.Summary()
	if err != nil {
		return err
	}
	for _, k := range out.Lost {
		if !a.JSON {
			fmt.Fprintf(a.out, "! %s: nobody can tell what it holds\n", k.Name())
		} else {
			a.json("damage", map[string]any{"object": k.Name(), "text": "nobody can tell what it holds", "paths": hurtFields(nil)})
		}
	}
	took := a.now().Sub(began)
	if a.JSON {
		a.json("summary", map[string]any{"packs": out.Packs, "chunks": sum.Chunks, "lost": len(out.Lost), "requests": s.store.requests(), "seconds": took.Seconds()})
	}
	a.say("The index is made anew: %s, %s · %s · %s", count(out.Packs, "pack"), count(sum.Chunks, "chunk"), count(s.store.requests(), "request"), seconds(took))
	if len(out.Lost) > 0 {
		return &damageFound{fmt.Sprintf("of %s nobody can tell what it holds", count(len(out.Lost), "pack")), "satchel check names the paths that this hurts"}
	}
	return nil
}

type repairPacksCmd struct {
	Packs []string `arg:"" optional:"" name:"pack" help:"Names of damaged packs, as check prints them; without any, everything is checked first."`
}

func (repairPacksCmd) Help() string {
	return `Copies what still opens in damaged packs into new ones, and looks for the rest in other packs and in the files of
this folder. Run it on the computer that has the files, in their folder. Files are only read. What is found nowhere
stays a hole: it is listed, by path and snapshot, and never filled with anything else.

Example:
  satchel repair packs`
}

func (c repairPacksCmd) Run(a *app) error {
	began := a.now()
	s, err := a.openToMend()
	if err != nil {
		return err
	}
	defer s.close()
	if s.access.Me == nil {
		return errReadOnly
	}
	damaged, lost, err := c.find(s)
	if err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	var p snapshot.Progress
	push, err := s.push(&p)
	if err != nil {
		return err
	}
	stop := a.showProgress(&p, "sent")
	out, err := repair.Packs(a.ctx, repair.PackOptions{Push: push, Files: s.known, Damaged: damaged, Lost: lost})
	stop()
	if err != nil {
		return err
	}
	s.mended(out, len(damaged), p.Stored.Load(), a.now().Sub(began))
	if len(out.Holes) > 0 {
		hint := "The computer that has them may still mend it: satchel repair packs there. Otherwise these snapshots keep their holes"
		if !s.known {
			hint = "This folder is no workspace of the repository's: run it in the folder that has the files"
		}
		return &damageFound{fmt.Sprintf("%s cannot be restored from every snapshot", count(len(out.Holes), "path")), hint}
	}
	return nil
}

// find returns the packs that are damaged and the chunks that are nowhere.
func (c repairPacksCmd) find(s *session) (damaged []pack.Key, lost map[pack.ID]bool, err error) {
	if len(c.Packs) == 0 {
		r, err := s.check(check.Options{Decrypt: true})
		if err != nil {
			return nil, nil, err
		}
		return r.Damaged, r.Lost, nil
	}
	for _, name := range c.Packs {
		k, err := pack.ParseName(name)
		if err != nil {
			return nil, nil, usageError{err}
		}
		damaged = append(damaged, k)
	}
	_, err = s.addDamaged(damaged)
	return damaged, nil, err
}

// mended tells what a repair of packs did.
func (s *session) mended(out *repair.Mended, packs int, stored int64, took time.Duration) {
	a := s.a
	if a.JSON {
		for _, h := range hurtFields(out.Holes) {
			a.json("hole", h)
		}
		a.json("summary", map[string]any{"damaged": packs, "frames": out.Frames, "chunks": out.Salvaged, "elsewhere": out.Elsewhere, "from_files": out.FromFiles,
			"holes": len(out.Holes), "bytes_stored": stored, "requests": s.store.requests(), "seconds": took.Seconds()})
		return
	}
	s.printHurts(out.Holes)
	if packs == 0 && out.FromFiles == 0 && len(out.Holes) == 0 {
		a.say("No pack is damaged in %s · %s", s.at, seconds(took))
		return
	}
	a.say("%s damaged: %s saved from them, %s found in other packs, %s in the files here · %s stored · %s · %s", count(packs, "pack"), count(out.Salvaged, "chunk"),
		thousands(int64(out.Elsewhere)), thousands(int64(out.FromFiles)), size(stored), count(s.store.requests(), "request"), seconds(took))
	if len(out.Holes) == 0 {
		a.say("Every snapshot is whole. The damaged packs stay where they are, and are passed over.")
	}
}

type repairLedgerCmd struct {
	AfterRollback bool `help:"Put back what came after the store's newest entry too: the store was rolled back, and nobody has pushed since."`
}

func (repairLedgerCmd) Help() string {
	return `Puts back ledger entries that the store has lost and this computer has kept, byte for byte. Nothing is overwritten: where
another entry lies than the one kept here, nothing at all is written, as the ledger was forked.

A store whose ledger is shorter than it was is looked at by a person first: was an old copy put back on purpose? Then
--after-rollback restores the entries; the packs that they name must be there as well.

Example:
  satchel repair ledger
  satchel repair ledger --after-rollback`
}

func (c repairLedgerCmd) Run(a *app) error {
	s, err := a.openToMend()
	if err != nil {
		return err
	}
	defer s.close()
	restored, err := s.access.Log.RepairLost(a.ctx, c.AfterRollback)
	var names []string
	for _, n := range restored {
		names = append(names, fmt.Sprint(n))
	}
	if a.JSON {
		a.json("summary", map[string]any{"restored": append([]uint64{}, restored...), "store": s.at.String(), "requests": s.store.requests()})
	}
	if len(restored) > 0 {
		a.say("Put back into %s: %s, byte for byte (%s)", s.at, entries(len(restored)), strings.Join(names, ", "))
	}
	if err != nil {
		return err
	}
	if err := s.access.Sync(a.ctx); err != nil {
		return err
	}
	if len(restored) == 0 {
		a.say("No ledger entry that this computer has kept is missing in %s (%s to %s).", s.at, ledger.Name(1), ledger.Name(s.state().Position()))
	}
	return nil
}
