package retention_test

import (
	"strings"
	"testing"

	"satchel/snapshot/retention"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// rotated is a device with some pushes, and keys of a new generation after them.
func rotated(t *testing.T, s store.Store, pushes int) *snapshottest.Device {
	t.Helper()
	d := snapshottest.Found(t, s)
	for i := range pushes {
		d.Write("a.bin", noise(uint64(i), 90000))
		d.Write("dir/b.txt", strings.Repeat("b", i+1))
		d.MustPush()
	}
	rotate(t, d, s)
	return d
}

func rotate(t *testing.T, d *snapshottest.Device, s store.Store) {
	t.Helper()
	must(t, d.Sync())
	must(t, d.Access.Rotate(ctx, d.Access.Me))
	d.Reopen(s)
	must(t, d.Sync())
}

// underOldKeys lists the objects that an older generation of keys opens, entries aside.
func underOldKeys(t *testing.T, d *snapshottest.Device, s store.Store) (names []string) {
	t.Helper()
	for o, err := range s.List(ctx, "") {
		must(t, err)
		if kind := o.Name[0]; strings.IndexByte("dtis", kind) < 0 || o.Name == "satchel" {
			continue
		}
		head, err := s.Get(ctx, o.Name, 0, 48)
		must(t, err)
		if seal.Generation(head) < d.Access.Keys.Generation() {
			names = append(names, o.Name)
		}
	}
	return names
}

func TestRekey(t *testing.T) {
	m := storetest.NewMemory()
	d := rotated(t, m, 4)
	before := ids(d)
	d.Write("c.txt", "under the new keys")
	d.MustPush()
	must(t, d.Sync())
	out, err := retention.Rekey(ctx, d.Push(), 1) // at least one pack
	must(t, err)
	if out.Packs != 1 || out.Left != 3 || out.Bytes == 0 {
		t.Errorf("a little: %+v", out)
	}
	sound(t, d, false)
	out, err = retention.Rekey(ctx, d.Push(), 0)
	must(t, err)
	if out.Packs != 3 || out.Left != 0 || len(out.Damaged) > 0 {
		t.Errorf("the rest: %+v", out)
	}
	sound(t, d, false)
	if got := ids(d); len(got) != len(before)+1 || got[0] != before[0] {
		t.Errorf("%d snapshots, %d before", len(got), len(before))
	}
	if len(underOldKeys(t, d, m)) == 0 {
		t.Error("nothing was left to a prune: this test proves nothing")
	}
	for range 2 { // the second lets the states of before go
		d.Write("d.txt", noise(77, 10))
		d.MustPush()
		must(t, d.Access.Log.MoveHorizon(ctx, d.Access.Me, d.State().Horizon(), nil))
	}
	run(t, prune(t, d))
	if names := underOldKeys(t, d, m); len(names) > 0 {
		t.Errorf("old keys open %v", names)
	}
	sound(t, d, true)
	out, err = retention.Rekey(ctx, d.Push(), 0)
	must(t, err)
	if out.Packs != 0 {
		t.Errorf("again: %+v", out)
	}
}

// Every call of a rekey may fail, lost or landed: what was pushed stays whole, and the next run does the rest.
func TestRekeyFailsAtEveryCall(t *testing.T) {
	base := storetest.NewMemory()
	d := rotated(t, base, 2)
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		for k := 0; ; k++ {
			m := base.Clone()
			e := d.Join(m) // a device of its own
			f := storetest.NewFaults(m)
			e.Reopen(f)
			must(t, e.Sync())
			f.FailAt(k, mode)
			retention.Rekey(ctx, e.Push(), 0) // which may fail
			injected := f.Injected()
			f.Heal()
			e.Reopen(m)
			must(t, e.Sync())
			if _, err := retention.Rekey(ctx, e.Push(), 0); err != nil {
				t.Fatalf("call %d %v: the next run: %v", k, mode, err)
			}
			for _, p := range e.State().Packs() {
				head, err := m.Get(ctx, p.Key.Name(), 0, 48)
				must(t, err)
				if seal.Generation(head) != 2 {
					t.Errorf("call %d %v: %s is of generation %d", k, mode, p.Key.Name(), seal.Generation(head))
				}
			}
			sound(t, e, false)
			e.Close()
			if !injected {
				break
			}
		}
	}
}

// A pack that is damaged is named and left, and the others are sealed anew.
func TestRekeyPassesOverDamage(t *testing.T) {
	m := storetest.NewMemory()
	d := rotated(t, m, 3)
	victim := d.State().Packs()[1].Key.Name()
	b, err := m.Get(ctx, victim, 0, -1)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, m.Delete(ctx, victim))
	must(t, m.Put(ctx, victim, b))
	out, err := retention.Rekey(ctx, d.Push(), 0)
	must(t, err)
	if out.Packs != 2 || len(out.Damaged) != 1 || out.Damaged[0] != victim || out.Left != 1 {
		t.Errorf("%+v", out)
	}
	k, err := pack.ParseName(victim)
	must(t, err)
	if _, live := d.State().Pack(k); !live {
		t.Error("what cannot be copied was condemned")
	}
}

// A prune beside it may take the packs: nothing is lost.
func TestRekeyBesideAPrune(t *testing.T) {
	m := storetest.NewMemory()
	d := rotated(t, m, 3)
	other := d.Join(m)
	must(t, other.Sync())
	first := ids(d)[0]
	f := storetest.NewFaults(m)
	done := false
	f.Before = func(op storetest.Op) error {
		if !done && op.Kind == storetest.Put {
			done = true
			run(t, prune(t, other, first))
		}
		return nil
	}
	d.Reopen(f)
	must(t, d.Sync())
	_, err := retention.Rekey(ctx, d.Push(), 0)
	must(t, err)
	if !done {
		t.Fatal("no prune")
	}
	d.Reopen(m)
	must(t, d.Sync())
	_, err = retention.Rekey(ctx, d.Push(), 0)
	must(t, err)
	sound(t, d, false)
	if len(ids(d)) != 2 {
		t.Errorf("%d snapshots", len(ids(d)))
	}
}
