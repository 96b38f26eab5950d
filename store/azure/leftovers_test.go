package azure

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"satchel/store"
)

// What soft delete and versioning keep is told apart from what is there, over several pages, and
// in no other part of the container.
func TestLeftovers(t *testing.T) {
	const size = `<Content-Length>100</Content-Length><BlobType>BlockBlob</BlobType>`
	row := func(name, rest, properties string) string {
		return "<Blob><Name>" + name + "</Name>" + rest + "<Properties>" + size + properties + "</Properties></Blob>"
	}
	pages := map[string]string{
		"": row("clinic/d/1", "", "") +
			row("clinic/d/2", "<Deleted>true</Deleted>", "<RemainingRetentionDays>3</RemainingRetentionDays>") +
			row("clinic/d/3", "<Deleted>true</Deleted>", "<RemainingRetentionDays>6</RemainingRetentionDays>") +
			row("clinic/Not ours", "<Deleted>true</Deleted>", "") + "</Blobs><NextMarker>more</NextMarker>",
		"more": row("clinic/d/4", "<VersionId>2026-11-01T00:00:00.0Z</VersionId><IsCurrentVersion>true</IsCurrentVersion>", "") +
			row("clinic/d/5", "<VersionId>2026-11-01T00:00:00.0Z</VersionId>", "") +
			row("clinic/d/6", "<Deleted>true</Deleted><VersionId>2026-11-01T00:00:00.0Z</VersionId>", "<RemainingRetentionDays>1</RemainingRetentionDays>") + "</Blobs><NextMarker/>",
	}
	var asked []url.Values
	s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Query())
		return reply(r, 200, "", `<?xml version="1.0"?><EnumerationResults ServiceEndpoint="https://acct.blob.core.windows.net/"><Blobs>`+
			pages[r.URL.Query().Get("marker")]+"</EnumerationResults>"), nil
	})
	s.loc.Prefix = "clinic"
	got, err := s.Leftovers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if until := got.Until.Sub(s.Now()); until < 143*time.Hour || until > 144*time.Hour {
		t.Errorf("until %v from now, want 6 days", until)
	}
	got.Until = time.Time{}
	if want := (store.Leftovers{Objects: 3, Bytes: 300, Versions: 1, VersionBytes: 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, q := range asked {
		if q.Get("include") != "deleted,versions" || q.Get("prefix") != "clinic/" || q.Get("maxresults") != "5000" {
			t.Errorf("asked %v", q)
		}
	}
	if len(asked) != 2 {
		t.Errorf("%d requests", len(asked))
	}
}

// Where it cannot be seen nothing is said of it, rather than that nothing is left.
func TestLeftoversThatCannotBeSeen(t *testing.T) {
	for name, answer := range map[string]string{
		"refused":     "AuthorizationPermissionMismatch",
		"a new error": "FeatureNotSupported",
		"repeats":     "",
	} {
		s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
			if answer != "" {
				return reply(r, 403, answer, ""), nil
			}
			return reply(r, 200, "", `<?xml version="1.0"?><EnumerationResults ServiceEndpoint="https://acct.blob.core.windows.net/"><Blobs></Blobs><NextMarker>again</NextMarker></EnumerationResults>`), nil
		})
		if got, err := s.Leftovers(t.Context()); err == nil || got != (store.Leftovers{}) || !strings.Contains(err.Error(), "list deleted") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
