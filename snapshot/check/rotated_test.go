package check_test

import (
	"context"
	"strings"
	"testing"

	"satchel/snapshot/check"
	"satchel/snapshot/snapshottest"
	"satchel/store/ledger"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// After a rotation everybody has a slot of the new generation, and the journal its details: what of it is
// gone is damage, and a keyring that nobody put in force is told of.
func TestCheckAfterARotation(t *testing.T) {
	ctx, m := context.Background(), storetest.NewMemory()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d := snapshottest.Found(t, m)
	d.Write("a.txt", "one")
	d.MustPush()
	home := d.Join(m)
	ok(d.Sync())
	ok(d.Access.Rotate(ctx, d.Access.Me))
	d.Reopen(m)
	ok(d.Sync())
	ok(d.Access.Log.Note(ctx, d.Access.Me, ledger.Pulled, 1, ledger.Detail{Reason: "because"}))
	problems := func() (out []string) {
		t.Helper()
		r, err := check.Run(ctx, check.Options{Log: d.Access.Log, Index: d.Index, Me: d.Access.Me, Decrypt: true, Workers: 1})
		ok(err)
		for _, p := range r.Problems {
			out = append(out, map[bool]string{true: "damage ", false: "notice "}[p.Severity == check.Damage]+p.Object+": "+p.What)
		}
		return out
	}
	if p := problems(); len(p) > 0 {
		t.Errorf("of a sound repository: %q", p)
	}
	detail := ""
	for o, err := range m.List(ctx, "a/") {
		ok(err)
		detail = o.Name
	}
	slot := seal.SlotName(home.Access.Me.Principal.ID, 2)
	ok(m.Delete(ctx, slot))
	ok(m.Delete(ctx, detail))
	ok(m.Put(ctx, seal.RingName(7), []byte("made up")))
	got := strings.Join(problems(), "\n")
	for _, want := range []string{"damage " + slot, "damage " + detail + ": the journal's detail is missing", "notice k/7/ring: a keyring that the ledger has not put in force"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
