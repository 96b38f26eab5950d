// Package blueprint writes down how a storage account for a repository is made: as Bicep, and as
// commands of the Azure CLI.
//
//	text, err := blueprint.Bicep(blueprint.Params{Account: "clinicbackup"})
//	text, err = blueprint.Commands(blueprint.Params{Account: "clinicbackup", Group: "clinic"})
//
// Both make the same: https, TLS 1.2, no public blobs, no keys, versions, soft delete, a lifecycle
// that cools data packs and deletes no blob of a repository, a log of reads and writes, roles, and as
// asked for a private endpoint and a Key Vault with purge protection. The commands read the same in
// bash and in PowerShell. Nothing is made here, and nothing asked of Azure.
package blueprint

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"satchel/store"
)

// Params are what may differ. The zero value of each stands for its default.
type Params struct {
	Account      string // its name; Bicep then asks for it, and the commands say ACCOUNT
	Group        string // resource group; "satchel"
	Container    string // "satchel"
	Location     string // "eastus2"
	Redundancy   string // "Standard_GRS"
	NoVersioning bool
	KeepDays     int               // of what was deleted; 30
	CoolDays     int               // until data packs are cooled; 30; negative is never
	LogDays      int               // 90
	Addresses    []string          // public ones that are let in; none: every network is
	Subnet       string            // the id of one, for a private endpoint
	People       []string          // object ids that get the role to push and pull
	KeyVault     string            // a vault to make
	Tags         map[string]string // of everything
}

// redundancies are the kinds of copies that a general-purpose account has.
var redundancies = []string{"Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_RAGRS", "Standard_GZRS", "Standard_RAGZRS"}

