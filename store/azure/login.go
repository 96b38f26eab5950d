package azure

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"satchel/store/durable"
)

// LoginOptions say how a person signs in, and where the device remembers it.
type LoginOptions struct {
	// Dir is the user's configuration folder of satchel. Login keeps there who signed in,
	// which is no secret; the tokens are in the system's own keeping (DPAPI, keychain,
	// kernel keyring). Without it nothing is remembered.
	Dir string

	// Auth is the way that SignIn takes; "" is Auto.
	Auth Auth

	TenantID string // "" is AZURE_TENANT_ID or else the account's own, of work or school
	ClientID string // "" is AZURE_CLIENT_ID or else Azure's application for developers

	// Endpoint is the store's: it says in which of Azure's clouds to sign in. "" is the
	// public one.
	Endpoint string

	// AnyHost is as in Options.
	AnyHost bool

	// Terminal says that a person sits here: SignIn may open a browser.
	Terminal bool

	// Getenv is os.Getenv if nil.
	Getenv func(string) string

	// DeviceCode shows a code to type in on any device, and opens no browser. So does
	// Login where no browser can be opened.
	DeviceCode bool

	// Prompt shows a message to the person. Login needs it; SignIn asks nobody without.
	Prompt func(msg string)

	// Authority is another sign-in service than that of AZURE_AUTHORITY_HOST or the cloud's,
	// https. It is trusted as it is.
	Authority string

	// Transport replaces the network for the sign-in, for tests.
	Transport http.RoundTripper

	cache func() (azidentity.Cache, error) // for tests; nil is the system's
}

// A Session is a person signed in on this device.
type Session struct {
	Account    string     // jane@clinic.example
	Credential Credential // for this process
	Remembered bool       // SignIn finds it in later processes too
}

const recordFile = "azure-login.json"

// storageScope is what a token is for: Blob Storage, of any account.
const storageScope = "https://storage.azure.com/.default"

// browserPatience is how long Login waits for a browser before it shows a code.
const browserPatience = 5 * time.Minute

// Login signs a person in with Entra ID: in the browser where there is one, else by a
// code. What it has to say on the way goes to opts.Prompt; among it, in words, that the
// device has no safe place for tokens, so that the session ends with this process.
// It reports store.ErrDenied if the person or the tenant refuses.
func Login(ctx context.Context, opts LoginOptions) (*Session, error) {
	if opts.Prompt == nil {
		return nil, errors.New("azure login: there is nobody to ask")
	}
	cache, cacheErr := opts.openCache()
	if opts.Dir == "" {
		cacheErr = errors.New("there is no folder to remember it in")
	}
	ear := &overhear{rt: opts.transport()}
	opts.Transport = ear
	source, record, err := opts.authenticate(ctx, cache, ear)
	if err != nil {
		return nil, fmt.Errorf("azure login: %w", ear.explain(ctx, err))
	}
	s := &Session{Account: record.Username, Credential: TokenCredential(source)}
	if cacheErr != nil {
		opts.Prompt(fmt.Sprintf("This device cannot keep the sign-in (%v), so it ends with this command. az login keeps one, which is then used.", cacheErr))
		return s, nil
	}
	if err := opts.remember(record); err != nil {
		return nil, fmt.Errorf("azure login: %w", err)
	}
	s.Remembered = true
	return s, nil
}

// Logout forgets the sign-in of this device. It is no error if there is none. The tokens
// that the system keeps are of no use without it, and end by themselves.
func Logout(dir string) error {
	if err := os.Remove(filepath.Join(dir, recordFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("azure logout: %w", err)
	}
	return durable.SyncDir(dir)
}

// authenticator is what both ways to ask a person have in common.
type authenticator interface {
	azcore.TokenCredential
	Authenticate(context.Context, *policy.TokenRequestOptions) (azidentity.AuthenticationRecord, error)
}

// requestToken asks with continuous access evaluation, as azblob does: the cache keeps those
// tokens apart, and it would not find others.
var requestToken = policy.TokenRequestOptions{Scopes: []string{storageScope}, EnableCAE: true}

// authenticate asks the person.
func (o LoginOptions) authenticate(ctx context.Context, cache azidentity.Cache, ear *overhear) (authenticator, azidentity.AuthenticationRecord, error) {
	request := requestToken
	if !o.DeviceCode && (o.Auth == Browser || browserLikely(runtime.GOOS, o.env)) {
		browser, record, err := o.inBrowser(ctx, cache, &request)
		if err == nil || ctx.Err() != nil {
			return browser, record, err
		}
		o.Prompt("The sign-in in the browser did not work: " + ear.inBrowser(ctx, err) + ". It goes on with a code.")
	}
	code, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions:                  o.clientOptions(untilFinal),
		Cache:                          cache,
		ClientID:                       o.client(),
		TenantID:                       o.tenant(),
		DisableAutomaticAuthentication: true,
		DisableInstanceDiscovery:       o.undiscovered(),
		UserPrompt: func(_ context.Context, m azidentity.DeviceCodeMessage) error {
			o.Prompt(m.Message)
			return nil
		},
	})
	if err != nil {
		return nil, azidentity.AuthenticationRecord{}, err
	}
	record, err := code.Authenticate(ctx, &request)
	return code, record, err
}

