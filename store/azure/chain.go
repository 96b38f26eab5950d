package azure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"satchel/store"
)

// A link is one way of the chain to get tokens.
type link struct {
	auth Auth
	how  string // in words
	make func(context.Context) (azcore.TokenCredential, error)
	last bool // somebody set it up for satchel: if it is refused, nothing else is tried
}

// notHere says why a link is none here.
type notHere string

func (n notHere) Error() string { return string(n) }

// chain returns the first source of tokens that gives one, which it asks for. Where nothing
// does it asks the person. It ends at once where the sign-in service is out of reach.
func (o LoginOptions) chain(ctx context.Context, way Auth) (azcore.TokenCredential, string, error) {
	links, err := o.links(way)
	if err != nil {
		return nil, "", err
	}
	var tried []string
	for _, l := range links {
		source, err := l.try(ctx)
		var none notHere
		var unreachable *unreachableError
		switch {
		case err == nil:
			return source, l.how, nil
		case ctx.Err() != nil:
			return nil, "", ctx.Err()
		case errors.As(err, &unreachable):
			return nil, "", err
		case errors.As(err, &none) && way == Auto: // not here
		case l.last && !errors.As(err, &none), way == l.auth && !way.asks():
			return nil, "", fmt.Errorf("%w: %s: %w", store.ErrDenied, l.how, err)
		default:
			tried = append(tried, fmt.Sprintf("%s: %v", l.how, err))
		}
	}
	return o.person(ctx, way, tried)
}

// asks reports whether a way is to ask the person.
func (a Auth) asks() bool { return a == Browser || a == DeviceCode }

// person asks. What was tried before is said first.
func (o LoginOptions) person(ctx context.Context, way Auth, tried []string) (azcore.TokenCredential, string, error) {
	o.DeviceCode = way == DeviceCode || way == Auto && !o.Terminal
	if o.Prompt == nil {
		return nil, "", fmt.Errorf("%w: nobody is signed in to Azure, and there is nobody to ask; tried: %s", store.ErrDenied, cmp.Or(strings.Join(tried, "; "), "nothing is set up"))
	}
	for _, t := range tried {
		o.Prompt(fmt.Sprintf("Not signed in by the %s.", t))
	}
	s, err := Login(ctx, o)
	if err != nil {
		return nil, "", err
	}
	return s.Credential.token, "sign-in of " + s.Account, nil
}

// links are what a way tries, in order, before the person.
func (o LoginOptions) links(way Auth) ([]link, error) {
	record, err := o.recall()
	if err != nil {
		return nil, err
	}
	var list []link
	if record.Username != "" && (way == Auto || way.asks()) {
		list = append(list, link{"", "sign-in of " + record.Username + " on this device", func(context.Context) (azcore.TokenCredential, error) { return o.silent(record) }, false})
	}
	for _, l := range []link{
		{Environment, "application in AZURE_CLIENT_ID", o.application, true},
		{Workload, "workload identity in AZURE_FEDERATED_TOKEN_FILE", o.workload, true},
		{CLI, "Azure CLI (az)", o.cli, false},
		{ManagedIdentity, "managed identity of this machine", o.managed, false},
	} {
		if way == Auto || way == l.auth {
			list = append(list, l)
		}
	}
	return list, nil
}

// try makes the source and asks it for a first token.
func (l link) try(ctx context.Context) (azcore.TokenCredential, error) {
	source, err := l.make(ctx)
	if err != nil {
		return nil, err
	}
	token, err := source.GetToken(ctx, requestToken)
	if err != nil {
		return nil, err
	}
	return &primed{source: source, first: token}, nil
}

// primed hands out once what it was given at the start: az takes half a second for a token.
type primed struct {
	source azcore.TokenCredential

	mu    sync.Mutex
	first azcore.AccessToken // guarded by mu
}

// GetToken implements azcore.TokenCredential.
func (p *primed) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	p.mu.Lock()
	first := p.first
	if len(opts.Scopes) == 1 && opts.Scopes[0] == storageScope {
		p.first = azcore.AccessToken{}
	}
	p.mu.Unlock()
	fits := len(opts.Scopes) == 1 && opts.Scopes[0] == storageScope && opts.Claims == ""
	if first.Token != "" && fits && time.Until(first.ExpiresOn) > 5*time.Minute {
		return first, nil
	}
	return p.source.GetToken(ctx, opts)
}

