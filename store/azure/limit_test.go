package azure

import (
	"testing"
	"time"

	"satchel/store/storetest/azurite"
	"satchel/store/throttle"
)

// A limit is kept by what really goes over the connections, and what goes is whole.
func TestLimitsAtAStore(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{})
	loc := location(t, srv.URL+"/"+srv.Container(t))
	s, err := Open(loc, key(t), Options{Upload: throttle.New(4 << 20), Download: throttle.New(8 << 20)})
	if err != nil {
		t.Fatal(err)
	}
	if err := create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	data := stuff("limit", 2<<20)
	began := time.Now()
	if err := s.Put(t.Context(), "a", data); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 350*time.Millisecond {
		t.Errorf("2 MiB at 4 MiB/s took %v", took)
	}
	began = time.Now()
	got, err := s.Get(t.Context(), "a", 0, -1)
	if err != nil || string(got) != string(data) {
		t.Fatal(len(got), err)
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("2 MiB at 8 MiB/s took %v", took)
	}
}

// Who limits the line does not run out of time because of it.
func TestLimitsGiveTime(t *testing.T) {
	for _, tt := range []struct {
		up, down int64
		want     int64 // bytes a second
	}{{0, 0, slowest}, {1 << 30, 0, slowest}, {64 << 10, 0, 8 << 10}, {1 << 20, 16 << 10, 2 << 10}, {16 << 10, 1 << 20, 2 << 10}} {
		if got := (pace{}).limited(4, throttle.New(tt.up), throttle.New(tt.down)).orDefault().slowest; got != tt.want {
			t.Errorf("%d up and %d down: %d, want %d", tt.up, tt.down, got, tt.want)
		}
	}
}
