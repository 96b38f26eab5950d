package azure

import (
	"encoding/base64"
	"testing"
)

func TestTenantOfAChallenge(t *testing.T) {
	for challenge, want := range map[string]string{
		"Bearer authorization_uri=https://login.microsoftonline.com/72f988bf-86f1/oauth2/authorize resource_id=https://storage.azure.com": "72f988bf-86f1",
		`Bearer realm="", authorization_uri="https://login.microsoftonline.us/72f988bf-86f1/oauth2/authorize", error="invalid_token"`:     "72f988bf-86f1",
		"Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize":                                              "",
		"Bearer authorization_uri=https://login.microsoftonline.com/$(rm)/x":                                                              "",
		"Bearer authorization_uri=": "", "Bearer": "", "": "",
	} {
		if got := tenantIn(challenge); got != want {
			t.Errorf("%s: %q, want %q", challenge, got, want)
		}
	}
}

// What a service or a token says of ids goes into commands that people paste: it is an id or nothing.
func FuzzIdentities(f *testing.F) {
	for _, claims := range []string{`{"oid":"1-2","tid":"t","upn":"jane@clinic.example"}`, `{"oid":"$(x)"}`, `{"idtyp":"app","oid":"9"}`, `[]`, ""} {
		f.Add(claims, "Bearer authorization_uri=https://login.microsoftonline.com/a-b/oauth2/authorize")
	}
	f.Fuzz(func(t *testing.T, claims, challenge string) {
		if tenant := tenantIn(challenge); tenant != "" && !plain(tenant) {
			t.Errorf("tenant %q", tenant)
		}
		if who := identityOf("e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x"); who != nil && (!plain(who.ObjectID) || who.Tenant != "" && !plain(who.Tenant)) {
			t.Errorf("%+v", who)
		}
		identityOf(claims)
	})
}
