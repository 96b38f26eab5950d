package azure

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"satchel/store/throttle"
)

// newTransport is a transport with an end to every wait but the body's, which wire watches.
// It speaks HTTP/1.1, as the service does.
func newTransport(connections int) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          connections,
		MaxIdleConnsPerHost:   connections,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		DisableCompression:    true,

		OnProxyConnectResponse: proxyAnswered,
	}
}

// limitedTransport is one whose connections share limits.
func limitedTransport(connections int, up, down *throttle.Limit) *http.Transport {
	t := newTransport(connections)
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return throttle.Conn(conn, up, down), nil
	}
	return t
}

func clientOptions(w *wire) *container.ClientOptions {
	return &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: w,
		Telemetry: policy.TelemetryOptions{ApplicationID: "satchel"},
	}}
}

// wire sends single requests, the last step before the network: it counts them, follows
// no redirects, reads the service's clock, ends what stalls, and hands out the payload of
// a Put anew for each try.
type wire struct {
	rt       http.RoundTripper
	quiet    time.Duration // how long no byte may go or come
	requests atomic.Int64
	met      atomic.Bool   // the service has answered
	tls      atomic.Uint32 // the version that the latest answer came by
	clock    clock
}

var _ policy.Transporter = (*wire)(nil)

// Do implements policy.Transporter.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	ctx, cancel := context.WithCancelCause(req.Context())
	stall := newStall(w.quiet, cancel)
	r := req.WithContext(ctx)
	if p, ok := req.Context().Value(payloadKey{}).(*payload); ok && req.Body != nil {
		r.Body = p.reader(stall)
		r.GetBody = func() (io.ReadCloser, error) { return p.reader(stall), nil }
	}
	stall.start()
	resp, err := w.rt.RoundTrip(r)
	stall.answered()
	if err != nil {
		if context.Cause(ctx) == errStalled {
			err = errStalled
		}
		cancel(nil)
		return nil, &wireError{err}
	}
	if resp.Header.Get("x-ms-request-id") != "" { // the service's own answer, not a proxy's
		w.met.Store(true)
		if resp.TLS != nil {
			w.tls.Store(uint32(resp.TLS.Version))
		}
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

// stall cancels a request unless it is stopped, or started anew, in time.
type stall struct {
	quiet time.Duration
	timer *time.Timer
	over  atomic.Bool // there is an answer: what is still sent does not count
}

// newStall returns a stopped one.
func newStall(quiet time.Duration, cancel context.CancelCauseFunc) *stall {
	t := time.AfterFunc(time.Hour, func() { cancel(errStalled) })
	t.Stop()
	return &stall{quiet: quiet, timer: t}
}

func (s *stall) start() { s.timer.Reset(s.quiet) }
func (s *stall) stop()  { s.timer.Stop() }

func (s *stall) sending() {
	if !s.over.Load() {
		s.start()
	}
}

func (s *stall) answered() {
	s.over.Store(true)
	s.stop()
}

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
	r.stall.sending()
	r.p.mu.RLock()
	defer r.p.mu.RUnlock()
	switch {
	case r.closed.Load(), r.p.data == nil:
		return 0, errors.New("the request is over")
	case r.off == len(r.p.data):
		return 0, io.EOF
	}
	n := copy(b, r.p.data[r.off:])
	r.off += n
	return n, nil
}

func (r *payloadReader) Close() error {
	r.closed.Store(true)
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
