package main

import (
	"errors"
	"io/fs"
	"os"
)

type keyCmd struct {
	Confirm keyConfirmCmd `cmd:"" help:"Say that the recovery code is in a safe place."`
}

type keyConfirmCmd struct{}

func (keyConfirmCmd) Help() string {
	return `Removes the file with the recovery code from this computer, and status reminds no more.

Example:
  satchel key confirm`
}

func (keyConfirmCmd) Run(a *app) error {
	s, err := a.open("", false)
	if err != nil {
		return err
	}
	defer s.close()
	place, err := a.place()
	if err != nil {
		return err
	}
	err = os.Remove(recoveryPath(place, s.access.Repository))
	if errors.Is(err, fs.ErrNotExist) {
		a.say("There is nothing to confirm: this computer holds no recovery code of %s.", s.at)
		return nil
	} else if err != nil {
		return err
	}
	a.say("Confirmed. The recovery code of %s is not on this computer.", s.at)
	if a.JSON {
		a.json("key", map[string]any{"confirmed": true, "store": s.at.String()})
	}
	return nil
}
