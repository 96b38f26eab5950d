package azure

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"golang.org/x/sync/errgroup"

	"satchel/store"
	"satchel/store/storetest/azurite"
)

// source hands out tokens "1", "2", ... that it believes to hold for an hour.
type source struct {
	asked atomic.Int64
	last  atomic.Pointer[policy.TokenRequestOptions]
	fails int64                // from this request on, if not 0
	token func(n int64) string // nil: the number
}

func (s *source) GetToken(_ context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	n := s.asked.Add(1)
	s.last.Store(&opts)
	if s.fails != 0 && n >= s.fails {
		return azcore.AccessToken{}, errors.New("the session has ended")
	}
	token := fmt.Sprint(n)
	if s.token != nil {
		token = s.token(n)
	}
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

const storageChallenge = `Bearer authorization_uri=https://login.microsoftonline.com/t/oauth2/authorize resource_id=https://storage.azure.com`

func TestRefusedTokenIsReplacedOnce(t *testing.T) {
	claims := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true,"value":"1"}}}`))
	for _, tt := range []struct {
		name      string
		status    int
		code      string
		challenge string
	}{
		{"expired, with the service's challenge", 401, "InvalidAuthenticationInfo", storageChallenge},
		{"expired, without a challenge", 401, "InvalidAuthenticationInfo", ""},
		{"another code", 401, "AuthenticationFailed", ""},
		{"no code", 401, "", "Bearer"},
		{"as Azurite says it", 403, "AuthenticationFailed", ""},
		{"a malformed one", 400, "InvalidAuthenticationInfo", ""},
		{"a challenge for another resource", 401, "InvalidAuthenticationInfo", `Bearer authorization_uri=https://x/y/z resource_id=https://vault.azure.net`},
		{"continuous access evaluation", 401, "InvalidAuthenticationInfo", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="` + claims + `"`},
	} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", tt.name, again), func(t *testing.T) {
				tokens, valid := &source{}, "Bearer 1"
				var sent []string
				s := fakeStore(t, TokenCredential(tokens), func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPut {
						body, err := io.ReadAll(r.Body)
						if err != nil {
							return nil, err
						}
						sent = append(sent, string(body))
					}
					if r.Header.Get("Authorization") != valid {
						headers := []string{}
						if tt.challenge != "" {
							headers = []string{"WWW-Authenticate", tt.challenge}
						}
						return reply(r, tt.status, tt.code, "<Error><Message>Lifetime validation failed. The token is expired.</Message></Error>", headers...), nil
					}
					return reply(r, map[string]int{"PUT": 201, "DELETE": 202}[r.Method], "", ""), nil
				})
				if err := put(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				if valid = "Bearer 2"; again {
					valid = "none"
				}
				err := put(t.Context(), s)
				var e *Error
				if !again && (err != nil || tokens.asked.Load() != 2 || len(sent) != 3) {
					t.Errorf("%v after %d tokens and %d requests", err, tokens.asked.Load(), len(sent))
				}
				if again && (!errors.Is(err, store.ErrDenied) || !errors.As(err, &e) || e.Status != tt.status || e.Code != tt.code || tokens.asked.Load() != 2 || len(sent) != 3) {
					t.Errorf("refused again: %v after %d tokens and %d requests", err, tokens.asked.Load(), len(sent))
				}
				for _, data := range sent {
					if data != "data" {
						t.Errorf("sent %q", data)
					}
				}
				opts := tokens.last.Load()
				if len(opts.Scopes) != 1 || opts.Scopes[0] != storageScope || !opts.EnableCAE {
					t.Errorf("asked for %+v", opts)
				}
				if wants := strings.Contains(tt.challenge, "claims"); wants != (opts.Claims != "") {
					t.Errorf("claims %q", opts.Claims)
				}
				if err := s.Delete(t.Context(), "a"); again != errors.Is(err, store.ErrDenied) {
					t.Error(err)
				}
			})
		}
	}
}

// Calls that all find the token expired go on, with the race detector as witness.
func TestTokenExpiresUnderManyCalls(t *testing.T) {
	tokens := &source{}
	var valid atomic.Int64
	valid.Store(1)
	s := fakeStore(t, TokenCredential(tokens), func(r *http.Request) (*http.Response, error) {
		var n int64
		if fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %d", &n); n < valid.Load() {
			return reply(r, 401, "InvalidAuthenticationInfo", "", "WWW-Authenticate", storageChallenge), nil
		}
		return reply(r, 201, "", ""), nil
	})
	var g errgroup.Group
	for i := range 32 {
		g.Go(func() error {
			if i == 16 {
				valid.Store(2)
			}
			for range 10 {
				if err := put(t.Context(), s); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d tokens", tokens.asked.Load())
}

func TestNoOtherTokenReadsAsNotSignedIn(t *testing.T) {
	tokens := &source{fails: 2}
	s := fakeStore(t, TokenCredential(tokens), func(r *http.Request) (*http.Response, error) {
		return reply(r, 401, "InvalidAuthenticationInfo", "", "WWW-Authenticate", storageChallenge), nil
	})
	err := put(t.Context(), s)
	var e *Error
	if !errors.Is(err, store.ErrDenied) || !errors.As(err, &e) || e.Code != NotSignedIn || !strings.Contains(err.Error(), "the session has ended") || s.Requests() != 1 {
		t.Errorf("%v after %d requests", err, s.Requests())
	}
}

// A service that is hours ahead finds a token expired that this device thinks good: what
// the person can do something about is the clock.
func TestWrongClockIsNamed(t *testing.T) {
	s := fakeStore(t, TokenCredential(&source{}), func(r *http.Request) (*http.Response, error) {
		return reply(r, 401, "InvalidAuthenticationInfo", "", "Date", time.Now().Add(3*time.Hour).UTC().Format(http.TimeFormat)), nil
	})
	if err := put(t.Context(), s); !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), "clock is 3h0m0s off") && !strings.Contains(err.Error(), "clock is 2h59m59s off") {
		t.Error(err)
	}
}

// The same with a service that reads its tokens, in the middle of a push.
func TestTokenExpiresInAzurite(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{OAuth: true})
	good, _ := azurite.Token()
	tokens := &source{token: func(n int64) string {
		if n == 1 {
			return azurite.ExpiredToken()
		}
		return good
	}}
	s := newStore(t, srv, TokenCredential(tokens), "")
	for i := range 3 {
		if err := s.Put(t.Context(), fmt.Sprintf("a/%d", i), stuff("a", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if n := tokens.asked.Load(); n != 2 {
		t.Errorf("asked for %d tokens", n)
	}
	bad := &source{token: func(int64) string { return azurite.ExpiredToken() }}
	s, err := Open(s.loc, TokenCredential(bad), Options{Transport: srv.Transport(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "b", nil); !errors.Is(err, store.ErrDenied) || bad.asked.Load() != 2 {
		t.Errorf("%v after %d tokens", err, bad.asked.Load())
	}
}
