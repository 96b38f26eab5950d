// Package sched simulates a store that several devices use, in an order that one seed decides.
// It runs in a bubble of testing/synctest: real client code runs on goroutines of its own, and
// each of its store calls waits until the scheduler picks it. A call may take effect late, twice
// or not at all, and its answer may be lost; a device may be killed at it.
//
//	w := sched.New(memory, rand)
//	run := w.Go("home", func(s store.Store) { push(s) })
//	for w.Step() {
//	}
//
// The same seed gives the same steps, as long as the clients themselves are deterministic but for
// the order in which their goroutines run. Nothing here is safe for use outside of the bubble.
package sched

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"satchel/store"
	"satchel/store/storetest"
)

var (
	// ErrBusy is the answer of a store that did nothing.
	ErrBusy = errors.New("503 server busy")
	// ErrNoAnswer hides what became of a call.
	ErrNoAnswer = errors.New("connection reset")
	// ErrKilled is what all calls of a device end with that is no more.
	ErrKilled = errors.New("killed")
)

// Rates are how often, in a thousand calls, something goes wrong.
type Rates struct {
	Busy, NoAnswer, Late, Twice, Kill, Sleep int
	Days                                     int // the clock moves by hours or days
}

// World is a store, its devices and what is on its way.
type World struct {
	Rates Rates
	// Effect is called after an object was put or deleted, for whom.
	Effect func(kind storetest.Kind, name, by string)
	// Kill is called when a run is killed, while all that it does stands still.
	Kill func(*Run)

	mem  *storetest.Memory
	rand *rand.Rand

	mu     sync.Mutex
	parked []*call // guarded by mu

	late   []*call // their effects are to come
	runs   []*Run  // that have not ended
	trace  []string
	steps  int
	counts map[string]int
}

// New returns a world around a store.
func New(mem *storetest.Memory, r *rand.Rand) *World {
	return &World{mem: mem, rand: r, counts: map[string]int{}}
}

// Trace is what has happened so far, a line for each step.
func (w *World) Trace() []string { return w.trace }

// Note adds a line to the trace.
func (w *World) Note(format string, a ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%5d ", w.steps)+fmt.Sprintf(format, a...))
}

// Counts are how often each fate was met.
func (w *World) Counts() map[string]int { return w.counts }

// A Run is one process of a device; it is the store that it sees.
type Run struct {
	Name    string
	Faulted bool // something went wrong for it
	Killed  bool

	w      *World
	asleep int // until this step
	ended  bool
}

type call struct {
	run    *Run
	kind   storetest.Kind
	name   string
	data   []byte
	off, n int64
	after  string // List: rows after this name
	answer chan answer
}

type answer struct {
	data []byte
	rows []store.Object
	more bool
	err  error
}

// Go begins a run of f.
func (w *World) Go(name string, f func(*Run)) *Run {
	r := &Run{Name: name, w: w}
	w.runs = append(w.runs, r)
	go func() {
		defer func() { r.ended = true }()
		f(r)
	}()
	return r
}

// Running lists the runs that have not ended, once all of them stand still.
func (w *World) Running() []*Run {
	synctest.Wait()
	w.runs = slices.DeleteFunc(w.runs, func(r *Run) bool { return r.ended })
	return w.runs
}

// Step lets one thing happen, and reports whether there was any.
func (w *World) Step() bool {
	w.Running()
	w.steps++
	if w.chance(w.Rates.Days) {
		d := time.Duration(w.rand.IntN(100)) * time.Hour
		w.Note("the clock moves by %v", d)
		time.Sleep(d)
	} else {
		time.Sleep(time.Duration(1+w.rand.IntN(3000)) * time.Millisecond)
	}
	calls := w.waiting()
	if len(w.late) > 0 && (len(calls) == 0 || w.rand.IntN(12) == 0) {
		i := w.rand.IntN(len(w.late))
		c := w.late[i]
		w.late = slices.Delete(w.late, i, i+1)
		a := w.effect(c)
		w.Note("%s %s %s: comes late: %v", c.run.Name, c.kind, short(c.name), a.err)
		return true
	}
	if len(calls) == 0 {
		return false
	}
	w.decide(calls[w.rand.IntN(len(calls))])
	return true
}

// Settle lets all that is late take effect.
func (w *World) Settle() {
	for _, c := range w.late {
		w.effect(c)
	}
	w.late = nil
}

