package azure

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"satchel/store"
	"satchel/store/storetest/azurite"
	"satchel/store/storetest/entra"
)

// loopback is a transport that refuses to leave this machine.
func loopback(rt http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Hostname() != "127.0.0.1" {
			return nil, fmt.Errorf("a test asks %s", r.URL.Host)
		}
		return rt.RoundTrip(r)
	})
}

// chainOptions sign in at the authority, with these variables and nobody's record.
func (a *authority) chainOptions(t *testing.T, said *[]string, env map[string]string) LoginOptions {
	opts := a.options(t, said)
	opts.DeviceCode = false
	opts.Getenv = func(name string) string { return env[name] }
	return opts
}

var appEnv = map[string]string{"AZURE_TENANT_ID": entra.Tenant, "AZURE_CLIENT_ID": entra.App, "AZURE_CLIENT_SECRET": entra.Secret}

func with(env map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for k, v := range env {
		out[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// azSays puts an az on the path that prints this and ends with that code; without one there
// is none.
func azSays(t *testing.T, words string, code int) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the az of this test is a shell script")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.Symlink("/bin/sh", filepath.Join(dir, "sh")); err != nil {
		t.Fatal(err)
	}
	if words == "" {
		return
	}
	to := map[bool]string{true: "1", false: "2"}[code == 0]
	script := fmt.Sprintf("#!/bin/sh\nprintf '%%s' '%s' >&%s\nexit %d\n", words, to, code)
	if err := os.WriteFile(filepath.Join(dir, "az"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

func azToken(t *testing.T) string {
	token, expiry := azurite.Token()
	data, err := json.Marshal(map[string]any{"accessToken": token, "expires_on": expiry.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const loggedOut = "ERROR: Please run az login to setup account."

func TestChainTakesTheFirstThatIsThere(t *testing.T) {
	for _, tt := range []struct {
		name string
		auth Auth
		env  map[string]string
		az   string // what it says; "" is not installed
		code int    // what it ends with
		how  string
		said string // to the person
		err  string
	}{
		{"an application", Auto, appEnv, "", 0, "AZURE_CLIENT_ID", "", ""},
		{"an application before az", Auto, appEnv, "token", 0, "AZURE_CLIENT_ID", "", ""},
		{"az", Auto, nil, "token", 0, "Azure CLI", "", ""},
		{"az that nobody is signed in at", Auto, nil, loggedOut, 1, "sign-in of jane", "nobody is signed in there", ""},
		{"az that fails", Auto, nil, "ERROR: broken\nat line 7", 1, "sign-in of jane", "ERROR: broken.", ""},
		{"no az", Auto, nil, "", 0, "sign-in of jane", "ABC123", ""},
		{"half an application", Auto, map[string]string{"AZURE_CLIENT_SECRET": "x"}, "", 0, "sign-in of jane", "ABC123", ""},
		{"a code, for all that is there", DeviceCode, appEnv, "token", 0, "sign-in of jane", "ABC123", ""},
		{"az alone", CLI, appEnv, "token", 0, "Azure CLI", "", ""},
		{"az alone, not installed", CLI, appEnv, "", 0, "", "", "not installed, or its folder is not in PATH"},
		{"az alone, not signed in", CLI, appEnv, loggedOut, 1, "", "", "az login does that"},
		{"an application alone", Environment, with(appEnv, "AZURE_CLIENT_SECRET", ""), "token", 0, "", "", "neither AZURE_CLIENT_SECRET nor"},
		{"a wrong secret", Auto, with(appEnv, "AZURE_CLIENT_SECRET", "guessed"), "token", 0, "", "", "AADSTS7000215"},
		{"a lost certificate", Auto, with(appEnv, "AZURE_CLIENT_SECRET", "", "AZURE_CLIENT_CERTIFICATE_PATH", "/nowhere.pem"), "token", 0, "", "", "AZURE_CLIENT_CERTIFICATE_PATH"},
		{"a lost identity", Auto, with(appEnv, "AZURE_CLIENT_SECRET", "", "AZURE_FEDERATED_TOKEN_FILE", "/nowhere"), "token", 0, "", "", "AZURE_FEDERATED_TOKEN_FILE"},
		{"no identity", Workload, appEnv, "token", 0, "", "", "AZURE_FEDERATED_TOKEN_FILE is not set"},
		{"no machine in Azure", ManagedIdentity, appEnv, "token", 0, "", "", "not in Azure"},
		{"no key", Key, appEnv, "token", 0, "", "", "AZURE_STORAGE_KEY is not set"},
		{"a key, and a code is asked for", DeviceCode, map[string]string{"AZURE_STORAGE_KEY": "a2V5"}, "", 0, "sign-in of jane", "ABC123", ""},
		{"a SAS, and a key is asked for", Key, map[string]string{"AZURE_STORAGE_KEY": "a2V5", "AZURE_STORAGE_SAS_TOKEN": "sig=x"}, "", 0, "account key", "", ""},
		{"a connection string is asked for", ConnectionString, map[string]string{"AZURE_STORAGE_KEY": "a2V5"}, "", 0, "", "", "AZURE_STORAGE_CONNECTION_STRING is not set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthority(t)
			words := tt.az
			if words == "token" {
				words = azToken(t)
			}
			azSays(t, words, tt.code)
			var said []string
			opts := a.chainOptions(t, &said, tt.env)
			opts.Auth = tt.auth
			cred, how, err := SignIn(t.Context(), store.AzureLocation("acct", "backup"), opts)
			all := strings.Join(said, "\n")
			if strings.Contains(all+fmt.Sprint(err), "not found on path") || strings.Contains(all, "Trace ID") || strings.Contains(fmt.Sprint(err), "Trace ID") {
				t.Errorf("said %q, failed with %v", all, err)
			}
			if tt.err != "" {
				if !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), tt.err) || a.Codes.Load() > 0 {
					t.Errorf("%v after %d codes, want store.ErrDenied with %q", err, a.Codes.Load(), tt.err)
				}
				return
			}
			if err != nil || !strings.Contains(how, tt.how) || !strings.Contains(all, tt.said) || tt.said == "" && all != "" {
				t.Fatalf("%q, %v; said %q", how, err, all)
			}
			if cred.token == nil {
				return
			}
			asked := a.Asked.Load()
			if _, err := cred.token.GetToken(t.Context(), requestToken); err != nil || a.Asked.Load() != asked {
				t.Errorf("the first token was fetched twice: %v", err)
			}
		})
	}
}

// The token of the start is handed out once, and for storage alone: one that the service refuses is not
// given again.
func TestFirstTokenIsGivenOnce(t *testing.T) {
	later := &source{}
	p := &primed{source: later, first: azcore.AccessToken{Token: "first", ExpiresOn: time.Now().Add(time.Hour)}}
	for _, tt := range []struct{ scope, want string }{{"https://vault.azure.net/.default", "1"}, {storageScope, "first"}, {storageScope, "2"}} {
		token, err := p.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{tt.scope}})
		if err != nil || token.Token != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.scope, token.Token, err, tt.want)
		}
	}
	p = &primed{source: later, first: azcore.AccessToken{Token: "old", ExpiresOn: time.Now().Add(time.Minute)}}
	if token, err := p.GetToken(t.Context(), requestToken); err != nil || token.Token != "3" {
		t.Errorf("%q, %v", token.Token, err)
	}
}

