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
	expiry := time.Now().Add(time.Hour)
	return token(expiry), expiry
}

// ExpiredToken returns one that has expired a minute ago.
func ExpiredToken() string { return token(time.Now().Add(-time.Minute)) }

func token(expiry time.Time) string {
	begin := expiry.Add(-2 * time.Hour).Unix()
	claims, err := json.Marshal(map[string]any{
		"aud": "https://storage.azure.com/",
		"iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000001/",
		"iat": begin,
		"nbf": begin,
		"exp": expiry.Unix(),
	})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + enc(claims) + "." + enc([]byte("unsigned"))
}

// TokenCredential answers every request for a token with Token.
type TokenCredential struct{}

var _ azcore.TokenCredential = TokenCredential{}

// GetToken implements azcore.TokenCredential.
func (TokenCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, expiry := Token()
	return azcore.AccessToken{Token: token, ExpiresOn: expiry}, nil
}
