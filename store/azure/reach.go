package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// Errors of sockets, by their numbers on Unix and on Windows (winsock2.h), where package
// syscall has other constants of the same names.
var (
	refused = []syscall.Errno{syscall.ECONNREFUSED, 10061}
	noRoute = []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, 10051, 10065}
	resets  = []syscall.Errno{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, 10053, 10054}
)

func isErrno(err error, list ...syscall.Errno) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	for _, e := range list {
		if errno == e {
			return true
		}
	}
	return false
}

// Ways for a call to end that are the network's.
var (
	errSlow    = errors.New("no answer in time")
	errBroken  = errors.New("the connection broke")
	errStalled = errors.New("the connection stalled")
)

// wireError marks what a request without an answer failed with.
type wireError struct{ err error }

func (e *wireError) Error() string { return e.err.Error() }
func (e *wireError) Unwrap() error { return e.err }

// proxyError: a proxy does not let us through to a host.
type proxyError struct {
	proxy  string // host and port
	status int    // of HTTP
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("proxy %s: %d %s", e.proxy, e.status, http.StatusText(e.status))
}

// proxyAnswered is for http.Transport, which would keep nothing but the status text.
func proxyAnswered(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{proxy.Host, resp.StatusCode}
}

// reach says in a line, for a person, what is wrong between here and a host and where to
// look; "" if an error is not the network's.
func reach(host string, err error) string {
	var dns *net.DNSError
	var proxy *proxyError
	var op *net.OpError
	isOp := errors.As(err, &op)
	cannot := "cannot reach " + host + ": "
	switch {
	case errors.As(err, &proxy):
		why := "the proxy %s refuses (%d %s); check HTTPS_PROXY and the proxy's rules"
		if proxy.status == http.StatusProxyAuthRequired {
			why = "the proxy %s asks for a sign-in (%d %s); put the name and password into HTTPS_PROXY"
		}
		return cannot + fmt.Sprintf(why, proxy.proxy, proxy.status, http.StatusText(proxy.status))
	case isOp && op.Op == "proxyconnect":
		return cannot + "the proxy does not answer (" + cause(op.Err) + "); check HTTPS_PROXY and the network"
	case errors.As(err, &dns) && dns.IsNotFound:
		return cannot + "there is no such host; check the store's name and the network"
	case errors.As(err, &dns):
		return cannot + "its address cannot be looked up (" + dns.Err + "); check the network"
	case untrusted(err):
		return cannot + certificate(err)
	case isErrno(err, refused...):
		return cannot + "the connection was refused; check the store's name, the network and its firewall"
	case isErrno(err, noRoute...):
		return cannot + "there is no way there; check the network"
	case errors.Is(err, errStalled), errors.Is(err, errSlow), errors.Is(err, context.DeadlineExceeded), isOp && op.Timeout():
		return cannot + "no answer in time; check the network, then try again"
	}
	return spoke(host, err, isOp)
}

// spoke is the part of reach for what goes wrong once somebody has answered.
func spoke(host string, err error, isOp bool) string {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var wire *wireError
	cannot := "cannot reach " + host + ": "
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return cannot + "what answers there does not speak TLS; check the store's name and the network"
	case errors.As(err, &alert):
		return cannot + "no agreement on TLS (" + alert.Error() + "); check the network and its proxies"
	case isErrno(err, resets...), errors.Is(err, errBroken), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection to " + host + " broke again and again; check the network, then try again"
	case isOp:
		return cannot + cause(err) + "; check the network"
	case errors.As(err, &wire):
		return "no proper answer from " + host + " (" + cause(err) + "); check the network, then try again"
	}
	return ""
}

// certificate says why the other side is not trusted.
func certificate(err error) string {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return "its certificate is not valid today (" + invalid.Error() + "); check this computer's clock"
	}
	return "its certificate is not trusted (" + cause(err) + "); something on the way may read along: check the network"
}

// cause is the innermost error's text, without the addresses around it.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
