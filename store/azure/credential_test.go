package azure

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/store"
	"satchel/store/storetest/azurite"
)

func TestCredentials(t *testing.T) {
	const (
		here    = "https://acct.blob.core.windows.net/backup"
		emu     = "http://127.0.0.1:41234/devstoreaccount1/backup"
		aKey    = "c2VjcmV0LWtleQ=="
		aSAS    = "sv=2024-11-04&sp=rcl&sig=c2VjcmV0LXNpZw%3D%3D"
		connKey = "AZURE_STORAGE_CONNECTION_STRING"
	)
	for _, tt := range []struct {
		name string
		url  string
		env  map[string]string
		kind string // of the credential; "" if err
		how  string
		err  string
	}{
		{"the URL's SAS comes first", here + "?" + aSAS, map[string]string{"AZURE_STORAGE_KEY": aKey}, "shared access signature", "store's URL", ""},
		{"key", here, map[string]string{"AZURE_STORAGE_KEY": aKey + "\n", "AZURE_STORAGE_SAS_TOKEN": aSAS}, "account key", "account key from AZURE_STORAGE_KEY", ""},
		{"key of this account", here, map[string]string{"AZURE_STORAGE_KEY": aKey, "AZURE_STORAGE_ACCOUNT": "acct"}, "account key", "AZURE_STORAGE_KEY", ""},
		{"key of another account", here, map[string]string{"AZURE_STORAGE_KEY": aKey, "AZURE_STORAGE_ACCOUNT": "other"}, "", "", `"other"`},
		{"half a key", here, map[string]string{"AZURE_STORAGE_KEY": aKey[:5]}, "", "", "base64"},
		{"SAS", here, map[string]string{"AZURE_STORAGE_SAS_TOKEN": "?" + aSAS}, "shared access signature", "AZURE_STORAGE_SAS_TOKEN", ""},
		{"SAS of another account", here, map[string]string{"AZURE_STORAGE_SAS_TOKEN": aSAS, "AZURE_STORAGE_ACCOUNT": "other"}, "", "", `"other"`},
		{"no SAS at all", here, map[string]string{"AZURE_STORAGE_SAS_TOKEN": "c2VjcmV0"}, "", "", "sig="},
		{"connection string before the key", here, map[string]string{connKey: "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=" + aKey + ";EndpointSuffix=core.windows.net", "AZURE_STORAGE_KEY": "x"}, "account key", "connection string from " + connKey, ""},
		{"connection string with a SAS", here, map[string]string{connKey: "BlobEndpoint=https://acct.blob.core.windows.net/;SharedAccessSignature=" + aSAS}, "shared access signature", connKey, ""},
		{"connection string of another account", here, map[string]string{connKey: "AccountName=other;AccountKey=" + aKey}, "", "", `"other"`},
		{"connection string against itself", here, map[string]string{connKey: "AccountName=acct;AccountKey=" + aKey + ";BlobEndpoint=https://other.blob.core.windows.net"}, "", "", "BlobEndpoint"},
		{"connection string without a secret", here, map[string]string{connKey: "AccountName=acct"}, "", "", "neither"},
		{"connection string without an account", here, map[string]string{connKey: "AccountKey=" + aKey}, "", "", "no account"},
		{"no connection string", here, map[string]string{connKey: aKey[:8]}, "", "", "pairs"},
		{"emulator", emu, map[string]string{connKey: "UseDevelopmentStorage=true"}, "account key", connKey, ""},
		{"emulator for another store", here, map[string]string{connKey: "UseDevelopmentStorage=true"}, "", "", azurite.Account},
	} {
		t.Run(tt.name, func(t *testing.T) {
			loc := location(t, tt.url)
			cred, how, err := SignIn(t.Context(), loc, LoginOptions{Dir: t.TempDir(), Getenv: func(name string) string { return tt.env[name] }})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "c2Vj") {
					t.Errorf("%v; want an error with %q and no secret", err, tt.err)
				}
				return
			}
			if err != nil || cred.String() != tt.kind || !strings.Contains(how, tt.how) {
				t.Errorf("%v, %q, %v; want %s, %q", cred, how, err, tt.kind, tt.how)
			}
			if _, err := Open(loc, cred, Options{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEmulatorKeyIsThePublishedOne(t *testing.T) {
	if emulatorKey != azurite.Key || emulatorAccount != azurite.Account {
		t.Error("the emulator's account differs from Azurite's")
	}
}

// A store's name may come from somebody else's manifest: no token and no signature goes to
// a host of theirs.
func TestSecretsStayWithAzure(t *testing.T) {
	sas, err := SASCredential("sig=x")
	if err != nil {
		t.Fatal(err)
	}
	bound := sas
	bound.bound = true
	keyOf, err := KeyCredential("acct", "a2V5")
	if err != nil {
		t.Fatal(err)
	}
	token := TokenCredential(azurite.TokenCredential{})
	for _, tt := range []struct {
		url  string
		cred Credential
		ok   bool
	}{
		{"https://acct.blob.core.windows.net/backup", token, true},
		{"https://acct.z01.blob.storage.azure.net/backup", token, true},
		{"https://acct.blob.core.chinacloudapi.cn/backup", sas, true},
		{"https://127.0.0.1:10000/acct/backup", token, true},
		{"http://127.0.0.1:10000/acct/backup", token, false},
		{"http://127.0.0.1:10000/acct/backup", sas, true},
		{"https://acct.evil.example/backup", token, false},
		{"https://acct.evil.example/backup", sas, false},
		{"https://acct.evil.example/backup", bound, true},
		{"https://acct.evil.example/backup", keyOf, true}, // a key is not sent
		{"https://other.blob.core.windows.net/backup", keyOf, false},
		{"https://acct.blob.core.windows.net.evil.example/backup", token, false},
		{"https://evilblob.core.windows.net/backup", token, false},
	} {
		_, err := Open(location(t, tt.url), tt.cred, Options{})
		if (err == nil) != tt.ok {
			t.Errorf("%s with a %v: %v", tt.url, tt.cred, err)
		}
	}
	if _, err := Open(location(t, "https://acct.stack.example/backup"), token, Options{AnyHost: true}); err != nil {
		t.Error(err)
	}
}

func TestUnreadableSignInIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, recordFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := SignIn(t.Context(), store.AzureLocation("acct", "backup"), LoginOptions{Dir: dir, Getenv: func(string) string { return "" }})
	if err == nil || !strings.Contains(err.Error(), recordFile) {
		t.Errorf("%v, want an error that names the file", err)
	}
	if err := Logout(dir); err != nil {
		t.Fatal(err)
	}
	if err := Logout(dir); err != nil {
		t.Errorf("second logout: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, recordFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the sign-in is still there: %v", err)
	}
}
