package azure

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/store"
	"satchel/store/storetest/azurite"
	"satchel/store/storetest/proxy"
)

// hurried is a pace at which a test meets every wait and sleeps for none of them long.
var hurried = pace{delay: time.Millisecond, maxDelay: 20 * time.Millisecond, try: 2 * time.Second, stall: 150 * time.Millisecond, patience: 500 * time.Millisecond}

// patient is that for calls that have to come to a good end on a busy machine.
var patient = pace{delay: hurried.delay, maxDelay: hurried.maxDelay, try: 10 * time.Second, stall: 500 * time.Millisecond, patience: time.Minute}

// tries of one request, at most.
const tries = maxRetries + 1

// dials counts the connections that a transport has open.
type dials struct{ open, made atomic.Int64 }

type dialled struct {
	net.Conn
	closed atomic.Bool
	d      *dials
}

func (c *dialled) Close() error {
	if !c.closed.Swap(true) {
		c.d.open.Add(-1)
	}
	return c.Conn.Close()
}

// counted makes a transport count.
func (d *dials) counted(tr *http.Transport) *http.Transport {
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		d.open.Add(1)
		d.made.Add(1)
		return &dialled{Conn: c, d: d}, nil
	}
	return tr
}

// through opens a store by way of a proxy, with the driver's own transport. When the test
// ends no goroutine and no connection of the store's may be left.
func through(t *testing.T, p *proxy.Proxy, container string, cred Credential, pace pace) (*Store, *dials) {
	t.Helper()
	before := runtime.NumGoroutine()
	d := &dials{}
	tr := d.counted(newTransport(4))
	s, err := Open(location(t, p.URL+"/"+container), cred, Options{Transport: tr, pace: pace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Heal()
		p.Cut()
		tr.CloseIdleConnections()
		for deadline := time.Now().Add(10 * time.Second); d.open.Load() > 0 || runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Errorf("%d connections are open, %d goroutines run, %d before:\n%s", d.open.Load(), runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
	return s, d
}

// bench is a container with rows to list, and a store that goes there straight.
type bench struct {
	srv       *azurite.Server
	straight  *Store
	container string
	rows      []string
	made      int
}

const rowsData = 300_000

func newBench(t *testing.T) *bench {
	b := &bench{srv: azurite.Start(t, azurite.Options{})}
	b.straight = newStore(t, b.srv, key(t), "")
	b.container = b.straight.loc.Container
	for i := range 130 { // two pages
		name := fmt.Sprintf("l/%03d", i)
		b.put(t, name, []byte(name))
		b.rows = append(b.rows, name)
	}
	b.put(t, "large", stuff("large", rowsData))
	return b
}

func (b *bench) put(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := b.straight.Put(t.Context(), name, data); err != nil {
		t.Fatal(err)
	}
}

// name is one that was not used before.
func (b *bench) name(kind string) string {
	b.made++
	return fmt.Sprintf("%s/%d", kind, b.made)
}

// stuff is bytes that a name determines.
func stuff(name string, n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(data)
	return data
}

// An operation runs once and says whether it did what it was to do. What it brings back and
// leaves behind is checked in either case.
type operation struct {
	kind proxy.Kind
	most int64 // requests
	run  func(t *testing.T, b *bench, s *Store) error
}

var operations = []operation{
	{proxy.Put, tries, runPut},
	{proxy.Get, 2 * tries, runGet}, // a broken answer is taken up as often as a request is tried
	{proxy.List, 2 * tries, runList},
	{proxy.Delete, tries, runDelete},
}

func runPut(t *testing.T, b *bench, s *Store) error {
	name := b.name("p")
	data := stuff(name, 200_000)
	err := s.Put(t.Context(), name, data)
	got, gerr := b.straight.Get(t.Context(), name, 0, -1)
	done := err == nil || errors.Is(err, store.ErrExists)
	switch {
	case gerr == nil && !bytes.Equal(got, data):
		t.Errorf("put: %v, and %d of %d bytes are there", err, len(got), len(data))
	case done && gerr != nil:
		t.Errorf("put: %v, and the object: %v", err, gerr)
	case !done:
		worded(t, b, err, "put "+name)
		return err
	}
	return nil
}

func runGet(t *testing.T, b *bench, s *Store) error {
	data := stuff("large", rowsData)
	for _, r := range []struct{ off, n int64 }{{0, -1}, {1000, 250_000}} {
		got, err := s.Get(t.Context(), "large", r.off, r.n)
		if err != nil {
			if got != nil {
				t.Errorf("get: %d bytes beside %v", len(got), err)
			}
			worded(t, b, err, "get large")
			return err
		}
		want := data[r.off:]
		if r.n > 0 {
			want = want[:r.n]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("get (%d, %d): %d bytes that are not those", r.off, r.n, len(got))
		}
	}
	return nil
}

func runList(t *testing.T, b *bench, s *Store) error {
	var got []string
	var last error
	for o, err := range s.List(t.Context(), "l/") {
		if last = err; err == nil {
			got = append(got, o.Name)
		}
	}
	if strings.Join(got, " ") != strings.Join(b.rows[:min(len(got), len(b.rows))], " ") || last == nil && len(got) != len(b.rows) {
		t.Errorf("list: %d rows of %d, %v", len(got), len(b.rows), last)
	}
	if last != nil {
		worded(t, b, last, "list l/")
	}
	return last
}

func runDelete(t *testing.T, b *bench, s *Store) error {
	name := b.name("x")
	b.put(t, name, stuff(name, 10))
	err := s.Delete(t.Context(), name)
	got, gerr := b.straight.Get(t.Context(), name, 0, -1)
	done := err == nil || errors.Is(err, store.ErrNotFound)
	switch {
	case gerr == nil && !bytes.Equal(got, stuff(name, 10)):
		t.Errorf("delete: %v, and %d bytes are there", err, len(got))
	case done != errors.Is(gerr, store.ErrNotFound) && done:
		t.Errorf("delete: %v, and the object: %v", err, gerr)
	case !done:
		worded(t, b, err, "delete "+name)
		return err
	}
	return nil
}

// worded checks that an error is one line, says what failed and what to do, and does not
// read as what it is not.
func worded(t *testing.T, b *bench, err error, what string) {
	t.Helper()
	text := err.Error()
	if !strings.HasPrefix(text, fmt.Sprintf("azure container %q: %s: ", b.container, what)) || strings.Contains(text, "\n") {
		t.Errorf("the error is %q", text)
	}
	if !strings.Contains(text, "check ") && !strings.Contains(text, "try again") {
		t.Errorf("the error does not say what to do: %q", text)
	}
	for _, sentinel := range []error{store.ErrExists, store.ErrNotFound, store.ErrDenied, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, sentinel) {
			t.Errorf("%v reads as %v", err, sentinel)
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v reads as a short object", err)
	}
}

type fault struct {
	name string
	proxy.Fault
	endures bool // an endless one does not make the call fail
}

var faults = []fault{
	{"reset at once", proxy.Fault{Effect: proxy.ResetRequest}, false},
	{"reset in the request", proxy.Fault{Effect: proxy.ResetRequest, N: 99_999}, false},
	{"reset before the answer", proxy.Fault{Effect: proxy.ResetAnswer}, false},
	{"reset in the headers", proxy.Fault{Effect: proxy.ResetAnswer, N: 40}, false},
	{"reset in the body", proxy.Fault{Effect: proxy.ResetAnswer, N: 700}, false},
	{"never an answer", proxy.Fault{Effect: proxy.Mute}, false},
	{"done, never an answer", proxy.Fault{Effect: proxy.MuteLanded}, false},
	{"stall in the body", proxy.Fault{Effect: proxy.StallBody, N: 50}, false},
	{"half an answer", proxy.Fault{Effect: proxy.Half}, false},
	{"slow drip", proxy.Fault{Effect: proxy.Drip, N: 2000, Pause: time.Microsecond}, true},
	{"503", proxy.Fault{Effect: proxy.Answer, Status: 503, Code: "ServerBusy"}, false},
	{"done, and 503", proxy.Fault{Effect: proxy.AnswerLanded, Status: 503, Code: "ServerBusy"}, false},
	{"429", proxy.Fault{Effect: proxy.Answer, Status: 429}, false},
	{"500", proxy.Fault{Effect: proxy.Answer, Status: 500, Code: "OperationTimedOut"}, false},
	{"done, and 500", proxy.Fault{Effect: proxy.AnswerLanded, Status: 500}, false},
	{"a proxy's 502", proxy.Fault{Effect: proxy.AnswerLanded, Status: 502}, false},
}

// A fault that passes is got over; one that stays ends the call in bounded requests and
// time, with words; and then everything works as before.
func TestFaults(t *testing.T) {
	b := newBench(t)
	for _, f := range faults {
		for _, op := range operations {
			t.Run(f.name+"/"+string(op.kind), func(t *testing.T) {
				p := proxy.Start(t, b.srv.URL)
				steady, _ := through(t, p, b.container, key(t), patient)
				for _, times := range []int{1, 2} {
					if times > 1 && f.silent() {
						continue // it takes long, and shows nothing more
					}
					f.Kind, f.Times = op.kind, times
					p.Add(f.Fault)
					bounded(t, op.most, steady, func() {
						if err := op.run(t, b, steady); err != nil {
							t.Errorf("%d times: %v", times, err)
						}
					})
					p.Heal()
				}
				s, _ := through(t, p, b.container, key(t), hurried)
				f.Times = -1
				p.Add(f.Fault)
				bounded(t, op.most, s, func() {
					err := op.run(t, b, s)
					t.Logf("for ever: %v", err)
					if err == nil && !f.endures && !harmless(f.Fault, op.kind) {
						t.Error("for ever, and no error")
					}
				})
				p.Heal()
				if err := op.run(t, b, steady); err != nil {
					t.Errorf("after it has healed: %v", err)
				}
			})
		}
	}
}

// silent reports whether a fault is only found out by waiting.
func (f fault) silent() bool {
	return f.Effect == proxy.Mute || f.Effect == proxy.MuteLanded || f.Effect == proxy.StallBody
}

// bounded checks that a call ends after so many requests, and in time.
func bounded(t *testing.T, most int64, s *Store, call func()) {
	t.Helper()
	before, start := s.Requests(), time.Now()
	call()
	took, requests := time.Since(start), s.Requests()-before
	if requests > most || took > 20*time.Second {
		t.Errorf("%d requests in %v, want at most %d", requests, took, most)
	}
	t.Logf("%d requests in %v", requests, took.Round(time.Millisecond))
}

// harmless reports whether a fault strikes behind what matters: an answer without a body
// is whole when its headers are.
func harmless(f proxy.Fault, kind proxy.Kind) bool {
	bodyless := kind == proxy.Put || kind == proxy.Delete
	return bodyless && (f.Effect == proxy.StallBody || f.Effect == proxy.ResetAnswer && f.N > 500)
}

func TestRetryAfter(t *testing.T) {
	b := newBench(t)
	p := proxy.Start(t, b.srv.URL)
	waits := patient
	waits.maxDelay, waits.stall = 2*time.Second, 10*time.Second
	s, _ := through(t, p, b.container, key(t), waits)
	for _, tt := range []struct {
		status   int
		after    string
		requests int64
		ok       bool
		least    time.Duration
	}{
		{503, "1", 2, true, time.Second},
		{429, "1", 2, true, time.Second},
		{503, "0", 2, true, 0},
		{503, "-5", 2, true, 0},
		{503, "soon", 2, true, 0},
		{503, "3600", 1, false, 0}, // beyond what we wait: the person is told
		{503, "99999999999999999999", 2, true, 0},
		{503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 1, false, 0},
	} {
		p.Add(proxy.Fault{Kind: proxy.Put, Effect: proxy.Answer, Status: tt.status, RetryAfter: tt.after})
		before, start := s.Requests(), time.Now()
		err := runPut(t, b, s)
		took, requests := time.Since(start), s.Requests()-before
		if (err == nil) != tt.ok || requests != tt.requests || took < tt.least || took > tt.least+5*time.Second {
			t.Errorf("%d, %q: %v after %d requests and %v", tt.status, tt.after, err, requests, took)
		}
		if err != nil && !strings.Contains(err.Error(), tt.after) {
			t.Errorf("the error does not say when: %v", err)
		}
		p.Heal()
	}
}

// A partition that heals is ridden out; one that does not ends in an error.
func TestPartition(t *testing.T) {
	b := newBench(t)
	for _, op := range operations {
		t.Run(string(op.kind), func(t *testing.T) {
			p := proxy.Start(t, b.srv.URL)
			slow := patient
			slow.delay, slow.maxDelay = 5*time.Millisecond, 400*time.Millisecond // a 160th of a person's, and no stall of its own
			slow.stall = 10 * time.Second
			s, _ := through(t, p, b.container, key(t), slow)
			if err := op.run(t, b, s); err != nil {
				t.Fatal(err)
			}
			p.Partition()
			heal := time.AfterFunc(300*time.Millisecond, p.Heal)
			defer heal.Stop()
			bounded(t, op.most, s, func() {
				if err := op.run(t, b, s); err != nil {
					t.Errorf("a partition of a while: %v", err)
				}
			})
			p.Partition()
			bounded(t, tries, s, func() {
				if err := op.run(t, b, s); err == nil {
					t.Error("a partition for ever, and no error")
				}
			})
		})
	}
}

// Under random faults a store does what it says: what was acknowledged is there, byte for
// byte, whatever else failed.
func TestRandomFaults(t *testing.T) {
	b := newBench(t)
	const calls = 32
	for _, tt := range []struct {
		name string
		one  int // in so many requests is struck
		fail bool
	}{{"some", 8, false}, {"all", 1, true}} {
		t.Run(tt.name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			p := proxy.Start(t, b.srv.URL)
			s, _ := through(t, p, b.container, key(t), patient)
			p.Random(seed, tt.one,
				proxy.Fault{Effect: proxy.ResetRequest, N: 250_000}, proxy.Fault{Effect: proxy.ResetAnswer, N: 300_000},
				proxy.Fault{Effect: proxy.ResetAnswer, N: 600}, proxy.Fault{Effect: proxy.Half},
				proxy.Fault{Effect: proxy.Answer, Status: 503}, proxy.Fault{Effect: proxy.AnswerLanded, Status: 500})
			failed, start := 0, time.Now()
			for i := range calls {
				if err := operations[i%len(operations)].run(t, b, s); err != nil {
					failed++
				}
			}
			t.Logf("%d of %d calls failed; %d requests, %d struck, in %v", failed, calls, s.Requests(), p.Struck(), time.Since(start).Round(time.Millisecond))
			if failed > 0 && !tt.fail {
				t.Errorf("%d calls failed", failed)
			}
		})
	}
}

// Resets at random bytes of TLS, in either direction.
func TestRandomResetsOfTLS(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{OAuth: true})
	cred := TokenCredential(azurite.TokenCredential{})
	straight := newStore(t, srv, cred, "")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := proxy.Start(t, srv.URL)
	d := &dials{}
	tr := d.counted(newTransport(4))
	tr.TLSClientConfig.RootCAs = srv.CAs
	defer tr.CloseIdleConnections()
	s, err := Open(location(t, p.URL+"/"+straight.loc.Container), cred, Options{Transport: tr, pace: hurried})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{straight: straight, container: straight.loc.Container}
	b.put(t, "large", stuff("large", rowsData))
	p.Random(seed, 2, proxy.Fault{Effect: proxy.ResetRequest, N: 400_000}, proxy.Fault{Effect: proxy.ResetAnswer, N: 400_000},
		proxy.Fault{Effect: proxy.ResetAnswer, N: 3000}, proxy.Fault{Effect: proxy.Refuse})
	failed := 0
	for i := range 30 {
		if err := operations[i%2].run(t, b, s); err != nil { // Put and Get
			failed++
		}
		if i%5 == 0 {
			p.Cut()
		}
	}
	t.Logf("%d of 30 calls failed; %d requests on %d connections, %d of them struck", failed, s.Requests(), d.made.Load(), p.Struck())
	if p.Struck() == 0 {
		t.Error("no connection was struck")
	}
}

// A connection serves one request after the other: a call that ends as it should gives its
// connection back.
func TestConnectionsAreUsedAgain(t *testing.T) {
	b := newBench(t)
	p := proxy.Start(t, b.srv.URL)
	s, d := through(t, p, b.container, key(t), pace{})
	for range 3 {
		for _, op := range operations {
			if err := op.run(t, b, s); err != nil {
				t.Error(err)
			}
		}
		s.Get(t.Context(), "none", 0, -1)
		s.Get(t.Context(), "large", rowsData, 10) // past the end
		s.Get(t.Context(), "large", 0, 0)
		s.Put(t.Context(), "large", []byte("taken"))
		for range s.List(t.Context(), "l/") {
			break
		}
	}
	if n := d.made.Load(); n != 1 {
		t.Errorf("%d connections for calls one after the other, want 1", n)
	}
}

// A call that its caller ends is over at once, whatever it waits for.
func TestCancellation(t *testing.T) {
	b := newBench(t)
	long := pace{delay: 20 * time.Second}
	for name, f := range map[string]proxy.Fault{
		"without an answer": {Effect: proxy.Mute},
		"in the body":       {Effect: proxy.StallBody, N: 10},
		"between tries":     {Effect: proxy.Answer, Status: 503},
	} {
		for _, op := range operations {
			if f.Effect == proxy.StallBody && harmless(f, op.kind) {
				continue
			}
			t.Run(name+"/"+string(op.kind), func(t *testing.T) {
				p := proxy.Start(t, b.srv.URL)
				s, _ := through(t, p, b.container, key(t), long)
				f.Kind, f.Times = op.kind, -1
				p.Add(f)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(50*time.Millisecond, cancel)
				start := time.Now()
				err := callOf(op.kind)(ctx, s)
				if took := time.Since(start); !errors.Is(err, context.Canceled) || took > 10*time.Second {
					t.Errorf("%v after %v", err, took)
				}
			})
		}
	}
}

func callOf(kind proxy.Kind) func(context.Context, *Store) error {
	switch kind {
	case proxy.Put:
		return func(ctx context.Context, s *Store) error { return s.Put(ctx, "cancelled", stuff("c", 8<<20)) }
	case proxy.Get:
		return func(ctx context.Context, s *Store) error { _, err := s.Get(ctx, "large", 0, -1); return err }
	case proxy.Delete:
		return func(ctx context.Context, s *Store) error { return s.Delete(ctx, "l/129") }
	}
	return list
}
