package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"satchel/store"
)

// ErrInjected is what a call fails with when Faults makes it fail.
var ErrInjected = errors.New("injected fault")

// Mode says what becomes of a call that Faults makes fail.
type Mode int

const (
	// Lost: the call never reaches the store.
	Lost Mode = iota
	// Landed: the call takes effect and its answer is lost. A List yields the first half
	// of its rows before the error: a consumer that takes them for all is found out.
	Landed
)

func (m Mode) String() string {
	if m == Landed {
		return "landed"
	}
	return "lost"
}

// Faults passes calls on to another store and makes chosen ones fail with ErrInjected.
// Calls are numbered from 0 in the order in which they begin, Lists among them; Now is no
// call. To visit every point of failure with no list of cases:
//
//	for k := 0; ; k++ {
//		f := storetest.NewFaults(newStore())
//		f.FailAt(k, storetest.Landed)
//		err := run(f)
//		// check what is left behind
//		if !f.Injected() { // the run has fewer than k+1 calls, and succeeded
//			break
//		}
//	}
//
// It is safe for concurrent use.
type Faults struct {
	// Before, if set, is called before each call with its Kind, Name, Off, N and Bytes; an
	// error is returned in place of the call, which then does not reach the store. It
	// runs on the caller's goroutine with no lock held, so it may wait. Set it before the
	// first call.
	Before func(op Op) error

	s store.Store

	mu       sync.Mutex
	n        int  // calls begun; guarded by mu, as are those below
	at       int  // the call to fail; none if negative
	crash    bool // and all after it
	mode     Mode
	injected bool
}

var _ store.Store = (*Faults)(nil)

// NewFaults returns a layer over s that injects nothing yet.
func NewFaults(s store.Store) *Faults { return &Faults{s: s, at: -1} }

// FailAt makes call number k fail, counted from now.
func (f *Faults) FailAt(k int, mode Mode) { f.plan(k, mode, false) }

// CrashAt makes call number k fail, counted from now, and loses all calls after it.
func (f *Faults) CrashAt(k int, mode Mode) { f.plan(k, mode, true) }

// Heal injects nothing any more.
func (f *Faults) Heal() { f.plan(-1, Lost, false) }

func (f *Faults) plan(k int, mode Mode, crash bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.at, f.mode, f.crash, f.injected = 0, k, mode, crash, false
}

// Calls is the number of calls begun since the last FailAt, CrashAt or Heal.
func (f *Faults) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Injected reports whether a call was made to fail since the last FailAt, CrashAt or Heal.
func (f *Faults) Injected() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.injected
}

// next counts a call and says whether it is to fail, and how.
func (f *Faults) next() (fail bool, mode Mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.n
	f.n++
	switch {
	case f.at < 0 || n < f.at || n > f.at && !f.crash:
		return false, Lost
	case n > f.at:
		return true, Lost
	}
	f.injected = true
	return true, f.mode
}

// do runs a call or makes it fail.
func (f *Faults) do(op Op, call func() error) error {
	fail, mode := f.next()
	if f.Before != nil {
		if err := f.Before(op); err != nil {
			return err
		}
	}
	if !fail {
		return call()
	}
	if mode == Landed {
		call()
	}
	return injected(op)
}

func injected(op Op) error { return fmt.Errorf("%s %s: %w", op.Kind, op.Name, ErrInjected) }

// Put implements store.Store.
func (f *Faults) Put(ctx context.Context, name string, data []byte) error {
	return f.do(Op{Kind: Put, Name: name, Bytes: int64(len(data))}, func() error {
		return f.s.Put(ctx, name, data)
	})
}

// Get implements store.Store.
func (f *Faults) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	var data []byte
	err := f.do(Op{Kind: Get, Name: name, Off: off, N: n}, func() (err error) {
		data, err = f.s.Get(ctx, name, off, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// List implements store.Store. Each iteration over the sequence is a call.
func (f *Faults) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		op := Op{Kind: List, Name: prefix}
		fail, mode := f.next()
		if f.Before != nil {
			if err := f.Before(op); err != nil {
				yield(store.Object{}, err)
				return
			}
		}
		switch {
		case !fail:
			f.s.List(ctx, prefix)(yield)
		case mode == Lost || f.half(ctx, prefix, yield):
			yield(store.Object{}, injected(op))
		}
	}
}

// half yields the first half of a listing and reports whether the consumer wants more.
func (f *Faults) half(ctx context.Context, prefix string, yield func(store.Object, error) bool) bool {
	var rows []store.Object
	for o, err := range f.s.List(ctx, prefix) {
		if err != nil {
			break
		}
		rows = append(rows, o)
	}
	for _, o := range rows[:len(rows)/2] {
		if !yield(o, nil) {
			return false
		}
	}
	return true
}

// Delete implements store.Store.
func (f *Faults) Delete(ctx context.Context, name string) error {
	return f.do(Op{Kind: Delete, Name: name}, func() error { return f.s.Delete(ctx, name) })
}

// Now implements store.Store.
func (f *Faults) Now() time.Time { return f.s.Now() }
