package azure

import (
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
)

// bearer signs each try with a token, and when the service refuses the token asks the
// source once for another and sends the request again. A challenge for stricter claims
// (continuous access evaluation) goes to the source as it is.
//
// azblob's own policy does less: it asks only if the refusal is a 401 with a challenge,
// for whatever resource the challenge names, and it races with itself there.
func bearer(source azcore.TokenCredential) []policy.Policy {
	scopes := []string{storageScope}
	token := runtime.NewBearerTokenPolicy(source, scopes, &policy.BearerTokenOptions{
		AuthorizationHandler: policy.AuthorizationHandler{
			OnChallenge: func(_ *policy.Request, _ *http.Response, authorize func(policy.TokenRequestOptions) error) error {
				return authorize(policy.TokenRequestOptions{Scopes: scopes})
			},
		},
	})
	return []policy.Policy{policyFunc(untilRefused), token, policyFunc(challenge)}
}

type policyFunc func(*policy.Request) (*http.Response, error)

// Do implements policy.Policy.
func (f policyFunc) Do(req *policy.Request) (*http.Response, error) { return f(req) }

// renewal is the state of one try.
type renewal struct{ done bool }

func untilRefused(req *policy.Request) (*http.Response, error) {
	req.SetOperationValue(&renewal{})
	return req.Next()
}

// challenge makes a try's first refusal of a token read as a challenge, which is what the
// token policy acts on. A second one stays as it is.
func challenge(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err != nil || !tokenRefused(resp) {
		return resp, err
	}
	var r *renewal
	if req.OperationValue(&r) && !r.done {
		r.done = true
		resp.StatusCode = http.StatusUnauthorized
		if resp.Header.Get("WWW-Authenticate") == "" {
			resp.Header.Set("WWW-Authenticate", "Bearer")
		}
	}
	return resp, nil
}

func tokenRefused(resp *http.Response) bool {
	switch bloberror.Code(resp.Header.Get("x-ms-error-code")) {
	case bloberror.InvalidAuthenticationInfo, bloberror.AuthenticationFailed:
		return true
	}
	return resp.StatusCode == http.StatusUnauthorized
}
