package ledger

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store/storetest"
)

// raws is every entry in the store.
func (r *repo) raws() map[uint64]string {
	r.t.Helper()
	out := map[uint64]string{}
	for o, err := range r.store.List(ctx, Prefix) {
		check(r.t, err)
		raw, err := r.store.Get(ctx, o.Name, 0, -1)
		check(r.t, err)
		n, _ := ParseName(o.Name)
		out[n] = string(raw)
	}
	return out
}

func (r *repo) drop(positions ...uint64) {
	for _, n := range positions {
		r.store.Corrupt(Name(n), func([]byte) []byte { return nil })
	}
}

func (r *repo) flip(n uint64) {
	r.store.Corrupt(Name(n), func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
}

// notes is a repository of n entries and a device that has kept them all.
func notes(t *testing.T, n int) (*repo, *Log) {
	r := found(t)
	l := r.device(people().office)
	for l.State().Position() < uint64(n) {
		note(t, l, people().office)
	}
	return r, l
}

func TestRepairLostPutsEntriesBackByteForByte(t *testing.T) {
	r, l := notes(t, 150)
	before := r.raws()
	lost := []uint64{1, 2, 40, 64, 65, 66, 149}
	r.drop(lost...)
	got, err := l.RepairLost(ctx, false)
	check(t, err)
	if diff := cmp.Diff(lost, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, r.raws()); diff != "" {
		t.Error("the ledger is another one:", diff)
	}
	if s := r.device(people().home).State(); s.Position() != 150 {
		t.Errorf("a new device sees entry %d", s.Position())
	}
	if got, err := l.RepairLost(ctx, true); len(got) > 0 || err != nil {
		t.Errorf("a whole ledger: %v, %v", got, err)
	}
}

func TestRepairLostLeavesARollbackToAPerson(t *testing.T) {
	r, l := notes(t, 20)
	before := r.raws()
	r.drop(18, 19, 20, 7)
	left := r.raws()
	got, err := l.RepairLost(ctx, false)
	wantErr(t, "shrunk", err, ErrRollback)
	if diff := cmp.Diff(left, r.raws()); diff != "" || len(got) > 0 {
		t.Error("something was written:", diff)
	}
	c := storetest.NewCounter(r.store)
	l.Store = c
	got, err = l.RepairLost(ctx, true)
	check(t, err)
	if diff := cmp.Diff([]uint64{7, 18, 19, 20}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{Name(7), Name(18), Name(19), Name(20)}, c.Names(storetest.Put)); diff != "" {
		t.Error("not in order:", diff)
	}
	if diff := cmp.Diff(before, r.raws()); diff != "" {
		t.Error(diff)
	}
	check(t, l.Sync(ctx))
}

// Where another device has gone on after a rollback, its branch stands, and nothing is written.
func TestRepairLostWritesNothingIntoAFork(t *testing.T) {
	r, l := notes(t, 20)
	r.drop(19, 20)
	other := r.device(people().home)
	note(t, other, people().home)
	r.drop(5)
	for range 2 {
		left := r.raws()
		_, err := l.RepairLost(ctx, true)
		wantErr(t, "forked", err, ErrRollback)
		if diff := cmp.Diff(left, r.raws()); diff != "" {
			t.Error("something was written:", diff)
		}
		note(t, other, people().home)
		note(t, other, people().home)
	}
}

func TestRepairLostNeverOverwrites(t *testing.T) {
	r, l := notes(t, 10)
	before := r.raws()
	r.flip(4)
	r.drop(6)
	got, err := l.RepairLost(ctx, false)
	wantErr(t, "changed", err, ErrDamaged)
	if !slices.Equal(got, []uint64{6}) || !strings.Contains(err.Error(), Name(4)) {
		t.Errorf("%v: %v", got, err)
	}
	r.drop(4) // by hand, as the message says
	_, err = l.RepairLost(ctx, false)
	check(t, err)
	if diff := cmp.Diff(before, r.raws()); diff != "" {
		t.Error(diff)
	}
}

// Each call may fail, also after it has landed: a second run finishes.
func TestRepairLostThroughFaults(t *testing.T) {
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		for k := 0; ; k++ {
			r, l := notes(t, 8)
			before := r.raws()
			r.drop(3, 4)
			f := storetest.NewFaults(r.store)
			f.FailAt(k, mode)
			l.Store = f
			_, err := l.RepairLost(ctx, false)
			if err != nil && !errors.Is(err, storetest.ErrInjected) {
				t.Fatal(err)
			}
			injected := f.Injected()
			f.Heal()
			_, err = l.RepairLost(ctx, false)
			check(t, err)
			if !maps.Equal(before, r.raws()) {
				t.Fatalf("call %d, %v: the ledger is another one", k, mode)
			}
			if !injected {
				break
			}
		}
	}
}

// A device that began at a checkpoint has kept only what came since.
func TestRepairLostOfAShortCopy(t *testing.T) {
	r, l := notes(t, 70)
	check(t, l.Checkpoint(ctx, people().office))
	young := r.device(people().home)
	note(t, l, people().office)
	check(t, young.Sync(ctx))
	before := r.raws()
	r.drop(30, 71, 72)
	if got, err := young.RepairLost(ctx, true); err != nil || !slices.Equal(got, []uint64{71, 72}) {
		t.Errorf("%v, %v", got, err)
	}
	_, err := l.RepairLost(ctx, false)
	check(t, err)
	if diff := cmp.Diff(before, r.raws()); diff != "" {
		t.Error(diff)
	}
	r.drop(70, 71, 72)
	note(t, r.device(people().clinic), people().clinic) // another entry 70
	if got, err := young.RepairLost(ctx, true); !errors.Is(err, ErrRollback) || len(got) > 0 {
		t.Errorf("after another entry: %v, %v", got, err)
	}
}

