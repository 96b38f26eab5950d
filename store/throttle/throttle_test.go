package throttle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// took fails unless something lasted about as long as it should, in virtual time.
func took(t *testing.T, began time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(began); got < want-2*burst || got > want+2*burst {
		t.Errorf("took %v, want about %v", got, want)
	}
}

// Four connections that share a limit send at its rate together, and what arrives is what was sent.
func TestConnectionsShareALimit(t *testing.T) {
	for _, upwards := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			began, limit := time.Now(), New(256<<10)
			data := bytes.Repeat([]byte("0123456789abcdef"), 1<<14) // 256 KiB
			var wg sync.WaitGroup
			for range 4 {
				a, b := net.Pipe()
				if upwards {
					a = Conn(a, limit, nil)
				} else {
					b = Conn(b, nil, limit)
				}
				wg.Go(func() {
					defer a.Close()
					if n, err := a.Write(data); n != len(data) || err != nil {
						t.Errorf("wrote %d: %v", n, err)
					}
				})
				wg.Go(func() {
					if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, data) {
						t.Errorf("read %d bytes: %v", len(got), err)
					}
				})
			}
			wg.Wait()
			took(t, began, 4*time.Second)
		})
	}
}

// An idle flow saves up for a tenth of a second and no more.
func TestIdleSavesUpLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := New(1 << 20)
		time.Sleep(time.Hour)
		began := time.Now()
		for range 10 {
			if err := limit.Wait(t.Context(), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		took(t, began, 10*time.Second)
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := New(1).Wait(ctx, 1000); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		none := New(0)
		if err := none.Wait(t.Context(), 1<<30); err != nil || none.Rate() != 0 {
			t.Error(err)
		}
		a, b := net.Pipe()
		defer b.Close()
		if Conn(a, none, none) != a {
			t.Error("a connection without limits is another one")
		}
		took(t, began, 0)
	})
}

// A write that ends early says how much of it went.
func TestWriteToAClosedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		go func() {
			io.CopyN(io.Discard, b, 40<<10)
			b.Close()
		}()
		if n, err := Conn(a, New(1<<20), nil).Write(make([]byte, 100<<10)); err == nil || n != 40<<10 {
			t.Errorf("wrote %d: %v", n, err)
		}
	})
}
