package main

import (
	"fmt"
	"slices"

	"satchel/store/ledger"
)

type tagCmd struct {
	Remove bool `help:"Take the word off again."`

	ID   string `arg:"" name:"snapshot" help:"A snapshot: the first digits of the id, latest or @N."`
	Word string `arg:"" name:"word" help:"Any word or words."`
}

func (tagCmd) Help() string {
	return `Puts a word on a snapshot, which satchel snapshots shows. A policy can keep what has it: --keep-tag, or "tags" of the
manifest's "retention".

Example:
  satchel tag latest audit
  satchel tag 3f2a9c01 audit --remove`
}

func (c tagCmd) Run(a *app) error {
	return a.writing(func(s *session) error {
		v, err := s.named(c.ID)
		if err != nil {
			return err
		}
		has, verb := slices.Contains(s.state().Tags(v.ID), c.Word), "is tagged"
		if c.Remove {
			verb = "is tagged no more:"
			if !has {
				return fmt.Errorf("snapshot %s has no tag %s", s.described(v), quoted(c.Word))
			}
		}
		if has == c.Remove {
			content := ledger.TagContent{Snapshot: v.ID, Tag: c.Word, Removed: c.Remove}
			if err := s.append(ledger.TagKind, func(*ledger.State) any { return content }); err != nil {
				return err
			}
		}
		if a.JSON {
			a.json("tag", s.said(v))
		}
		a.say("Snapshot %s %s %s.", s.described(v), verb, quoted(c.Word))
		return nil
	})
}
