package proxy

import (
	"io"
	"net"
	"sync"
	"time"
)

// relay passes bytes in both directions until one ends or the fault strikes.
func (p *Proxy) relay(c net.Conn, f Fault) {
	server, ok := p.dial()
	if !ok {
		abort(c)
		return
	}
	defer p.untrack(server)
	up, down := int64(-1), int64(-1)
	switch f.Effect {
	case ResetRequest:
		up = f.N
	case ResetAnswer, StallBody:
		down = f.N
	}
	var both sync.WaitGroup
	both.Go(func() {
		if io.Copy(server, limit(c, up)); up < 0 {
			server.Close()
			return
		}
		abort(c)
		abort(server)
	})
	var to io.Writer = c
	if f.Effect == Drip {
		to = &dripper{c, f.N, f.Pause, p.done}
	}
	io.Copy(to, limit(server, down))
	switch {
	case f.Effect == StallBody:
		p.hold(c)
	case down >= 0:
		abort(c)
	default:
		c.Close()
	}
	abort(server)
	both.Wait()
}

// limit cuts a stream after n bytes; a negative n does not.
func limit(r io.Reader, n int64) io.Reader {
	if n < 0 {
		return r
	}
	return io.LimitReader(r, n)
}

// dripper writes in small portions.
type dripper struct {
	w     io.Writer
	n     int64
	pause time.Duration
	done  <-chan struct{}
}

func (d *dripper) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		n, err := d.w.Write(b[:min(int64(len(b)), max(d.n, 1))])
		if written += n; err != nil {
			return written, err
		}
		b = b[n:]
		select {
		case <-time.After(d.pause):
		case <-d.done:
			return written, io.ErrClosedPipe
		}
	}
	return written, nil
}
