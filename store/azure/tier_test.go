package azure

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"satchel/store/storetest/azurite"
)

func TestOnlyDataPacksHaveATier(t *testing.T) {
	for tier, want := range map[string]string{"": "", "hot": "Hot", "cool": "Cool", "cold": "Cold"} {
		got := map[string]string{}
		cred := key(t)
		cred.account = "acct"
		s, err := Open(location(t, "https://acct.blob.core.windows.net/backup/p"), cred, Options{Tier: tier, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			got[strings.TrimPrefix(r.URL.Path, "/backup/p/")] = header(r, "x-ms-access-tier")
			return reply(r, 201, "", ""), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"d/1", "t/1", "l/1", "i/1", "s/1", "k/1", "a/1", "satchel"} {
			if err := s.Put(t.Context(), name, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if got[name] != "" && name != "d/1" {
				t.Errorf("tier %q: %s lies in %q", tier, name, got[name])
			}
		}
		if got["d/1"] != want {
			t.Errorf("tier %q: a data pack lies in %q", tier, got["d/1"])
		}
	}
	cred := key(t)
	cred.account = "acct"
	for _, tier := range []string{"archive", "Hot", "warm"} {
		if _, err := Open(location(t, "https://acct.blob.core.windows.net/backup"), cred, Options{Tier: tier}); err == nil {
			t.Errorf("tier %q was taken", tier)
		}
	}
}

func TestRehydrate(t *testing.T) {
	s := newStore(t, azurite.Start(t, azurite.Options{}), key(t), "/p")
	for _, name := range []string{"d/1", "d/2", "d/3", "t/1"} {
		if err := s.Put(t.Context(), name, []byte("four")); err != nil {
			t.Fatal(err)
		}
		if name != "d/3" {
			if _, err := s.blob(name).SetTier(t.Context(), blob.AccessTierArchive, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	var archived *Error
	if _, err := s.Get(t.Context(), "d/1", 0, -1); !errors.As(err, &archived) || archived.Code != "BlobArchived" {
		t.Fatalf("an archived object gives %v", err)
	}
	got, err := s.Rehydrate(t.Context(), func(name string) bool { return name != "d/2" })
	if err != nil || got.Started != 2 || got.Waiting != 0 || got.Bytes != 8 {
		t.Fatalf("%+v, %v", got, err)
	}
	if b, err := s.Get(t.Context(), "d/1", 0, -1); err != nil || string(b) != "four" { // Azurite has it at once
		t.Errorf("what was brought back gives %q, %v", b, err)
	}
	if _, err := s.Get(t.Context(), "d/2", 0, -1); err == nil {
		t.Error("what was not wanted was brought back")
	}
}

const archivedPage = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://acct.blob.core.windows.net/" ContainerName="backup"><Blobs>
<Blob><Name>d/1</Name><Properties><Content-Length>3</Content-Length><AccessTier>Archive</AccessTier><ArchiveStatus>rehydrate-pending-to-hot</ArchiveStatus></Properties></Blob>
<Blob><Name>d/2</Name><Properties><Content-Length>4</Content-Length><AccessTier>Archive</AccessTier></Properties></Blob>
</Blobs><NextMarker /></EnumerationResults>`

func TestRehydrateBeginsOnce(t *testing.T) {
	var begun []string
	s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			begun = append(begun, r.URL.Path+" "+header(r, "x-ms-access-tier"))
			return reply(r, 202, "", ""), nil
		}
		return reply(r, 200, "", archivedPage, "Content-Type", "application/xml"), nil
	})
	got, err := s.Rehydrate(t.Context(), func(string) bool { return true })
	if err != nil || got != (Rehydrating{Started: 1, Waiting: 1, Bytes: 7}) || strings.Join(begun, ",") != "/backup/d/2 Hot" {
		t.Errorf("%+v, %v; begun: %v", got, err, begun)
	}
}