// waiting lists the parked calls of one run that is awake, in an order that does not depend
// on when its goroutines came.
func (w *World) waiting() []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := map[*Run][]*call{}
	var awake, all []*Run
	for _, c := range w.parked {
		if by[c.run] == nil {
			all = append(all, c.run)
			if c.run.asleep <= w.steps {
				awake = append(awake, c.run)
			}
		}
		by[c.run] = append(by[c.run], c)
	}
	if len(awake) == 0 {
		awake = all
	}
	if len(awake) == 0 {
		return nil
	}
	slices.SortFunc(awake, func(a, b *Run) int { return strings.Compare(a.Name, b.Name) })
	calls := by[awake[w.rand.IntN(len(awake))]]
	slices.SortFunc(calls, func(a, b *call) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.name, b.name), cmp.Compare(a.off, b.off))
	})
	return calls
}

func (w *World) chance(rate int) bool { return rate > 0 && w.rand.IntN(1000) < rate }

// decide what becomes of a call.
func (w *World) decide(c *call) {
	changes := c.kind == storetest.Put || c.kind == storetest.Delete
	fate, a := "", answer{}
	switch {
	case w.chance(w.Rates.Kill):
		w.kill(c)
		return
	case w.chance(w.Rates.Busy):
		fate, a = "refused", answer{err: ErrBusy}
	case changes && w.chance(w.Rates.NoAnswer):
		w.effect(c)
		fate, a = "no answer", answer{err: ErrNoAnswer}
	case changes && w.chance(w.Rates.Late):
		w.late = append(w.late, c)
		fate, a = "no answer yet", answer{err: ErrNoAnswer}
	case changes && w.chance(w.Rates.Twice):
		w.late = append(w.late, c)
		a, fate = w.effect(c), "twice"
		if a.err == nil && w.rand.IntN(2) == 0 { // the second attempt met the first
			a, fate = w.effect(c), "twice at once"
		}
	default:
		a = w.effect(c)
	}
	if fate != "" {
		c.run.Faulted = true
		w.counts[fate]++
	}
	if w.chance(w.Rates.Sleep) {
		c.run.asleep = w.steps + w.rand.IntN(200)
		w.counts["sleep"]++
		w.Note("%s sleeps until %d", c.run.Name, c.run.asleep)
	}
	w.Note("%s %s %s %s: %v", c.run.Name, c.kind, short(c.name), fate, a.err)
	w.unpark(c)
	c.answer <- a
}

// kill ends a run: its call took effect, or will, or not.
func (w *World) kill(c *call) {
	fate := "killed before"
	if c.kind == storetest.Put || c.kind == storetest.Delete {
		switch w.rand.IntN(3) {
		case 0:
			w.effect(c)
			fate = "killed after"
		case 1:
			w.late = append(w.late, c)
			fate = "killed, and it comes late"
		}
	}
	w.counts["kill"]++
	w.Note("%s %s %s %s", c.run.Name, c.kind, short(c.name), fate)
	c.run.Killed, c.run.Faulted = true, true
	if w.Kill != nil {
		w.Kill(c.run)
	}
	w.mu.Lock()
	var ended []*call
	w.parked = slices.DeleteFunc(w.parked, func(o *call) bool {
		if o.run == c.run {
			ended = append(ended, o)
		}
		return o.run == c.run
	})
	w.mu.Unlock()
	for _, o := range ended {
		o.answer <- answer{err: ErrKilled}
	}
}

func (w *World) unpark(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked = slices.DeleteFunc(w.parked, func(o *call) bool { return o == c })
}

// effect does what a call asks for.
func (w *World) effect(c *call) (a answer) {
	ctx := context.Background()
	switch c.kind {
	case storetest.Put:
		a.err = w.mem.Put(ctx, c.name, c.data)
	case storetest.Delete:
		a.err = w.mem.Delete(ctx, c.name)
	case storetest.Get:
		a.data, a.err = w.mem.Get(ctx, c.name, c.off, c.n)
	case storetest.List:
		page := 1 + w.rand.IntN(20)
		for o := range w.mem.List(ctx, c.name) {
			if o.Name <= c.after {
				continue
			}
			if len(a.rows) == page {
				a.more = true
				break
			}
			a.rows = append(a.rows, o)
		}
	}
	if w.Effect != nil && a.err == nil && (c.kind == storetest.Put || c.kind == storetest.Delete) {
		w.Effect(c.kind, c.name, c.run.Name)
	}
	return a
}

// short is enough of a name to tell it.
func short(name string) string {
	if kind, rest, ok := strings.Cut(name, "/"); ok && len(rest) > 20 {
		return kind + "/…" + rest[len(rest)-8:]
	}
	return name
}
