package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func dialError(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(20, 1, 2, 3), Port: 443}, Err: err}
}

// What the network does to a person is said in one line: which host, what is wrong, and
// where to look. No address and no name of a system call is in the way.
func TestWordsForThePerson(t *testing.T) {
	errno := func(call string, e syscall.Errno) error { return os.NewSyscallError(call, e) }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Err: "no such host", Name: "h", Server: "10.0.0.1:53", IsNotFound: true}, "cannot reach HOST: there is no such host; check the store's name and the network"},
		{dialError(&net.DNSError{Err: "server misbehaving", Name: "h", Server: "10.0.0.1:53", IsTemporary: true}), "cannot reach HOST: its address cannot be looked up (server misbehaving); check the network"},
		{dialError(errno("connect", syscall.ECONNREFUSED)), "cannot reach HOST: the connection was refused; check the store's name, the network and its firewall"},
		{dialError(errno("connectex", 10061)), "cannot reach HOST: the connection was refused; check the store's name, the network and its firewall"},
		{dialError(errno("connect", syscall.ENETUNREACH)), "cannot reach HOST: there is no way there; check the network"},
		{dialError(errno("connect", syscall.EHOSTUNREACH)), "cannot reach HOST: there is no way there; check the network"},
		{dialError(errno("connect", syscall.EACCES)), "cannot reach HOST: permission denied; check the network"},
		{dialError(os.ErrDeadlineExceeded), "cannot reach HOST: no answer in time; check the network, then try again"},
		{errStalled, "cannot reach HOST: no answer in time; check the network, then try again"},
		{fmt.Errorf("get: %w", context.DeadlineExceeded), "cannot reach HOST: no answer in time; check the network, then try again"},
		{x509.UnknownAuthorityError{}, "cannot reach HOST: its certificate is not trusted (x509: certificate signed by unknown authority); something on the way may read along: check the network"},
		{&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time 2040 is after 2030"}}, "cannot reach HOST: its certificate is not valid today (x509: certificate has expired or is not yet valid: current time 2040 is after 2030); check this computer's clock"},
		{http.ErrSchemeMismatch, "cannot reach HOST: what answers there does not speak TLS; check the store's name and the network"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, "cannot reach HOST: what answers there does not speak TLS; check the store's name and the network"},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(70)}, "cannot reach HOST: no agreement on TLS (tls: protocol version not supported); check the network and its proxies"},
		{&net.OpError{Op: "proxyconnect", Net: "tcp", Err: dialError(errno("connect", syscall.ECONNREFUSED))}, "cannot reach HOST: the proxy does not answer (connection refused); check HTTPS_PROXY and the network"},
		{&proxyError{"proxy:3128", 403}, "cannot reach HOST: the proxy proxy:3128 refuses (403 Forbidden); check HTTPS_PROXY and the proxy's rules"},
		{&proxyError{"proxy:3128", 407}, "cannot reach HOST: the proxy proxy:3128 asks for a sign-in (407 Proxy Authentication Required); put the name and password into HTTPS_PROXY"},
		{&net.OpError{Op: "read", Err: errno("read", syscall.ECONNRESET)}, "the connection to HOST broke again and again; check the network, then try again"},
		{&net.OpError{Op: "write", Err: errno("wsasend", 10054)}, "the connection to HOST broke again and again; check the network, then try again"},
		{io.EOF, "the connection to HOST broke again and again; check the network, then try again"},
		{&wireError{errors.New("malformed HTTP response")}, "no proper answer from HOST (malformed HTTP response); check the network, then try again"},
		{errors.New("offset -1 is negative"), ""},
	} {
		if got := reach("HOST", tt.err); got != tt.want {
			t.Errorf("%v:\n got %q\nwant %q", tt.err, got, tt.want)
		}
	}
}

// The same from end to end, as the driver's own transport meets them.
func TestWordsOfRealFailures(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that end as they should
	secure.StartTLS()
	defer secure.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	defer proxy.Close()
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	for name, tt := range map[string]struct {
		host, proxy string
		want        string
		requests    int64
	}{
		"refused":      {closed.Addr().String(), "", "the connection was refused", 1},
		"no TLS":       {host(plain), "", "does not speak TLS", 1},
		"untrusted":    {host(secure), "", "certificate is not trusted", 1},
		"proxy's 407":  {host(secure), "http://name:secret@" + host(proxy), "asks for a sign-in (407", 1},
		"proxy absent": {host(secure), "http://name:secret@" + closed.Addr().String(), "the proxy does not answer", 1},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTransport(1)
			defer tr.CloseIdleConnections()
			if tt.proxy != "" {
				u, err := url.Parse(tt.proxy)
				if err != nil {
					t.Fatal(err)
				}
				tr.Proxy = http.ProxyURL(u)
			}
			s, err := Open(location(t, "https://"+tt.host+"/devstoreaccount1/backup"), key(t), Options{Transport: tr, pace: hurried})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			err = s.Put(t.Context(), "a", []byte("x"))
			text := err.Error()
			if !strings.HasPrefix(text, `azure container "backup": put a: cannot reach `+tt.host+": ") || !strings.Contains(text, tt.want) ||
				!strings.Contains(text, "HTTPS_PROXY") && !strings.Contains(text, "check ") || strings.Contains(text, "secret") || strings.Contains(text, "\n") {
				t.Error(text)
			}
			if s.Requests() != tt.requests || time.Since(start) > 10*time.Second {
				t.Errorf("%d requests in %v", s.Requests(), time.Since(start))
			}
		})
	}
}
