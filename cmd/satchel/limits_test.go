package main

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/store"
	"satchel/store/storetest"
)

func TestBandwidth(t *testing.T) {
	for text, want := range map[string]bandwidth{
		"16384": 16384, "500K": 500 << 10, "2M": 2 << 20, "1.5 MiB/s": 3 << 19, "1GB": 1 << 30,
		"": 0, "2m": 0, "fast": 0, "-1M": 0, "1K": 0, "16383": 0, "9999999999G": 0, "2M/h": 0,
	} {
		var b bandwidth
		if err := b.UnmarshalText([]byte(text)); b != want || (err == nil) != (want != 0) {
			t.Errorf("%q is %d: %v", text, b, err)
		}
	}
}

// A store without connections is limited as well. No time passes.
func TestLimitsOfAFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := newApp(t.Context(), &globals{LimitUpload: 1 << 20, LimitDownload: 4 << 20}, nil, &out, &out)
		a.at = located{Location: store.Location{Kind: store.Dir, Path: "/somewhere"}}
		s := a.counted(storetest.NewMemory())
		began := time.Now()
		for _, name := range []string{"d/a", "d/b", "d/c", "d/d"} {
			if err := s.Put(t.Context(), name, make([]byte, 4<<20)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began).Round(time.Second); took != 16*time.Second {
			t.Errorf("16 MiB at 1 MiB/s took %v", took)
		}
		began = time.Now()
		for _, name := range []string{"d/a", "d/b", "d/c", "d/d"} {
			if data, err := s.Get(t.Context(), name, 0, -1); err != nil || len(data) != 4<<20 {
				t.Fatal(len(data), err)
			}
		}
		if took := time.Since(began).Round(time.Second); took != 4*time.Second {
			t.Errorf("16 MiB at 4 MiB/s took %v", took)
		}
	})
}

// No more calls are under way than --connections says.
func TestConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := newApp(t.Context(), &globals{Connections: 2}, nil, &out, &out)
		s := a.counted(&slow{Memory: storetest.NewMemory()})
		began := time.Now()
		g, ctx := errgroup.WithContext(t.Context())
		for i := range 10 {
			g.Go(func() error { return s.Put(ctx, "d/"+string(rune('a'+i)), []byte("x")) })
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("ten calls of a second, two at a time, took %v", took)
		}
	})
}

// slow takes a second for each Put.
type slow struct{ *storetest.Memory }

func (s *slow) Put(ctx context.Context, name string, data []byte) error {
	time.Sleep(time.Second)
	return s.Memory.Put(ctx, name, data)
}
