package azure

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"satchel/store"
	"satchel/store/storetest/azurite"
)

// authority is an Entra ID on loopback: a code is as good as typed in once it is shown.
type authority struct {
	*httptest.Server
	refuse  atomic.Bool
	devices atomic.Int64 // sign-ins by code
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", a.configuration)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/devicecode", a.deviceCode)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", a.token)
	a.Server = httptest.NewTLSServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) configuration(w http.ResponseWriter, r *http.Request) {
	base := a.URL + "/" + r.PathValue("tenant")
	answerJSON(w, http.StatusOK, map[string]any{
		"issuer":                        base + "/v2.0",
		"authorization_endpoint":        base + "/oauth2/v2.0/authorize",
		"device_authorization_endpoint": base + "/oauth2/v2.0/devicecode",
		"token_endpoint":                base + "/oauth2/v2.0/token",
	})
}

func (a *authority) deviceCode(w http.ResponseWriter, r *http.Request) {
	a.devices.Add(1)
	answerJSON(w, http.StatusOK, map[string]any{
		"device_code": "device", "user_code": "ABC123", "verification_uri": a.URL + "/device",
		"expires_in": 900, "interval": 1, "message": "Open " + a.URL + "/device and enter ABC123.",
	})
}

func (a *authority) token(w http.ResponseWriter, r *http.Request) {
	if a.refuse.Load() {
		answerJSON(w, http.StatusBadRequest, map[string]any{"error": "access_denied", "error_description": "AADSTS53003: blocked by Conditional Access\r\nTrace ID: 1"})
		return
	}
	if !strings.Contains(r.FormValue("scope"), storageScope) {
		answerJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_scope"})
		return
	}
	const tenant = "00000000-0000-0000-0000-000000000001"
	id := map[string]any{
		"iss": a.URL + "/" + tenant + "/v2.0", "aud": r.FormValue("client_id"), "tid": tenant, "oid": "jane", "sub": "jane",
		"preferred_username": "jane@clinic.example", "iat": 1, "nbf": 1, "exp": int64(1) << 33,
	}
	access, _ := azurite.Token()
	answerJSON(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "scope": storageScope, "expires_in": 3600, "access_token": access, "refresh_token": "refresh",
		"id_token":    encode(map[string]any{"alg": "none"}) + "." + encode(id) + ".",
		"client_info": encode(map[string]any{"uid": "jane", "utid": tenant}),
	})
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func (a *authority) options(t *testing.T, said *[]string) LoginOptions {
	return LoginOptions{
		Dir:        t.TempDir(),
		DeviceCode: true,
		Prompt:     func(msg string) { *said = append(*said, msg) },
		Authority:  a.URL,
		Transport:  a.Client().Transport,
		cache:      func() (azidentity.Cache, error) { return azidentity.Cache{}, errors.New("no keyring here") },
	}
}

// A person signs in by a code, and the store then takes their token.
func TestLoginByCode(t *testing.T) {
	a := newAuthority(t)
	var said []string
	opts := a.options(t, &said)
	session, err := Login(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if session.Account != "jane@clinic.example" || session.Remembered {
		t.Errorf("%+v", session)
	}
	if len(said) != 2 || !strings.Contains(said[0], "ABC123") || !strings.Contains(said[1], "no keyring here") {
		t.Errorf("said %q", said)
	}
	if _, err := os.Stat(filepath.Join(opts.Dir, recordFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what cannot be used later is remembered: %v", err)
	}
	s := newStore(t, azurite.Start(t, azurite.Options{OAuth: true}), session.Credential, "")
	for i := range 3 {
		if err := s.Put(t.Context(), fmt.Sprintf("a/%d", i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.devices.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Where the system keeps tokens, another process is signed in without a question.
func TestLoginIsRemembered(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{OAuth: true})
	t.Setenv("HOME", t.TempDir()) // for the lock files beside the keyring
	if _, err := testCache(); err != nil {
		t.Logf("this system keeps no tokens (%v): TestLoginByCode covers that", err)
		return
	}
	a := newAuthority(t)
	var said []string
	opts := a.options(t, &said)
	opts.cache = testCache
	session, err := Login(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if !session.Remembered || len(said) != 1 {
		t.Errorf("%+v; said %q", session, said)
	}
	info, err := os.Stat(filepath.Join(opts.Dir, recordFile))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the record has mode %v", info.Mode())
	}
	cred, how, err := Credentials(location(t, srv.URL+"/backup"), func(string) string { return "" }, opts)
	if err != nil || !strings.Contains(how, "jane@clinic.example") {
		t.Fatalf("%q, %v", how, err)
	}
	newStore(t, srv, cred, "") // makes a container
	if n := a.devices.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestRefusedLogin(t *testing.T) {
	a := newAuthority(t)
	a.refuse.Store(true)
	var said []string
	_, err := Login(t.Context(), a.options(t, &said))
	if !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), "Conditional Access") || strings.Contains(err.Error(), "Trace ID") {
		t.Errorf("%v, want ErrDenied with the tenant's words", err)
	}
}

func TestLoginOffline(t *testing.T) {
	a := newAuthority(t)
	var said []string
	opts := a.options(t, &said)
	opts.Transport = failure(&net.DNSError{Err: "no such host", Name: "login.microsoftonline.com", IsNotFound: true})
	_, err := Login(t.Context(), opts)
	var dns *net.DNSError
	if errors.Is(err, store.ErrDenied) || !errors.As(err, &dns) {
		t.Errorf("%v, want the network's error", err)
	}
}

// A sign-in that was remembered and cannot be renewed says whose it is.
func TestEndedSignIn(t *testing.T) {
	a := newAuthority(t)
	var said []string
	opts := a.options(t, &said)
	opts.cache = func() (azidentity.Cache, error) { return azidentity.Cache{}, nil } // emptied by a restart
	if _, err := Login(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	loc := store.AzureLocation("acct", "backup")
	cred, _, err := Credentials(loc, func(string) string { return "" }, opts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(loc, cred, Options{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("a request went out without a token")
		return nil, errors.New("no")
	})})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Put(t.Context(), "a", nil)
	var e *Error
	if !errors.Is(err, store.ErrDenied) || !errors.As(err, &e) || e.Code != NotSignedIn || !strings.Contains(err.Error(), "jane@clinic.example") {
		t.Errorf("%v, want ErrDenied with code %s and the account", err, NotSignedIn)
	}
}

func TestBrowserLikely(t *testing.T) {
	for _, tt := range []struct {
		goos string
		env  map[string]string
		want bool
	}{
		{"windows", nil, true},
		{"darwin", nil, true},
		{"darwin", map[string]string{"SSH_CONNECTION": "x"}, false},
		{"linux", nil, false},
		{"linux", map[string]string{"DISPLAY": ":0"}, true},
		{"linux", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, true},
		{"linux", map[string]string{"DISPLAY": "localhost:10.0", "SSH_TTY": "/dev/pts/0"}, false},
	} {
		if got := browserLikely(tt.goos, func(name string) string { return tt.env[name] }); got != tt.want {
			t.Errorf("%s %v: %v", tt.goos, tt.env, got)
		}
	}
}
