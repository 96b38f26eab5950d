package main

import (
	"errors"
	"fmt"
	"time"

	"satchel/snapshot/when"
	"satchel/store/ledger"
)

type holdCmd struct {
	Reason  string `placeholder:"TEXT" help:"Why it is to stay."`
	Until   string `placeholder:"TIME" help:"When the hold ends by itself, such as 2027-03-31 or 90d. Else it stays until it is released."`
	Release bool   `help:"End the hold."`

	ID string `arg:"" name:"snapshot" help:"A snapshot: the first digits of the id, latest or @N."`
}

func (holdCmd) Help() string {
	return `Keeps a snapshot whatever a policy says, and whoever forgets it.

Example:
  satchel hold 3f2a9c01 --reason "the audit of 2026" --until 2027-03-31
  satchel hold 3f2a9c01 --release`
}

func (c holdCmd) Run(a *app) error {
	if c.Release == (c.Reason != "") || c.Release && c.Until != "" {
		return usageError{errors.New("give a --reason to hold it, or --release alone")}
	}
	return a.writing(func(s *session) error {
		v, err := s.named(c.ID)
		if err != nil {
			return err
		}
		content := ledger.HoldContent{Snapshot: v.ID, Reason: c.Reason, Released: c.Release}
		words := "is held until it is released"
		if c.Until != "" {
			until, err := when.Until(c.Until, s.now().In(time.Local))
			if err != nil {
				return usageError{fmt.Errorf("--until: %w", err)}
			}
			content.Until = until.UnixNano()
			words = "is held until " + moment(content.Until)
		}
		if c.Release {
			words = "is held no more"
			if _, held := s.holdOf(v); !held {
				return fmt.Errorf("snapshot %s is not held", s.described(v))
			}
		}
		if err := s.append(ledger.HoldKind, func(*ledger.State) any { return content }); err != nil {
			return err
		}
		if a.JSON {
			a.json("hold", s.said(v))
		}
		a.say("Snapshot %s %s.", s.described(v), words)
		return nil
	})
}

// holdOf is the hold in force on a snapshot.
func (s *session) holdOf(v ledger.Snapshot) (ledger.Hold, bool) {
	return s.state().Hold(v.ID, s.now().UnixNano())
}

// said are the fields of a snapshot with what was said of it.
func (s *session) said(v ledger.Snapshot) map[string]any {
	f := s.snapshotFields(v)
	f["tags"], f["hold"] = append([]string{}, s.state().Tags(v.ID)...), nil
	if h, held := s.holdOf(v); held {
		hold := map[string]any{"reason": h.Reason, "until": nil}
		if h.Until != 0 {
			hold["until"] = stamp(h.Until)
		}
		f["hold"] = hold
	}
	return f
}