// Out of reach is not "not signed in": nobody is asked, and nothing else is tried.
func TestChainEndsWithoutANetwork(t *testing.T) {
	a := newAuthority(t)
	azSays(t, azToken(t), 0)
	var said []string
	opts := a.chainOptions(t, &said, appEnv)
	a.Close()
	_, _, err := SignIn(t.Context(), store.AzureLocation("acct", "backup"), opts)
	var unreachable *unreachableError
	if errors.Is(err, store.ErrDenied) || !errors.As(err, &unreachable) || len(said) > 0 {
		t.Errorf("%v; said %q", err, said)
	}
}

// A machine in Azure has an identity, which App Service serves like this.
func TestManagedIdentity(t *testing.T) {
	a := newAuthority(t)
	azSays(t, "", 0)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, expiry := azurite.Token()
		if r.Header.Get("X-Identity-Header") != "secret" || r.FormValue("resource") != "https://storage.azure.com" {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"access_token": token, "expires_on": fmt.Sprint(expiry.Unix()), "resource": r.FormValue("resource"), "token_type": "Bearer"})
	}))
	defer srv.Close()
	env := map[string]string{"IDENTITY_ENDPOINT": srv.URL, "IDENTITY_HEADER": "secret"}
	for k, v := range env { // the library reads them by itself
		t.Setenv(k, v)
	}
	for _, auth := range []Auth{Auto, ManagedIdentity} {
		var said []string
		opts := a.chainOptions(t, &said, env)
		opts.Auth = auth
		if _, how, err := SignIn(t.Context(), store.AzureLocation("acct", "backup"), opts); err != nil || !strings.Contains(how, "managed identity") {
			t.Errorf("%s: %q, %v", auth, how, err)
		}
	}
}

