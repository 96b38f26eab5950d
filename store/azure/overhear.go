package azure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"

	"satchel/store"
)

// overhear is a transport that notes why the sign-in service gave no token: azidentity
// drops the network's errors, and of a refused code it drops the service's words.
type overhear struct {
	rt http.RoundTripper

	mu      sync.Mutex
	refusal string            // of the latest request, as are the others; guarded by mu
	network *unreachableError // guarded by mu
}

// RoundTrip implements http.RoundTripper.
func (o *overhear) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.rt.RoundTrip(r)
	refusal := ""
	if err == nil && resp.StatusCode >= 400 {
		refusal, err = readRefusal(resp)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refusal, o.network = refusal, nil
	if err != nil {
		o.network = &unreachableError{r.URL.Host, err}
		return nil, err
	}
	return resp, nil
}

// readRefusal returns the first line of an OAuth error (RFC 6749, section 5.2), and leaves
// the body to be read again.
func readRefusal(resp *http.Response) (string, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	resp.Body.Close()
	if err != nil {
		return "", err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &oauth) != nil || oauth.Error == "" {
		return "", nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(oauth.Description), "\n")
	if line = strings.TrimSpace(line); line == "" {
		line = oauth.Error
	}
	return line, nil
}

// explain says why there is no token: the caller's own end, the network's error, the
// service's words or, failing all these, err. What is not the network's is
// store.ErrDenied.
func (o *overhear) explain(ctx context.Context, err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case o.network != nil:
		return o.network
	case o.refusal != "":
		return fmt.Errorf("%w: %s", store.ErrDenied, o.refusal)
	}
	return fmt.Errorf("%w: %w", store.ErrDenied, err)
}

// inBrowser says why a sign-in in the browser did not work.
func (o *overhear) inBrowser(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return fmt.Sprintf("nobody signed in within %v", browserPatience)
	case strings.Contains(err.Error(), exec.ErrNotFound.Error()):
		return "no browser opens here"
	}
	line, _, _ := strings.Cut(o.explain(ctx, err).Error(), "\n")
	return line
}

// unreachableError: the sign-in service did not answer.
type unreachableError struct {
	host string
	err  error
}

func (e *unreachableError) Error() string {
	why := reach(e.host, e.err)
	if why == "" {
		why = e.err.Error()
	}
	return "the sign-in service is out of reach: " + why
}
func (e *unreachableError) Unwrap() error { return e.err }
