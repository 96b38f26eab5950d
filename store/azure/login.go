package azure

import (
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
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"satchel/store"
	"satchel/store/durable"
)

// LoginOptions say how a person signs in, and where the device remembers it.
type LoginOptions struct {
	// Dir is the user's configuration folder of satchel. Login keeps there who signed in,
	// which is no secret; the tokens are in the system's own keeping (DPAPI, keychain,
	// kernel keyring). Without it nothing is remembered.
	Dir string

	TenantID string // "" is the account's own, of work or school
	ClientID string // "" is Azure's application for developers

	// DeviceCode shows a code to type in on any device, and opens no browser. So does
	// Login where no browser can be opened.
	DeviceCode bool

	// Prompt shows a message to the person. Login needs it.
	Prompt func(msg string)

	// Authority is another sign-in service than that of AZURE_AUTHORITY_HOST or the public
	// cloud's, https. It is trusted as it is.
	Authority string

	// Transport replaces the network for the sign-in, for tests.
	Transport http.RoundTripper

	cache func() (azidentity.Cache, error) // for tests; nil is the system's
}

// A Session is a person signed in on this device.
type Session struct {
	Account    string     // jane@clinic.example
	Credential Credential // for this process
	Remembered bool       // Credentials finds it in later processes too
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
	source, record, err := opts.authenticate(ctx, cache)
	if err != nil {
		return nil, fmt.Errorf("azure login: %w", ear.explain(ctx, err))
	}
	s := &Session{Account: record.Username, Credential: TokenCredential(source)}
	if cacheErr != nil {
		opts.Prompt(fmt.Sprintf("This device cannot keep the sign-in, so it ends with this command: %v.", cacheErr))
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

// authenticate asks the person. Tokens are asked for with continuous access evaluation,
// as azblob does: the cache keeps those apart, and it would not find others.
func (o LoginOptions) authenticate(ctx context.Context, cache azidentity.Cache) (authenticator, azidentity.AuthenticationRecord, error) {
	request := &policy.TokenRequestOptions{Scopes: []string{storageScope}, EnableCAE: true}
	if !o.DeviceCode && browserLikely(runtime.GOOS, os.Getenv) {
		browser, record, err := o.inBrowser(ctx, cache, request)
		if err == nil || ctx.Err() != nil {
			return browser, record, err
		}
		o.Prompt(fmt.Sprintf("The sign-in in the browser did not work (%v). Trying with a code.", err))
	}
	code, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions:                  o.client(untilFinal),
		Cache:                          cache,
		ClientID:                       o.ClientID,
		TenantID:                       o.TenantID,
		DisableAutomaticAuthentication: true,
		DisableInstanceDiscovery:       o.Authority != "",
		UserPrompt: func(_ context.Context, m azidentity.DeviceCodeMessage) error {
			o.Prompt(m.Message)
			return nil
		},
	})
	if err != nil {
		return nil, azidentity.AuthenticationRecord{}, err
	}
	record, err := code.Authenticate(ctx, request)
	return code, record, err
}

func (o LoginOptions) inBrowser(ctx context.Context, cache azidentity.Cache, request *policy.TokenRequestOptions) (authenticator, azidentity.AuthenticationRecord, error) {
	browser, err := azidentity.NewInteractiveBrowserCredential(&azidentity.InteractiveBrowserCredentialOptions{
		ClientOptions:                  o.client(untilFinal),
		Cache:                          cache,
		ClientID:                       o.ClientID,
		TenantID:                       o.TenantID,
		DisableAutomaticAuthentication: true,
		DisableInstanceDiscovery:       o.Authority != "",
	})
	if err != nil {
		return nil, azidentity.AuthenticationRecord{}, err
	}
	o.Prompt("Sign in in the browser window that opens.")
	ctx, cancel := context.WithTimeout(ctx, browserPatience)
	defer cancel()
	record, err := browser.Authenticate(ctx, request)
	return browser, record, err
}

// browserLikely reports whether a browser opens on the screen that the person sees.
func browserLikely(goos string, getenv func(string) string) bool {
	if getenv("SSH_CONNECTION") != "" || getenv("SSH_TTY") != "" {
		return false
	}
	return goos == "windows" || goos == "darwin" || getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}

// entra returns the sign-in of this device or, without one, DefaultAzureCredential.
func entra(opts LoginOptions) (Credential, string, error) {
	record, err := opts.recall()
	if err != nil {
		return Credential{}, "", err
	}
	lost := ""
	if record.Username != "" {
		cache, err := opts.openCache()
		if err == nil {
			cred, err := opts.silent(record, cache)
			return cred, "sign-in of " + record.Username + " on this device", err
		}
		lost = fmt.Sprintf("; the sign-in of %s was not kept: %v", record.Username, err)
	}
	source, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions:            opts.client(policy.RetryOptions{}),
		TenantID:                 opts.TenantID,
		DisableInstanceDiscovery: opts.Authority != "",
	})
	if err != nil {
		return Credential{}, "", fmt.Errorf("%w: %w", store.ErrDenied, err)
	}
	return TokenCredential(source), "Azure's default sign-ins (environment, managed identity, az, azd, PowerShell)" + lost, nil
}

// silent uses a remembered sign-in, and never asks.
func (o LoginOptions) silent(record azidentity.AuthenticationRecord, cache azidentity.Cache) (Credential, error) {
	ear := &overhear{rt: o.transport()}
	o.Transport = ear
	source, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions:                  o.client(untilFinal),
		AuthenticationRecord:           record,
		Cache:                          cache,
		ClientID:                       record.ClientID,
		TenantID:                       record.TenantID,
		DisableAutomaticAuthentication: true,
		DisableInstanceDiscovery:       o.Authority != "",
	})
	if err != nil {
		return Credential{}, err
	}
	return TokenCredential(rememberedSource{source, record.Username, ear}), nil
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

func (o LoginOptions) client(retry policy.RetryOptions) azcore.ClientOptions {
	c := azcore.ClientOptions{Retry: retry}
	if o.Authority != "" {
		c.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: o.Authority}
	}
	if o.Transport != nil {
		c.Transport = &http.Client{Transport: o.Transport}
	}
	return c
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
