package access

import (
	"errors"
	"strings"
	"testing"

	"satchel/store/ledger"
	"satchel/store/storetest"
)

// Whatever call of a joining fails, the next run with the secret completes it, as the same
// device: it is enrolled once, and no entry of the ledger is void.
func TestJoinFailsAtEveryCall(t *testing.T) {
	base := storetest.NewMemory()
	first, code := newDevice(t, "OFFICE", "").found(base)
	use(t, first)
	for name, plan := range faulty() {
		m := base.Clone()
		f := storetest.NewFaults(m)
		plan(f)
		home := newDevice(t, "HOME", code)
		a, err := Open(ctx, home.config(f))
		injected := f.Injected()
		if !injected {
			plan(nil)
			check(t, err)
		}
		f.Heal()
		if err == nil {
			use(t, a)
			check(t, a.Log.Close())
		} else if !errors.Is(err, storetest.ErrInjected) || a != nil {
			t.Errorf("%s: %v, %v", name, a, err)
		}
		for _, run := range []string{"second run", "third run"} {
			f.Heal()
			a, err := Open(ctx, home.config(f))
			if err != nil {
				t.Fatalf("%s: %s: %v", name, run, err)
			}
			if run == "third run" && f.Calls() != 0 {
				t.Errorf("%s: %s: %d calls", name, run, f.Calls())
			}
			use(t, a)
			homes := 0
			for _, member := range a.Log.State().Members() {
				if member.Principal.Name == "HOME" {
					homes++
				}
			}
			if homes != 1 || len(a.Log.Voids()) != 0 || a.Me == nil {
				t.Errorf("%s: %s: enrolled %d times, voids %v", name, run, homes, a.Log.Voids())
			}
			check(t, a.Log.Close())
		}
		if home.asked > 2 {
			t.Errorf("%s: asked %d times", name, home.asked)
		}
		witness, err := newDevice(t, "CLINIC", passphrase).open(m)
		check(t, err)
		if len(witness.Log.Voids()) != 0 {
			t.Errorf("%s: voids %v", name, witness.Log.Voids())
		}
		check(t, witness.Log.Close())
	}
}

// A joiner that finds no entry, or an end of the ledger that lies, is not taken in.
func TestJoinOverADamagedLedger(t *testing.T) {
	base := storetest.NewMemory()
	first, code := newDevice(t, "OFFICE", "").found(base)
	for range 4 {
		use(t, first)
	}
	for name, c := range map[string]struct {
		entry  uint64
		change func(b []byte) []byte
		want   error
	}{
		"gap":            {3, func([]byte) []byte { return nil }, ledger.ErrDamaged},
		"no first entry": {1, func([]byte) []byte { return nil }, ledger.ErrDamaged},
		"other first":    {1, func(b []byte) []byte { b[100] ^= 1; return b }, ledger.ErrRollback},
		"garbage inside": {3, func(b []byte) []byte { b[100] ^= 1; return b }, ledger.ErrDamaged},
	} {
		s := base.Clone()
		s.Corrupt(ledger.Name(c.entry), c.change)
		before := len(objects(t, s))
		_, err := newDevice(t, "HOME", code).open(s)
		wantErr(t, name, err, c.want)
		if len(objects(t, s)) != before {
			t.Errorf("%s: it was written to", name)
		}
	}
}

// A driver that tries again what had landed says that the object exists: it is our own slot.
func TestJoinWhenTheSlotIsThereAlready(t *testing.T) {
	m := storetest.NewMemory()
	_, code := newDevice(t, "OFFICE", "").found(m)
	f := storetest.NewFaults(m)
	f.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put && strings.HasPrefix(op.Name, "k/") {
			check(t, m.Put(ctx, op.Name, []byte("as it was put")))
		}
		return nil
	}
	home := newDevice(t, "HOME", code)
	a, err := home.open(f)
	check(t, err)
	use(t, a)
}
