package azure

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/google/go-cmp/cmp"

	"satchel/store"
	"satchel/store/storetest"
	"satchel/store/storetest/azurite"
)

// newStore opens a store in a fresh container of an Azurite.
func newStore(t *testing.T, srv *azurite.Server, cred Credential, prefix string) *Store {
	t.Helper()
	loc := location(t, srv.URL+"/"+srv.Container(t)+prefix)
	s, err := Open(loc, cred, Options{Connections: 16, Transport: srv.Transport(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateContainer(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func location(t *testing.T, url string) store.Location {
	t.Helper()
	loc, err := store.ParseLocation(url)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func key(t *testing.T) Credential {
	t.Helper()
	cred, err := KeyCredential(azurite.Account, azurite.Key)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func TestStoreWithKey(t *testing.T) {
	opts := storetest.Options{}
	if testing.Short() {
		opts.Many = 5_200
	}
	srv := azurite.Start(t, azurite.Options{})
	storetest.Run(t, func(t *testing.T) store.Store { return newStore(t, srv, key(t), "") }, opts)
}

func TestStoreWithTokenAndPrefix(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{OAuth: true})
	cred := TokenCredential(azurite.TokenCredential{})
	storetest.Run(t, func(t *testing.T) store.Store { return newStore(t, srv, cred, "/office/a-1") }, storetest.Options{Many: 300})
}

// What a call costs: the number of requests is the price and the round trips.
func TestRequestsOfACall(t *testing.T) {
	s := newStore(t, azurite.Start(t, azurite.Options{}), key(t), "")
	for i := range 101 {
		if err := s.Put(t.Context(), fmt.Sprintf("l/%03d", i), []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
	}
	get := func(off, n int64) { s.Get(t.Context(), "l/000", off, n) }
	list := func(prefix string, rows int) {
		for range s.List(t.Context(), prefix) {
			if rows--; rows == 0 {
				return
			}
		}
	}
	for _, tt := range []struct {
		name string
		call func()
		want int64
	}{
		{"put", func() { s.Put(t.Context(), "a", make([]byte, 1<<20)) }, 1},
		{"put of nothing", func() { s.Put(t.Context(), "b", nil) }, 1},
		{"put of a taken name", func() { s.Put(t.Context(), "a", nil) }, 1},
		{"get of all", func() { get(0, -1) }, 1},
		{"get of a range", func() { get(3, 4) }, 1},
		{"get past the end", func() { get(3, 40) }, 1},
		{"get of no bytes", func() { get(3, 0) }, 1},
		{"list of the newest", func() { list("l/", 1) }, 1},
		{"list of a page", func() { list("l/", 100) }, 1},
		{"list of all", func() { list("l/", -1) }, 2},
		{"list of nothing", func() { list("x/", -1) }, 1},
		{"delete", func() { s.Delete(t.Context(), "a") }, 1},
		{"an invalid name", func() { s.Delete(t.Context(), "A") }, 0},
	} {
		before := s.Requests()
		tt.call()
		if got := s.Requests() - before; got != tt.want {
			t.Errorf("%s: %d requests, want %d", tt.name, got, tt.want)
		}
	}
}

func TestContainer(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{})
	s := newStore(t, srv, key(t), "")
	if err := s.CreateContainer(t.Context()); !errors.Is(err, store.ErrExists) {
		t.Errorf("create again: %v, want ErrExists", err)
	}
	none, err := Open(location(t, srv.URL+"/none"), key(t), Options{Transport: srv.Transport(t)})
	if err != nil {
		t.Fatal(err)
	}
	_, getErr := none.Get(t.Context(), "a", 0, -1)
	_, sizeErr := none.Get(t.Context(), "a", 0, 0)
	var listErr error
	for _, listErr = range none.List(t.Context(), "") {
	}
	for op, err := range map[string]error{
		"put": none.Put(t.Context(), "a", nil), "get": getErr, "size": sizeErr, "list": listErr, "delete": none.Delete(t.Context(), "a"),
	} {
		if !errors.Is(err, store.ErrNoContainer) {
			t.Errorf("%s: %v, want ErrNoContainer", op, err)
		}
	}
}

func TestOtherBlobsAreNotListed(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{})
	whole := newStore(t, srv, key(t), "")
	part, err := Open(location(t, whole.loc.ContainerURL()+"/office"), key(t), Options{Transport: srv.Transport(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"office/a", "office-2/a", "officers", "a"} {
		if err := whole.Put(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := whole.container.NewBlockBlobClient("office/Read Me.txt").UploadBuffer(t.Context(), []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for o, err := range part.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.Name)
	}
	if diff := cmp.Diff([]string{"a"}, got); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

// A device with a create-only SAS can add to the store and not change it.
func TestCreateOnlySAS(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{})
	owner := newStore(t, srv, key(t), "")
	for _, tt := range []struct {
		permissions sas.ContainerPermissions
		again       error // of a Put to a taken name
	}{
		{sas.ContainerPermissions{Read: true, Create: true, List: true}, store.ErrExists},
		{sas.ContainerPermissions{Create: true}, store.ErrDenied}, // may not even look
	} {
		name := "l/" + map[bool]string{true: "r", false: "c"}[tt.permissions.Read]
		url, err := owner.container.GetSASURL(tt.permissions, time.Now().Add(time.Hour), nil)
		if err != nil {
			t.Fatal(err)
		}
		loc := location(t, url)
		cred, _, err := SignIn(t.Context(), loc, LoginOptions{Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(loc, cred, Options{Transport: srv.Transport(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), name, []byte("first")); err != nil {
			t.Fatal(err)
		}
		for _, data := range []string{"first", "other", "longer than the first"} {
			if err := s.Put(t.Context(), name, []byte(data)); !errors.Is(err, tt.again) {
				t.Errorf("%+v: put again: %v, want %v", tt.permissions, err, tt.again)
			}
		}
		if err := s.Delete(t.Context(), name); !errors.Is(err, store.ErrDenied) {
			t.Errorf("%+v: delete: %v, want ErrDenied", tt.permissions, err)
		}
		if data, err := owner.Get(t.Context(), name, 0, -1); err != nil || string(data) != "first" {
			t.Errorf("the object holds %q, %v", data, err)
		}
	}
}

func TestWrongKey(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{})
	cred, err := KeyCredential(azurite.Account, "d3Jvbmcga2V5")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(location(t, srv.URL+"/backup"), cred, Options{Transport: srv.Transport(t)})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Put(t.Context(), "a", nil)
	var e *Error
	if !errors.Is(err, store.ErrDenied) || !errors.As(err, &e) || e.Status != 403 || e.Code == "" {
		t.Errorf("put with a wrong key: %v, want ErrDenied with the service's code", err)
	}
}

// A byte that changes on its way is found by the checksum, and the object sent again.
func TestDamageInTransitIsRepaired(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{})
	tr := srv.Transport(t)
	puts := 0
	loc := location(t, srv.URL+"/"+srv.Container(t))
	s, err := Open(loc, key(t), Options{pace: pace{delay: time.Millisecond}, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut && r.ContentLength > 0 {
			if puts++; puts == 1 {
				r = r.Clone(r.Context())
				r.Body = io.NopCloser(strings.NewReader("Bytes"))
			}
		}
		return tr.RoundTrip(r)
	})})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateContainer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a", []byte("bytes")); err != nil {
		t.Fatal(err)
	}
	if data, err := s.Get(t.Context(), "a", 0, -1); err != nil || string(data) != "bytes" || puts != 2 {
		t.Errorf("%q, %v after %d puts; want the bytes after 2", data, err, puts)
	}
}

func TestUntrustedCertificateEndsAtOnce(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{TLS: true})
	s, err := Open(location(t, srv.URL+"/backup"), key(t), Options{Transport: &http.Transport{}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Put(t.Context(), "a", nil)
	if err == nil || !strings.Contains(err.Error(), "certificate") || s.Requests() != 1 {
		t.Errorf("%v after %d requests", err, s.Requests())
	}
}
