package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"satchel/snapshot/retention"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type unforgetCmd struct {
	List bool `short:"l" help:"List what was forgotten. Whether it is there still is another question."`

	IDs []string `arg:"" optional:"" name:"snapshot" help:"Snapshots that were forgotten: the first eight digits of the id, or more."`
}

func (unforgetCmd) Help() string {
	return `Brings forgotten snapshots back, as they were, as long as no prune has deleted what they held. All of it is looked
for first. Tags and holds are not brought back.

Example:
  satchel unforget --list
  satchel unforget 3f2a9c01`
}

func (c unforgetCmd) Run(a *app) error {
	if c.List == (len(c.IDs) > 0) {
		return usageError{errors.New("name the snapshots to bring back, or --list")}
	}
	s, err := a.open("", false)
	if err != nil {
		return err
	}
	defer s.close()
	former, err := s.access.Log.Former(a.ctx, func(id pack.ID) bool { return c.List || c.named(id) != "" })
	if err != nil {
		return err
	}
	if c.List {
		return s.listFormer(former)
	}
	if s.access.Me == nil {
		return errReadOnly
	}
	if err := c.complete(s, former); err != nil {
		return err
	}
	err = s.retry(a.ctx, func(ctx context.Context) error {
		push, err := s.push(nil)
		if err != nil {
			return err
		}
		return retention.Unforget(ctx, push, s.reader, former)
	})
	if err != nil {
		return err
	}
	for _, v := range former {
		if a.JSON {
			a.json("unforgotten", s.snapshotFields(v))
		}
		a.say("Snapshot %s is back.", s.described(v))
	}
	return nil
}

// named is the word that names an id, "" if none does.
func (c unforgetCmd) named(id pack.ID) string {
	for _, word := range c.IDs {
		if looksLikeID(word) && strings.HasPrefix(hex.EncodeToString(id[:]), strings.ToLower(word)) {
			return word
		}
	}
	return ""
}

// complete reports a word that names no forgotten snapshot, or several.
func (c unforgetCmd) complete(s *session, former []ledger.Snapshot) error {
	named := map[string]int{}
	for _, v := range former {
		named[c.named(v.ID)]++
	}
	for _, word := range c.IDs {
		switch v, live, _ := s.byName(word); {
		case named[word] > 1:
			return usageError{fmt.Errorf("%d forgotten snapshots begin with %s: give more digits", named[word], word)}
		case named[word] == 0 && live:
			return fmt.Errorf("snapshot %s is there: it was not forgotten", s.described(v))
		case named[word] == 0:
			return fmt.Errorf("%w: none that was forgotten has an id that begins with %s (eight digits at least)", errNoSnapshot, quoted(word))
		}
	}
	return nil
}

func (s *session) listFormer(former []ledger.Snapshot) error {
	t := s.a.table()
	for _, v := range former {
		w, _ := s.state().Workspace(v.Workspace)
		if s.a.JSON {
			f := s.snapshotFields(v)
			f["workspace"], f["workspace_id"] = w.Name, hex.EncodeToString(w.ID[:])
			s.a.json("forgotten", f)
			continue
		}
		fmt.Fprintf(t, "%x\t%s\t%s\t%s\t%s\t%s%s\n", v.ID[:4], moment(v.Time), quoted(s.deviceName(v)), thousands(int64(v.Files)), size(int64(v.Bytes)), quoted(w.Name), ofSafety(v))
	}
	return t.Flush()
}
