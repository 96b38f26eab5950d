package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseLocation(t *testing.T) {
	const sas = "sv=2024-11-04&sp=rcl&sig=c2VjcmV0%3D"
	azure := func(endpoint, account, container, prefix, sas string) Location {
		return Location{Kind: Azure, Endpoint: endpoint, Account: account, Container: container, Prefix: prefix, sas: sas}
	}
	for _, tt := range []struct {
		in   string
		want Location
	}{
		{"https://acct.blob.core.windows.net/backup", AzureLocation("acct", "backup")},
		{"HTTPS://Acct.Blob.Core.Windows.Net/backup/", AzureLocation("acct", "backup")},
		{"https://acct.blob.core.windows.net/backup/office/a1", azure("https://acct.blob.core.windows.net", "acct", "backup", "office/a1", "")},
		{"https://acct.blob.core.windows.net/backup?" + sas, azure("https://acct.blob.core.windows.net", "acct", "backup", "", sas)},
		{"https://my-blobs.example.org:8443/backup", azure("https://my-blobs.example.org:8443", "my-blobs", "backup", "", "")},
		{"https://azurite:10000/backup", azure("https://azurite:10000", "azurite", "backup", "", "")},
		{"http://127.0.0.1:10000/devstoreaccount1/backup", azure("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1", "backup", "", "")},
		{"http://[::1]:10000/devstoreaccount1/backup/p", azure("http://[::1]:10000/devstoreaccount1", "devstoreaccount1", "backup", "p", "")},
		{"https://192.0.2.7/acct/backup", azure("https://192.0.2.7/acct", "acct", "backup", "", "")},
		{"/srv/backup", Location{Kind: Dir, Path: "/srv/backup"}},
		{"../backup", Location{Kind: Dir, Path: "../backup"}},
		{`C:\Users\x\backup`, Location{Kind: Dir, Path: `C:\Users\x\backup`}},
		{`\\nas\share\backup`, Location{Kind: Dir, Path: `\\nas\share\backup`}},
		{"/srv/a://b", Location{Kind: Dir, Path: "/srv/a://b"}},
	} {
		got, err := ParseLocation(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Location{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, diff)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: Validate: %v", tt.in, err)
		}
	}
}

func TestParseLocationRefuses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "empty"},
		{"~/backup", "only a shell"},
		{"a\x00b", "zero byte"},
		{"s3://bucket/x", "no driver"},
		{" https://acct.blob.core.windows.net/backup", "no driver"},
		{"acct.blob.core.windows.net/backup", "scheme"},
		{"https:acct/backup", "two slashes"},
		{"http://acct.blob.core.windows.net/backup", "loopback"},
		{"http://192.0.2.7/acct/backup", "loopback"},
		{"https://localhost:10000/devstoreaccount1/backup", "127.0.0.1"},
		{"https://acct.blob.core.windows.net", "no container"},
		{"https://acct.blob.core.windows.net/", "no container"},
		{"https://acct.blob.core.windows.net/ab", "3 to 63"},
		{"https://acct.blob.core.windows.net/Backup", "a-z"},
		{"https://acct.blob.core.windows.net/back--up", "single hyphens"},
		{"https://acct.blob.core.windows.net/backup/Office", "prefix"},
		{"https://acct.blob.core.windows.net/backup//x", "prefix"},
		{"https://acct.blob.core.windows.net/backup/../x", "prefix"},
		{"https://acct.blob.core.windows.net/backup/" + strings.Repeat("x", maxPrefix+1), "prefix"},
		{"https://acct.blob.core.windows.net/backup?restype=container", "sig="},
		{"https://acct.blob.core.windows.net/backup#x", "fragment"},
		{"https://user:pass@acct.blob.core.windows.net/backup", "password"},
		{"https://acct.blob.core.windows.net:0/backup", "port"},
		{"https://acct.blob.core.windows.net:/backup", "port"},
		{"https://acct..net/backup", "host name"},
		{"https://[fe80::1%25eth0]/acct/backup", "host name"},
		{"https://::1/acct/backup", "host name"},
		{"https:///backup", "host name"},
		{"https://127.0.0.1/", "account"},
		{"file://", "no folder"},
		{"file:///srv/x?y", "query"},
		{"file:///srv/%zz", "escape"},
	} {
		got, err := ParseLocation(tt.in)
		if err == nil {
			t.Errorf("%q: accepted as %#v", tt.in, got)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v; want a message with %q", tt.in, err, tt.want)
		}
	}
}

