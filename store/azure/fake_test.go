package azure

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"satchel/store"
)

// roundTripper is a network made of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reply is an answer of the service's.
func reply(r *http.Request, status int, code, body string, headers ...string) *http.Response {
	h := http.Header{"X-Ms-Request-Id": {"42"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}
	if code != "" {
		h.Set("x-ms-error-code", code)
	}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	return &http.Response{
		StatusCode: status, Status: fmt.Sprint(status), Header: h, Request: r,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func fakeStore(t *testing.T, cred Credential, f roundTripper) *Store {
	t.Helper()
	loc := location(t, "https://acct.blob.core.windows.net/backup")
	cred.account = "acct"
	s, err := Open(loc, cred, Options{Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(ctx context.Context, s *Store) error    { return s.Put(ctx, "a", []byte("data")) }
func get(ctx context.Context, s *Store) error    { _, err := s.Get(ctx, "a", 0, -1); return err }
func remove(ctx context.Context, s *Store) error { return s.Delete(ctx, "a") }
func list(ctx context.Context, s *Store) (err error) {
	for _, err = range s.List(ctx, "") {
	}
	return err
}
func create(ctx context.Context, s *Store) error { return s.CreateContainer(ctx) }

func TestAnswersMap(t *testing.T) {
	type op = func(context.Context, *Store) error
	for _, tt := range []struct {
		name   string
		op     op
		status int
		code   string
		want   error // nil: none of the sentinels
	}{
		{"put", put, 409, "BlobAlreadyExists", store.ErrExists},
		{"put", put, 412, "ConditionNotMet", store.ErrExists},
		{"put", put, 409, "BlobImmutableDueToPolicy", store.ErrExists},
		{"put", put, 403, "UnauthorizedBlobOverwrite", store.ErrExists},
		{"put", put, 404, "ContainerNotFound", store.ErrNoContainer},
		{"put", put, 409, "ContainerBeingDeleted", nil},
		{"put", put, 409, "AccountBeingCreated", nil},
		{"put", put, 403, "AuthorizationFailure", store.ErrDenied},
		{"put", put, 401, "NoAuthenticationInformation", store.ErrDenied},
		{"get", get, 404, "BlobNotFound", store.ErrNotFound},
		{"get", get, 404, "ContainerNotFound", store.ErrNoContainer},
		{"get", get, 404, "ResourceNotFound", store.ErrNoContainer},
		{"get", get, 404, "", nil}, // a proxy's
		{"get", get, 302, "", nil},
		{"get", get, 409, "BlobArchived", nil},
		{"get", get, 403, "AuthorizationPermissionMismatch", store.ErrDenied},
		{"get", get, 400, "InvalidAuthenticationInfo", store.ErrDenied},
		{"list", list, 404, "ContainerNotFound", store.ErrNoContainer},
		{"list", list, 403, "AuthorizationFailure", store.ErrDenied},
		{"delete", remove, 404, "BlobNotFound", store.ErrNotFound},
		{"delete", remove, 409, "BlobImmutableDueToPolicy", store.ErrHeld},
		{"delete", remove, 412, "ConditionNotMet", nil},
		{"create container", create, 409, "ContainerAlreadyExists", store.ErrExists},
		{"create container", create, 409, "ContainerBeingDeleted", nil},
	} {
		s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
			return reply(r, tt.status, tt.code, "<?xml version=\"1.0\"?><Error><Code>"+tt.code+"</Code><Message>In its words.\nRequestId:42</Message></Error>"), nil
		})
		err := tt.op(t.Context(), s)
		for _, sentinel := range []error{store.ErrExists, store.ErrDenied, store.ErrNoContainer, store.ErrNotFound, store.ErrHeld} {
			want := tt.want == sentinel || tt.want == store.ErrNoContainer && sentinel == store.ErrNotFound
			if errors.Is(err, sentinel) != want {
				t.Errorf("%s: %d %s: %v; is %v: %v", tt.name, tt.status, tt.code, err, sentinel, !want)
			}
		}
		var e *Error
		if !errors.As(err, &e) || e.Status != tt.status || e.Code != tt.code || e.Op != tt.name || e.RequestID != "42" {
			t.Errorf("%s: %d %s: %#v", tt.name, tt.status, tt.code, err)
			continue
		}
		text := err.Error()
		if !strings.HasPrefix(text, `azure container "backup": `+tt.name) || !strings.Contains(text, fmt.Sprint(tt.status)) || !strings.Contains(text, tt.code) {
			t.Errorf("%s: the text is %q", tt.name, text)
		}
		if tt.want == nil && !strings.Contains(text, "In its words") || strings.Contains(text, "RequestId") {
			t.Errorf("%s: the text is %q", tt.name, text)
		}
	}
}

// No error, in whatever way it is printed or unwrapped, holds a secret, also where the
// service or the network repeats what it was sent.
func TestErrorsHoldNoSecret(t *testing.T) {
	const signature = "c2lnbmF0dXJlK3NlY3JldA=="
	query := "sv=2024-11-04&sp=rl&sig=" + url.QueryEscape(signature)
	withSAS, err := SASCredential(query)
	if err != nil {
		t.Fatal(err)
	}
	withKey, err := KeyCredential("acct", signature)
	if err != nil {
		t.Fatal(err)
	}
	for name, network := range map[string]roundTripper{
		"refused": func(r *http.Request) (*http.Response, error) {
			return reply(r, 403, "AuthenticationFailed", "<Error><Code>AuthenticationFailed</Code><Message>Server failed: "+r.URL.String()+" "+signature+
				"\nTime:now</Message><AuthenticationErrorDetail>"+r.URL.RawQuery+"</AuthenticationErrorDetail></Error>"), nil
		},
		"bad request": func(r *http.Request) (*http.Response, error) {
			return reply(r, 400, "InvalidUri", "<Error><Code>InvalidUri</Code><Message>"+signature+"</Message></Error>"), nil
		},
		"network": func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Put", URL: r.URL.String() + signature, Err: x509.UnknownAuthorityError{}}
		},
		"not storage": func(r *http.Request) (*http.Response, error) {
			return reply(r, 200, "", "<html>"+r.URL.RawQuery+"</html>"), nil
		},
	} {
		for _, cred := range []Credential{withSAS, withKey} {
			s := fakeStore(t, cred, network)
			for _, op := range []func(context.Context, *Store) error{put, get, list, remove, create} {
				err := op(t.Context(), s)
				if err == nil {
					continue // of "not storage"; TestNotStorage looks at those
				}
				for err := err; err != nil; err = errors.Unwrap(err) {
					for _, text := range []string{fmt.Sprintf("%v", err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
						if strings.Contains(text, signature) || strings.Contains(text, url.QueryEscape(signature)) {
							t.Errorf("%s: %T shows the secret: %s", name, err, text)
						}
					}
				}
			}
		}
	}
	for _, text := range []string{fmt.Sprintf("%+v %#v", withSAS, withSAS), fmt.Sprintf("%+v %#v", withKey, withKey)} {
		if strings.Contains(text, signature) || strings.Contains(text, "sig=") {
			t.Errorf("a credential shows its secret: %s", text)
		}
	}
}

// Transient answers and failures are tried again, with pauses; others are not. Time is
// the bubble's.
func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		name     string
		failures int
		fail     roundTripper
		requests int64
		ok       bool
	}{
		{"busy twice", 2, answer503, 3, true},
		{"busy for ever", 100, answer503, 7, false},
		{"reset once", 1, failure(&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}), 2, true},
		{"DNS is down", 100, failure(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), 7, false},
		{"no such host", 100, failure(&net.DNSError{Err: "no such host", IsNotFound: true}), 1, false},
		{"bad certificate", 100, failure(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}), 1, false},
		{"plain http there", 100, failure(http.ErrSchemeMismatch), 1, false},
		{"checksum", 1, func(r *http.Request) (*http.Response, error) { return reply(r, 400, "Crc64Mismatch", ""), nil }, 2, true},
		{"bad request", 1, func(r *http.Request) (*http.Response, error) { return reply(r, 400, "InvalidHeaderValue", ""), nil }, 1, false},
		{"stalled", 100, stalled, 5, false}, // after more than five minutes
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent []string
				s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
					if tt.failures > 0 {
						tt.failures--
						return tt.fail(r)
					}
					body, err := io.ReadAll(r.Body)
					sent = append(sent, string(body))
					return reply(r, 201, "", ""), err
				})
				start := time.Now()
				err := put(t.Context(), s)
				if (err == nil) != tt.ok || s.Requests() != tt.requests {
					t.Errorf("%v after %d requests, want %d", err, s.Requests(), tt.requests)
				}
				if tt.ok && (len(sent) != 1 || sent[0] != "data") {
					t.Errorf("sent %q", sent)
				}
				if d := time.Since(start); d > 10*time.Minute {
					t.Errorf("it took %v", d)
				}
				if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v reads as the caller's own end", err)
				}
			})
		})
	}
}

