package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"satchel/store"
)

// Memory is a store in memory, for tests. It is safe for concurrent use.
type Memory struct {
	// Clock gives the times of objects and the answer of Now; nil is time.Now. Set it
	// before the first call; it is called without a lock held.
	Clock func() time.Time

	mu      sync.Mutex
	objects map[string]object // guarded by mu
}

type object struct {
	data []byte
	time time.Time
}

var _ store.Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{objects: map[string]object{}} }

// Put implements store.Store.
func (m *Memory) Put(ctx context.Context, name string, data []byte) error {
	if err := ready(ctx, name); err != nil {
		return fmt.Errorf("memory: put %s: %w", name, err)
	}
	now := m.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[name]; ok {
		return fmt.Errorf("memory: put %s: %w", name, store.ErrExists)
	}
	m.objects[name] = object{bytes.Clone(data), now}
	return nil
}

// Get implements store.Store.
func (m *Memory) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if err := ready(ctx, name); err != nil {
		return nil, fmt.Errorf("memory: get %s: %w", name, err)
	}
	m.mu.Lock()
	o, ok := m.objects[name]
	m.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("memory: get %s: %w", name, store.ErrNotFound)
	}
	size := int64(len(o.data))
	if off < 0 {
		return nil, fmt.Errorf("memory: get %s: offset %d is negative", name, off)
	}
	if n < 0 {
		n = max(size-off, 0)
	}
	if off > size || n > size-off {
		return nil, fmt.Errorf("memory: get %s: %d bytes at %d of %d: %w", name, n, off, size, io.ErrUnexpectedEOF)
	}
	return append([]byte{}, o.data[off:off+n]...), nil
}

// List implements store.Store: it yields what was there when the iteration began.
func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		if !store.ValidPrefix(prefix) {
			yield(store.Object{}, fmt.Errorf("memory: list %s: is not a valid prefix", prefix))
			return
		}
		for _, o := range m.snapshot(prefix) {
			if err := ctx.Err(); err != nil {
				yield(store.Object{}, fmt.Errorf("memory: list %s: %w", prefix, err))
				return
			}
			if !yield(o, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(store.Object{}, fmt.Errorf("memory: list %s: %w", prefix, err))
		}
	}
}

func (m *Memory) snapshot(prefix string) []store.Object {
	m.mu.Lock()
	var list []store.Object
	for name, o := range m.objects {
		if strings.HasPrefix(name, prefix) {
			list = append(list, store.Object{Name: name, Size: int64(len(o.data)), Time: o.time})
		}
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b store.Object) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Delete implements store.Store.
func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := ready(ctx, name); err != nil {
		return fmt.Errorf("memory: delete %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[name]; !ok {
		return fmt.Errorf("memory: delete %s: %w", name, store.ErrNotFound)
	}
	delete(m.objects, name)
	return nil
}

// Now implements store.Store.
func (m *Memory) Now() time.Time {
	if m.Clock != nil {
		return m.Clock()
	}
	return time.Now()
}

// Clone returns a store with the same objects and clock, which goes its own way.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemory()
	c.Clock = m.Clock
	for name, o := range m.objects {
		c.objects[name] = o // nobody changes an object's bytes, only Corrupt replaces them
	}
	return c
}

// Corrupt replaces the bytes of an object by what change makes of a copy of them; a nil
// result drops the object. It panics if there is no such object: a test that damages
// nothing proves nothing.
func (m *Memory) Corrupt(name string, change func(data []byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[name]
	if !ok {
		panic("storetest: no object " + name)
	}
	if o.data = change(bytes.Clone(o.data)); o.data == nil {
		delete(m.objects, name)
		return
	}
	m.objects[name] = o
}

func ready(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !store.ValidName(name) {
		return errors.New("is not a valid object name")
	}
	return nil
}
