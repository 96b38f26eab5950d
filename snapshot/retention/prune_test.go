package retention_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/snapshot/check"
	"satchel/snapshot/retention"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/storetest"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func noise(seed uint64, n int) string {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(b)
	return string(b)
}

// prune is one with no grace at all, up to date.
func prune(t testing.TB, d *snapshottest.Device, forget ...pack.ID) *retention.Prune {
	t.Helper()
	must(t, d.Sync())
	return &retention.Prune{Push: d.Push(), Reader: d.Reader, Forget: forget}
}

func run(t testing.TB, p *retention.Prune) *retention.Report {
	t.Helper()
	out, err := p.Run(ctx)
	must(t, err)
	return out
}

// ids of a device's workspace, oldest first.
func ids(d *snapshottest.Device) (out []pack.ID) {
	for _, v := range d.State().Snapshots(d.Lineage.Workspace) {
		out = append(out, v.ID)
	}
	return out
}

// sound checks the repository to the last chunk, and that the store holds no pack or segment
// that is not registered.
func sound(t testing.TB, d *snapshottest.Device, clean bool) {
	t.Helper()
	must(t, d.Sync())
	r, err := check.Run(ctx, check.Options{Log: d.Access.Log, Index: d.Index, Me: d.Access.Me, Decrypt: true, Workers: 2})
	must(t, err)
	for _, p := range r.Problems {
		if p.Severity == check.Damage {
			t.Errorf("%s: %s", p.Object, p.What)
		}
	}
	if clean && len(r.Unregistered) > 0 {
		t.Errorf("not registered: %v", r.Unregistered)
	}
}

// objects counts those of a kind.
func objects(t testing.TB, s store.Store, prefix string) (n int, size int64) {
	t.Helper()
	for o, err := range s.List(ctx, prefix) {
		must(t, err)
		n++
		size += o.Size
	}
	return n, size
}

// versions pushes a file of 3 MB that changes wholly n times, beside one that stays.
func versions(t testing.TB, n int) (*storetest.Memory, *snapshottest.Device) {
	m := storetest.NewMemory()
	d := snapshottest.Found(t, m)
	d.Write("stays", noise(99, 3<<20))
	for i := range n {
		d.Write("changes", noise(uint64(i), 3<<20))
		d.Write("small", fmt.Sprint("version ", i))
		d.MustPush()
	}
	return m, d
}

func TestPruneFreesWhatNobodyNeeds(t *testing.T) {
	m, d := versions(t, 4)
	_, before := objects(t, m, "d/")
	all := ids(d)
	plan := prune(t, d, all[:3]...)
	plan.DryRun = true
	planned := run(t, plan)
	if n := len(ids(d)); n != 4 || planned.Forgotten != 3 || planned.Condemned == 0 || planned.Freed < 5<<20 {
		t.Errorf("a plan: %+v, %d snapshots", planned, n)
	}
	out := run(t, prune(t, d, all[:3]...))
	_, after := objects(t, m, "d/")
	if out.Forgotten != 3 || out.Deleted != out.Condemned || out.Waiting > 0 || after > before/2 {
		t.Errorf("%+v; %d bytes of %d are left", out, after, before)
	}
	if got := ids(d); len(got) != 1 || got[0] != all[3] {
		t.Errorf("%d snapshots", len(got))
	}
	sound(t, d, true)
	if out := run(t, prune(t, d)); out.Condemned+out.Deleted > 0 {
		t.Errorf("a second one: %+v", out)
	}
	// What went comes back as soon as somebody has it again.
	d.Write("changes", noise(1, 3<<20))
	d.MustPush()
	sound(t, d, true)
	// And another device reads all of it.
	e := d.Join(m)
	must(t, e.Sync())
	sound(t, e, true)
}