func TestAuditNamesEachEntry(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(*repo)
		kept  map[uint64]string // what a device says that has kept everything
		young map[uint64]string // and one that has kept nothing
	}{
		"whole": {},
		"missing": {do: func(r *repo) { r.drop(4, 5) },
			kept:  map[uint64]string{4: "is missing", 5: "is missing"},
			young: map[uint64]string{4: "is missing", 5: "is missing"}},
		"changed": {do: func(r *repo) { r.flip(4); r.flip(6) },
			kept:  map[uint64]string{4: "was changed", 6: "was changed"},
			young: map[uint64]string{4: "is not the one that entry 5 was written after", 6: "is not the one that entry 7 was written after"}},
		"empty": {do: func(r *repo) { r.store.Corrupt(Name(4), func(b []byte) []byte { return b[:0] }) },
			kept:  map[uint64]string{4: "was changed"},
			young: map[uint64]string{4: "is not the one that entry 5 was written after"}},
		"another format": {do: func(r *repo) { r.store.Corrupt(Name(4), func(b []byte) []byte { b[8] = 9; return b }) },
			kept:  map[uint64]string{4: "was changed"},
			young: map[uint64]string{4: "is not the one that entry 5 was written after"}},
		"the last changed": {do: func(r *repo) { r.flip(10) },
			kept:  map[uint64]string{10: "was changed"},
			young: map[uint64]string{10: "does not open, and nothing was written after it"}},
		"the first changed": {do: func(r *repo) { r.flip(1) },
			kept:  map[uint64]string{1: "was changed"},
			young: map[uint64]string{1: "is not the entry that the repository began with"}},
		"shrunk": {do: func(r *repo) { r.drop(8, 9, 10) },
			kept: map[uint64]string{8: "is missing: the ledger ends at entry 7"}},
		"all gone": {do: func(r *repo) { r.drop(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) },
			kept: map[uint64]string{1: "is missing: the ledger ends at entry 0"}},
		"forked": {do: func(r *repo) {
			r.drop(9, 10)
			l := r.device(people().home)
			for range 3 {
				note(r.t, l, people().home)
			}
		}, kept: map[uint64]string{9: "another entry", 10: "another entry", 11: "written after another entry 10"}},
		"an older one in its place": {do: func(r *repo) {
			raw, _ := r.store.Get(ctx, Name(3), 0, -1)
			r.store.Corrupt(Name(6), func([]byte) []byte { return raw })
		}, kept: map[uint64]string{6: "was changed"}, young: map[uint64]string{6: "is not the one that entry 7 was written after"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, l := notes(t, 10)
			whole := r.state().Digest()
			if c.do != nil {
				c.do(r)
			}
			young := r.open(people().clinic, t.TempDir()+"/ledger.db", r.store)
			for who, want := range map[*Log]map[uint64]string{l: c.kept, young: c.young} {
				a, err := who.Audit(ctx)
				check(t, err)
				got := map[uint64]bool{}
				for _, f := range a.Findings {
					got[f.Position] = true
					if w := want[f.Position]; w == "" || !strings.Contains(f.What, w) {
						t.Errorf("kept %v: entry %d %s; want %q", who == l, f.Position, f.What, w)
					}
				}
				if len(got) != len(want) {
					t.Errorf("kept %v: %+v", who == l, a.Findings)
				}
				if who == l && (a.State == nil || name != "forked" && a.State.Digest() != whole) {
					t.Error("the kept copy does not fold")
				}
			}
		})
	}
}

func TestAuditListsVoidsAndCheckpoints(t *testing.T) {
	r, l := notes(t, 70)
	check(t, l.Checkpoint(ctx, people().office))
	r.put([]byte("nothing"))
	check(t, l.Sync(ctx))
	note(t, l, people().office)
	a, err := l.Audit(ctx)
	check(t, err)
	if len(a.Findings) > 0 || len(a.Voids) != 1 || a.Voids[0].Position != 72 || len(a.Checkpoints) != 1 || a.Checkpoints[0].Position != 71 || a.Head != 73 || a.Kept != 73 {
		t.Errorf("%+v", a)
	}
	if a.State.Digest() != l.State().Digest() {
		t.Error("another state")
	}
}

// A state that was condemned is not looked for, even when its name has left the state again.
func TestAuditForgetsCondemnedCheckpoints(t *testing.T) {
	_, l := notes(t, 70)
	office := people().office
	check(t, l.Checkpoint(ctx, office))
	states, err := l.StateObjects(ctx, 1)
	check(t, err)
	_, err = l.Append(ctx, office, Condemn, func(*State) (any, error) { return CondemnContent{Names: states}, nil })
	check(t, err)
	note(t, l, office)
	check(t, l.MoveHorizon(ctx, office, l.State().Position(), states))
	if n := len(l.State().DeadNames()); n > 0 {
		t.Fatalf("%d names stay", n)
	}
	a, err := l.Audit(ctx)
	check(t, err)
	if len(a.Checkpoints) != 1 || a.Checkpoints[0].Position != l.State().Position() {
		t.Errorf("%+v", a.Checkpoints)
	}
}