func (o LoginOptions) inBrowser(ctx context.Context, cache azidentity.Cache, request *policy.TokenRequestOptions) (authenticator, azidentity.AuthenticationRecord, error) {
	browser, err := azidentity.NewInteractiveBrowserCredential(&azidentity.InteractiveBrowserCredentialOptions{
		ClientOptions:                  o.clientOptions(untilFinal),
		Cache:                          cache,
		ClientID:                       o.client(),
		TenantID:                       o.tenant(),
		DisableAutomaticAuthentication: true,
		DisableInstanceDiscovery:       o.undiscovered(),
	})
	if err != nil {
		return nil, azidentity.AuthenticationRecord{}, err
	}
	o.Prompt("Sign in in the browser window that opens.")
	patient, cancel := context.WithTimeout(ctx, browserPatience)
	defer cancel()
	record, err := browser.Authenticate(patient, request)
	return browser, record, err
}

// browserLikely reports whether a browser opens on the screen that the person sees.
func browserLikely(goos string, getenv func(string) string) bool {
	if getenv("SSH_CONNECTION") != "" || getenv("SSH_TTY") != "" {
		return false
	}
	return goos == "windows" || goos == "darwin" || getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}

// silent uses a remembered sign-in, and never asks.
func (o LoginOptions) silent(record azidentity.AuthenticationRecord) (azcore.TokenCredential, error) {
	if o.ClientID != "" && o.ClientID != record.ClientID {
		return nil, notHere("it is one by another application")
	}
	cache, err := o.openCache()
	if err != nil {
		return nil, fmt.Errorf("it was not kept: %w", err)
	}
	ear := &overhear{rt: o.transport()}
	o.Transport = ear
	source, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions:                  o.clientOptions(untilFinal),
		AuthenticationRecord:           record,
		Cache:                          cache,
		ClientID:                       record.ClientID,
		TenantID:                       cmp.Or(o.tenant(), record.TenantID),
		DisableAutomaticAuthentication: true,
		DisableInstanceDiscovery:       o.undiscovered(),
	})
	if err != nil {
		return nil, err
	}
	return rememberedSource{source, record.Username, ear}, nil
}

// rememberedSource says in words why a sign-in is of no use any more.
type rememberedSource struct {
	source  azcore.TokenCredential
	account string
	ear     *overhear
}

// GetToken implements azcore.TokenCredential.
func (r rememberedSource) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := r.source.GetToken(ctx, opts)
	var required *azidentity.AuthenticationRequiredError
	if errors.As(err, &required) { // whatever kept it from renewing the token
		err = r.ear.explain(ctx, errors.New("it has ended; on Linux a restart ends it"))
	}
	if err != nil {
		return token, fmt.Errorf("sign-in of %s: %w", r.account, err)
	}
	return token, nil
}

// untilFinal tries again unless that is of no use.
var untilFinal = policy.RetryOptions{ShouldRetry: shouldRetry}

func (o LoginOptions) transport() http.RoundTripper {
	if o.Transport != nil {
		return o.Transport
	}
	return newTransport(1)
}

func (o LoginOptions) openCache() (azidentity.Cache, error) {
	if o.cache != nil {
		return o.cache()
	}
	return persistentCache()
}

func (o LoginOptions) remember(record azidentity.AuthenticationRecord) error {
	data, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(o.Dir, recordFile), append(data, '\n'), 0o600)
}

// recall returns the zero record if nobody has signed in on this device.
func (o LoginOptions) recall() (azidentity.AuthenticationRecord, error) {
	var record azidentity.AuthenticationRecord
	if o.Dir == "" {
		return record, nil
	}
	path := filepath.Join(o.Dir, recordFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return record, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err != nil {
		return azidentity.AuthenticationRecord{}, fmt.Errorf("the sign-in of this device, %s: %w: sign in again", path, err)
	}
	return record, nil
}