// What is not there at the first request is a wrong name or no network, and said at once;
// once the service has answered, it is waited for.
func TestAbsentServiceIsWaitedForOnceItWasThere(t *testing.T) {
	for name, cause := range map[string]error{
		"no such host":       &net.DNSError{Err: "no such host", IsNotFound: true},
		"connection refused": &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		"no route":           &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := false
				s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
					if !up {
						return nil, cause
					}
					return reply(r, 201, "", ""), nil
				})
				if err := put(t.Context(), s); err == nil || s.Requests() != 1 || !strings.Contains(err.Error(), "cannot reach acct.blob.core.windows.net: ") {
					t.Errorf("at first: %v after %d requests", err, s.Requests())
				}
				up = true
				if err := put(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				up = false
				before := s.Requests()
				if err := put(t.Context(), s); err == nil || s.Requests()-before != 7 {
					t.Errorf("then: %v after %d requests", err, s.Requests()-before)
				}
			})
		})
	}
}

// Whenever in a call the network goes away for a minute, the call comes to a good end; and
// one that it is away from for good ends within six.
func TestPartitionOfAMinute(t *testing.T) {
	for _, tt := range []struct {
		name string
		away time.Duration
		ok   bool
	}{{"a minute", time.Minute, true}, {"for good", time.Hour, false}} {
		for name, fail := range map[string]roundTripper{
			"reset":   failure(&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}),
			"refused": failure(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}),
			"silent":  stalled,
		} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var back time.Time
					s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
						if time.Now().Before(back) {
							return fail(r)
						}
						return reply(r, 201, "", ""), nil
					})
					if err := put(t.Context(), s); err != nil {
						t.Fatal(err)
					}
					start := time.Now()
					back = start.Add(tt.away)
					err := put(t.Context(), s)
					if took := time.Since(start); (err == nil) != tt.ok || took > 6*time.Minute {
						t.Errorf("%v after %v", err, took)
					} else {
						t.Logf("%d requests in %v: %v", s.Requests()-1, took.Round(time.Second), err)
					}
				})
			})
		}
	}
}

