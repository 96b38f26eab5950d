package azure

import (
	"errors"
	"fmt"
	"strings"

	"satchel/store"
)

// The account of every emulator, and its published key:
// https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
const (
	emulatorAccount = "devstoreaccount1"
	emulatorKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// parseConnectionString reads Key=Value pairs between semicolons, as the portal shows
// them, and takes from them what signs in at loc: where the store is, loc alone says. A
// string of another account is an error. None repeats a secret.
//
//	DefaultEndpointsProtocol=https;AccountName=NAME;AccountKey=KEY;EndpointSuffix=core.windows.net
//	BlobEndpoint=https://NAME.blob.core.windows.net;SharedAccessSignature=SAS
//	UseDevelopmentStorage=true
func parseConnectionString(s string, loc store.Location) (Credential, error) {
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(s, ";") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return Credential{}, errors.New("is not made of Name=Value pairs with semicolons between")
		}
		pairs[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	if strings.EqualFold(pairs["usedevelopmentstorage"], "true") {
		pairs["accountname"], pairs["accountkey"] = emulatorAccount, emulatorKey
		if pairs["blobendpoint"] == "" {
			pairs["blobendpoint"] = "http://127.0.0.1:10000/" + emulatorAccount
		}
	}
	endpoint, account, err := endpointOf(pairs)
	if err != nil {
		return Credential{}, err
	}
	if account != loc.Account {
		return Credential{}, fmt.Errorf("it is of account %q, and the store is in account %q: unset it or set it to the store's", account, loc.Account)
	}
	if key := pairs["accountkey"]; key != "" {
		return KeyCredential(account, key)
	}
	if sas := pairs["sharedaccesssignature"]; sas != "" {
		cred, err := SASCredential(sas)
		cred.bound = endpoint == loc.Endpoint
		return cred, err
	}
	return Credential{}, errors.New("it has neither AccountKey nor SharedAccessSignature")
}

// endpointOf returns the blob endpoint, "" if the string has none, and the account.
func endpointOf(pairs map[string]string) (endpoint, account string, err error) {
	account = pairs["accountname"]
	if blob := pairs["blobendpoint"]; blob != "" {
		// The endpoint of an account is a location without its container.
		loc, err := store.ParseLocation(strings.TrimRight(blob, "/") + "/any")
		if err != nil || loc.Kind != store.Azure {
			return "", "", errors.New("its BlobEndpoint is not the URL of an account")
		}
		if account != "" && account != loc.Account {
			return "", "", fmt.Errorf("its AccountName is %q and its BlobEndpoint is of account %q", account, loc.Account)
		}
		return loc.Endpoint, loc.Account, nil
	}
	if account == "" {
		return "", "", errors.New("it names no account: it has neither AccountName nor BlobEndpoint")
	}
	suffix := pairs["endpointsuffix"]
	if suffix == "" {
		suffix = "core.windows.net"
	}
	return "https://" + account + ".blob." + suffix, account, nil
}