// A pack of which less than 60 % is needed is written anew, and small packs are merged.
func TestPruneRepacks(t *testing.T) {
	m := storetest.NewMemory()
	d := snapshottest.Found(t, m)
	for i := range 12 {
		d.Write(fmt.Sprint("big", i), noise(uint64(i), 1<<20))
	}
	d.MustPush()
	for i := range 8 {
		d.Write(fmt.Sprint("big", i), "small now")
	}
	d.MustPush()
	for i := range 12 {
		d.Write("small", fmt.Sprint("version ", i))
		d.MustPush()
	}
	all := ids(d)
	out := run(t, prune(t, d, all[0]))
	if out.Repacked < 9 || out.Copied < 4<<20 {
		t.Errorf("%+v", out)
	}
	if n, size := objects(t, m, "d/"); n != 1 || size > 5<<20 {
		t.Errorf("%d data packs of %d bytes", n, size)
	}
	if n, _ := objects(t, m, "t/"); n > 2 {
		t.Errorf("%d tree packs", n)
	}
	sound(t, d, true)
	for _, id := range ids(d) {
		if _, err := d.Reader.Manifest(ctx, id); err != nil {
			t.Error(err)
		}
	}
}

// Within the grace a dead object stays, and what no entry registers stays for its own.
func TestPruneWaits(t *testing.T) {
	m, d := versions(t, 2)
	stray := storetest.NewMemory()
	other := snapshottest.Found(t, stray) // of a push that did not end
	other.Write("x", noise(5, 3<<20))
	other.MustPush()
	p := prune(t, d, ids(d)[0])
	p.Grace, p.Unfinished = retention.DefaultGrace, retention.DefaultUnfinished
	n, _ := objects(t, m, "")
	out := run(t, p)
	if now, _ := objects(t, m, ""); out.Deleted > 0 || out.Waiting == 0 || out.WaitBytes < 3<<20 || now < n {
		t.Errorf("%+v", out)
	}
	sound(t, d, false)
	p = prune(t, d)
	p.Unfinished = retention.DefaultUnfinished
	if out := run(t, p); out.Deleted == 0 || out.Waiting > 0 {
		t.Errorf("after the grace: %+v", out)
	}
	sound(t, d, true)
}

// What an interrupted push left goes when it has lain long enough, and never by itself while
// the push may end.
func TestPruneTakesWhatAPushLeft(t *testing.T) {
	m, d := versions(t, 1)
	d.Write("changes", noise(7, 20<<20))
	f := storetest.NewFaults(m)
	must(t, d.Sync())
	p := d.Push()
	p.Store = f
	f.CrashAt(1, storetest.Landed)
	if _, err := p.Run(ctx); err == nil {
		t.Fatal("the push ended")
	}
	n, _ := objects(t, m, "d/")
	young := prune(t, d)
	young.Unfinished = time.Hour
	if out := run(t, young); out.Condemned > 0 {
		t.Errorf("young: %+v", out)
	}
	out := run(t, prune(t, d))
	if now, _ := objects(t, m, "d/"); out.Deleted == 0 || now >= n {
		t.Errorf("%+v; %d of %d packs", out, now, n)
	}
	// The push goes on all the same: what it had sent is gone, so it is sent again.
	d.MustPush()
	sound(t, d, true)
}

// A push and a prune at the same time, in every order of their calls: the push notices what
// died under it.
func TestPruneUnderAPush(t *testing.T) {
	for k := 0; ; k++ {
		m, d := versions(t, 2)
		e := d.Join(m)
		must(t, e.Sync())
		must(t, d.Sync())
		// The office brings back the first version, which it believes to be in the repository;
		// at its call k home forgets it and prunes.
		d.Write("changes", noise(0, 3<<20))
		d.Write("new", noise(50, 6<<20))
		first := ids(d)[0]
		f := storetest.NewFaults(m)
		pruned := false
		var calls atomic.Int64 // entries are read several at a time
		f.Before = func(storetest.Op) error {
			if calls.Add(1) == int64(k+1) {
				pruned = true
				run(t, prune(t, e, first))
			}
			return nil
		}
		p := d.Push()
		p.Store = f
		d.Access.Log.Store = f
		_, err := p.Run(ctx)
		must(t, err)
		d.Access.Log.Store = m
		sound(t, d, false)
		must(t, e.Sync())
		sound(t, e, false)
		if !pruned {
			if k < 3 {
				t.Errorf("only %d calls", k)
			}
			break
		}
	}
}