func answer503(r *http.Request) (*http.Response, error) { return reply(r, 503, "ServerBusy", ""), nil }

func failure(err error) roundTripper {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// stalled takes the first byte of a body and waits.
func stalled(r *http.Request) (*http.Response, error) {
	if _, err := io.ReadFull(r.Body, make([]byte, 1)); err != nil {
		return nil, err
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestTheCallersEndIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fakeStore(t, key(t), stalled)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := put(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's own error", err)
		}
		if s.Requests() != 1 {
			t.Errorf("%d requests", s.Requests())
		}
	})
}

// The service made the object and its answer was lost: the SDK's second try finds it.
func TestLostAnswerReadsAsExists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := false
		s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
			if there {
				return reply(r, 409, "BlobAlreadyExists", ""), nil
			}
			there = true
			return nil, io.ErrUnexpectedEOF
		})
		if err := put(t.Context(), s); !errors.Is(err, store.ErrExists) {
			t.Errorf("%v, want ErrExists", err)
		}
	})
}

// broken is a body that ends early, or waits.
type broken struct {
	io.Reader
	ctx context.Context // waits for its end, if not nil
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		if b.ctx != nil {
			<-b.ctx.Done()
			return n, b.ctx.Err()
		}
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}
func (broken) Close() error { return nil }

