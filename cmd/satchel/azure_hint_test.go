package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"satchel/store"
	"satchel/store/azure"
)

// answers is a service that always answers the same.
type answers struct {
	status int
	code   string
	header map[string]string
	skew   time.Duration
}

func (s answers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("x-ms-request-id", "42")
	w.Header().Set("Date", time.Now().Add(s.skew).UTC().Format(http.TimeFormat))
	if s.code != "" {
		w.Header().Set("x-ms-error-code", s.code)
	}
	for k, v := range s.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(s.status)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// person is a sign-in of somebody of a tenant.
type person struct{ claims string }

func (p person) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "e30." + base64.RawURLEncoding.EncodeToString([]byte(p.claims)) + ".x", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

const (
	jane = `{"oid":"11111111-2222-3333-4444-555555555555","tid":"home","upn":"jane@clinic.example"}`
	bot  = `{"oid":"99999999-2222-3333-4444-555555555555","tid":"home","idtyp":"app"}`
)

// Each answer of Azure's has one clear line and the next step.
func TestWordsForAzureAnswers(t *testing.T) {
	byToken := func(claims string) azure.Credential { return azure.TokenCredential(person{claims}) }
	key, err := azure.KeyCredential("acct", "a2V5")
	if err != nil {
		t.Fatal(err)
	}
	sasUntil := func(end string) azure.Credential {
		cred, err := azure.SASCredential("sv=2024-11-04&sp=rl&sig=x&se=" + end)
		if err != nil {
			t.Fatal(err)
		}
		return cred
	}
	sas := sasUntil("2999-01-01T00:00:00Z")
	signIn, robot := byToken(jane), byToken(bot)
	const role = `az role assignment create --role "Storage Blob Data Contributor" --assignee-object-id 11111111-2222-3333-4444-555555555555 --assignee-principal-type User --scope "$(az storage account show --name acct --query id --output tsv)/blobServices/default/containers/backup"`
	challenge := map[string]string{"WWW-Authenticate": "Bearer authorization_uri=https://login.microsoftonline.com/work/oauth2/authorize resource_id=https://storage.azure.com"}
	for _, tt := range []struct {
		name string
		cred azure.Credential
		answers
		exit  int
		hints []string
	}{
		{"no role", signIn, answers{status: 403, code: "AuthorizationPermissionMismatch"}, 7, []string{"Owner is not enough", role, "ten minutes; --wait"}},
		{"no role, an application", robot, answers{status: 403, code: "AuthorizationPermissionMismatch"}, 7, []string{"--assignee-object-id 99999999-2222-3333-4444-555555555555 --assignee-principal-type ServicePrincipal"}},
		{"no role, unknown", byToken("{}"), answers{status: 403, code: "AuthorizationPermissionMismatch"}, 7, []string{`--assignee "NAME@DOMAIN"`}},
		{"SAS without the right", sas, answers{status: 403, code: "AuthorizationPermissionMismatch"}, 7, []string{"sp=rcl"}},
		{"firewall", signIn, answers{status: 403, code: "AuthorizationFailure"}, 7, []string{"firewall", "az storage account network-rule add --account-name acct"}},
		{"firewall or key", key, answers{status: 403, code: "AuthorizationFailure"}, 7, []string{"The key or signature is wrong", "firewall"}},
		{"wrong tenant", signIn, answers{status: 401, code: "InvalidAuthenticationInfo", header: challenge}, 7, []string{"signed in to tenant home", "satchel login --tenant work"}},
		{"wrong key", key, answers{status: 403, code: "AuthenticationFailed"}, 7, []string{"copy it anew", "account acct"}},
		{"wrong SAS", sas, answers{status: 403, code: "AuthenticationFailed"}, 7, []string{"copy it whole"}},
		{"SAS that ended", sasUntil("2026-01-02T03:04:05Z"), answers{status: 403, code: "AuthenticationFailed"}, 7, []string{"ended on 2026-01-0", "make a new one"}},
		{"SAS that ended, by the day", sasUntil("2026-01-02"), answers{status: 403, code: "AuthenticationFailed"}, 7, []string{"ended on 2026-01-0"}},
		{"clock", key, answers{status: 403, code: "AuthenticationFailed", skew: 3 * time.Hour}, 7, []string{"clock right: timedatectl"}},
		{"SAS for other addresses", sas, answers{status: 403, code: "AuthorizationSourceIPMismatch"}, 7, []string{"other addresses"}},
		{"SAS for https", sas, answers{status: 403, code: "AuthorizationProtocolMismatch"}, 7, []string{"https"}},
		{"SAS for queues", sas, answers{status: 403, code: "AuthorizationServiceMismatch"}, 7, []string{"service Blob"}},
		{"SAS for services", sas, answers{status: 403, code: "AuthorizationResourceTypeMismatch"}, 7, []string{"Container and Object"}},
		{"no keys", key, answers{status: 403, code: "KeyBasedAuthenticationNotPermitted"}, 7, []string{"takes no keys", "satchel login"}},
		{"disabled", signIn, answers{status: 403, code: "AccountIsDisabled"}, 7, []string{"subscription"}},
		{"its own key is away", signIn, answers{status: 403, code: "KeyVaultEncryptionKeyNotFound"}, 7, []string{"Key Vault"}},
		{"another 403", signIn, answers{status: 403, code: "SomethingNew"}, 7, []string{"satchel login"}},
		{"being deleted", signIn, answers{status: 409, code: "ContainerBeingDeleted"}, 1, []string{"half a minute"}},
		{"archive", signIn, answers{status: 409, code: "BlobArchived"}, 1, []string{"archive tier", "az storage blob set-tier --account-name acct --container-name backup --name p/a --tier Hot"}},
		{"on its way back", signIn, answers{status: 409, code: "BlobBeingRehydrated"}, 1, []string{"15 hours"}},
		{"throttled", signIn, answers{status: 503, code: "ServerBusy", header: map[string]string{"Retry-After": "3600"}}, 1, []string{"--connections"}},
		{"leased", signIn, answers{status: 412, code: "LeaseIdMissing"}, 1, []string{"lease"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			loc, err := store.ParseLocation("https://acct.blob.core.windows.net/backup/p")
			if err != nil {
				t.Fatal(err)
			}
			s, err := azure.Open(loc, tt.cred, azure.Options{Transport: tt.answers})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Get(t.Context(), "a", 0, -1)
			code, hint := words(t, err)
			if code != tt.exit || !strings.Contains(err.Error(), tt.code) {
				t.Errorf("exit %d, want %d: %v", code, tt.exit, err)
			}
			for _, want := range tt.hints {
				if !strings.Contains(hint, want) {
					t.Errorf("%v\n%s\nlacks %q", err, hint, want)
				}
			}
		})
	}
}

// words is what a person on Linux is told.
func words(t *testing.T, err error) (code int, hint string) {
	e, ok := errors.AsType[*azure.Error](err)
	if !ok {
		t.Fatalf("%v is none of Azure's", err)
	}
	var g globals
	a := newApp(t.Context(), &g, nil, &bytes.Buffer{}, &bytes.Buffer{})
	code, _ = explain(a, err)
	return code, cloudHint(e, "linux")
}

// A container that is not there yet is not a scope: the role is given on the account.
func TestRoleToMakeAContainer(t *testing.T) {
	e := &azure.Error{Account: "acct", Container: "backup", Op: "create container"}
	if got := roleCommand(e); !strings.HasSuffix(got, `--scope "$(az storage account show --name acct --query id --output tsv)"`) {
		t.Error(got)
	}
}

func TestWordsForEntra(t *testing.T) {
	for text, want := range map[string]string{
		"AADSTS50020: User account from identity provider does not exist in tenant": "satchel login --tenant",
		"AADSTS7000222: The provided client secret keys are expired.":               "has ended",
		"AADSTS7000215: Invalid client secret provided.":                            "is another",
		"AADSTS53003: blocked by Conditional Access":                                "Conditional Access",
		"AADSTS123: something new":                                                  "satchel login",
	} {
		if got := signInHint("not signed in: " + text); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// --wait asks until the role is known there, and no longer than ten minutes. No time passes.
func TestWaitForARole(t *testing.T) {
	for _, tt := range []struct {
		name    string
		wait    bool
		code    string
		denials int
		asked   int
		waited  time.Duration
		denied  bool
	}{
		{"it comes", true, "AuthorizationPermissionMismatch", 7, 8, 70 * time.Second, false},
		{"it never comes", true, "AuthorizationPermissionMismatch", 1000, 61, 10 * time.Minute, true},
		{"without --wait", false, "AuthorizationPermissionMismatch", 1, 1, 0, true},
		{"something else", true, "AuthorizationFailure", 1000, 1, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			loc := store.AzureLocation("acct", "backup")
			asked, waited := 0, time.Duration(0)
			s, err := azure.Open(loc, azure.TokenCredential(person{jane}), azure.Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if asked++; asked <= tt.denials {
					return answers{status: 403, code: tt.code}.RoundTrip(r)
				}
				return answers{status: 404, code: "BlobNotFound"}.RoundTrip(r)
			})})
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			a := newApp(t.Context(), &globals{Wait: tt.wait}, nil, &out, &out)
			a.sleep = func(_ context.Context, d time.Duration) error { waited += d; return nil }
			err = a.awaitRole(func() error { _, err := s.Get(t.Context(), "a", 0, -1); return err })
			if errors.Is(err, store.ErrDenied) != tt.denied || asked != tt.asked || waited != tt.waited {
				t.Errorf("%v after %d requests and %v, want %d and %v", err, asked, waited, tt.asked, tt.waited)
			}
			if want := tt.waited > 0; strings.Contains(out.String(), "up to ten minutes") != want {
				t.Errorf("said %q", fmt.Sprint(&out))
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
