package storetest

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"satchel/store"
)

// Kind is a method of store.Store.
type Kind string

const (
	Put    Kind = "put"
	Get    Kind = "get"
	List   Kind = "list"
	Delete Kind = "delete"
)

// Op is one call of a method.
type Op struct {
	Kind  Kind
	Name  string // the object, or the prefix of a List
	Off   int64  // Get: as asked for
	N     int64  // Get: as asked for
	Bytes int64  // Put: given; Get: returned
	Rows  int    // List: yielded
	Err   error  // what the call returned; a List's is the one it yielded
}

// Counts are calls by method. A List is one call, however many pages it takes; a caller
// that wants a service's requests takes Pages in place of List.
type Counts struct {
	Put, Get, List, Delete int
	Pages                  int   // of the Lists, if the first holds 100 rows and each other 5,000, up to the last row taken
	PutBytes, GetBytes     int64 // bytes given to Put, returned by Get
}

// Counter passes calls on to another store, and counts and records them. It is safe for
// concurrent use.
type Counter struct {
	s store.Store

	mu    sync.Mutex
	trace []Op // guarded by mu; in order of the calls' ends
}

var _ store.Store = (*Counter)(nil)

// NewCounter returns a counter over s.
func NewCounter(s store.Store) *Counter { return &Counter{s: s} }

// Counts sums up the calls since the last Reset.
func (c *Counter) Counts() Counts {
	var n Counts
	for _, op := range c.Trace() {
		switch op.Kind {
		case Put:
			n.Put++
			n.PutBytes += op.Bytes
		case Get:
			n.Get++
			n.GetBytes += op.Bytes
		case List:
			n.List++
			n.Pages += pages(op.Rows)
		case Delete:
			n.Delete++
		}
	}
	return n
}

func pages(rows int) int {
	const first, other = 100, 5000
	return 1 + (max(rows-first, 0)+other-1)/other
}

// Total is the number of calls since the last Reset; a List counts as one.
func (c *Counter) Total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.trace)
}

// Trace returns the calls since the last Reset, in the order in which they ended.
func (c *Counter) Trace() []Op {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.trace)
}

// Names returns the names that a method was called with, in order.
func (c *Counter) Names(kind Kind) []string {
	var names []string
	for _, op := range c.Trace() {
		if op.Kind == kind {
			names = append(names, op.Name)
		}
	}
	return names
}

// Reset forgets the calls so far.
func (c *Counter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trace = nil
}

func (c *Counter) add(op Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trace = append(c.trace, op)
}

// Put implements store.Store.
func (c *Counter) Put(ctx context.Context, name string, data []byte) error {
	err := c.s.Put(ctx, name, data)
	c.add(Op{Kind: Put, Name: name, Bytes: int64(len(data)), Err: err})
	return err
}

// Get implements store.Store.
func (c *Counter) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	data, err := c.s.Get(ctx, name, off, n)
	c.add(Op{Kind: Get, Name: name, Off: off, N: n, Bytes: int64(len(data)), Err: err})
	return data, err
}

// List implements store.Store. Each iteration over the sequence is a call.
func (c *Counter) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		op := Op{Kind: List, Name: prefix}
		defer func() { c.add(op) }()
		for o, err := range c.s.List(ctx, prefix) {
			if err != nil {
				op.Err = err
			} else {
				op.Rows++
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// Delete implements store.Store.
func (c *Counter) Delete(ctx context.Context, name string) error {
	err := c.s.Delete(ctx, name)
	c.add(Op{Kind: Delete, Name: name, Err: err})
	return err
}

// Now implements store.Store.
func (c *Counter) Now() time.Time { return c.s.Now() }
