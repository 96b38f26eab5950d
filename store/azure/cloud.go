package azure

import (
	"cmp"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// suffixes are the domains of Blob Storage, and the cloud that each is in. Those of private
// endpoints (ACCOUNT.privatelink.blob.…) end in them too.
var suffixes = []struct {
	domain string
	cloud  cloud.Configuration
}{
	{".blob.core.windows.net", cloud.AzurePublic},
	{".blob.storage.azure.net", cloud.AzurePublic},
	{".blob.core.usgovcloudapi.net", cloud.AzureGovernment},
	{".blob.core.chinacloudapi.cn", cloud.AzureChina},
}

// Cloud is the cloud that an endpoint is in, and whether its host is one of Azure's. A host
// of another name is taken for one in the public cloud.
func Cloud(endpoint string) (cloud.Configuration, bool) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return cloud.AzurePublic, false
	}
	for _, s := range suffixes {
		if strings.HasSuffix(u.Hostname(), s.domain) {
			return s.cloud, true
		}
	}
	return cloud.AzurePublic, false
}

// authority is the sign-in service.
func (o LoginOptions) authority() string {
	in, _ := Cloud(o.Endpoint)
	return cmp.Or(o.Authority, o.env("AZURE_AUTHORITY_HOST"), in.ActiveDirectoryAuthorityHost)
}

// undiscovered reports whether the sign-in service is none that Microsoft would vouch for: a
// private cloud's.
func (o LoginOptions) undiscovered() bool {
	for _, s := range suffixes {
		if strings.TrimRight(o.authority(), "/") == strings.TrimRight(s.cloud.ActiveDirectoryAuthorityHost, "/") {
			return false
		}
	}
	return true
}

func (o LoginOptions) clientOptions(retry policy.RetryOptions) azcore.ClientOptions {
	in, _ := Cloud(o.Endpoint)
	in.ActiveDirectoryAuthorityHost = o.authority()
	c := azcore.ClientOptions{Retry: retry, Cloud: in}
	if o.Transport != nil {
		c.Transport = &http.Client{Transport: o.Transport}
	}
	return c
}

func (o LoginOptions) tenant() string { return cmp.Or(o.TenantID, o.env("AZURE_TENANT_ID")) }
func (o LoginOptions) client() string { return cmp.Or(o.ClientID, o.env("AZURE_CLIENT_ID")) }

func (o LoginOptions) env(name string) string {
	if o.Getenv != nil {
		return o.Getenv(name)
	}
	return os.Getenv(name)
}
