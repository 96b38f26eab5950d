package azurite

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Token returns a bearer token that a server with Options.OAuth takes for an hour, and its
// expiry. Azurite reads its claims and does not check its signature.
func Token() (string, time.Time) {
	now := time.Now()
	expiry := now.Add(time.Hour)
	claims, err := json.Marshal(map[string]any{
		"aud": "https://storage.azure.com/",
		"iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000001/",
		"iat": now.Add(-time.Minute).Unix(),
		"nbf": now.Add(-time.Minute).Unix(),
		"exp": expiry.Unix(),
	})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + enc(claims) + "." + enc([]byte("unsigned")), expiry
}

// TokenCredential answers every request for a token with Token.
type TokenCredential struct{}

var _ azcore.TokenCredential = TokenCredential{}

// GetToken implements azcore.TokenCredential.
func (TokenCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, expiry := Token()
	return azcore.AccessToken{Token: token, ExpiresOn: expiry}, nil
}
