package sched

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"

	"satchel/store"
	"satchel/store/storetest"
)

var _ store.Store = (*Run)(nil)

// do waits until the scheduler has decided about a call.
func (r *Run) do(ctx context.Context, c *call) answer {
	if err := ctx.Err(); err != nil {
		return answer{err: err}
	}
	if r.Killed {
		return answer{err: ErrKilled}
	}
	c.run, c.answer = r, make(chan answer)
	r.w.mu.Lock()
	r.w.parked = append(r.w.parked, c)
	r.w.mu.Unlock()
	return <-c.answer
}

func wrap(c *call, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", c.kind, c.name, err)
}

// Put implements store.Store.
func (r *Run) Put(ctx context.Context, name string, data []byte) error {
	c := &call{kind: storetest.Put, name: name, data: bytes.Clone(data)}
	return wrap(c, r.do(ctx, c).err)
}

// Get implements store.Store.
func (r *Run) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	c := &call{kind: storetest.Get, name: name, off: off, n: n}
	a := r.do(ctx, c)
	return a.data, wrap(c, a.err)
}

// List implements store.Store. Each page is a call.
func (r *Run) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		after := ""
		for more := true; more; {
			c := &call{kind: storetest.List, name: prefix, after: after}
			a := r.do(ctx, c)
			if a.err != nil {
				yield(store.Object{}, wrap(c, a.err))
				return
			}
			for _, o := range a.rows {
				if !yield(o, nil) {
					return
				}
				after = o.Name
			}
			more = a.more
		}
	}
}

// Delete implements store.Store.
func (r *Run) Delete(ctx context.Context, name string) error {
	c := &call{kind: storetest.Delete, name: name}
	return wrap(c, r.do(ctx, c).err)
}

// Now implements store.Store: the bubble's clock.
func (r *Run) Now() time.Time { return time.Now() }
