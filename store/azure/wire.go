package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

const (
	maxRetries    = 5
	maxRetryDelay = 30 * time.Second
	baseTimeout   = time.Minute // of a try, besides what its bytes take
	slowest       = 64 << 10    // bytes a second; a slower line cannot push
	stallTimeout  = time.Minute // without any byte going or coming
)

// newTransport is a transport with an end to every wait but the body's, which wire watches.
func newTransport(connections int) http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: baseTimeout,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          connections,
		MaxIdleConnsPerHost:   connections,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		DisableCompression:    true,
	}
}

func clientOptions(w *wire, r retries) *container.ClientOptions {
	return &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: w,
		Retry:     r.options(0),
		Telemetry: policy.TelemetryOptions{ApplicationID: "satchel"},
	}}
}

// retries says when a request is tried again.
type retries struct {
	delay time.Duration // before the first; 0 is the SDK's 800 ms
}

func (r retries) options(size int64) policy.RetryOptions {
	return policy.RetryOptions{
		MaxRetries:    maxRetries,
		TryTimeout:    baseTimeout + time.Duration(size/slowest)*time.Second,
		RetryDelay:    r.delay,
		MaxRetryDelay: maxRetryDelay,
		ShouldRetry:   shouldRetry,
	}
}

// context gives a call the time that size bytes take at the slowest.
func (r retries) context(ctx context.Context, size int64) context.Context {
	return policy.WithRetryOptions(ctx, r.options(size))
}

// shouldRetry is asked about an answer or an error, never both.
func shouldRetry(resp *http.Response, err error) bool {
	if err != nil {
		return !final(err)
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusBadRequest: // the bytes changed on their way
		code := resp.Header.Get("x-ms-error-code")
		return code == "Crc64Mismatch" || code == "Md5Mismatch"
	}
	return false
}

// final reports whether an error stays the same however often one asks.
func final(err error) bool {
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var token *tokenError
	switch {
	case errors.As(err, &dns):
		return dns.IsNotFound
	case errors.As(err, &cert), errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &token):
		return true
	case errors.Is(err, http.ErrSchemeMismatch), errors.Is(err, syscall.ECONNREFUSED):
		return true
	}
	return false
}

// wire sends single requests, the last step before the network: it counts them, follows
// no redirects, reads the service's clock, ends what stalls, and hands out the payload of
// a Put anew for each try.
type wire struct {
	rt       http.RoundTripper
	requests atomic.Int64
	clock    clock
}

var _ policy.Transporter = (*wire)(nil)

// Do implements policy.Transporter.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	ctx, cancel := context.WithCancelCause(req.Context())
	stall := newStall(cancel)
	r := req.WithContext(ctx)
	if p, ok := req.Context().Value(payloadKey{}).(*payload); ok && req.Body != nil {
		r.Body = p.reader(stall)
		r.GetBody = func() (io.ReadCloser, error) { return p.reader(stall), nil }
	}
	resp, err := w.rt.RoundTrip(r)
	stall.stop()
	if err != nil {
		if context.Cause(ctx) == errStalled {
			err = errStalled
		}
		cancel(nil)
		return nil, err
	}
	if resp.Header.Get("x-ms-request-id") != "" { // the service's own answer, not a proxy's
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			w.clock.set(date)
		}
	}
	resp.Body = &answer{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, stall: stall}
	return resp, nil
}

// answer is a response's body that ends with errStalled when a Read waits too long.
type answer struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	stall  *stall
}

func (a *answer) Read(p []byte) (int, error) {
	a.stall.start()
	n, err := a.ReadCloser.Read(p)
	a.stall.stop()
	if err != nil && err != io.EOF && context.Cause(a.ctx) == errStalled {
		err = errStalled
	}
	return n, err
}

func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	a.cancel(nil)
	return err
}

var errStalled = errors.New("the connection stalled: not a byte in a minute")

// stall cancels a request unless it is stopped in time.
type stall struct{ timer *time.Timer }

// newStall returns a stopped one.
func newStall(cancel context.CancelCauseFunc) *stall {
	t := time.AfterFunc(time.Hour, func() { cancel(errStalled) })
	t.Stop()
	return &stall{t}
}

func (s *stall) start() { s.timer.Reset(stallTimeout) }
func (s *stall) stop()  { s.timer.Stop() }

// payload is the bytes of a Put. The transport may read on after it has returned, when
// the service answers before it has heard everything; so each try has a reader of its
// own, and close makes all of them fail: after a Put the bytes are the caller's again.
type payload struct {
	mu   sync.RWMutex
	data []byte // nil once closed; guarded by mu
}

type payloadKey struct{}

func withPayload(ctx context.Context, p *payload) context.Context {
	return context.WithValue(ctx, payloadKey{}, p)
}

func (p *payload) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.data = nil
}

func (p *payload) reader(s *stall) io.ReadCloser { return &payloadReader{p: p, stall: s} }

// payloadReader is one try's. One goroutine reads it; any may close it.
type payloadReader struct {
	p      *payload
	stall  *stall
	off    int
	closed atomic.Bool
}

func (r *payloadReader) Read(b []byte) (int, error) {
	r.stall.stop()
	r.p.mu.RLock()
	defer r.p.mu.RUnlock()
	switch {
	case r.closed.Load(), r.p.data == nil:
		return 0, errors.New("the request is over")
	case r.off == len(r.p.data):
		return 0, io.EOF // from here on the transport's own timeout runs
	}
	n := copy(b, r.p.data[r.off:])
	r.off += n
	r.stall.start()
	return n, nil
}

func (r *payloadReader) Close() error {
	r.closed.Store(true)
	r.stall.stop()
	return nil
}

// clock is the service's time. The zero value is the local clock.
type clock struct {
	mu   sync.Mutex
	date time.Time // as answered; guarded by mu
	at   time.Time // when, locally; guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *clock) read() time.Time {
	if c.date.IsZero() {
		return time.Now()
	}
	return c.date.Add(time.Since(c.at))
}

// set takes over an answer's date, which is cut to the second: as long as the clock shows
// that second it goes on undisturbed, and does not step back within it.
func (c *clock) set(date time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.date.IsZero() && c.read().Truncate(time.Second).Equal(date) {
		return
	}
	c.date, c.at = date, time.Now()
}
