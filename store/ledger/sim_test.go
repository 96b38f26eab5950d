package ledger_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"satchel/index"
	"satchel/snapshot"
	"satchel/snapshot/retention"
	"satchel/snapshot/snapshottest"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
	"satchel/store/storetest/sched"
)

// The real client on a simulated store. Devices push, forget, prune and checkpoint at once, in an
// order that a seed decides; calls come late, twice or not at all; devices are killed, lose their
// caches, get old ones back, and sleep for days. After each change of the store a model of its own
// asserts the invariants of the design. Package ledger holds this test because the rules that its
// mutants break are the fold's.

var schedules = flag.Int("schedules", 20, "simulated schedules")

// computers share the repository; home and clinic share a workspace.
const computers = 4

// A base is what all schedules begin with: a repository and its devices.
type base struct {
	mem     *storetest.Memory
	keys    *seal.Keys
	ring    *seal.Keyring
	pin     ledger.Config
	me      [computers]*seal.Identity
	ledger  [computers][]byte // their copies
	index   [computers][]byte
	line    [computers]ledger.Workspace
	replica *ledger.Replica
}

var theBase *base

// found makes the base once, as keys are slow, and the same in every process.
func found(t *testing.T) *base {
	if theBase == nil {
		cryptotest.SetGlobalRandom(t, 1)
		synctest.Test(t, func(t *testing.T) { theBase = makeBase(t) })
	}
	return theBase
}

func makeBase(t *testing.T) *base {
	b := &base{mem: storetest.NewMemory()}
	first := snapshottest.Found(t, b.mem)
	devices := []*snapshottest.Device{first}
	for range computers - 1 {
		devices = append(devices, first.Join(b.mem))
	}
	devices[2].Lineage.Workspace, devices[3].Lineage.Workspace = ledger.Workspace{2}, ledger.Workspace{3}
	for i, d := range devices {
		if i != 1 {
			d.Write("a", content(i))
			d.MustPush()
		}
		b.me[i], b.line[i] = d.Access.Me, d.Lineage.Workspace
	}
	b.keys, b.ring = first.Access.Keys, first.Access.Keyring
	b.pin = ledger.Config{Keys: b.keys, Keyring: b.ring, Repository: first.Access.Repository, Genesis: first.Access.Genesis}
	for i := 0; first.State().Position() < 45; i++ { // so that checkpoints are due
		ok(t, first.Sync())
		head, _ := snapshot.Newest(first.State(), b.line[0])
		_, err := first.Access.Log.Append(context.Background(), first.Access.Me, ledger.TagKind, func(*ledger.State) (any, error) {
			return ledger.TagContent{Snapshot: head.ID, Tag: fmt.Sprint("word ", i)}, nil
		})
		ok(t, err)
	}
	for i, d := range devices {
		ok(t, d.Sync())
		d.Close()
		var err error
		b.ledger[i], err = os.ReadFile(d.Access.Log.Path)
		ok(t, err)
		b.index[i], err = os.ReadFile(d.IndexPath())
		ok(t, err)
	}
	b.replica = ledger.NewReplica(b.keys, b.ring, b.pin.Repository, 0)
	raws, err := ledger.Entries(context.Background(), b.mem)
	ok(t, err)
	for _, raw := range raws {
		_, err := b.replica.Fold(raw)
		ok(t, err)
	}
	return b
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content is one of a few dozen that all devices have: what was forgotten with one comes back with
// another. Some make a pack large enough to be written anew.
func content(n int) string {
	size := 500
	if n%3 == 0 {
		size = 40_000
	}
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(n), 1}).Read(b)
	return string(b)
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// A computer is a device between its runs: what its disk holds.
type computer struct {
	sim   *sim
	n     int
	name  string
	home  string
	room  *storetest.Memory // of safety snapshots
	files map[string]string
	run   *sched.Run // under way
	err   error      // of the last run
	did   string
}

// A sim is one schedule.
type sim struct {
	t     *testing.T
	b     *base
	seed  uint64
	rand  *rand.Rand
	dir   string
	mem   *storetest.Memory
	world *sched.World
	model *model
	devs  []*computer
	m     mutant
	ends  map[string]int
}

