package retention_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"satchel/snapshot/retention"
	"satchel/snapshot/snapshottest"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/storetest"
)

// forgotten has pushed four versions and forgotten the second.
func forgotten(t *testing.T) (*storetest.Memory, *snapshottest.Device, pack.ID) {
	t.Helper()
	m, d := versions(t, 4)
	id := ids(d)[1]
	_, err := d.Access.Log.Append(ctx, d.Access.Me, ledger.Forget, func(*ledger.State) (any, error) { return ledger.ForgetContent{Snapshots: []pack.ID{id}}, nil })
	must(t, err)
	return m, d, id
}

func former(t *testing.T, d *snapshottest.Device, id pack.ID) []ledger.Snapshot {
	t.Helper()
	must(t, d.Sync())
	out, err := d.Access.Log.Former(ctx, func(other pack.ID) bool { return other == id })
	must(t, err)
	return out
}

func back(t *testing.T, d *snapshottest.Device, id pack.ID) error {
	t.Helper()
	return retention.Unforget(ctx, d.Push(), d.Reader, former(t, d, id))
}

func TestUnforget(t *testing.T) {
	_, d, id := forgotten(t)
	must(t, back(t, d, id))
	if n := len(ids(d)); n != 4 {
		t.Errorf("%d snapshots", n)
	}
	sound(t, d, true)
}

// What was condemned comes back as long as it is not deleted, on another device too; then no more.
func TestUnforgetWithinTheGrace(t *testing.T) {
	m, d, id := forgotten(t)
	p := prune(t, d)
	p.Grace, p.Unfinished = time.Hour, time.Hour
	if out := run(t, p); out.Condemned == 0 || out.Deleted > 0 {
		t.Fatalf("%+v", out)
	}
	e := d.Join(m)
	must(t, back(t, e, id))
	sound(t, e, true)
	if n := len(ids(e)); n != 4 {
		t.Errorf("%d snapshots", n)
	}
	run(t, prune(t, e))
	sound(t, d, true)
	all := ids(d)
	run(t, prune(t, d, all[1]))
	position := d.State().Position()
	if err := back(t, d, id); !errors.Is(err, retention.ErrGone) {
		t.Errorf("%v", err)
	}
	must(t, d.Sync())
	if n := len(ids(d)); n != 3 || d.State().Position() != position {
		t.Errorf("%d snapshots, entry %d after %d", n, d.State().Position(), position)
	}
	sound(t, d, true)
}

// A pack that is registered and not there is damage: nothing comes back.
func TestUnforgetLooksForEveryPack(t *testing.T) {
	m, d, id := forgotten(t)
	v := former(t, d, id)[0]
	tree, _, err := d.Index.Lookup(v.Root)
	must(t, err)
	lost := 0
	for _, p := range d.State().Packs() {
		if p.Key != tree.Pack && p.Position == v.Position {
			must(t, m.Delete(ctx, p.Key.Name()))
			lost++
		}
	}
	if lost == 0 {
		t.Fatal("no pack of data")
	}
	if err := back(t, d, id); !errors.Is(err, pack.ErrDamaged) {
		t.Errorf("%v", err)
	}
	if n := len(ids(d)); n != 3 {
		t.Errorf("%d snapshots", n)
	}
}

// It fails anywhere, before or after its call took effect, and the next one brings it back.
func TestUnforgetFailsAtEveryCall(t *testing.T) {
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		for k := 0; ; k++ {
			m, d, id := forgotten(t)
			p := prune(t, d)
			p.Grace, p.Unfinished = time.Hour, time.Hour
			run(t, p)
			what, push := former(t, d, id), d.Push()
			f := storetest.NewFaults(m)
			push.Store, d.Access.Log.Store = f, f
			f.FailAt(k, mode)
			err := retention.Unforget(ctx, push, d.Reader, what)
			injected := f.Injected()
			d.Access.Log.Store = m
			if !injected {
				must(t, err)
				break
			}
			sound(t, d, false)
			if len(ids(d)) == 3 {
				must(t, back(t, d, id))
			}
			sound(t, d, false)
			if n := len(ids(d)); n != 4 {
				t.Fatalf("call %d, %v: %d snapshots", k, mode, n)
			}
		}
	}
}

// under runs an unforget; at its call k another device does something, where there is such a call.
func under(t *testing.T, k int, other func(e *snapshottest.Device, what []ledger.Snapshot)) (met bool, snapshots int, err error) {
	t.Helper()
	m, d, id := forgotten(t)
	e := d.Join(m)
	p := prune(t, d)
	p.Grace, p.Unfinished = time.Hour, time.Hour
	run(t, p)
	what, push := former(t, d, id), d.Push()
	f := storetest.NewFaults(m)
	var calls atomic.Int64 // entries are read several at a time
	f.Before = func(storetest.Op) error {
		if calls.Add(1) == int64(k+1) {
			met = true
			other(e, what)
		}
		return nil
	}
	push.Store, d.Access.Log.Store = f, f
	err = retention.Unforget(ctx, push, d.Reader, what)
	d.Access.Log.Store = m
	sound(t, d, false)
	return met, len(ids(d)), err
}

// A prune at every call of an unforget: what was forgotten comes back whole, or is gone.
func TestUnforgetUnderAPrune(t *testing.T) {
	returned := 0
	for k := 0; ; k++ {
		met, n, err := under(t, k, func(e *snapshottest.Device, _ []ledger.Snapshot) {
			p := prune(t, e)
			p.Grace = time.Hour
			run(t, p)
		})
		switch {
		case err == nil && n == 4:
			returned++
		case !errors.Is(err, retention.ErrGone):
			t.Fatalf("call %d: %d snapshots, %v", k, n, err)
		}
		if !met {
			break
		}
	}
	if returned < 2 {
		t.Errorf("it came back %d times", returned)
	}
}

// Two devices bring the same back at the same time: it is back, and neither has failed.
func TestUnforgetTwice(t *testing.T) {
	for k, met := 0, true; met; k++ {
		var n int
		var err error
		met, n, err = under(t, k, func(e *snapshottest.Device, what []ledger.Snapshot) {
			must(t, e.Sync())
			must(t, retention.Unforget(ctx, e.Push(), e.Reader, what))
		})
		if err != nil || n != 4 {
			t.Fatalf("call %d: %d snapshots, %v", k, n, err)
		}
	}
}
