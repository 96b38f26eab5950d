package check

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"satchel/index"
	"satchel/snapshot"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Options is what Run needs.
type Options struct {
	Log   *ledger.Log    // and with it store, keys and pin
	Index *index.Index   // of the same repository
	Me    *seal.Identity // opens this device's slot and so the keyring; nil: a reader without one
	Note  *Note          // brought up to date, for the caller to save; nil: none

	ReadData float64 // the part of the objects that is read and hashed, 0 to 1
	Seed     uint64  // which part
	Decrypt  bool    // read and open everything
	Workers  int     // 0: one more than there are processors

	Progress *snapshot.Progress // of the objects that are read
}

// Run checks a repository. What is wrong with it is in the report; an error says that it could
// not be looked at, or that it was written by a newer satchel (seal.ErrTooNew).
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0) + 1
	}
	if o.Note == nil {
		o.Note = &Note{keys: map[string]string{}, damaged: map[pack.Key]bool{}}
	}
	for try := 1; ; try++ {
		c := &checker{Options: o, store: o.Log.Store, report: &Report{Lost: map[pack.ID]bool{}}, objects: map[string]store.Object{},
			asked: map[string]bool{}, found: map[string]*Problem{}, losses: map[pack.Key]*loss{}}
		// The listing comes after the ledger: what that names was in the store before.
		for _, step := range []func(context.Context) error{c.ledger, c.list, c.syncIndex, c.plan, c.work, c.settle} {
			if err := step(ctx); err != nil {
				return nil, err
			}
		}
		if !c.report.Damage() || try == tries || !c.moved(ctx) {
			return c.report, nil
		}
	}
}

// tries is how often a check begins anew because the ledger moved on under it: what was
// missing may have been condemned, and deleted, meanwhile.
const tries = 3

// maxHeld is how many bytes of objects are in memory at once.
const maxHeld = 64 << 20

// moved reports whether the ledger has gone on since the check began.
func (c *checker) moved(ctx context.Context) bool {
	return c.state != nil && c.Log.Sync(ctx) == nil && c.Log.State().Position() != c.position
}

// checker is a Run under way.
type checker struct {
	Options
	store   store.Store
	report  *Report
	objects map[string]store.Object // listed
	asked   map[string]bool         // names that the ledger asks for
	audit   *ledger.Audited
	here    map[pack.Key]bool // live packs whose directory is in the index
	jobs    []job

	state    *ledger.State // nil if the ledger cannot be read
	position uint64        // of the state, which moves on with the Log

	mu     sync.Mutex          // guards what follows, and the report, while there are workers
	found  map[string]*Problem // by object
	losses map[pack.Key]*loss  // of damaged packs

	trees *walker // the last walk; nil without a state
}

// job is one object to be looked at by a worker.
type job struct {
	size int64
	do   func(context.Context, *worker) error
}

// problem notes something about an object.
func (c *checker) problem(object string, s Severity, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what := fmt.Sprintf(format, args...)
	p := c.found[object]
	if p == nil {
		c.found[object] = &Problem{Object: object, What: what, Severity: s}
		return
	}
	p.Severity = max(p.Severity, s)
	if !strings.Contains(p.What, what) {
		p.What += "; " + what
	}
}

// list takes the inventory of the store.
func (c *checker) list(ctx context.Context) error {
	for o, err := range c.store.List(ctx, "") {
		if err != nil {
			return err
		}
		c.objects[o.Name] = o
		c.report.Objects++
		c.report.Bytes += o.Size
	}
	return nil
}

// ledger replays the ledger and brings this device's copy up to date.
func (c *checker) ledger(ctx context.Context) (err error) {
	if c.audit, err = c.Log.Audit(ctx); err != nil {
		return err
	}
	c.report.Entries = c.audit.Head
	for _, f := range c.audit.Findings {
		what := f.What
		if f.Kept {
			what += "; this device has kept its bytes"
		}
		c.problem(ledger.Name(f.Position), Damage, "ledger entry %d %s", f.Position, what)
	}
	for _, v := range c.audit.Voids {
		c.problem(ledger.Name(v.Position), Notice, "ledger entry %d is void and skipped: %s", v.Position, v.Reason)
	}
	switch err := c.Log.Sync(ctx); {
	case err == nil:
	case errors.Is(err, ledger.ErrDamaged), errors.Is(err, ledger.ErrRollback), errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer):
		if len(c.audit.Findings) == 0 {
			c.problem(ledger.Prefix, Damage, "%v", err)
		}
	default:
		return err
	}
	if c.state = c.Log.State(); c.state != nil {
		c.position = c.state.Position()
	}
	return nil
}

// syncIndex brings the index up to date and finds out which packs it cannot tell of.
func (c *checker) syncIndex(ctx context.Context) error {
	c.here = map[pack.Key]bool{}
	if c.state == nil {
		return nil
	}
	if err := snapshot.SyncIndex(ctx, c.Log, c.Index); err != nil {
		return err
	}
	for p, err := range c.Index.Packs() {
		if err != nil {
			return err
		}
		c.here[p.Key] = true
	}
	return nil
}

