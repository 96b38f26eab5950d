package main

import (
	"fmt"

	"satchel/store/azure/blueprint"
)

type azureCmd struct {
	Template azureTemplateCmd `cmd:"" help:"Print what makes a storage account for satchel."`
}

type azureTemplateCmd struct {
	Account      string            `arg:"" optional:"" help:"The account's name: 3 to 24 letters a-z and digits, one that nobody else has."`
	Az           bool              `help:"Print commands of the Azure CLI instead of Bicep."`
	Group        string            `placeholder:"NAME" help:"The resource group (satchel)."`
	Container    string            `placeholder:"NAME" help:"The container (satchel)."`
	Location     string            `placeholder:"REGION" help:"The region (eastus2)."`
	Redundancy   string            `placeholder:"SKU" help:"The copies (Standard_GRS: three here and three in another region)."`
	NoVersioning bool              `help:"Keep no versions."`
	KeepDays     int               `placeholder:"N" help:"For how many days what was deleted can be brought back (30)."`
	CoolDays     int               `placeholder:"N" help:"After how many days data packs go to the cool tier (30); -1 is never."`
	LogDays      int               `placeholder:"N" help:"For how many days the log is kept (90)."`
	Address      []string          `placeholder:"IP" help:"A public address that is let in; all others are not. Can be repeated."`
	Subnet       string            `placeholder:"ID" help:"The id of a subnet, for a private endpoint."`
	Person       []string          `placeholder:"ID" help:"The object id of somebody who pushes and pulls. Can be repeated."`
	KeyVault     string            `placeholder:"NAME" help:"Make a Key Vault as well, with a key for satchel."`
	Tag          map[string]string `placeholder:"KEY=VALUE" help:"A tag of everything. Can be repeated."`
}

func (azureTemplateCmd) Help() string {
	return `Prints Bicep, or with --az the same as commands, that make a private account as satchel doctor wants it. Nothing is
made by this, and no repository or sign-in is needed. What old snapshots hold goes by the manifest's retention and satchel
prune, never by a rule of the account's.

Example:
  satchel azure template clinicbackup > account.bicep
  satchel azure template clinicbackup --az --location westeurope --address 203.0.113.7`
}

func (c azureTemplateCmd) Run(a *app) error {
	p := blueprint.Params{Account: c.Account, Group: c.Group, Container: c.Container, Location: c.Location, Redundancy: c.Redundancy, NoVersioning: c.NoVersioning,
		KeepDays: c.KeepDays, CoolDays: c.CoolDays, LogDays: c.LogDays, Addresses: c.Address, Subnet: c.Subnet, People: c.Person, KeyVault: c.KeyVault, Tags: c.Tag}
	kind, text, err := "bicep", "", error(nil)
	if c.Az {
		kind = "az"
		text, err = blueprint.Commands(p)
	} else {
		text, err = blueprint.Bicep(p)
	}
	if err != nil {
		return usageError{err}
	}
	if a.JSON {
		a.json("template", map[string]any{"kind": kind, "text": text})
		return nil
	}
	_, err = fmt.Fprint(a.out, text)
	return err
}
