package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/store"
)

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) store.Store { return NewMemory() }, Options{})
}

func TestWrappersAreStores(t *testing.T) {
	Run(t, func(*testing.T) store.Store { return NewFaults(NewCounter(NewMemory())) }, Options{Many: 6000})
}

func TestMemoryClock(t *testing.T) {
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	m := NewMemory()
	m.Clock = func() time.Time { return now }
	put(t, m, "a", nil)
	now = now.Add(time.Hour)
	put(t, m, "b", nil)
	rows, err := collect(m.List(t.Context(), ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := rows[1].Time.Sub(rows[0].Time); got != time.Hour || !m.Now().Equal(now) {
		t.Errorf("objects are %v apart and it is %v", got, m.Now())
	}
}

func TestMemoryCloneAndCorrupt(t *testing.T) {
	m := NewMemory()
	put(t, m, "a", []byte("whole"))
	c := m.Clone()
	put(t, c, "b", nil)
	c.Corrupt("a", func(data []byte) []byte { data[0] ^= 1; return data })
	wantObject(t, m, "a", []byte("whole"))
	wantObject(t, c, "a", []byte("vhole"))
	c.Corrupt("a", func([]byte) []byte { return nil })
	wantList(t, c, "", []string{"b"})
	wantList(t, m, "", []string{"a"})
}

func TestCounter(t *testing.T) {
	c := NewCounter(NewMemory())
	for i := range 101 {
		put(t, c, fmt.Sprintf("a/%03d", i), []byte("xyz"))
	}
	c.Reset()
	put(t, c, "b", []byte("1234"))
	if _, err := c.Get(t.Context(), "b", 1, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), "none", 0, -1); err == nil {
		t.Fatal("no error")
	}
	if _, err := collect(c.List(t.Context(), "a/")); err != nil {
		t.Fatal(err)
	}
	for range c.List(t.Context(), "") {
		break
	}
	if err := c.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	want := Counts{Put: 1, Get: 2, List: 2, Delete: 1, Pages: 3, PutBytes: 4, GetBytes: 2}
	if diff := cmp.Diff(want, c.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if c.Total() != 6 {
		t.Errorf("Total() = %d, want 6", c.Total())
	}
	if diff := cmp.Diff([]string{"b", "none"}, c.Names(Get)); diff != "" {
		t.Errorf("names of gets (-want +got):\n%s", diff)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plan  func(*Faults)
		errs  []bool // of Put a, Put b, Put c
		names []string
	}{
		{"none", func(f *Faults) {}, []bool{false, false, false}, []string{"a", "b", "c"}},
		{"lost", func(f *Faults) { f.FailAt(1, Lost) }, []bool{false, true, false}, []string{"a", "c"}},
		{"landed", func(f *Faults) { f.FailAt(1, Landed) }, []bool{false, true, false}, []string{"a", "b", "c"}},
		{"crash", func(f *Faults) { f.CrashAt(1, Lost) }, []bool{false, true, true}, []string{"a"}},
		{"crash landed", func(f *Faults) { f.CrashAt(1, Landed) }, []bool{false, true, true}, []string{"a", "b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := NewFaults(NewMemory())
			tt.plan(f)
			for i, name := range []string{"a", "b", "c"} {
				err := f.Put(t.Context(), name, nil)
				if (err != nil) != tt.errs[i] || err != nil && !errors.Is(err, ErrInjected) {
					t.Errorf("put %s: %v", name, err)
				}
			}
			if f.Calls() != 3 || f.Injected() != tt.errs[1] {
				t.Errorf("%d calls, injected %v", f.Calls(), f.Injected())
			}
			f.Heal()
			wantList(t, f, "", tt.names)
		})
	}
}

func TestFaultsInAList(t *testing.T) {
	f := NewFaults(NewMemory())
	for _, name := range []string{"a", "b", "c", "d"} {
		put(t, f, name, nil)
	}
	for mode, want := range map[Mode]int{Lost: 0, Landed: 2} {
		f.FailAt(0, mode)
		rows, err := collect(f.List(t.Context(), ""))
		if len(rows) != want || !errors.Is(err, ErrInjected) {
			t.Errorf("%v: %d rows, %v; want %d and the fault", mode, len(rows), err, want)
		}
	}
	f.FailAt(0, Landed)
	for range f.List(t.Context(), "") { // stopping early is legal here too
		break
	}
}

func TestFaultsBefore(t *testing.T) {
	f := NewFaults(NewMemory())
	var seen []Op
	refused := errors.New("refused")
	f.Before = func(op Op) error {
		seen = append(seen, op)
		if op.Kind == Delete {
			return refused
		}
		return nil
	}
	put(t, f, "a", []byte("xy"))
	if err := f.Delete(t.Context(), "a"); err != refused {
		t.Errorf("delete: %v, want the hook's error", err)
	}
	if got, err := f.Get(t.Context(), "a", 1, 1); err != nil || string(got) != "y" {
		t.Errorf("get: %q, %v", got, err)
	}
	want := []Op{{Kind: Put, Name: "a", Bytes: 2}, {Kind: Delete, Name: "a"}, {Kind: Get, Name: "a", Off: 1, N: 1}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}
