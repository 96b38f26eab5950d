package azure

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"satchel/store/throttle"
)

const (
	maxRetries = 6
	slowest    = 64 << 10 // bytes a second; a slower line cannot push, unless it is a limit that makes it so
)

// pace is how long the parts of a call may take. Tests shorten it; a field of 0 is the
// default.
type pace struct {
	delay    time.Duration // before the first retry: 800 ms; then 3, 7, 15, 31 times as long
	maxDelay time.Duration // before any: 30 s. Who is told to wait longer gives up
	try      time.Duration // a try, besides what its bytes take: a minute
	stall    time.Duration // without any byte going or coming: a minute
	patience time.Duration // after which no try begins, besides what the bytes take: 5 minutes
	slowest  int64         // bytes a second that one of the connections has at least
}

// limited allows a connection half of what its share of the limits is.
func (p pace) limited(connections int, limits ...*throttle.Limit) pace {
	for _, l := range limits {
		if share := max(l.Rate()/int64(2*connections), 1); l != nil && (p.slowest == 0 || share < p.slowest) {
			p.slowest = min(share, slowest)
		}
	}
	return p
}

func (p pace) orDefault() pace {
	return pace{
		delay:    cmp.Or(p.delay, 800*time.Millisecond),
		maxDelay: cmp.Or(p.maxDelay, 30*time.Second),
		try:      cmp.Or(p.try, time.Minute),
		stall:    cmp.Or(p.stall, time.Minute),
		patience: cmp.Or(p.patience, 5*time.Minute),
		slowest:  cmp.Or(p.slowest, slowest),
	}
}

// call is one call of a Store's method, which may take several requests and tries. Of the
// six pauses of a request the shortest sum is 66 s: a minute without a network is survived.
type call struct {
	context.Context // for requests: it tells the SDK how to try again

	pace  pace
	wire  *wire
	until time.Time // no try begins later
}

// begin starts a call that moves size bytes.
func (s *Store) begin(ctx context.Context, size int64) *call {
	bytes := time.Duration(size/s.pace.slowest) * time.Second
	c := &call{pace: s.pace, wire: s.wire, until: time.Now().Add(s.pace.patience + bytes)}
	c.Context = policy.WithRetryOptions(ctx, policy.RetryOptions{
		MaxRetries:    maxRetries,
		TryTimeout:    s.pace.try + bytes,
		RetryDelay:    s.pace.delay,
		MaxRetryDelay: s.pace.maxDelay,
		ShouldRetry:   c.shouldRetry,
	})
	return c
}

func (c *call) shouldRetry(resp *http.Response, err error) bool {
	return time.Now().Before(c.until) && (shouldRetry(resp, err) || err != nil && absent(err) && c.wire.met.Load())
}

// pause waits before a further request of a call, the longer the more have failed, and
// reports whether there is to be one.
func (c *call) pause(failures int) bool {
	if failures > maxRetries || !time.Now().Before(c.until) {
		return false
	}
	timer := time.NewTimer(min(c.pace.delay<<(failures-1), c.pace.maxDelay))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.Done():
		return false
	}
}

// shouldRetry is asked about an answer or an error; the error counts if there are both.
func shouldRetry(resp *http.Response, err error) bool {
	if err != nil {
		return !hopeless(err) && !absent(err)
	}
	if resp.StatusCode == http.StatusBadRequest { // the bytes changed on their way
		code := resp.Header.Get("x-ms-error-code")
		return code == "Crc64Mismatch" || code == "Md5Mismatch"
	}
	return transient(resp.StatusCode)
}

// transient reports whether a status of HTTP may be another one a little later.
func transient(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// hopeless reports whether an error stays the same however often one asks.
func hopeless(err error) bool {
	var token *tokenError
	var proxy *proxyError
	switch {
	case errors.As(err, &proxy):
		return !transient(proxy.status)
	case errors.As(err, &token), untrusted(err), errors.Is(err, http.ErrSchemeMismatch):
		return true
	}
	var record tls.RecordHeaderError
	return errors.As(err, &record)
}

// untrusted reports whether the other side's certificate was refused.
func untrusted(err error) bool {
	var cert *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &cert) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

// absent reports whether nobody is there: at first that is a wrong name or no network, and
// is said at once; once the service has answered it is a break in the network.
func absent(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return true
	}
	return isErrno(err, refused...) || isErrno(err, noRoute...)
}
