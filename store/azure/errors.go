package azure

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"satchel/store"
)

// NotSignedIn is the Code of an Error when no token was to be had from Entra ID.
const NotSignedIn = "NotSignedIn"

// Error is what every method of a Store fails with, save for a cancelled context's own
// error, which it wraps. It wraps a sentinel of package store where one fits, or the
// network's error; neither it nor what it wraps holds a key, a signature or a token.
type Error struct {
	Endpoint  string // of the account
	Account   string
	Container string
	Op        string        // "put", "get", "list", "list deleted", "delete", "create container", "probe", "open"
	Name      string        // the object or the prefix; may be empty
	Blob      string        // the object's whole name in the container
	Status    int           // of HTTP; 0 if there was no answer
	Code      string        // the service's x-ms-error-code, such as AuthorizationFailure, or NotSignedIn
	RequestID string        // the service's, for a support request
	Skew      time.Duration // how far the service's clock was ahead of this device's; 0 without an answer

	With    string    // what signed in, as Credential.String says
	Who     *Identity // who signed in with Entra ID, as far as is known
	Tenant  string    // the account's, where the service names it
	Expired time.Time // when the shared access signature ended; zero if it has not

	message string // why, for a person
	err     error  // what Unwrap returns
}

// Error says what was being done, to what, and what the service answered.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "azure container %q: %s", e.Container, e.Op)
	if e.Name != "" {
		b.WriteString(" " + e.Name)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d", e.Status)
		if e.Code != "" {
			b.WriteString(" " + e.Code)
		}
	}
	b.WriteString(": " + e.message)
	return b.String()
}

// Unwrap returns the sentinel or the cause.
func (e *Error) Unwrap() error { return e.err }

// fail makes an *Error of what an operation came to. ctx is the caller's: its end is not
// mistaken for a timeout of ours, nor the other way round.
func (s *Store) fail(ctx context.Context, op, name string, err error) *Error {
	e := &Error{Endpoint: s.loc.Endpoint, Account: s.loc.Account, Container: s.loc.Container, Op: op, Name: name, Blob: s.full(name), err: err,
		With: s.cred.String(), Who: s.cred.Who(), Expired: s.cred.expired(s.Now())}
	var answer *azcore.ResponseError
	var token *tokenError
	var unreachable *unreachableError
	switch {
	case ctx.Err() != nil:
		e.err = ctx.Err()
	case errors.As(err, &token):
		e.Code, e.err, e.message = NotSignedIn, store.ErrDenied, token.Error()
	case errors.As(err, &unreachable): // another host than the store's
	case errors.As(err, &answer):
		e.answered(answer)
	case err == errShort:
		e.err, e.message = io.ErrUnexpectedEOF, err.Error()
	default:
		e.network(s.host, err)
	}
	if e.message == "" {
		e.message = e.err.Error()
	}
	e.message = redact(e.message, s.secrets)
	if text := e.err.Error(); redact(text, s.secrets) != text {
		e.err = errors.New(redact(text, s.secrets))
	}
	return e
}

// network takes over an error of the network's. Its io.ErrUnexpectedEOF would read as a
// short object, and its timeout as the caller's own.
func (e *Error) network(host string, err error) {
	e.message = reach(host, err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.err = errSlow
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.err = errBroken
	}
}

// because returns a copy with another cause.
func (e *Error) because(cause error) *Error {
	other := *e
	other.err, other.message = cause, cause.Error()
	return &other
}