func TestLocationNeverShowsItsSAS(t *testing.T) {
	const secret = "c2VjcmV0"
	loc, err := ParseLocation("https://acct.blob.core.windows.net/backup/p?sp=rcl&sig=" + secret)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(loc.SAS(), secret) {
		t.Errorf("SAS() = %q, lost the signature", loc.SAS())
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{loc, &loc} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, secret) {
				t.Errorf("%s shows the SAS: %s", verb, s)
			}
		}
	}
	for _, in := range []string{
		"https://acct.blob.core.windows.net/backup?sig=" + secret + "#x",
		"https://acct.blob.core.windows.net/B?sig=" + secret,
		"https://acct.blob.core.windows.net?sig=" + secret,
		"https://acct.blob.core.windows.net/backup?sgi=" + secret,
		"https://acct.blob.core.windows.net/backup?%zz&sig=" + secret,
		"http://acct.blob.core.windows.net/backup?sig=" + secret,
		"acct.blob.core.windows.net/backup?sig=" + secret,
		"https:/acct.blob.core.windows.net/backup?sig=" + secret,
		"ftp://acct.blob.core.windows.net/backup?sig=" + secret,
	} {
		if _, err := ParseLocation(in); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %v", in, err)
		}
	}
}

func TestValidateRefusesWhatAManifestMustNotName(t *testing.T) {
	for _, l := range []Location{
		{},
		AzureLocation("evil.example/x", "backup"),
		AzureLocation("evil.example#", "backup"),
		AzureLocation("acct", "../backup"),
		AzureLocation("Acct", "backup"),
		AzureLocation("", "backup"),
		{Kind: Azure, Endpoint: "https://acct.blob.core.windows.net", Account: "other", Container: "backup"},
	} {
		if err := l.Validate(); err == nil {
			t.Errorf("%#v: accepted", l)
		}
	}
}

func FuzzParseLocation(f *testing.F) {
	for _, s := range []string{
		"https://acct.blob.core.windows.net/backup/p?sig=x", "http://127.0.0.1:010/a/bcd", "http://[::FFFF:127.0.0.1]/a/bcd",
		"file:///srv/x%3F", "file://localhost/c:/x", `C:\x`, "./https://x", "~x", "a:b", "://", "https://a.b:443/bcd///",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLocation(s)
		if err != nil {
			return
		}
		again, err := ParseLocation(l.String())
		if err != nil {
			t.Fatalf("%q was read, its own %q is not: %v", s, l, err)
		}
		if l.sas = ""; l != again {
			t.Fatalf("%q: %#v is read again as %#v", s, l, again)
		}
	})
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "l/7ffffffffffffffe": true, "a-b/c-1": true, strings.Repeat("x", 512): true,
		"": false, "/a": false, "a/": false, "a//b": false, "-a": false, "a-": false, "a/-b": false, "a-/b": false,
		"A": false, "a.b": false, "..": false, "a\x00": false, "é": false, strings.Repeat("x", 513): false,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v", name, got)
		}
	}
	for prefix, want := range map[string]bool{
		"": true, "l": true, "l/": true, "l/7f": true, "a-": true, strings.Repeat("x", 512): true,
		"/": false, "l//": false, "L": false, "..": false, "a-/": false, strings.Repeat("x", 513): false,
	} {
		if got := ValidPrefix(prefix); got != want {
			t.Errorf("ValidPrefix(%q) = %v", prefix, got)
		}
	}
}
