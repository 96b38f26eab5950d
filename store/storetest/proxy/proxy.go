// Package proxy stands between a client and a server on loopback, for tests, and does to
// the traffic what networks do: it resets, stalls, cuts, drips, refuses, and answers in the
// server's place.
//
//	p := proxy.Start(t, srv.URL)
//	s := open(p.URL) // the same URL through the proxy
//	p.Add(proxy.Fault{Kind: proxy.Put, After: 1, Times: 2, Effect: proxy.AnswerLanded, Status: 503})
//
// Plain http is understood: faults strike requests, by their kind. Anything else, https
// among it, passes as bytes, and faults strike connections. Which request is struck, and
// where, is the test's to say, or that of a seed (Random). A Proxy ends with its test and
// leaves no goroutine. It is safe for concurrent use.
package proxy

import (
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Kind is what a fault strikes.
type Kind string

const (
	Any    Kind = ""       // every request
	Conn   Kind = "conn"   // a connection, when it is made
	Put    Kind = "put"    // PUT of a blob
	Get    Kind = "get"    // GET of a blob
	Head   Kind = "head"   // HEAD
	List   Kind = "list"   // GET with comp=list
	Delete Kind = "delete" // DELETE
	Other  Kind = "other"
)

// Effect is what a fault does. "Bytes" are those of a request's or an answer's body where
// nothing else is said; on a Conn they are all that pass in that direction.
type Effect int

const (
	Pass         Effect = iota
	Refuse              // Conn: it is reset at once
	ResetRequest        // reset when N bytes of the request have come, which the server gets
	ResetAnswer         // reset after N bytes of the answer, its headers counted
	Mute                // the request is not read, and there is no answer
	MuteLanded          // the server does it, and there is no answer
	StallBody           // headers and N bytes of the answer, and then nothing
	Half                // headers and half of the answer's bytes (of an empty one half of its headers), then the end
	Drip                // the answer comes N bytes at a time, Pause apart
	Answer              // the proxy answers with Status; the server never sees the request
	AnswerLanded        // likewise, and the server has done it
)

// Fault strikes some requests or connections.
type Fault struct {
	Kind   Kind
	After  int // so many of the kind pass first
	Times  int // then it strikes so many; 0 is one, negative is all
	Effect Effect

	N          int64         // see Effect
	Pause      time.Duration // of a Drip
	Status     int           // of an Answer
	RetryAfter string        // of an Answer; "" for none
	Code       string        // of an Answer: its x-ms-error-code; "" for none
}

// Proxy is a running proxy.
type Proxy struct {
	URL string // the target's, through the proxy

	target string // host and port
	plain  bool   // http that can be read
	l      net.Listener
	wg     sync.WaitGroup
	done   chan struct{} // closed when the test ends

	mu     sync.Mutex // guards what follows
	faults []*Fault
	random *rand.Rand
	one    int // in so many requests is struck at random
	menu   []Fault
	held   chan struct{} // closed when stalled connections are let go
	open   map[net.Conn]bool
	seen   map[Kind]int
	struck int
	ended  bool
}

// Start runs a proxy in front of a server until the test ends. The target is a URL on
// loopback.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		URL: strings.Replace(target, u.Host, l.Addr().String(), 1), target: u.Host, plain: u.Scheme == "http",
		l: l, done: make(chan struct{}), held: make(chan struct{}), open: map[net.Conn]bool{}, seen: map[Kind]int{},
	}
	p.wg.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

func (p *Proxy) stop() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	close(p.done)
	p.l.Close()
	p.Cut()
	p.wg.Wait()
}

// Add adds faults. Where several would strike, the first one added does.
func (p *Proxy) Add(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = 1
		}
		p.faults = append(p.faults, &f)
	}
}

// Random strikes one in so many requests (or connections, where the traffic is bytes) with
// one of the faults, whose Kind, After and Times do not matter, and whose N, of a reset or
// a stall, is the most: where it strikes is as random. The seed says all of it, as far as
// the client's order of requests is fixed. A fault that was added goes before.
func (p *Proxy) Random(seed uint64, one int, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.random, p.one, p.menu = rand.New(rand.NewPCG(seed, 0)), one, faults
}

// Partition resets all connections, and every new one, until Heal.
func (p *Proxy) Partition() {
	p.Add(Fault{Kind: Conn, Times: -1, Effect: Refuse})
	p.Cut()
}

// Heal takes away all faults, and resets connections that are stalled.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.random = nil, nil
	close(p.held)
	p.held = make(chan struct{})
}

// Cut resets all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		abort(c)
	}
}

// Seen is how many requests of a kind have come, or connections; of Any, how many requests
// of all kinds.
func (p *Proxy) Seen(kind Kind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[kind]
}

// Struck is how many requests and connections a fault has struck.
func (p *Proxy) Struck() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.struck
}

// strike counts a request or connection and returns what happens to it.
func (p *Proxy) strike(kind Kind) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[kind]++
	if kind != Conn {
		p.seen[Any]++
	}
	for _, f := range p.faults {
		if f.Times == 0 || f.Kind != kind && (f.Kind != Any || kind == Conn) {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		f.Times--
		p.struck++
		return *f
	}
	if p.random == nil || p.plain == (kind == Conn) || p.random.IntN(p.one) != 0 {
		return Fault{}
	}
	f := p.menu[p.random.IntN(len(p.menu))]
	if f.N > 0 && f.Effect != Drip {
		f.N = p.random.Int64N(f.N + 1)
	}
	p.struck++
	return f
}

func (p *Proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(c net.Conn) {
	if !p.track(c) {
		return
	}
	defer p.untrack(c)
	f := p.strike(Conn)
	switch {
	case f.Effect == Refuse:
		abort(c)
		return
	case f.Effect == Mute:
		p.hold(c)
		return
	}
	if p.plain && f.Effect == Pass {
		p.exchanges(c)
		return
	}
	p.relay(c, f)
}

// dial connects to the server. Whoever calls it calls untrack.
func (p *Proxy) dial() (net.Conn, bool) {
	server, err := net.Dial("tcp", p.target)
	return server, err == nil && p.track(server)
}

// track remembers an open connection; it closes it and reports false if the test is over.
func (p *Proxy) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		c.Close()
		return false
	}
	p.open[c] = true
	return true
}

// untrack closes a connection.
func (p *Proxy) untrack(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// hold keeps a connection, in silence, until Heal or the end of the test.
func (p *Proxy) hold(c net.Conn) {
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	select {
	case <-held:
	case <-p.done:
	}
	abort(c)
}

// abort closes a connection so that the other side sees a reset.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}