// rangeOf reads the header that azblob sets as it is, not in Go's canonical spelling.
func rangeOf(r *http.Request) string {
	for name, values := range r.Header {
		if strings.EqualFold(name, "x-ms-range") {
			return values[0]
		}
	}
	return ""
}

// A download that breaks or stalls goes on where it was, and a connection that always
// breaks does not read as a short object.
func TestBrokenDownload(t *testing.T) {
	const object = "0123456789abcdef"
	for _, tt := range []struct {
		name   string
		breaks int
		wait   bool
		ok     bool
	}{
		{"breaks twice", 2, false, true},
		{"stalls once", 1, true, true},
		{"always breaks", 1000, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
					from, to := 0, len(object)-1
					fmt.Sscanf(rangeOf(r), "bytes=%d-%d", &from, &to)
					resp := reply(r, 206, "", object[from:to+1], "ETag", `"1"`, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(object)))
					if tt.breaks > 0 {
						tt.breaks--
						b := broken{Reader: strings.NewReader(object[from : from+min(3, to-from)])}
						if tt.wait {
							b.ctx = r.Context()
						}
						if tt.breaks > 100 {
							b.Reader = strings.NewReader("")
						}
						resp.Body = b
					}
					return resp, nil
				})
				got, err := s.Get(t.Context(), "a", 2, 12)
				if tt.ok && (err != nil || string(got) != object[2:14]) {
					t.Errorf("%q, %v", got, err)
				}
				if !tt.ok && (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) {
					t.Errorf("%q, %v: want an error that is not about the object's length", got, err)
				}
			})
		})
	}
}

// Whatever lies between us and the service may cut, ignore or mistake a range: what Get
// returns is the range that was asked for, or an error that does not read as a short
// object.
func TestOtherRangesAreNotTaken(t *testing.T) {
	const object = "0123456789abcdef"
	part := func(r *http.Request, from, to int, etag string) *http.Response {
		return reply(r, 206, "", object[from:to], "ETag", etag, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(object)))
	}
	cut := func(resp *http.Response) *http.Response {
		whole, _ := io.ReadAll(resp.Body)
		resp.Body = broken{Reader: bytes.NewReader(whole[:len(whole)/2])}
		return resp
	}
	for _, tt := range []struct {
		name    string
		off, n  int64
		answers []func(r *http.Request) *http.Response
	}{
		{"the end is cut off", 4, -1, []func(r *http.Request) *http.Response{
			func(r *http.Request) *http.Response { return part(r, 4, 12, `"1"`) }}},
		{"all is cut off", 0, -1, []func(r *http.Request) *http.Response{
			func(r *http.Request) *http.Response { return part(r, 0, 12, `"1"`) }}},
		{"the range is cut off", 4, 10, []func(r *http.Request) *http.Response{
			func(r *http.Request) *http.Response { return part(r, 4, 8, `"1"`) }}},
		{"the range is ignored", 4, 8, []func(r *http.Request) *http.Response{
			func(r *http.Request) *http.Response { return reply(r, 200, "", object, "ETag", `"1"`) }}},
		{"the range is another", 4, 8, []func(r *http.Request) *http.Response{
			func(r *http.Request) *http.Response { return part(r, 0, 8, `"1"`) }}},
		{"headers and body differ", 4, 8, []func(r *http.Request) *http.Response{
			func(r *http.Request) *http.Response {
				return reply(r, 206, "", object[4:12], "ETag", `"1"`, "Content-Range", "bytes 4-9/16")
			}}},
		{"the rest ignores its range", 4, 8, []func(r *http.Request) *http.Response{
			func(r *http.Request) *http.Response { return cut(part(r, 4, 12, `"1"`)) },
			func(r *http.Request) *http.Response { return reply(r, 200, "", object, "ETag", `"1"`) }}},
		{"the rest is of another object", 4, 8, []func(r *http.Request) *http.Response{
			func(r *http.Request) *http.Response { return cut(part(r, 4, 12, `"1"`)) },
			func(r *http.Request) *http.Response { return part(r, 8, 12, `"2"`) }}},
		{"the rest is shorter", 4, 8, []func(r *http.Request) *http.Response{
			func(r *http.Request) *http.Response { return cut(part(r, 4, 12, `"1"`)) },
			func(r *http.Request) *http.Response {
				return reply(r, 206, "", object[8:10], "ETag", `"1"`, "Content-Range", "bytes 8-9/10")
			}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
					n++
					return tt.answers[min(n, len(tt.answers))-1](r), nil
				})
				got, err := s.Get(t.Context(), "a", tt.off, tt.n)
				if err == nil || got != nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, store.ErrNotFound) {
					t.Errorf("%q, %v", got, err)
				}
				if n != len(tt.answers) {
					t.Errorf("%d requests", n)
				}
			})
		})
	}
}