// answered takes over what the service answered. Its own words are dropped after the
// first line: the detail of a refused signature repeats it.
func (e *Error) answered(a *azcore.ResponseError) {
	e.Status, e.Code = a.StatusCode, a.ErrorCode
	words := http.StatusText(a.StatusCode)
	if resp := a.RawResponse; resp != nil {
		e.RequestID = resp.Header.Get("x-ms-request-id")
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			e.Skew = time.Until(date).Round(time.Second)
		}
		e.Tenant = tenantIn(resp.Header.Get("WWW-Authenticate"))
		words = firstLine(resp, words)
	}
	if e.err = sentinel(a, e.Op); e.err == nil {
		e.err = errors.New(strings.TrimSuffix(words, ".") + advice(a))
		return
	}
	e.message = e.err.Error()
	if e.err == store.ErrDenied {
		e.message += ": " + words
		if e.Skewed() {
			e.message += fmt.Sprintf("; this computer's clock is %v off: set it right", e.Skew.Abs())
		}
	}
}

// tenantIn is the tenant of a challenge's authorization_uri, "" if it has none.
func tenantIn(challenge string) string {
	_, uri, _ := strings.Cut(challenge, "authorization_uri=")
	if end := strings.IndexAny(uri, " ,"); end >= 0 {
		uri = uri[:end]
	}
	uri = strings.Trim(uri, `"`)
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/"); plain(tenant) && tenant != "common" {
		return tenant
	}
	return ""
}

// Skewed reports whether the clocks here and there are too far apart for a sign-in.
func (e *Error) Skewed() bool { return e.Skew.Abs() > maxSkew }

// maxSkew is how far a clock may be off before the service refuses what it dates.
const maxSkew = 15 * time.Minute

// advice is what to do after an answer that stayed the same through all tries.
func advice(a *azcore.ResponseError) string {
	switch {
	case a.StatusCode == http.StatusProxyAuthRequired:
		return "; put the proxy's name and password into HTTPS_PROXY"
	case a.StatusCode == http.StatusTooManyRequests, a.StatusCode == http.StatusServiceUnavailable:
		if wait := a.RawResponse.Header.Get("Retry-After"); wait != "" && len(wait) < 40 {
			return "; the service is busy, try again later (it says Retry-After: " + wait + ")"
		}
		return "; the service is busy, try again in a few minutes"
	case transient(a.StatusCode):
		return "; the service has trouble, try again in a few minutes"
	case a.ErrorCode == "":
		return "; " + errNotStorage.Error()
	}
	return ""
}

// sentinel is the error of package store that an answer means, or nil. "Not there" takes
// the service's own code: a 404 alone could be a proxy's.
func sentinel(a *azcore.ResponseError, op string) error {
	switch bloberror.Code(a.ErrorCode) {
	case bloberror.ContainerNotFound, bloberror.ResourceNotFound:
		return store.ErrNoContainer
	case bloberror.BlobNotFound:
		return store.ErrNotFound
	case bloberror.BlobAlreadyExists, bloberror.ConditionNotMet, bloberror.BlobImmutableDueToPolicy, bloberror.UnauthorizedBlobOverwrite:
		switch {
		case op == "put":
			return store.ErrExists
		case op == "delete" && bloberror.Code(a.ErrorCode) == bloberror.BlobImmutableDueToPolicy:
			return store.ErrHeld
		}
	case bloberror.ContainerAlreadyExists:
		return store.ErrExists
	case bloberror.InvalidAuthenticationInfo:
		return store.ErrDenied
	}
	if a.StatusCode == http.StatusUnauthorized || a.StatusCode == http.StatusForbidden {
		return store.ErrDenied
	}
	return nil
}

// firstLine returns the first line of the answer's <Message>, or otherwise.
func firstLine(resp *http.Response, otherwise string) string {
	body, err := runtime.Payload(resp)
	if err != nil {
		return otherwise
	}
	var doc struct{ Message string }
	if xml.Unmarshal(body, &doc) != nil {
		return otherwise
	}
	line, _, _ := strings.Cut(strings.TrimSpace(doc.Message), "\n")
	line = strings.TrimSpace(line)
	if line == "" || len(line) > 300 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return otherwise
	}
	return line
}

// statusOf is the HTTP status of an answer, 0 if err is none.
func statusOf(err error) int {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// redact replaces the secrets in a text. None is expected there; this is the net below.
func redact(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "REDACTED")
	}
	return text
}