// A long push tells the ledger of its packs before it ends. Nobody needs them yet, so a prune may
// condemn them: the push notices that too.
func TestPruneUnderALongPush(t *testing.T) {
	m, d := versions(t, 1)
	e := d.Join(m)
	must(t, e.Sync())
	must(t, d.Sync())
	d.Write("new", noise(50, 6<<20))
	f := storetest.NewFaults(m)
	entries := 0
	f.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put && strings.HasPrefix(op.Name, ledger.Prefix) {
			if entries++; entries == 3 { // two packs, and the snapshot
				if out := run(t, prune(t, e)); out.Condemned == 0 {
					t.Errorf("%+v", out)
				}
			}
		}
		return nil
	}
	p := d.Push()
	p.Register = 1
	d.Access.Log.Store = f
	_, err := p.Run(ctx)
	must(t, err)
	d.Access.Log.Store = m
	if entries < 4 {
		t.Errorf("%d entries", entries)
	}
	sound(t, d, false)
}

// A file may hold the very bytes of a directory. It is no directory all the same: what that needs
// is needed.
func TestPruneTellsAFileFromADirectory(t *testing.T) {
	m, d := versions(t, 1)
	d.Write("sub/big", noise(60, 3<<20))
	d.MustPush()
	v, _ := d.State().Snapshot(ids(d)[1])
	es, err := d.Reader.Entries(ctx, v.Root)
	must(t, err)
	for _, e := range es {
		if string(e.Name) == "sub" {
			b, err := d.Reader.Chunk(ctx, e.Node)
			must(t, err)
			d.Write("before", string(b))
		}
	}
	d.MustPush()
	run(t, prune(t, d, ids(d)[:2]...))
	d.Reopen(m)
	sound(t, d, true)
}

// A prune that fails anywhere, before or after its call took effect, leaves all that is live, and
// the next one frees the rest.
func TestPruneFailsAtEveryCall(t *testing.T) {
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		for k := 0; ; k++ {
			m, d := versions(t, 3)
			for i := range 9 { // for a repack
				d.Write("small", fmt.Sprint("more ", i))
				d.MustPush()
			}
			all := ids(d)
			p := prune(t, d, all[:2]...)
			f := storetest.NewFaults(m)
			p.Push.Store, d.Access.Log.Store = f, f
			f.FailAt(k, mode)
			_, err := p.Run(ctx)
			injected := f.Injected()
			d.Access.Log.Store = m
			if !injected {
				must(t, err)
				break
			}
			sound(t, d, false)
			run(t, prune(t, d, live(d, all[:2])...))
			sound(t, d, true)
			if n := len(ids(d)); n != 10 {
				t.Fatalf("call %d, %v: %d snapshots", k, mode, n)
			}
		}
	}
}

func live(d *snapshottest.Device, ids []pack.ID) (out []pack.ID) {
	for _, id := range ids {
		if _, ok := d.State().Snapshot(id); ok {
			out = append(out, id)
		}
	}
	return out
}

// Where anything is missing that a snapshot needs, nothing is condemned.
func TestPruneStopsAtDamage(t *testing.T) {
	m, d := versions(t, 3)
	all := ids(d)
	must(t, d.Sync())
	v, _ := d.State().Snapshot(all[2])
	loc, _, err := d.Index.Lookup(v.Root)
	must(t, err)
	m.Corrupt(loc.Pack.Name(), func([]byte) []byte { return nil })
	d.Reopen(m)
	n, _ := objects(t, m, "")
	if _, err := prune(t, d, all[0]).Run(ctx); err == nil || !strings.Contains(err.Error(), "satchel check") {
		t.Errorf("%v", err)
	}
	if now, _ := objects(t, m, ""); now < n {
		t.Error("something was deleted")
	}
}

// A store that does not let go, now or to this credential, is no failure.
func TestPruneLater(t *testing.T) {
	for _, refusal := range []error{store.ErrDenied, store.ErrHeld} {
		m, d := versions(t, 3)
		p := prune(t, d, ids(d)[:2]...)
		f := storetest.NewFaults(m)
		f.Before = func(op storetest.Op) error {
			if op.Kind == storetest.Delete {
				return fmt.Errorf("delete: %w", refusal)
			}
			return nil
		}
		p.Push.Store = f
		out := run(t, p)
		if out.Deleted > 0 || len(out.Later) == 0 || !errors.Is(out.Later[0].Err, refusal) {
			t.Errorf("%+v", out)
		}
		sound(t, d, false)
		if out := run(t, prune(t, d)); out.Deleted == 0 {
			t.Errorf("with the right: %+v", out)
		}
		sound(t, d, true)
	}
}