// chance is randomness for a run of a device.
func (s *sim) chance() io.Reader {
	var k [32]byte
	for i := range k {
		k[i] = byte(s.rand.Uint32())
	}
	return rand.NewChaCha8(k)
}

// simulate runs the schedule of a seed and returns the first violation, with what led to it.
func simulate(t *testing.T, seed uint64, m mutant) (s *sim, err error) {
	b := found(t)
	dir, derr := os.MkdirTemp("", "schedule")
	ok(t, derr)
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)))
		s = &sim{t: t, b: b, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), dir: dir, mem: b.mem.Clone(), m: m, ends: map[string]int{}}
		err = s.schedule()
	})
	return s, err
}

const (
	launches = 26 // runs of a schedule
	patience = 20_000
)

func (s *sim) schedule() error {
	s.model = newModel(s.b, s.mem, s.m.model)
	s.world = sched.New(s.mem, s.rand)
	s.world.Rates = sched.Rates{Busy: 8, NoAnswer: 10, Late: 10, Twice: 10, Kill: 8, Sleep: 10, Days: 5}
	s.world.Effect = s.model.effect
	s.world.Kill = func(r *sched.Run) { s.device(r.Name).save("killed") }
	for i := range computers {
		c := &computer{sim: s, n: i, name: []string{"office", "home", "clinic", "ward"}[i], home: filepath.Join(s.dir, fmt.Sprint(i)), room: storetest.NewMemory(), files: map[string]string{}}
		ok(s.t, os.MkdirAll(c.path("ws"), 0o755))
		ok(s.t, os.WriteFile(c.path("ledger"), s.b.ledger[i], 0o600))
		ok(s.t, os.WriteFile(c.path("index"), s.b.index[i], 0o600))
		c.write("a", i)
		s.devs = append(s.devs, c)
	}
	left := launches
	for n := 0; n < patience; n++ {
		s.collect()
		if err := s.model.err; err != nil {
			return s.abandon(err)
		}
		idle := slices.DeleteFunc(slices.Clone(s.devs), func(c *computer) bool { return c.run != nil })
		if left > 0 && len(idle) > 0 && (len(idle) == len(s.devs) || s.rand.IntN(15) == 0) {
			left--
			s.launch(idle[s.rand.IntN(len(idle))])
			continue
		}
		if len(idle) == len(s.devs) && left == 0 {
			return s.rest()
		}
		s.world.Step()
		s.world.Running() // who was answered goes on to its next call first: the model is one for all
		if s.rand.IntN(40) == 0 {
			s.lie()
		}
	}
	return s.abandon(errors.New("it does not end"))
}

func (s *sim) device(name string) *computer {
	return s.devs[slices.IndexFunc(s.devs, func(c *computer) bool { return c.name == name })]
}

// collect takes note of runs that have ended.
func (s *sim) collect() {
	running := s.world.Running()
	for _, c := range s.devs {
		if c.run == nil || slices.Contains(running, c.run) {
			continue
		}
		if c.run.Killed {
			c.err = sched.ErrKilled // which of its calls it fell over is nobody's concern
			c.restore("killed")
		}
		s.ends[c.did+": "+s.kindOf(c.err, c.run)]++
		s.world.Note("%s: %s ended: %v", c.name, c.did, c.err)
		if c.err != nil && errors.Is(c.err, ledger.ErrCloned) { // its copy was lost or old: as if it were enrolled again
			os.Remove(c.path("ledger"))
		}
		c.run = nil
	}
}

// shape is what differs from one error to the next of its kind.
var shape = regexp.MustCompile(`[0-9a-f]{8,}(/[0-9a-f]+)?|\b[0-9]+\b|/.*/`)

// what a run may end with although nothing went wrong for it.
var excuses = []error{snapshot.ErrBehind, ledger.ErrCloned, retention.ErrGone}

func (s *sim) kindOf(err error, r *sched.Run) string {
	switch {
	case err == nil:
		return "well"
	case r.Killed:
		return "killed"
	case r.Faulted:
		return "failed after a fault"
	}
	if s.m.name == "" && !slices.ContainsFunc(excuses, func(e error) bool { return errors.Is(err, e) }) {
		s.model.fail("%s met no fault, and ended: %w", r.Name, err)
	}
	text := shape.ReplaceAllString(err.Error(), "…")
	return text
}