// application is a service principal with a secret or a certificate.
func (o LoginOptions) application(context.Context) (azcore.TokenCredential, error) {
	secret, certificate := o.env("AZURE_CLIENT_SECRET"), o.env("AZURE_CLIENT_CERTIFICATE_PATH")
	tenant, client := o.tenant(), o.client()
	switch {
	case secret == "" && certificate == "":
		return nil, notHere("neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_CERTIFICATE_PATH is set")
	case tenant == "" || client == "":
		return nil, notHere("AZURE_TENANT_ID and AZURE_CLIENT_ID are to be set as well")
	case secret != "":
		return o.heard(func(o LoginOptions) (azcore.TokenCredential, error) {
			return azidentity.NewClientSecretCredential(tenant, client, secret, &azidentity.ClientSecretCredentialOptions{
				ClientOptions: o.clientOptions(untilFinal), DisableInstanceDiscovery: o.undiscovered()})
		})
	}
	data, err := os.ReadFile(certificate)
	if err != nil {
		return nil, fmt.Errorf("AZURE_CLIENT_CERTIFICATE_PATH: %w", err)
	}
	certs, key, err := azidentity.ParseCertificates(data, []byte(o.env("AZURE_CLIENT_CERTIFICATE_PASSWORD")))
	if err != nil {
		return nil, fmt.Errorf("AZURE_CLIENT_CERTIFICATE_PATH: %s is no certificate with its key, or its password is another", certificate)
	}
	return o.heard(func(o LoginOptions) (azcore.TokenCredential, error) {
		return azidentity.NewClientCertificateCredential(tenant, client, certs, key, &azidentity.ClientCertificateCredentialOptions{
			ClientOptions: o.clientOptions(untilFinal), DisableInstanceDiscovery: o.undiscovered(),
			SendCertificateChain: o.env("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN") != ""})
	})
}

func (o LoginOptions) workload(context.Context) (azcore.TokenCredential, error) {
	file := o.env("AZURE_FEDERATED_TOKEN_FILE")
	if file == "" {
		return nil, notHere("AZURE_FEDERATED_TOKEN_FILE is not set")
	}
	if o.tenant() == "" || o.client() == "" {
		return nil, notHere("AZURE_TENANT_ID and AZURE_CLIENT_ID are to be set as well")
	}
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("AZURE_FEDERATED_TOKEN_FILE: %w", err)
	}
	return o.heard(func(o LoginOptions) (azcore.TokenCredential, error) {
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: o.clientOptions(untilFinal), DisableInstanceDiscovery: o.undiscovered(),
			TenantID: o.tenant(), ClientID: o.client(), TokenFilePath: file})
	})
}

// heard makes a source whose errors are the sign-in service's words.
func (o LoginOptions) heard(open func(LoginOptions) (azcore.TokenCredential, error)) (azcore.TokenCredential, error) {
	ear := &overhear{rt: o.transport()}
	o.Transport = ear
	source, err := open(o)
	if err != nil {
		return nil, err
	}
	return heardSource{source, ear}, nil
}

type heardSource struct {
	source azcore.TokenCredential
	ear    *overhear
}

// GetToken implements azcore.TokenCredential.
func (h heardSource) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := h.source.GetToken(ctx, opts)
	if err != nil {
		return token, h.ear.explain(ctx, err)
	}
	return token, nil
}

// cli is the Azure CLI, which many have and few are signed in at.
func (o LoginOptions) cli(context.Context) (azcore.TokenCredential, error) {
	source, err := azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: o.tenant()})
	if err != nil {
		return nil, err
	}
	return cliSource{source}, nil
}

// cliSource says in words why az gives no token.
type cliSource struct{ source azcore.TokenCredential }

// GetToken implements azcore.TokenCredential.
func (c cliSource) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.source.GetToken(ctx, opts)
	if err == nil || ctx.Err() != nil {
		return token, err
	}
	switch text := err.Error(); {
	case strings.Contains(text, "not found on path"):
		return token, notHere("the Azure CLI is not installed, or its folder is not in PATH; without it, --auth browser signs in")
	case strings.Contains(text, "az login"):
		return token, errors.New("nobody is signed in there; az login does that, or --auth browser")
	default:
		return token, errors.New(firstOf(strings.TrimPrefix(text, "AzureCLICredential: ")))
	}
}

// metadataService is where a machine in Azure finds its identity. Elsewhere nobody answers.
const metadataService = "http://169.254.169.254/metadata/identity/oauth2/token"

// probeWait is how long it may take to answer.
const probeWait = time.Second

func (o LoginOptions) managed(ctx context.Context) (azcore.TokenCredential, error) {
	if o.env("IDENTITY_ENDPOINT") == "" && o.env("MSI_ENDPOINT") == "" && !o.inAzure(ctx) {
		return nil, notHere("this machine is not in Azure, or has no managed identity")
	}
	opts := azidentity.ManagedIdentityCredentialOptions{ClientOptions: o.clientOptions(policy.RetryOptions{MaxRetries: 2})}
	if id := o.client(); id != "" {
		opts.ID = azidentity.ClientID(id)
	}
	source, err := azidentity.NewManagedIdentityCredential(&opts)
	if err != nil {
		return nil, err
	}
	return machineSource{source}, nil
}

// machineSource keeps a message of many lines to the one that says why.
type machineSource struct{ source azcore.TokenCredential }

// GetToken implements azcore.TokenCredential.
func (m machineSource) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := m.source.GetToken(ctx, opts)
	if err != nil && ctx.Err() == nil {
		err = errors.New(firstOf(err.Error()))
	}
	return token, err
}

func firstOf(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

// inAzure asks the metadata service, without the header that it wants: any answer will do.
func (o LoginOptions) inAzure(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metadataService, nil)
	if err != nil {
		return false
	}
	rt := o.Transport
	if rt == nil {
		direct := newTransport(1)
		direct.Proxy = nil // which would answer in its place
		rt = direct
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return true
}