var (
	accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	groupName   = regexp.MustCompile(`^[A-Za-z0-9_.()-]{0,89}[A-Za-z0-9_()-]$`)
	regionName  = regexp.MustCompile(`^[a-z0-9]+$`)
	vaultName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$`)
	objectID    = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	subnetID    = regexp.MustCompile(`^/subscriptions/[0-9A-Za-z-]+/resourceGroups/[A-Za-z0-9_.()-]+/providers/Microsoft\.Network/virtualNetworks/[A-Za-z0-9_.-]+/subnets/[A-Za-z0-9_.-]+$`)
	tagText     = regexp.MustCompile(`^[A-Za-z0-9 _.:/@-]+$`)
)

// check fills in defaults, and refuses what would not be what it says in a shell or in Bicep.
func (p Params) check() (Params, error) {
	fill := func(s *string, otherwise string) {
		if *s == "" {
			*s = otherwise
		}
	}
	fill(&p.Group, "satchel")
	fill(&p.Container, "satchel")
	fill(&p.Location, "eastus2")
	fill(&p.Redundancy, "Standard_GRS")
	for _, days := range []struct {
		n         *int
		otherwise int
	}{{&p.KeepDays, 30}, {&p.CoolDays, 30}, {&p.LogDays, 90}} {
		if *days.n == 0 {
			*days.n = days.otherwise
		}
	}
	p.CoolDays = max(p.CoolDays, 0)
	switch {
	case p.Account != "" && !accountName.MatchString(p.Account):
		return p, fmt.Errorf("account %q: a name has 3 to 24 letters a-z and digits", p.Account)
	case !groupName.MatchString(p.Group):
		return p, fmt.Errorf("resource group %q: a name has letters, digits, - _ . ( )", p.Group)
	case !regionName.MatchString(p.Location):
		return p, fmt.Errorf("location %q: give its short name, such as eastus2", p.Location)
	case !slices.Contains(redundancies, p.Redundancy):
		return p, fmt.Errorf("redundancy %q is none of %s", p.Redundancy, strings.Join(redundancies, ", "))
	case p.KeepDays < 7 || p.KeepDays > 365:
		return p, fmt.Errorf("%d days: what is deleted is kept for 7 to 365", p.KeepDays)
	case p.LogDays < 30 || p.LogDays > 730:
		return p, fmt.Errorf("%d days: a log is kept for 30 to 730", p.LogDays)
	case p.Subnet != "" && !subnetID.MatchString(p.Subnet):
		return p, fmt.Errorf("subnet %q: give its id, /subscriptions/…/subnets/NAME", p.Subnet)
	case p.KeyVault != "" && !vaultName.MatchString(p.KeyVault):
		return p, fmt.Errorf("key vault %q: a name has 3 to 24 letters, digits and hyphens", p.KeyVault)
	}
	return p, p.checkLists()
}

func (p Params) checkLists() error {
	if err := store.AzureLocation("account", p.Container).Validate(); err != nil {
		return err
	}
	for _, id := range p.People {
		if !objectID.MatchString(id) {
			return fmt.Errorf("person %q: give the object id, which az ad user show --id NAME@DOMAIN --query id shows", id)
		}
	}
	for _, a := range p.Addresses {
		prefix, err := netip.ParsePrefix(a)
		if addr, aerr := netip.ParseAddr(a); aerr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch addr := prefix.Addr(); {
		case err != nil, !addr.Is4():
			return fmt.Errorf("address %q: give a public IPv4 address or a range such as 203.0.113.0/24", a)
		case addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast():
			return fmt.Errorf("address %q is private: the account sees the public one of your network", a)
		case strings.Contains(a, "/") && prefix.Bits() > 30:
			return fmt.Errorf("address %q: Azure takes single addresses without /%d", a, prefix.Bits())
		}
	}
	for k, v := range p.Tags {
		if !tagText.MatchString(k) || !tagText.MatchString(v) {
			return fmt.Errorf("tag %q=%q: letters, digits, spaces and - _ . : / @ alone", k, v)
		}
	}
	return nil
}

//go:embed account.bicep
var bicepText string

// Bicep is the template with these values as its parameters' defaults.
func Bicep(p Params) (string, error) {
	p, err := p.check()
	if err != nil {
		return "", err
	}
	text := bicepText
	for _, v := range []struct{ param, value string }{
		{"account string", quote(p.Account)},
		{"container string", quote(p.Container)},
		{"location string", quote(p.Location)},
		{"redundancy string", quote(p.Redundancy)},
		{"versioning bool", fmt.Sprint(!p.NoVersioning)},
		{"keepDays int", fmt.Sprint(p.KeepDays)},
		{"coolAfterDays int", fmt.Sprint(p.CoolDays)},
		{"addresses array", array(p.Addresses)},
		{"subnet string", quote(p.Subnet)},
		{"people array", array(p.People)},
		{"keyVault string", quote(p.KeyVault)},
		{"logDays int", fmt.Sprint(p.LogDays)},
		{"tags object", object(p.Tags)},
	} {
		line := regexp.MustCompile(`(?m)^param ` + v.param + `( = .*)?$`)
		if len(line.FindAllString(text, -1)) != 1 {
			panic("no parameter " + v.param) // the file beside this one is wrong
		}
		if v.value == "''" && v.param == "account string" {
			continue
		}
		text = line.ReplaceAllLiteralString(text, "param "+v.param+" = "+v.value)
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "--name GROUP --location LOCATION", "--name "+p.Group+" --location "+p.Location), "--resource-group GROUP", "--resource-group "+p.Group), nil
}

// quote is a text as Bicep has it; check has let nothing through that would need an escape.
func quote(s string) string { return "'" + s + "'" }

func array(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	text := "[\n"
	for _, s := range list {
		text += "  " + quote(s) + "\n"
	}
	return text + "]"
}

func object(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	text := "{\n"
	for _, k := range slices.Sorted(maps.Keys(m)) {
		text += "  " + quote(k) + ": " + quote(m[k]) + "\n"
	}
	return text + "}"
}

//go:embed account.az
var azText string

var az = template.Must(template.New("az").Funcs(template.FuncMap{"vnet": func(subnet string) string {
	vnet, _, _ := strings.Cut(subnet, "/subnets/")
	return vnet
}}).Parse(azText))

// Commands are the same as commands of the Azure CLI, one a line.
func Commands(p Params) (string, error) {
	p, err := p.check()
	if err != nil {
		return "", err
	}
	if p.Account == "" {
		p.Account = "ACCOUNT"
	}
	var b bytes.Buffer
	if err := az.Execute(&b, p); err != nil {
		panic(err) // the file beside this one is wrong
	}
	return b.String(), nil
}