// abandon kills what runs, so that the bubble ends.
func (s *sim) abandon(err error) error {
	s.world.Rates = sched.Rates{Kill: 1000}
	for len(s.world.Running()) > 0 {
		s.world.Step()
	}
	return err
}

// rest lets everything come to its end; then two prunes leave what is reachable, and nothing else.
func (s *sim) rest() error {
	s.world.Rates = sched.Rates{}
	s.world.Settle()
	for i := range 2 {
		c := s.devs[i]
		os.Remove(c.path("index"))
		os.Remove(c.path("ledger"))
		var err error
		c.did = "last prune"
		c.run = s.world.Go(c.name, func(r *sched.Run) {
			err = c.open(r, func(d *device) error { return d.prune(nil, 0, 0) })
			c.err = err
		})
		for len(s.world.Running()) > 0 {
			s.world.Step()
		}
		s.collect()
		if err != nil {
			return fmt.Errorf("prune at rest: %w", err)
		}
		if s.model.err != nil {
			return s.model.err
		}
	}
	return s.model.rest()
}

// lie puts an entry that every reader skips: it condemns all that is live, and its signature is
// another device's.
func (s *sim) lie() {
	var names []string
	for _, p := range s.model.replica.Packs() {
		names = append(names, p.Key.Name())
	}
	if len(names) == 0 || s.rand.IntN(4) > 0 {
		return
	}
	slices.Sort(names)
	raw := s.model.replica.Forge(s.b.me[0], s.b.me[1], ledger.Condemn, ledger.CondemnContent{Names: names})
	name := ledger.Name(s.model.replica.Position() + 1)
	s.world.Note("a liar writes entry %d", s.model.replica.Position()+1)
	if s.mem.Put(context.Background(), name, raw) == nil {
		s.model.effect(storetest.Put, name, "liar")
	}
}

func (c *computer) path(name string) string { return filepath.Join(c.home, name) }

func (c *computer) write(path string, n int) {
	full := filepath.Join(c.path("ws"), path)
	ok(c.sim.t, os.MkdirAll(filepath.Dir(full), 0o755))
	ok(c.sim.t, os.WriteFile(full, []byte(content(n)), 0o644))
	old := time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC)
	ok(c.sim.t, os.Chtimes(full, old, old))
	for dir := filepath.Dir(full); dir != c.home; dir = filepath.Dir(dir) {
		ok(c.sim.t, os.Chtimes(dir, old, old))
	}
	c.files[path] = content(n)
}

// disk is what a device keeps between its runs.
var disk = []string{"ledger", "index", "state", "safety"}

// save keeps a copy of the disk, as it is at this moment.
func (c *computer) save(as string) {
	to := c.path(as)
	os.RemoveAll(to)
	ok(c.sim.t, os.MkdirAll(to, 0o755))
	for _, name := range disk {
		ok(c.sim.t, copyAll(c.path(name), filepath.Join(to, name)))
	}
}

// restore puts a copy back.
func (c *computer) restore(from string, only ...string) {
	for _, name := range disk {
		if len(only) == 0 || slices.Contains(only, name) {
			ok(c.sim.t, os.RemoveAll(c.path(name)))
			ok(c.sim.t, copyAll(filepath.Join(c.path(from), name), c.path(name)))
		}
	}
}

