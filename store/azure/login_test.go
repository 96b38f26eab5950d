package azure

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"satchel/store"
	"satchel/store/storetest/azurite"
	"satchel/store/storetest/entra"
)

// authority is an Entra ID on loopback.
type authority struct{ *entra.Server }

func newAuthority(t *testing.T) *authority { return &authority{entra.Start(t)} }

func (a *authority) options(t *testing.T, said *[]string) LoginOptions {
	return LoginOptions{
		Dir:        t.TempDir(),
		DeviceCode: true,
		Prompt:     func(msg string) { *said = append(*said, msg) },
		Authority:  a.URL,
		Transport:  loopback(a.Client().Transport),
		Getenv:     func(string) string { return "" },
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
	if n := a.Codes.Load(); n != 1 {
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
	cred, how, err := SignIn(t.Context(), location(t, srv.URL+"/backup"), opts)
	if err != nil || !strings.Contains(how, "jane@clinic.example") {
		t.Fatalf("%q, %v", how, err)
	}
	newStore(t, srv, cred, "") // makes a container
	if n := a.Codes.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestRefusedLogin(t *testing.T) {
	a := newAuthority(t)
	a.Deny("AADSTS53003: blocked by Conditional Access")
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

// A sign-in that was remembered and cannot be renewed says whose it is, and asks again.
func TestEndedSignIn(t *testing.T) {
	a := newAuthority(t)
	var said []string
	opts := a.options(t, &said)
	opts.cache = func() (azidentity.Cache, error) { return azidentity.Cache{}, nil } // emptied by a restart
	if _, err := Login(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	said = nil
	_, how, err := SignIn(t.Context(), store.AzureLocation("acct", "backup"), opts)
	if err != nil || how != "sign-in of "+entra.Person || a.Codes.Load() != 2 {
		t.Errorf("%q, %v after %d codes", how, err, a.Codes.Load())
	}
	if len(said) != 2 || !strings.Contains(said[0], "sign-in of "+entra.Person) || !strings.Contains(said[0], "has ended") || !strings.Contains(said[1], "ABC123") {
		t.Errorf("said %q", said)
	}
	opts.Prompt = nil
	_, _, err = SignIn(t.Context(), store.AzureLocation("acct", "backup"), opts)
	if !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), entra.Person) {
		t.Errorf("%v, want ErrDenied with the account", err)
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