// An answer that ends in its headers is not an object that ends.
func TestBrokenHeadersAreNoShortObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fakeStore(t, key(t), failure(io.ErrUnexpectedEOF))
		for _, op := range []func(context.Context, *Store) error{get, put, list, remove} {
			if err := op(t.Context(), s); errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "broke") {
				t.Error(err)
			}
		}
	})
}

// What is not Blob Storage does not read as an empty listing or as an object.
func TestNotStorage(t *testing.T) {
	for _, tt := range []struct{ name, body string }{
		{"web page", "<html><body>Please sign in to the Wi-Fi</body></html>"},
		{"nothing", ""},
		{"other XML", "<EnumerationResults/>"},
	} {
		s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) { return reply(r, 200, "", tt.body), nil })
		if err := list(t.Context(), s); err == nil {
			t.Errorf("%s reads as an empty listing", tt.name)
		}
		if data, err := s.Get(t.Context(), "a", 5, 5); err == nil {
			t.Errorf("%s reads as %q", tt.name, data)
		}
	}
	portal := func(r *http.Request) (*http.Response, error) {
		status := map[string]int{"PUT": 201, "DELETE": 202}[r.Method]
		resp := reply(r, max(status, 200), "", "<html>Please sign in</html>")
		resp.Header.Del("X-Ms-Request-Id")
		return resp, nil
	}
	s := fakeStore(t, key(t), portal)
	size := func(ctx context.Context, s *Store) error { _, err := s.Get(ctx, "a", 3, 0); return err }
	for i, op := range []func(context.Context, *Store) error{get, put, list, remove, size} {
		if err := op(t.Context(), s); err == nil || !strings.Contains(err.Error(), "check") {
			t.Errorf("call %d takes a portal's answer for the service's: %v", i, err)
		}
	}
}