func copyAll(from, to string) error {
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		if e.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		return copyFile(path, target)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// launch begins a run of a device, to which something may have happened since its last.
func (s *sim) launch(c *computer) {
	switch s.rand.IntN(24) {
	case 0:
		os.Remove(c.path("index"))
		s.world.Note("%s loses its index", c.name)
	case 1, 7:
		os.Remove(c.path("ledger"))
		os.Remove(c.path("index"))
		s.world.Note("%s loses its copies", c.name)
	case 2, 3:
		c.save("old")
	case 4, 5:
		if _, err := os.Stat(c.path("old")); err == nil {
			c.restore("old", "index")
			s.world.Note("%s gets an old index back", c.name)
		}
	case 6:
		if _, err := os.Stat(c.path("old")); err == nil {
			c.restore("old")
			s.world.Note("%s gets an old disk back", c.name)
		}
	}
	var op func(*device) error
	switch n := s.rand.IntN(100); {
	case n < 58:
		for range 1 + s.rand.IntN(2) {
			c.write([]string{"a", "b", "sub/c", "sub/deep/d"}[s.rand.IntN(4)], s.rand.IntN(24))
		}
		c.did, op = "push", (*device).push
	case n < 89:
		graces := []time.Duration{0, 0, 24 * time.Hour, retention.DefaultGrace}
		grace, unfinished := graces[s.rand.IntN(4)], graces[s.rand.IntN(4)]
		pick := rand.New(rand.NewPCG(s.rand.Uint64(), 2))
		c.did, op = "prune", func(d *device) error { return d.prune(pick, grace, unfinished) }
	case n < 93:
		pick := rand.New(rand.NewPCG(s.rand.Uint64(), 4))
		c.did, op = "hold", func(d *device) error { return d.hold(pick) }
	case n < 96:
		pick := rand.New(rand.NewPCG(s.rand.Uint64(), 3))
		c.did, op = "unforget", func(d *device) error { return d.unforget(pick) }
	default:
		far := s.rand.Uint64()
		c.did, op = "checkpoint", func(d *device) error { return d.checkpoint(far) }
	}
	s.world.Note("%s: %s", c.name, c.did)
	c.run = s.world.Go(c.name, func(r *sched.Run) { c.err = c.open(r, op) })
}

// A device is a run of a computer.
type device struct {
	*computer
	store store.Store
	log   *ledger.Log
	index *index.Index
	line  *snapshot.Lineage
	rand  io.Reader

	register int // 1: the ledger is told of a pack before the push ends, as in a long one
	small    int // 1: all data goes into data packs, as in a large one
	segments int // 2: so many are written anew
}

// open opens the device's copies as the program does, brings them up to date, and runs op.
func (c *computer) open(r *sched.Run, op func(*device) error) error {
	s := c.sim
	d := &device{computer: c, store: r, rand: s.chance(), register: s.rand.IntN(3) / 2, small: s.rand.IntN(2), segments: 2 * s.rand.IntN(2)}
	if s.m.store != nil {
		d.store = s.m.store(r)
	}
	conf := s.b.pin
	conf.Store, conf.Me, conf.Path, conf.Rand = d.store, s.b.me[c.n].Principal.ID, c.path("ledger"), s.chance()
	var err error
	if d.log, err = ledger.Open(conf); err != nil {
		return err
	}
	defer d.log.Close()
	d.log.Break(s.m.fold)
	if s.m.append != nil {
		d.log.Meddle(func(k ledger.Kind, build func(*ledger.State) (any, error)) func(*ledger.State) (any, error) {
			return s.m.append(d.log, k, build)
		})
	}
	if d.index, err = index.Open(c.path("index"), s.b.pin.Repository); err != nil {
		return err
	}
	defer d.index.Close()
	if d.line, err = snapshot.OpenLineage(c.path("state"), s.b.pin.Repository, c.path("ws")); err != nil {
		return err
	}
	d.line.Workspace = s.b.line[c.n]
	if err := d.log.Sync(ctx); err != nil {
		return err
	}
	if err := errors.Join(d.line.Adopt(d.log.State()), snapshot.SyncIndex(ctx, d.log, d.index)); err != nil {
		return err
	}
	if err := op(d); err != nil {
		return err
	}
	return s.model.agrees(d.log.State())
}

var ctx = context.Background()

func (d *device) client() (*snapshot.Push, error) {
	rules, err := workspace.Load(ctx, d.path("ws"), nil)
	return &snapshot.Push{Store: d.store, Keys: d.sim.b.keys, Keyring: d.sim.b.ring, Log: d.log, Index: d.index, Me: d.sim.b.me[d.n],
		Lineage: d.line, Rules: rules, Name: "clinic", Version: "test", Images: d.path("images"), Workers: 1, Uploads: 1, Register: d.register, Small: d.small, Yes: true,
		Rand: d.rand, Now: time.Now, Sleep: func(context.Context, time.Duration) error { return nil }}, err
}

// push pushes; where others have pushed it takes their head for merged, as a pull does that keeps what
// is here in a safety snapshot, and pushes what it has.
func (d *device) push() error {
	p, err := d.client()
	if err != nil {
		return err
	}
	out, err := p.Run(ctx)
	if errors.Is(err, snapshot.ErrBehind) {
		if err := snapshot.SyncIndex(ctx, d.log, d.index); err != nil {
			return err
		}
		if p.Safety, err = d.keep(p); err != nil {
			return err
		}
		head, _ := snapshot.Newest(d.log.State(), d.line.Workspace)
		d.line.Base = head.ID
		if err := d.line.Save(); err != nil {
			return err
		}
		out, err = p.Run(ctx)
	}
	if err == nil && out.Snapshot != (pack.ID{}) {
		d.sim.model.acknowledge(out.Snapshot, d.files)
	}
	return err
}

// keep stages what is here for a safety snapshot, which the next push sends.
func (d *device) keep(p *snapshot.Push) (*snapshot.Safety, error) {
	y, err := snapshot.OpenSafety(d.path("safety"), func(string) (store.Store, error) { return d.room, nil })
	if err != nil {
		return nil, err
	}
	room, err := y.Room()
	if err != nil {
		return nil, err
	}
	base, _ := d.log.State().Snapshot(d.line.Base)
	staged, err := p.Stage(ctx, base, room)
	if err != nil {
		return nil, err
	}
	return y, y.Add(ctx, snapshot.Step{Time: time.Now(), What: "pull", Packs: staged.Packs, Files: staged.Files, Bytes: staged.Bytes, Parent: base.ID,
		Before: snapshot.State{ID: staged.ID, Root: staged.Root}, Sent: len(staged.Packs) == 0})
}

// prune forgets some old snapshots, picked by chance, and prunes.
func (d *device) prune(pick *rand.Rand, grace, unfinished time.Duration) error {
	p, err := d.client()
	if err != nil {
		return err
	}
	reader, err := snapshot.NewReader(d.store, d.sim.b.keys, d.index)
	if err != nil {
		return err
	}
	var forget []pack.ID
	if pick != nil {
		s := d.log.State()
		for _, v := range s.Snapshots(ledger.Workspace{}) {
			w, _ := s.Workspace(v.Workspace)
			if _, held := s.Hold(v.ID, time.Now().UnixNano()); !held && !slices.Contains(w.Heads, v.ID) && pick.IntN(2) == 0 {
				forget = append(forget, v.ID)
			}
		}
	}
	_, err = (&retention.Prune{Push: p, Reader: reader, Forget: forget, Grace: grace, Unfinished: unfinished, Segments: d.segments}).Run(ctx)
	return err
}

// hold keeps a snapshot, or lets it go again.
func (d *device) hold(pick *rand.Rand) error {
	_, err := d.log.Append(ctx, d.sim.b.me[d.n], ledger.HoldKind, func(s *ledger.State) (any, error) {
		all := s.Snapshots(ledger.Workspace{})
		c := ledger.HoldContent{Snapshot: all[pick.IntN(len(all))].ID, Reason: "audit"}
		if _, held := s.Hold(c.Snapshot, time.Now().UnixNano()); held {
			c.Reason, c.Released = "", true
		}
		return c, nil
	})
	return err
}

// unforget brings one snapshot back, if it can.
func (d *device) unforget(pick *rand.Rand) error {
	p, err := d.client()
	if err != nil {
		return err
	}
	reader, err := snapshot.NewReader(d.store, d.sim.b.keys, d.index)
	if err != nil {
		return err
	}
	former, err := d.log.Former(ctx, func(pack.ID) bool { return true })
	if err != nil || len(former) == 0 {
		return err
	}
	return retention.Unforget(ctx, p, reader, []ledger.Snapshot{former[pick.IntN(len(former))]})
}

// checkpoint moves the horizon as far as may be.
func (d *device) checkpoint(far uint64) error {
	s := d.log.State()
	return d.log.MoveHorizon(ctx, d.sim.b.me[d.n], s.Horizon()+far%(s.Position()+1-s.Horizon()), nil)
}
