package main

import (
	"fmt"
	"path/filepath"

	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/azure"
)

type loginCmd struct {
	Tenant     string `placeholder:"ID" help:"Sign in to this tenant." env:"AZURE_TENANT_ID"`
	Client     string `placeholder:"ID" help:"Sign in as this application." env:"AZURE_CLIENT_ID"`
	DeviceCode bool   `help:"Show a code to type in on any device; open no browser."`
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
	if l, err := a.locate(rules.Manifest()); err == nil && l.Kind != store.Azure && !l.builtin {
		a.note("The store here is the folder %s, which needs no sign-in.", l)
	}
	opts, err := a.loginOptions()
	if err != nil {
		return err
	}
	opts.TenantID, opts.ClientID, opts.DeviceCode = c.Tenant, c.Client, c.DeviceCode
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

// loginOptions are where a sign-in is remembered and how a person is told of it.
func (a *app) loginOptions() (azure.LoginOptions, error) {
	place, err := a.place()
	return azure.LoginOptions{Dir: filepath.Join(place.Config, "azure"), TenantID: a.getenv("AZURE_TENANT_ID"), ClientID: a.getenv("SATCHEL_CLIENT_ID"),
		Prompt: func(msg string) { fmt.Fprintln(a.err, msg) }}, err
}