func TestWorkloadIdentity(t *testing.T) {
	a := newAuthority(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("assertion"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said []string
	opts := a.chainOptions(t, &said, with(appEnv, "AZURE_CLIENT_SECRET", "", "AZURE_FEDERATED_TOKEN_FILE", file))
	_, how, err := SignIn(t.Context(), store.AzureLocation("acct", "backup"), opts)
	// The authority knows a secret alone, and its words are passed on.
	if !errors.Is(err, store.ErrDenied) || !strings.Contains(fmt.Sprint(err), "workload identity") || !strings.Contains(fmt.Sprint(err), "AADSTS7000215") {
		t.Errorf("%q, %v", how, err)
	}
}

// An application works at a store. A token that has expired is replaced, and when the tenant
// gives no other, that reads as not signed in, with its words.
func TestApplicationAtAStore(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{OAuth: true})
	for _, tt := range []struct {
		expired, tokens int64
		deny            bool
	}{{0, 1, false}, {1, 2, false}, {1, 1, true}} {
		a := newAuthority(t)
		a.Expired.Store(tt.expired)
		var said []string
		loc := location(t, srv.URL+"/"+srv.Container(t))
		cred, _, err := SignIn(t.Context(), loc, a.chainOptions(t, &said, appEnv))
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(loc, cred, Options{Transport: srv.Transport(t)})
		if err != nil {
			t.Fatal(err)
		}
		if tt.deny {
			a.Deny("AADSTS7000222: The provided client secret keys are expired.")
		}
		err = s.CreateContainer(t.Context())
		if a.Apps.Load() != tt.tokens || tt.deny == (err == nil) {
			t.Errorf("%+v: %v after %d tokens", tt, err, a.Apps.Load())
		}
		var e *Error
		if tt.deny && (!errors.Is(err, store.ErrDenied) || !errors.As(err, &e) || e.Code != NotSignedIn || !strings.Contains(err.Error(), "AADSTS7000222") || s.Requests() != 0) {
			t.Errorf("%v after %d requests", err, s.Requests())
		}
	}
}

// The browser opens once per device.
func TestSignInInTheBrowser(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the browser that opens is the system's, and not this test's")
	}
	a := newAuthority(t)
	fakeBrowser(t, a)
	var said []string
	opts := a.chainOptions(t, &said, map[string]string{"DISPLAY": ":0"})
	opts.Terminal = true
	keeps := false
	if _, err := testCache(); err == nil {
		opts.cache, keeps = testCache, true
	}
	for _, auth := range []Auth{Auto, Browser, Auto} {
		opts.Auth = auth
		_, how, err := SignIn(t.Context(), store.AzureLocation("acct", "backup"), opts)
		if err != nil || !strings.Contains(how, entra.Person) {
			t.Fatalf("%s: %q, %v; said %q", auth, how, err, said)
		}
	}
	want := map[bool]int64{true: 1, false: 3}[keeps]
	if a.Browsers.Load() != want || a.Codes.Load() != 0 {
		t.Errorf("%d browsers and %d codes, want %d and none; said %q", a.Browsers.Load(), a.Codes.Load(), want, said)
	}
	t.Logf("this system keeps tokens: %v", keeps)
}

// Where no browser opens, it goes on with a code.
func TestNoBrowser(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the browser that opens is the system's, and not this test's")
	}
	a := newAuthority(t)
	azSays(t, "", 0)
	var said []string
	opts := a.chainOptions(t, &said, nil)
	opts.Auth = Browser
	_, how, err := SignIn(t.Context(), store.AzureLocation("acct", "backup"), opts)
	if all := strings.Join(said, "\n"); err != nil || !strings.Contains(all, "no browser opens here. It goes on with a code") || !strings.Contains(all, "ABC123") {
		t.Errorf("%q, %v; said %q", how, err, all)
	}
}

// fakeBrowser makes this test's own program the system's browser.
func fakeBrowser(t *testing.T, a *authority) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nSATCHEL_TEST_BROWSER=\"$1\" exec %s -test.run=TestBrowserProcess\n", self)
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	t.Setenv("SSL_CERT_FILE", a.CAFile) // for the browser: this process has its pool by now
	if _, err := exec.LookPath("az"); err == nil {
		t.Skip("there is an Azure CLI in /usr/bin, which may be signed in")
	}
}

// TestBrowserProcess is the browser of fakeBrowser.
func TestBrowserProcess(t *testing.T) {
	url := os.Getenv("SATCHEL_TEST_BROWSER")
	if url == "" {
		return
	}
	if err := entra.Browse(url); err != nil {
		t.Fatal(err)
	}
}

func TestCloudOfAHost(t *testing.T) {
	for _, tt := range []struct{ endpoint, env, authority string }{
		{"https://acct.blob.core.windows.net", "", "https://login.microsoftonline.com/"},
		{"https://acct.privatelink.blob.core.windows.net", "", "https://login.microsoftonline.com/"},
		{"https://acct.z01.blob.storage.azure.net", "", "https://login.microsoftonline.com/"},
		{"https://acct.blob.core.usgovcloudapi.net", "", "https://login.microsoftonline.us/"},
		{"https://acct.privatelink.blob.core.usgovcloudapi.net", "", "https://login.microsoftonline.us/"},
		{"https://acct.blob.core.chinacloudapi.cn", "", "https://login.chinacloudapi.cn/"},
		{"https://backup.clinic.example", "", "https://login.microsoftonline.com/"},
		{"https://acct.blob.core.windows.net", "https://adfs.clinic.example/", "https://adfs.clinic.example/"},
	} {
		opts := LoginOptions{Endpoint: tt.endpoint, Getenv: func(string) string { return tt.env }}
		if got := opts.authority(); got != tt.authority || opts.undiscovered() != (tt.env != "") {
			t.Errorf("%s: %s, not vouched for: %v", tt.endpoint, got, opts.undiscovered())
		}
	}
}