// Dead names leave the state when their objects are gone. A device that slept in a push finds that
// what it had sent counts no more, and sends it again.
func TestHorizonMoves(t *testing.T) {
	m, d := versions(t, 1)
	e := d.Join(m)
	e.Lineage.Workspace = ledger.Workspace{7}
	e.Write("sleeper", noise(70, 8<<20))
	must(t, e.Sync())
	sleeper := e.Push()
	f := storetest.NewFaults(m)
	f.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put && strings.HasPrefix(op.Name, "t/") {
			return errors.New("asleep")
		}
		return nil
	}
	sleeper.Store = f
	if _, err := sleeper.Run(ctx); err == nil {
		t.Fatal("it did not fall asleep")
	}
	for i := range ledger.CheckpointEvery {
		d.Write("small", fmt.Sprint("more ", i))
		d.MustPush()
	}
	all := ids(d)
	run(t, prune(t, d, all[:len(all)-1]...))
	early := len(d.State().DeadNames())
	for i := range 4 {
		d.Write("small", fmt.Sprint("again ", i))
		d.MustPush()
	}
	all = ids(d)
	last := run(t, prune(t, d, all[:len(all)-1]...))
	if h := d.State().Horizon(); h == 0 || early < ledger.CheckpointEvery {
		t.Errorf("horizon %d, %d dead names", h, early)
	}
	if n := len(d.State().DeadNames()); n > last.Condemned {
		t.Errorf("%d dead names are left of %d", n, early+last.Condemned)
	}
	sound(t, d, true)
	must(t, e.Sync())
	out, err := e.Push().Run(ctx)
	must(t, err)
	if out.Stored < 8<<20 {
		t.Errorf("%d bytes sent again", out.Stored)
	}
	sound(t, e, true)
	fresh := d.Join(m)
	must(t, fresh.Sync())
	sound(t, fresh, true)
}

// Segments that list mostly what is dead are written anew, and a new device needs no more.
func TestSegmentsAreCompacted(t *testing.T) {
	m, d := versions(t, 1)
	for i := range 2*ledger.CheckpointEvery + 10 {
		d.Write("small", fmt.Sprint("more ", i))
		d.MustPush()
		must(t, d.Access.Log.Checkpoint(ctx, d.Access.Me))
	}
	before, size := objects(t, m, "i/")
	all := ids(d)
	for _, forget := range [][]pack.ID{all[:len(all)-1], nil} {
		p := prune(t, d, forget...)
		p.Segments = 2
		run(t, p)
	}
	after, now := objects(t, m, "i/")
	if before < 2 || after != 1 || now >= size/4 {
		t.Errorf("%d segments of %d bytes, then %d of %d", before, size, after, now)
	}
	sound(t, d, true)
	e := d.Join(m)
	c := storetest.NewCounter(m)
	e.Access.Log.Store = c
	must(t, e.Sync())
	sound(t, e, true)
}

// Another prune takes the new segments for what an interrupted prune has left.
func TestSegmentsAreCondemnedUnderACompaction(t *testing.T) {
	m, d := versions(t, 1)
	e := d.Join(m)
	for i := range ledger.CheckpointEvery + 10 {
		d.Write("small", fmt.Sprint("more ", i))
		d.MustPush()
		must(t, d.Access.Log.Checkpoint(ctx, d.Access.Me))
	}
	all := ids(d)
	run(t, prune(t, d, all[:len(all)-1]...))
	p := prune(t, d)
	p.Segments = 1
	f := storetest.NewFaults(m)
	segment, pruned := false, false
	f.Before = func(op storetest.Op) error {
		segment = segment || op.Kind == storetest.Put && strings.HasPrefix(op.Name, "i/")
		if segment && !pruned && op.Kind == storetest.Put && strings.HasPrefix(op.Name, ledger.Prefix) {
			pruned = true
			run(t, prune(t, e))
		}
		return nil
	}
	p.Push.Store, d.Access.Log.Store = f, f
	run(t, p)
	d.Access.Log.Store = m
	if !pruned {
		t.Error("there was no compaction")
	}
	run(t, prune(t, d))
	sound(t, d, true)
}