// plan compares the listing with what the ledger asks for, and makes the list of objects
// that are to be read.
func (c *checker) plan(context.Context) error {
	c.bootstrap()
	if c.state == nil {
		return nil
	}
	c.keyring()
	c.Note.prune(c.state)
	newest := len(c.audit.Checkpoints) - 1
	for i, p := range c.audit.Checkpoints {
		name := ledger.StateName(p.Object)
		if !c.there(name, "the state that the ledger has a checkpoint of is missing; a new device reads more of the ledger instead") {
			continue
		}
		if open := c.Decrypt || i == newest; open || c.chosen(name) {
			c.add(name, func(ctx context.Context, w *worker) error { return c.checkpoint(ctx, p, open) })
		}
	}
	for _, h := range c.state.Segments() {
		name := ledger.SegmentName(h)
		if c.there(name, "this index segment is missing; packs describe themselves instead") && (c.Decrypt || c.chosen(name)) {
			c.add(name, func(ctx context.Context, w *worker) error { return c.segment(ctx, h) })
		}
	}
	for _, name := range c.audit.Details {
		if c.there(name, "the journal's detail is missing: which paths, and why") && (c.Decrypt || c.chosen(name)) {
			c.add(name, func(ctx context.Context, w *worker) error { return c.detail(ctx, name) })
		}
	}
	packs := c.state.Packs()
	c.report.Packs = len(packs)
	for _, p := range packs {
		c.planPack(p)
	}
	c.unasked()
	return nil
}

func (c *checker) planPack(p ledger.Pack) {
	name := p.Key.Name()
	if !c.there(name, "the pack is missing") {
		c.lose(p.Key, nil)
		return
	}
	size := c.objects[name].Size
	switch {
	case size != p.Size:
		c.problem(name, Damage, "the pack has %d bytes and should have %d", size, p.Size)
	case !c.here[p.Key]:
	case !c.Decrypt && !c.chosen(name):
		return
	}
	open := c.Decrypt || size != p.Size || !c.here[p.Key]
	c.add(name, func(ctx context.Context, w *worker) error { return w.pack(ctx, p, open) })
}

// there asks for an object; if it is missing it says so in these words.
func (c *checker) there(name, missing string) bool {
	c.asked[name] = true
	if _, ok := c.objects[name]; !ok {
		c.problem(name, Damage, "%s", missing)
		return false
	}
	return true
}

func (c *checker) add(name string, do func(context.Context, *worker) error) {
	c.jobs = append(c.jobs, job{c.objects[name].Size, do})
}

// chosen reports whether an object is in the part that is to be read: the same objects for the
// same seed.
func (c *checker) chosen(name string) bool {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(name), c.Seed))
	return c.ReadData >= 1 || float64(binary.BigEndian.Uint64(sum[:])) < c.ReadData*math.MaxUint64
}

// work does the jobs, and meanwhile walks the trees.
func (c *checker) work(ctx context.Context) error {
	if p := c.Progress; p != nil {
		for _, j := range c.jobs {
			p.AllFiles.Add(1)
			p.AllBytes.Add(j.size)
		}
		p.Done.Store(true)
	}
	g, gctx := errgroup.WithContext(ctx)
	if c.state != nil {
		c.trees = &walker{}
		g.Go(func() error { return c.trees.walk(gctx, c.Log, c.Index) })
	}
	todo := make(chan job)
	held := semaphore.NewWeighted(maxHeld)
	g.Go(func() error {
		defer close(todo)
		for _, j := range c.jobs {
			select {
			case todo <- j:
			case <-gctx.Done():
				return context.Cause(gctx)
			}
		}
		return nil
	})
	for range c.Workers {
		g.Go(func() error {
			w, err := newWorker(c)
			if err != nil {
				return err
			}
			for j := range todo {
				size := min(j.size, maxHeld)
				if err := held.Acquire(gctx, size); err != nil {
					return context.Cause(gctx)
				}
				if err := j.do(gctx, w); err != nil {
					return err
				}
				held.Release(size)
				if p := c.Progress; p != nil {
					p.Files.Add(1)
					p.Bytes.Add(j.size)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// read returns the whole object, or reports it as damaged: ok is false then. An object
// that is named by its hash is compared with it, if sum is set.
func (c *checker) read(ctx context.Context, name string, sum bool) (data []byte, ok bool, err error) {
	if n := c.objects[name].Size; n > store.MaxObject {
		c.problem(name, Damage, "it has %d bytes, more than any object of a repository's", n)
		return nil, false, nil
	}
	data, err = c.store.Get(ctx, name, 0, -1)
	switch {
	case errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer), errors.Is(err, io.ErrUnexpectedEOF):
		c.problem(name, Damage, "it cannot be read: %v", err)
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	c.mu.Lock()
	c.report.Read++
	c.report.ReadBytes += int64(len(data))
	c.mu.Unlock()
	if c.Progress != nil {
		c.Progress.Stored.Add(int64(len(data)))
	}
	if sum && !named(name, data) {
		c.problem(name, Damage, "its bytes are not the ones that were stored: their SHA-256 is another than its name says")
		return data, false, nil
	}
	return data, true, nil
}

// named reports whether the last element of a name is the SHA-256 of the bytes.
func named(name string, data []byte) bool {
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	return len(name) > len(sum) && name[len(name)-len(sum):] == sum
}
