// Package throttle keeps a flow of bytes to a rate.
//
//	up := throttle.New(512 << 10) // bytes a second
//	conn = throttle.Conn(conn, up, nil)
//	err := up.Wait(ctx, len(data)) // where there is no connection
//
// What shares a Limit shares its rate. A nil Limit does not limit. All of it is safe for concurrent use.
package throttle

import (
	"context"
	"net"
	"sync"
	"time"
)

// Limit is a rate. Who has been idle may at once send what a tenth of a second takes.
type Limit struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	free time.Time // when what was let through has gone by; guarded by mu
}

// burst is for how long an idle flow saves up.
const burst = 100 * time.Millisecond

// New returns a limit of so many bytes a second; nil if that is 0.
func New(rate int64) *Limit {
	if rate <= 0 {
		return nil
	}
	return &Limit{rate: rate}
}

// Rate is in bytes a second; 0 is without a limit.
func (l *Limit) Rate() int64 {
	if l == nil {
		return 0
	}
	return l.rate
}

// Wait returns when n bytes may pass, and reports the context's end before that.
func (l *Limit) Wait(ctx context.Context, n int) error {
	pause := l.take(n)
	if pause <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take lets n bytes through, and says how long they have to wait.
func (l *Limit) take(n int) time.Duration {
	if l == nil || n <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if earliest := now.Add(-burst); l.free.Before(earliest) {
		l.free = earliest
	}
	l.free = l.free.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	return l.free.Sub(now)
}

// Conn returns a connection that keeps what it sends and receives to the limits; conn itself
// without any.
func Conn(conn net.Conn, up, down *Limit) net.Conn {
	if up == nil && down == nil {
		return conn
	}
	return &limited{conn, up, down}
}

type limited struct {
	net.Conn
	up, down *Limit
}

// piece is how much passes at a time, in bytes: little, so that several connections take turns.
const piece = 16 << 10

func (c *limited) Write(p []byte) (n int, err error) {
	if c.up == nil {
		return c.Conn.Write(p)
	}
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), piece)]
		time.Sleep(c.up.take(len(part)))
		var wrote int
		wrote, err = c.Conn.Write(part)
		n, p = n+wrote, p[wrote:]
	}
	return n, err
}

func (c *limited) Read(p []byte) (int, error) {
	if c.down == nil {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(len(p), piece)])
	time.Sleep(c.down.take(n))
	return n, err
}
