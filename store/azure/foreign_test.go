package azure

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"satchel/store"
)

const foreignPage = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://acct.blob.core.windows.net/" ContainerName="backup"><Blobs>
<Blob><Name>data/a.txt</Name><VersionId>2026-01-01T00:00:00Z</VersionId><IsCurrentVersion>true</IsCurrentVersion><Properties><Content-Length>3</Content-Length></Properties><Metadata><SHA256>AB</SHA256></Metadata></Blob>
<Blob><Name>data/a.txt</Name><VersionId>2025-01-01T00:00:00Z</VersionId><Properties><Content-Length>4</Content-Length></Properties><Metadata><sha256>cd</sha256></Metadata></Blob>
<Blob><Name>data/b.txt</Name><Deleted>true</Deleted><Properties><Content-Length>5</Content-Length><RemainingRetentionDays>6</RemainingRetentionDays></Properties><Metadata><sha256>ef</sha256></Metadata></Blob>
<Blob><Name>satchel</Name><Properties><Content-Length>5</Content-Length></Properties></Blob>
</Blobs><NextMarker /></EnumerationResults>`

func TestForeignTellsVersionsAndDeleted(t *testing.T) {
	s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
		return reply(r, 200, "", foreignPage, "Content-Type", "application/xml"), nil
	})
	var got []string
	for f, err := range s.Foreign(t.Context(), true) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %q %v %d", f.Name, f.SHA256, f.Version, f.Deleted, f.Days))
	}
	want := `data/a.txt ab "" false 0
data/a.txt cd "2025-01-01T00:00:00Z" false 0
data/b.txt ef "" true 6`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestForeignWhereVersionsCannotBeListed(t *testing.T) {
	s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.RawQuery, "versions") {
			return reply(r, 400, "InvalidQueryParameterValue", ""), nil
		}
		return reply(r, 200, "", foreignPage, "Content-Type", "application/xml"), nil
	})
	n := 0
	for _, err := range s.Foreign(t.Context(), true) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d were listed", n)
	}
}

// header is one that the SDK does not canonicalise.
func header(r *http.Request, name string) string { return strings.Join(r.Header[name], "") }

func TestDeleteForeignVersion(t *testing.T) {
	var query, snapshots string
	s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
		query, snapshots = r.URL.RawQuery, header(r, "x-ms-delete-snapshots")
		return reply(r, 202, "", ""), nil
	})
	if err := s.DeleteForeign(t.Context(), store.Foreign{Name: "data/a.txt", Version: "2025-01-01T00:00:00Z"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(query, "versionid=2025") || snapshots != "" {
		t.Errorf("deleted %q with %q", query, snapshots)
	}
	if err := s.DeleteForeign(t.Context(), store.Foreign{Name: "data/a.txt"}); err != nil || query != "" || snapshots != "include" {
		t.Errorf("deleted %q with %q: %v", query, snapshots, err)
	}
}

func TestReadForeignIsWholeOrFails(t *testing.T) {
	s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) { return reply(r, 200, "", "two"), nil })
	var b strings.Builder
	if err := s.ReadForeign(t.Context(), store.Foreign{Name: "a", Size: 3}, &b); err != nil || b.String() != "two" {
		t.Errorf("%q, %v", b.String(), err)
	}
	if err := s.ReadForeign(t.Context(), store.Foreign{Name: "a", Size: 4}, &b); err == nil {
		t.Error("a blob that is shorter than its listing was read without an error")
	}
}
