// Package entra is an Entra ID on loopback over TLS, for tests of signing in.
//
//	srv := entra.Start(t)
//	opts.Authority, opts.Transport = srv.URL, srv.Client().Transport
//
// It knows one person, Person, one application, App with Secret, and one tenant. A code is
// as good as typed in once it is shown; Browse is a browser. Its tokens are those that Azurite
// takes.
package entra

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"satchel/store/storetest/azurite"
)

// Who is known there.
const (
	Tenant = "00000000-0000-0000-0000-000000000001"
	Person = "jane@clinic.example"
	App    = "00000000-0000-0000-0000-00000000000a"
	Secret = "the application's secret"
)

const scope = "https://storage.azure.com/.default"

// Server is a running one.
type Server struct {
	*httptest.Server
	CAFile string // its certificate as a PEM file, for SSL_CERT_FILE

	Refuse   atomic.Pointer[string] // what the tenant says to everybody, such as "AADSTS53003: …"
	Expired  atomic.Int64           // how many of the next tokens have expired before they are used
	Codes    atomic.Int64           // sign-ins by code so far
	Browsers atomic.Int64           // and in a browser
	Apps     atomic.Int64           // and tokens for the application
	Asked    atomic.Int64           // requests for tokens, refused ones too
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	s := &Server{CAFile: filepath.Join(t.TempDir(), "entra.pem")}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.configuration)
	mux.HandleFunc("GET /{tenant}/oauth2/v2.0/authorize", s.authorize)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/devicecode", s.deviceCode)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.token)
	s.Server = httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(s.CAFile, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// Deny makes the tenant refuse everybody, with these words.
func (s *Server) Deny(words string) { s.Refuse.Store(&words) }

func (s *Server) configuration(w http.ResponseWriter, r *http.Request) {
	base := s.URL + "/" + r.PathValue("tenant")
	answer(w, http.StatusOK, map[string]any{
		"issuer":                        base + "/v2.0",
		"authorization_endpoint":        base + "/oauth2/v2.0/authorize",
		"device_authorization_endpoint": base + "/oauth2/v2.0/devicecode",
		"token_endpoint":                base + "/oauth2/v2.0/token",
	})
}

// authorize answers with the form that a browser then posts (response_mode=form_post).
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	s.Browsers.Add(1)
	w.Header().Set("Content-Type", "text/html")
	form.Execute(w, map[string]string{"To": r.FormValue("redirect_uri"), "State": r.FormValue("state")})
}

var form = template.Must(template.New("").Parse(`<form method="post" action="{{.To}}"><input name="code" value="browser"><input name="state" value="{{.State}}"></form>`))

// Browse is the browser of somebody who signs in: it opens a page as /authorize serves it, and posts
// what that says. It trusts SSL_CERT_FILE.
func Browse(page string) error {
	u, err := url.Parse(page)
	if err != nil {
		return err
	}
	resp, err := http.Get(page)
	if err != nil {
		return err
	}
	resp.Body.Close()
	q := u.Query()
	resp, err = http.PostForm(q.Get("redirect_uri"), url.Values{"code": {"browser"}, "state": {q.Get("state")}})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (s *Server) deviceCode(w http.ResponseWriter, r *http.Request) {
	s.Codes.Add(1)
	answer(w, http.StatusOK, map[string]any{
		"device_code": "device", "user_code": "ABC123", "verification_uri": s.URL + "/device",
		"expires_in": 900, "interval": 1, "message": "Open " + s.URL + "/device and enter ABC123.",
	})
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.Asked.Add(1)
	refuse := func(kind, words string) {
		answer(w, http.StatusBadRequest, map[string]any{"error": kind, "error_description": words + "\r\nTrace ID: 1"})
	}
	app := r.FormValue("grant_type") == "client_credentials"
	switch words := s.Refuse.Load(); {
	case words != nil:
		refuse("access_denied", *words)
		return
	case !strings.Contains(r.FormValue("scope"), scope):
		refuse("invalid_scope", "AADSTS70011: the scope is not known")
		return
	case app && (r.FormValue("client_id") != App || r.FormValue("client_secret") != Secret):
		refuse("invalid_client", "AADSTS7000215: Invalid client secret provided.")
		return
	}
	access, _ := azurite.Token()
	grant := map[string]any{"token_type": "Bearer", "scope": scope, "expires_in": 3600, "access_token": access}
	if s.Expired.Add(-1) >= 0 {
		grant["access_token"], grant["expires_in"] = azurite.ExpiredToken(), 1
	}
	if app {
		s.Apps.Add(1)
		answer(w, http.StatusOK, grant)
		return
	}
	grant["refresh_token"] = "refresh"
	grant["id_token"] = encode(map[string]any{"alg": "none"}) + "." + encode(map[string]any{
		"iss": s.URL + "/" + Tenant + "/v2.0", "aud": r.FormValue("client_id"), "tid": Tenant, "oid": "jane", "sub": "jane",
		"preferred_username": Person, "iat": 1, "nbf": 1, "exp": int64(1) << 33,
	}) + "."
	grant["client_info"] = encode(map[string]any{"uid": "jane", "utid": Tenant})
	answer(w, http.StatusOK, grant)
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
