package main

import (
	"fmt"
	"path/filepath"

	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/azure"
)

// loginOptions are how to sign in, where that is remembered, and how a person is told of it.
func (a *app) loginOptions() (azure.LoginOptions, error) {
	place, err := a.place()
	if err != nil {
		return azure.LoginOptions{}, err
	}
	way, err := a.auth()
	return azure.LoginOptions{Dir: filepath.Join(place.Config, "azure"), Auth: way, TenantID: a.Tenant, ClientID: a.Client,
		AnyHost: a.AnyHost, Terminal: a.terminal(), Getenv: a.getenv, Prompt: func(msg string) { fmt.Fprintln(a.err, msg) }}, err
}

// auth is --auth, or its synonym.
func (a *app) auth() (azure.Auth, error) {
	way := azure.Auth(a.Auth)
	switch {
	case !a.Interactive || way == azure.Browser:
		return way, nil
	case way == azure.Auto:
		return azure.Browser, nil
	}
	return "", usageError{fmt.Errorf("--interactive is --auth browser, and --auth is %s", way)}
}

// signIn signs in at a store in Azure. What auto chose is said.
func (a *app) signIn(l located) (azure.Credential, error) {
	opts, err := a.loginOptions()
	if err != nil {
		return azure.Credential{}, err
	}
	cred, how, err := azure.SignIn(a.ctx, l.Location, opts)
	if err != nil {
		return azure.Credential{}, err
	}
	say := a.debug
	if opts.Auth == azure.Auto {
		say = a.note
	}
	say("Signed in to Azure with the %s.", how)
	return cred, nil
}

// secretRefused is a secret of the account's that the manifest does not take.
type secretRefused struct{ why, hint string }

func (r *secretRefused) Error() string { return r.why }

// gateSignIn holds a manifest's require_azure_ad_auth: no secret of the account's, which says
// of nobody who they are, goes to a store in Azure.
func (a *app) gateSignIn(l located, m *workspace.Manifest) error {
	if m == nil || !m.RequireAzureADAuth || l.Kind != store.Azure {
		return nil
	}
	asked, err := a.auth()
	if err != nil {
		return err
	}
	way, from := azure.Choose(asked, l.Location, a.getenv)
	if !way.Shared() {
		return nil
	}
	r := &secretRefused{fmt.Sprintf("%s says require_azure_ad_auth, and --auth is %s", workspace.ManifestName, way), "Sign in with Entra ID: --auth browser, or another way that is no secret of the account's"}
	if asked == azure.Auto {
		r.why = fmt.Sprintf("%s says require_azure_ad_auth, and there is a secret of the account's, from %s", workspace.ManifestName, from)
		r.hint = "Remove it from there and sign in with Entra ID: satchel login; or leave it and say --auth browser"
	}
	return r
}
