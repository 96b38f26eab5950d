package main

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"satchel/snapshot/stats"
	"satchel/store"
	"satchel/store/throttle"
)

// counted counts what a command asks of the store, which its summary tells.
type counted struct {
	store.Store
	calls, writes, reads, lists atomic.Int64

	up, down *throttle.Limit // where the driver has no connection to limit
	slots    chan struct{}   // calls that are under way at once; nil is as many as are made
}

func (a *app) counted(s store.Store) *counted {
	if a.wrap != nil {
		s = a.wrap(s)
	}
	c := &counted{Store: s}
	if a.at.Kind == store.Dir {
		c.up, c.down = throttle.New(int64(a.LimitUpload)), throttle.New(int64(a.LimitDownload))
	}
	if a.Connections > 0 {
		c.slots = make(chan struct{}, a.Connections)
	}
	return c
}

// enter takes a slot, which leave gives back.
func (c *counted) enter(ctx context.Context) error {
	if c.slots == nil {
		return nil
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *counted) leave() {
	if c.slots != nil {
		<-c.slots
	}
}

// requests is the number of requests so far: the driver's own count where it has one.
func (c *counted) requests() int64 {
	if r, ok := c.Store.(interface{ Requests() int64 }); ok {
		return r.Requests()
	}
	return c.calls.Load()
}

// made are the calls that cost something, retries left out.
func (c *counted) made() stats.Calls {
	return stats.Calls{Writes: c.writes.Load(), Reads: c.reads.Load(), Lists: c.lists.Load()}
}

// leftovers is what the store still holds of what was deleted; ok is false if it is of a kind that
// holds nothing.
func (c *counted) leftovers(ctx context.Context) (left store.Leftovers, ok bool, err error) {
	k, ok := c.Store.(store.Keeper)
	if ok {
		left, err = k.Leftovers(ctx)
	}
	return left, ok, err
}

func (c *counted) Put(ctx context.Context, name string, data []byte) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.leave()
	if err := c.up.Wait(ctx, len(data)); err != nil {
		return err
	}
	c.calls.Add(1)
	c.writes.Add(1)
	return c.Store.Put(ctx, name, data)
}

func (c *counted) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	c.calls.Add(1)
	c.reads.Add(1)
	data, err := c.Store.Get(ctx, name, off, n)
	if err == nil {
		err = c.down.Wait(ctx, len(data))
	}
	return data, err
}

func (c *counted) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	c.calls.Add(1)
	c.lists.Add(1)
	return c.Store.List(ctx, prefix)
}

func (c *counted) Delete(ctx context.Context, name string) error {
	c.calls.Add(1)
	return c.Store.Delete(ctx, name)
}

func (c *counted) Now() time.Time { return c.Store.Now() }
