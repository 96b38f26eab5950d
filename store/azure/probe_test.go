package azure

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"satchel/store"
	"satchel/store/storetest/azurite"
	"satchel/store/storetest/proxy"
)

func TestProbe(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{})
	owner := newStore(t, srv, key(t), "")
	before := owner.Requests()
	if err := owner.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if n := owner.Requests() - before; n != 4 {
		t.Errorf("%d requests", n)
	}
	for o := range owner.List(t.Context(), "") {
		t.Errorf("%s is left", o.Name)
	}
	// A device that may not delete leaves the object.
	url, err := owner.container.GetSASURL(sas.ContainerPermissions{Read: true, Create: true, List: true}, time.Now().Add(time.Hour), nil)
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
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	for o := range owner.List(t.Context(), "") {
		if !regexp.MustCompile(`^probe/[0-9a-f]{32}$`).MatchString(o.Name) {
			t.Errorf("left %s", o.Name)
		}
	}
	none, err := Open(location(t, srv.URL+"/none"), key(t), Options{Transport: srv.Transport(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := none.Probe(t.Context()); !errors.Is(err, store.ErrNoContainer) {
		t.Errorf("%v, want ErrNoContainer", err)
	}
}

// Lost answers do not make a store look unsafe.
func TestProbeThroughFaults(t *testing.T) {
	b := newBench(t)
	for _, f := range []proxy.Fault{
		{Kind: proxy.Put, Effect: proxy.AnswerLanded, Status: 500},
		{Kind: proxy.Put, After: 1, Effect: proxy.AnswerLanded, Status: 500},
		{Kind: proxy.Delete, Effect: proxy.ResetAnswer, N: 20},
	} {
		p := proxy.Start(t, b.srv.URL)
		s, _ := through(t, p, b.container, key(t), patient)
		p.Add(f)
		if err := s.Probe(t.Context()); err != nil || p.Struck() != 1 {
			t.Errorf("%v after %d faults", err, p.Struck())
		}
	}
}

// gateway is a service that treats a condition as it likes.
func gateway(create func(objects map[string]string, name, data string) (status int)) roundTripper {
	objects := map[string]string{}
	return func(r *http.Request) (*http.Response, error) {
		switch r.Method {
		case http.MethodPut:
			data, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			if status := create(objects, r.URL.Path, string(data)); status != 201 {
				return reply(r, status, "BlobAlreadyExists", ""), nil
			}
			return reply(r, 201, "", ""), nil
		case http.MethodDelete:
			delete(objects, r.URL.Path)
			return reply(r, 202, "", ""), nil
		}
		data, ok := objects[r.URL.Path]
		if !ok {
			return reply(r, 404, "BlobNotFound", ""), nil
		}
		return reply(r, 200, "", data), nil
	}
}

func TestProbeFindsWhatIgnoresTheCondition(t *testing.T) {
	for name, tt := range map[string]struct {
		create func(objects map[string]string, name, data string) int
		unsafe bool
	}{
		"honours it": {func(o map[string]string, name, data string) int {
			if _, ok := o[name]; ok {
				return 409
			}
			o[name] = data
			return 201
		}, false},
		"ignores it":            {func(o map[string]string, name, data string) int { o[name] = data; return 201 }, true},
		"keeps the first bytes": {func(o map[string]string, name, data string) int { o[name] = data; return 201 }, true},
		"refuses, and overwrites": {func(o map[string]string, name, data string) int {
			_, ok := o[name]
			if o[name] = data; ok {
				return 409
			}
			return 201
		}, true},
		"refuses everything": {func(map[string]string, string, string) int { return 409 }, true},
		"says yes and does nothing the second time": {func(o map[string]string, name, data string) int {
			if _, ok := o[name]; !ok {
				o[name] = data
			}
			return 201
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := fakeStore(t, key(t), gateway(tt.create))
			err := s.Probe(t.Context())
			if errors.Is(err, store.ErrUnsafe) != tt.unsafe || (err != nil) != tt.unsafe {
				t.Errorf("%v", err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), `azure container "backup": probe probe/`) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestProbeEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fakeStore(t, key(t), stalled)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Probe(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnsafe) {
			t.Error(err)
		}
	})
}
