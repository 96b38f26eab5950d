package azure

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"satchel/store"
)

// Auth is a way to sign in.
type Auth string

// The ways to sign in. Auto is the first that is set up.
const (
	Auto             Auth = "auto"
	Browser          Auth = "browser"
	DeviceCode       Auth = "device-code"
	CLI              Auth = "cli"
	Environment      Auth = "environment"
	Workload         Auth = "workload"
	ManagedIdentity  Auth = "managed-identity"
	Key              Auth = "key"
	SAS              Auth = "sas"
	ConnectionString Auth = "connection-string"
)

// Shared reports whether a way is a secret of the account's, which says of nobody who they
// are, and no sign-in with Entra ID.
func (a Auth) Shared() bool { return a == Key || a == SAS || a == ConnectionString }

// variables are where the secrets of an account come from, in the order that Auto tries.
var variables = []struct {
	auth Auth
	name string
	read func(value string, loc store.Location) (Credential, error)
}{
	{ConnectionString, "AZURE_STORAGE_CONNECTION_STRING", parseConnectionString},
	{Key, "AZURE_STORAGE_KEY", func(v string, loc store.Location) (Credential, error) { return KeyCredential(loc.Account, v) }},
	{SAS, "AZURE_STORAGE_SAS_TOKEN", func(v string, _ store.Location) (Credential, error) { return SASCredential(v) }},
}

// Choose says which way Auto is at a location, and where the secret is from: a shared one if
// there is any, else Auto, a sign-in. Another way stays what it is. It makes no request and
// reads no secret.
func Choose(auth Auth, loc store.Location, getenv func(string) string) (way Auth, from string) {
	if loc.SAS() != "" && (auth == Auto || auth == "" || auth == SAS) {
		return SAS, "the store's URL"
	}
	for _, v := range variables {
		if (auth == Auto || auth == "" || auth == v.auth) && strings.TrimSpace(getenv(v.name)) != "" {
			return v.auth, v.name
		}
	}
	if auth == "" {
		return Auto, ""
	}
	return auth, ""
}

// SignIn returns what to sign in with at a location, by opts.Auth, and says in words what
// that is. Auto takes the first that is there:
//
//  1. the SAS in the store's URL
//  2. AZURE_STORAGE_CONNECTION_STRING
//  3. AZURE_STORAGE_KEY, with AZURE_STORAGE_ACCOUNT if that is set
//  4. AZURE_STORAGE_SAS_TOKEN, likewise
//  5. the sign-in that Login keeps on this device
//  6. an application: AZURE_TENANT_ID, AZURE_CLIENT_ID, and AZURE_CLIENT_SECRET or
//     AZURE_CLIENT_CERTIFICATE_PATH
//  7. a workload identity: AZURE_FEDERATED_TOKEN_FILE
//  8. the Azure CLI, if somebody is signed in there
//  9. the managed identity of a machine in Azure
//  10. the person: Login
//
// An empty variable is not set. A secret that does not fit is an error and never passed over;
// so is one of 6 and 7 that is refused. For a secret of the account's it makes no request;
// otherwise it returns when there is a token, or reports store.ErrDenied.
func SignIn(ctx context.Context, loc store.Location, opts LoginOptions) (cred Credential, how string, err error) {
	way, from := Choose(opts.Auth, loc, opts.env)
	if way.Shared() {
		return opts.shared(loc, way, from)
	}
	if err := (Credential{token: nobody{}}).check(loc, opts.AnyHost); err != nil {
		return Credential{}, "", err
	}
	opts.Endpoint = loc.Endpoint
	source, how, err := opts.chain(ctx, way)
	if errors.Is(err, store.ErrDenied) {
		return Credential{}, "", &Error{Endpoint: loc.Endpoint, Account: loc.Account, Container: loc.Container, Op: "sign in", Code: NotSignedIn, With: "sign-in", err: err, message: err.Error()}
	} else if err != nil {
		return Credential{}, "", err
	}
	return TokenCredential(source), how, nil
}

func (o LoginOptions) shared(loc store.Location, way Auth, from string) (Credential, string, error) {
	if from == "" {
		for _, v := range variables {
			if v.auth == way {
				return Credential{}, "", fmt.Errorf("%w: --auth %s, and %s is not set", store.ErrDenied, way, v.name)
			}
		}
	}
	if from == "the store's URL" {
		cred, err := SASCredential(loc.SAS())
		cred.bound = true
		return cred, "SAS in the store's URL", err
	}
	for _, v := range variables {
		if v.name != from {
			continue
		}
		if account := o.env("AZURE_STORAGE_ACCOUNT"); account != "" && account != loc.Account && way != ConnectionString {
			return Credential{}, "", fmt.Errorf("%s is of account %q, by AZURE_STORAGE_ACCOUNT, and the store is in account %q: unset both or set them to the store's", from, account, loc.Account)
		}
		cred, err := v.read(strings.TrimSpace(o.env(from)), loc)
		if err != nil {
			return Credential{}, "", fmt.Errorf("%s: %w", from, err)
		}
		return cred, map[Auth]string{Key: "account key", SAS: "SAS", ConnectionString: "connection string"}[way] + " from " + from, nil
	}
	panic("unreachable: " + from) // Choose names nothing else
}

// nobody stands for a sign-in that is still to be had.
type nobody struct{}

// GetToken implements azcore.TokenCredential.
func (nobody) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, errors.New("nobody is signed in")
}
