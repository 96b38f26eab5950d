package ledger

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"satchel/store/pack"
)

func anyID(pack.ID) bool { return true }

// What was forgotten is found as the state had it, also by a device that began after that; what lives,
// or was void from the first, is not.
func TestFormerSnapshots(t *testing.T) {
	r, l := aged(t, 5)
	p := people()
	all := l.State().Snapshots(clinicWork)
	r.put(draftOf(l.State(), p.late, Commit, commitOf(99, clinicWork)).seal()) // beside the head
	check(t, l.Sync(ctx))
	if len(l.Voids()) != 1 {
		t.Fatalf("voids %v", l.Voids())
	}
	forget := func(ids ...pack.ID) {
		t.Helper()
		_, err := l.Append(ctx, p.late, Forget, func(*State) (any, error) { return ForgetContent{ids}, nil })
		check(t, err)
	}
	forget(all[1].ID, all[3].ID)
	_, err := l.Append(ctx, p.late, Unforget, func(*State) (any, error) { return UnforgetContent{all[1:2]}, nil })
	check(t, err)
	forget(all[1].ID)
	r.push(l, CheckpointEvery)
	check(t, l.Checkpoint(ctx, p.late))
	r.push(l, 1)
	fresh := r.open(p.home, filepath.Join(t.TempDir(), "ledger.db"), r.store)
	check(t, fresh.Sync(ctx))
	for name, l := range map[string]*Log{"the one that wrote": l, "a new one": fresh} {
		got, err := l.Former(ctx, anyID)
		check(t, err)
		if diff := cmp.Diff([]Snapshot{all[1], all[3]}, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Snapshot{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	got, err := fresh.Former(ctx, func(id pack.ID) bool { return id == all[3].ID })
	check(t, err)
	if len(got) != 1 || got[0].ID != all[3].ID {
		t.Errorf("%+v", got)
	}
	r.store.Corrupt(Name(4), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	if got, err := l.Former(ctx, anyID); err != nil || len(got) != 2 {
		t.Errorf("from its own copy: %v, %v", got, err)
	}
	_, err = fresh.Former(ctx, anyID)
	wantErr(t, "an entry that was changed", err, ErrDamaged)
}
