package azure

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"satchel/store"
)

// Credential is what a Store signs in with: an account key, a shared access signature or
// a source of bearer tokens. The zero value is none, which only a public container
// takes. Printing one never shows a secret.
type Credential struct {
	account string // of a key
	key     string // base64
	sas     string // without a question mark
	token   azcore.TokenCredential
	bound   bool // the secret was given together with the host that it goes to
}

// KeyCredential signs with an account key, which never leaves this device.
func KeyCredential(account, key string) (Credential, error) {
	if _, err := container.NewSharedKeyCredential(account, key); err != nil || key == "" {
		return Credential{}, errors.New("the account key is not base64: copy it whole") // err may repeat a part
	}
	return Credential{account: account, key: key}, nil
}

// SASCredential sends a shared access signature, with or without a question mark.
func SASCredential(sas string) (Credential, error) {
	sas = strings.TrimPrefix(sas, "?")
	values, err := url.ParseQuery(sas)
	if err != nil || values.Get("sig") == "" || strings.ContainsFunc(sas, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Credential{}, errors.New("the shared access signature has no sig=, or is not well formed: copy it whole")
	}
	return Credential{sas: sas}, nil
}

// TokenCredential sends bearer tokens of Entra ID; https only.
func TokenCredential(token azcore.TokenCredential) Credential {
	return Credential{token: &signIn{source: token}}
}

// Token is the source of bearer tokens, for other services of Azure; nil if the
// credential is a key or a signature.
func (c Credential) Token() azcore.TokenCredential { return c.token }

// String says what kind of credential it is.
func (c Credential) String() string {
	switch {
	case c.key != "":
		return "account key"
	case c.sas != "":
		return "shared access signature"
	case c.token != nil:
		return "sign-in"
	}
	return "none"
}

// GoString keeps secrets out of %#v.
func (c Credential) GoString() string { return "azure.Credential(" + c.String() + ")" }

// expired is when a shared access signature ended, if that was before now; else zero.
func (c Credential) expired(now time.Time) time.Time {
	values, err := url.ParseQuery(c.sas)
	if err != nil {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if end, err := time.Parse(layout, values.Get("se")); err == nil && end.Before(now) {
			return end
		}
	}
	return time.Time{}
}

// check refuses to send a secret where it must not go.
func (c Credential) check(loc store.Location, anyHost bool) error {
	switch {
	case c.key != "" && c.account != loc.Account:
		return fmt.Errorf("store %s: the account key is of account %q", loc, c.account)
	case c.token != nil && !strings.HasPrefix(loc.Endpoint, "https://"):
		return fmt.Errorf("store %s: a sign-in goes over https only: use an account key", loc)
	case (c.token != nil || c.sas != "" && !c.bound) && !anyHost && !trusted(loc.Endpoint):
		return fmt.Errorf("store %s: the host is not Azure's: a %s is not sent there; if it is your own, say --any-host", loc, c)
	}
	return nil
}

// trusted reports whether an endpoint is Azure's or this device's own. A manifest may
// name any host, and must not be able to collect tokens by that.
func trusted(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ip.IsLoopback()
	}
	_, ours := Cloud(endpoint)
	return ours
}

// client returns a container's client that signs with the credential.
func (c Credential) client(containerURL string, opts *container.ClientOptions) (*container.Client, error) {
	switch {
	case c.key != "":
		key, err := container.NewSharedKeyCredential(c.account, c.key)
		if err != nil {
			return nil, errors.New("the account key is not base64")
		}
		return container.NewClientWithSharedKeyCredential(containerURL, key, opts)
	case c.token != nil:
		opts.PerRetryPolicies = append(opts.PerRetryPolicies, bearer(c.token)...)
		return container.NewClientWithNoCredential(containerURL, opts)
	case c.sas != "":
		return container.NewClientWithNoCredential(containerURL+"?"+c.sas, opts)
	}
	return container.NewClientWithNoCredential(containerURL, opts)
}

// secrets are the texts that must not show up in an error.
func (c Credential) secrets() []string {
	var list []string
	if c.key != "" {
		list = append(list, c.key)
	}
	if c.sas != "" {
		list = append(list, c.sas)
		if values, err := url.ParseQuery(c.sas); err == nil {
			sig := values.Get("sig")
			list = append(list, sig, url.QueryEscape(sig))
		}
	}
	return list
}

// signIn marks the errors of a source of tokens, so that they read as "not signed in"
// and are not tried again; but not those of the network. It notes whose the tokens are.
type signIn struct {
	source azcore.TokenCredential
	who    atomic.Pointer[Identity]
}

// GetToken implements azcore.TokenCredential.
func (s *signIn) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := s.source.GetToken(ctx, opts)
	var unreachable *unreachableError
	if err != nil && ctx.Err() == nil && !errors.As(err, &unreachable) {
		return token, &tokenError{err}
	}
	if err == nil {
		s.who.Store(identityOf(token.Token))
	}
	return token, err
}

// Identity is whom Entra ID takes a sign-in for.
type Identity struct {
	ObjectID string
	Name     string // jane@clinic.example; "" of an application
	Tenant   string // its id
	App      bool   // an application or a machine, and no person
}

// Who is the identity behind the latest token; nil if there was none, or it does not say.
func (c Credential) Who() *Identity {
	if s, ok := c.token.(*signIn); ok {
		return s.who.Load()
	}
	return nil
}

// identityOf reads a token's claims, which its receiver alone can verify: they serve messages.
func identityOf(token string) *Identity {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims struct{ OID, UPN, TID, IDTyp, Unique_Name, Preferred_Username string }
	if json.Unmarshal(data, &claims) != nil || !plain(claims.OID) || claims.TID != "" && !plain(claims.TID) {
		return nil
	}
	return &Identity{ObjectID: claims.OID, Name: cmp.Or(claims.UPN, claims.Preferred_Username, claims.Unique_Name), Tenant: claims.TID, App: claims.IDTyp == "app"}
}

// plain reports whether an id is one that a shell takes as it is.
func plain(id string) bool {
	return id != "" && !strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// tokenError: Entra ID gave no token.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return "not signed in: " + strings.TrimSpace(e.err.Error()) }
func (e *tokenError) Unwrap() error { return e.err }
