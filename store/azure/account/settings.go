package account

import (
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"
)

// settings checks what the account itself says.
func (i *inspector) settings(a *armstorage.Account) {
	p := of(a.Properties)
	i.flag("https-only", is(p.EnableHTTPSTrafficOnly), "--https-only true")
	i.minimumTLS(p.MinimumTLSVersion)
	i.flag("public-access", p.AllowBlobPublicAccess != nil && !*p.AllowBlobPublicAccess, "--allow-blob-public-access false")
	i.flag("shared-key", p.AllowSharedKeyAccess != nil && !*p.AllowSharedKeyAccess, "--allow-shared-key-access false")
	i.network(p)
	i.encryption(p.Encryption)
	i.redundancy(a.SKU)
}

func (i *inspector) flag(id string, ok bool, fix string) {
	if ok {
		i.add(id, Pass, "so it is", "")
		return
	}
	i.add(id, Fail, "it is not so", i.set(fix))
}

func (i *inspector) minimumTLS(v *armstorage.MinimumTLSVersion) {
	switch version := of(v); version {
	case armstorage.MinimumTLSVersionTLS12, armstorage.MinimumTLSVersionTLS13:
		i.add("minimum-tls", Pass, string(version), "")
	case "": // which stands for the oldest
		i.add("minimum-tls", Fail, "nothing is set, which is TLS1_0", i.set("--min-tls-version TLS1_2"))
	default:
		i.add("minimum-tls", Fail, string(version), i.set("--min-tls-version TLS1_2"))
	}
}

func (i *inspector) network(p armstorage.AccountProperties) {
	rules := of(p.NetworkRuleSet)
	private := 0
	for _, c := range p.PrivateEndpointConnections {
		if c.Properties != nil && c.Properties.PrivateLinkServiceConnectionState != nil && of(c.Properties.PrivateLinkServiceConnectionState.Status) == armstorage.PrivateEndpointServiceConnectionStatusApproved {
			private++
		}
	}
	found := fmt.Sprintf("%d addresses and %d networks are let in; %d private endpoints", len(rules.IPRules), len(rules.VirtualNetworkRules), private)
	switch {
	case of(p.PublicNetworkAccess) == armstorage.PublicNetworkAccessDisabled:
		i.add("network", Pass, fmt.Sprintf("the public network is off; %d private endpoints", private), "")
	case of(rules.DefaultAction) == armstorage.DefaultActionDeny:
		i.add("network", Pass, found, "")
	default:
		i.add("network", Fail, "every network is let in; only sign-ins keep others out", fmt.Sprintf(
			"az storage account network-rule add --resource-group %s --account-name %s --ip-address YOUR.PUBLIC.ADDRESS (once for each place), then %s", i.id.ResourceGroupName, i.id.Name, i.set("--default-action Deny")))
	}
}

func (i *inspector) encryption(e *armstorage.Encryption) {
	if of(of(e).KeySource) == armstorage.KeySourceMicrosoftKeyvault {
		key := of(of(e).KeyVaultProperties)
		i.add("encryption-key", Pass, fmt.Sprintf("a key of your own: %s in %s", of(key.KeyName), of(key.KeyVaultURI)), "")
		return
	}
	i.add("encryption-key", Pass, "Microsoft; what satchel stores is sealed with your own keys before it is sent", "")
}

func (i *inspector) redundancy(sku *armstorage.SKU) {
	name := string(of(of(sku).Name))
	switch {
	case strings.Contains(name, "GRS"), strings.Contains(name, "GZRS"):
		i.add("redundancy", Pass, name+": in two regions", "")
	case strings.Contains(name, "ZRS"):
		i.add("redundancy", Pass, name+": in three data centres of one region", "")
	default:
		i.add("redundancy", Fail, name+": in one data centre", i.set("--sku Standard_GRS"))
	}
}