func TestListPages(t *testing.T) {
	page := func(next string, names ...string) string {
		var b strings.Builder
		b.WriteString(`<?xml version="1.0"?><EnumerationResults ServiceEndpoint="https://acct.blob.core.windows.net/" ContainerName="backup"><Blobs>`)
		for _, name := range names {
			kind := "file"
			if strings.HasSuffix(name, "/") {
				name, kind = strings.TrimSuffix(name, "/"), "directory"
			}
			fmt.Fprintf(&b, `<Blob><Name>%s</Name><Properties><Last-Modified>Mon, 02 Feb 2026 03:04:05 GMT</Last-Modified><Content-Length>7</Content-Length><ResourceType>%s</ResourceType></Properties></Blob>`, name, kind)
		}
		return b.String() + "</Blobs><NextMarker>" + next + "</NextMarker></EnumerationResults>"
	}
	for _, tt := range []struct {
		name  string
		pages map[string]string // by marker
		want  string
		ok    bool
	}{
		{"empty pages with a marker", map[string]string{"": page("1"), "1": page("2", "a", "b"), "2": page("3"), "3": page("", "c")}, "a b c", true},
		{"folders of a hierarchical account", map[string]string{"": page("", "d/", "d/1", "l")}, "d/1 l", true},
		{"a page that repeats", map[string]string{"": page("1", "a"), "1": page("1")}, "a", false},
		{"rows that repeat", map[string]string{"": page("1", "a"), "1": page("", "a")}, "a", false},
		{"rows out of order", map[string]string{"": page("", "b", "a")}, "b", false},
		{"a page that fails", map[string]string{"": page("1", "a")}, "a", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sizes []string
			s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
				q := r.URL.Query()
				sizes = append(sizes, q.Get("maxresults"))
				body, ok := tt.pages[q.Get("marker")]
				if !ok {
					return reply(r, 403, "AuthorizationFailure", ""), nil
				}
				return reply(r, 200, "", body), nil
			})
			var names []string
			var last error
			for o, err := range s.List(t.Context(), "") {
				if last = err; err == nil {
					names = append(names, o.Name)
				}
			}
			if got := strings.Join(names, " "); got != tt.want || (last == nil) != tt.ok {
				t.Errorf("%s, error %v; want %s", got, last, tt.want)
			}
			for i, size := range sizes {
				if want := map[bool]string{true: "100", false: "5000"}[i == 0]; size != want {
					t.Errorf("page %d asks for %s rows, want %s", i, size, want)
				}
			}
		})
	}
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Hour
		service := true
		s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
			resp := reply(r, 201, "", "", "Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			if !service {
				resp.Header.Del("x-ms-request-id")
			}
			return resp, nil
		})
		off := func() time.Duration { return time.Until(s.Now()) }
		if off() != 0 {
			t.Errorf("before the first answer the clock is %v off", off())
		}
		check := func(want time.Duration) {
			t.Helper()
			put(t.Context(), s)
			if d := want - off(); d < 0 || d > time.Second {
				t.Errorf("the clock is %v ahead, want up to a second less than %v", off(), want)
			}
		}
		check(time.Hour)
		before := off()
		time.Sleep(700 * time.Millisecond)
		check(time.Hour)
		if off() < before {
			t.Errorf("the clock stepped back by %v", before-off())
		}
		ahead = time.Minute
		check(time.Minute)
		ahead, service = 0, false
		check(time.Minute) // a proxy's date is not the service's
	})
}

// A pack goes out from the caller's bytes and comes in to those that the caller gets:
// neither is in memory twice.
func TestNoSecondCopy(t *testing.T) {
	pack := bytes.Repeat([]byte("x"), 32<<20)
	s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r.Body}, make([]byte, 32<<10))
			return reply(r, 201, "", ""), err
		}
		resp := reply(r, 200, "", "", "Content-Length", fmt.Sprint(len(pack)))
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(pack)), int64(len(pack))
		return resp, nil
	})
	allocated := func(call func() error) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := call(); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if n := allocated(func() error { return s.Put(t.Context(), "a", pack) }); n > 1<<20 {
		t.Errorf("a Put of %d bytes allocates %d", len(pack), n)
	}
	if n := allocated(func() error { _, err := s.Get(t.Context(), "a", 0, -1); return err }); n > uint64(len(pack))+1<<20 {
		t.Errorf("a Get of %d bytes allocates %d", len(pack), n)
	}
}

// The transport may read a body on when the call is over; the bytes are the caller's as
// soon as Put is back. The race detector is the judge.
func TestPutLetsGoOfItsBytes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reading sync.WaitGroup
	s := fakeStore(t, key(t), func(r *http.Request) (*http.Response, error) {
		started := make(chan struct{})
		reading.Go(func() { // as net/http's loop that writes a request
			defer r.Body.Close()
			b := make([]byte, 512)
			n, err := r.Body.Read(b)
			close(started)
			for err == nil && n > 0 {
				n, err = r.Body.Read(b)
			}
		})
		<-started
		cancel()
		return nil, ctx.Err()
	})
	data := bytes.Repeat([]byte("x"), 8<<20)
	if err := s.Put(ctx, "a", data); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for i := range data { // clear would go unseen by the detector
		data[i] = 'y'
	}
	reading.Wait()
}
