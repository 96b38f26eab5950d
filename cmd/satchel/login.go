package main

import (
	"fmt"

	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/azure"
)

type loginCmd struct {
	DeviceCode bool `help:"Show a code to type in on any device; open no browser. As --auth device-code."`
}

func (loginCmd) Help() string {
	return `Opens the browser, or shows a code where there is none, and remembers who signed in, so that
push and pull ask no more on this computer.

Example:
  satchel login
  satchel push --store https://ACCOUNT.blob.core.windows.net/CONTAINER`
}

func (c loginCmd) Run(a *app) error {
	root, err := a.root("")
	if err != nil {
		return err
	}
	rules, err := workspace.Load(a.ctx, root, nil)
	if err != nil {
		return err
	}
	l, err := a.where(rules.Manifest())
	if err == nil && l.Kind != store.Azure && !l.builtin {
		a.note("The store here is the folder %s, which needs no sign-in.", l)
	}
	opts, err := a.loginOptions()
	if err != nil {
		return err
	}
	opts.Endpoint = l.Endpoint
	opts.DeviceCode = c.DeviceCode || opts.Auth == azure.DeviceCode
	if opts.Auth != azure.Auto && opts.Auth != azure.Browser && opts.Auth != azure.DeviceCode {
		return usageError{fmt.Errorf("login asks a person: --auth browser or device-code; --auth %s needs no login", opts.Auth)}
	}
	s, err := azure.Login(a.ctx, opts)
	if err != nil {
		return err
	}
	if a.JSON {
		a.json("login", map[string]any{"account": s.Account, "remembered": s.Remembered})
	}
	a.say("Signed in as %s.", s.Account)
	return nil
}
