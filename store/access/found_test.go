package access

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// objects is what a store holds.
func objects(t testing.TB, s store.Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	for o, err := range s.List(ctx, "") {
		check(t, err)
		out[o.Name] = string(ok(s.Get(ctx, o.Name, 0, -1)))
	}
	return out
}

// faulty yields every way in which one call of a run can go wrong: it alone, or it and all
// after it, before or after it took effect. It ends with a run in which nothing fails.
func faulty() iter.Seq2[string, func(*storetest.Faults)] {
	return func(yield func(string, func(*storetest.Faults)) bool) {
		for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
			for _, crash := range []bool{false, true} {
				for k := 0; ; k++ {
					done := false
					plan := func(f *storetest.Faults) {
						if f == nil {
							done = true
						} else if crash {
							f.CrashAt(k, mode)
						} else {
							f.FailAt(k, mode)
						}
					}
					if !yield(fmt.Sprintf("call %d, crash %v, %v", k, crash, mode), plan) {
						return
					}
					if done {
						break
					}
				}
			}
		}
	}
}

// Whatever call of a founding fails, the next run knows where it is: there is nothing and it
// founds; or there is a repository, which opens here and by the secret; or there are
// leftovers, and it says so and touches nothing.
func TestFoundFailsAtEveryCall(t *testing.T) {
	outcomes := map[string]int{}
	for name, plan := range faulty() {
		m := storetest.NewMemory()
		f := storetest.NewFaults(m)
		plan(f)
		office := newDevice(t, "OFFICE", "")
		a, code, err := Found(ctx, office.config(f), founding(passphrase))
		injected := f.Injected()
		if !injected {
			plan(nil)
		}
		f.Heal()
		before := objects(t, m)
		_, there := before["satchel"]
		switch {
		case err == nil:
			outcomes["founded"]++
			use(t, a)
			check(t, a.Log.Close())
		case there && code == "":
			t.Errorf("%s: there is a repository, and its recovery code is lost", name)
		case a != nil:
			t.Errorf("%s: an Access beside an error", name)
		}
		if err == nil && !there {
			t.Fatalf("%s: founded, and nothing there", name)
		}
		again, _, ferr := Found(ctx, office.config(f), founding(passphrase))
		switch {
		case there:
			wantErr(t, name, ferr, ErrExists)
			outcomes["there"]++
			b, err := office.open(m)
			check(t, err)
			use(t, b)
			check(t, b.Log.Close())
			for _, secret := range []string{passphrase, code} {
				c, err := newDevice(t, "HOME", secret).open(m)
				check(t, err)
				use(t, c)
				check(t, c.Log.Close())
			}
		case len(before) == 0:
			outcomes["nothing"]++
			check(t, ferr)
			use(t, again)
			check(t, again.Log.Close())
		default:
			outcomes["leftovers"]++
			wantErr(t, name, ferr, ErrNotEmpty)
			named := false
			for object := range before {
				named = named || strings.Contains(ferr.Error(), object)
			}
			if !named {
				t.Errorf("%s: it does not say what is there: %v", name, ferr)
			}
			_, err := office.open(m)
			wantErr(t, name, err, ErrNoRepository)
			after := objects(t, m)
			if len(after) != len(before) {
				t.Errorf("%s: %d objects, there were %d", name, len(after), len(before))
			}
		}
	}
	for _, what := range []string{"founded", "there", "nothing", "leftovers"} {
		if outcomes[what] == 0 {
			t.Errorf("it never came to %q: %v", what, outcomes)
		}
	}
	t.Log(outcomes)
}

// An answer that is lost is no failure: the object is there, and it is our own.
func TestFoundWhenAnAnswerIsLost(t *testing.T) {
	for k := 2; k < 10; k++ { // the writes
		m := storetest.NewMemory()
		f := storetest.NewFaults(m)
		f.FailAt(k, storetest.Landed)
		a, _, err := Found(ctx, newDevice(t, "OFFICE", "").config(f), founding(passphrase))
		if !f.Injected() {
			t.Fatalf("there is no call %d", k)
		}
		if err != nil {
			t.Errorf("call %d: %v", k, err)
			continue
		}
		use(t, a)
		check(t, a.Log.Close())
	}
}

func TestFoundWhereThereIsSomething(t *testing.T) {
	m := storetest.NewMemory()
	first, _ := newDevice(t, "OFFICE", "").found(m)
	use(t, first)
	before := objects(t, m)
	_, _, err := Found(ctx, newDevice(t, "HOME", passphrase).config(m), founding(passphrase))
	wantErr(t, "a repository", err, ErrExists)
	if got := objects(t, m); len(got) != len(before) {
		t.Errorf("%d objects, there were %d", len(got), len(before))
	}

	strange := storetest.NewMemory()
	check(t, strange.Put(ctx, "photos/2025", []byte("not ours")))
	_, _, err = Found(ctx, newDevice(t, "HOME", "").config(strange), founding(passphrase))
	wantErr(t, "something else", err, ErrNotEmpty)
	if err != nil && !strings.Contains(err.Error(), "photos/2025") {
		t.Errorf("it is not named: %v", err)
	}
	if len(objects(t, strange)) != 1 {
		t.Error("it was written to")
	}

	damaged := m.Clone()
	damaged.Corrupt("satchel", func([]byte) []byte { return []byte("{}") })
	_, _, err = Found(ctx, newDevice(t, "HOME", "").config(damaged), founding(passphrase))
	wantErr(t, "a damaged bootstrap", err, ledger.ErrDamaged)

	newer := m.Clone()
	newer.Corrupt("satchel", func([]byte) []byte { return []byte(`{"satchel":"repository","format":2}`) })
	_, _, err = Found(ctx, newDevice(t, "HOME", "").config(newer), founding(passphrase))
	wantErr(t, "a newer repository", err, ledger.ErrTooNew)
}

func TestFoundRefusesAWeakPassphrase(t *testing.T) {
	m := storetest.NewMemory()
	var weak *seal.WeakPassphraseError
	if _, _, err := Found(ctx, newDevice(t, "OFFICE", "").config(m), founding("hunter2")); !errors.As(err, &weak) {
		t.Error(err)
	}
	if len(objects(t, m)) != 0 {
		t.Error("it was written to")
	}
}

func TestFoundWithoutAPassphrase(t *testing.T) {
	m := storetest.NewMemory()
	a, code, err := Found(ctx, newDevice(t, "OFFICE", "").config(m), founding(""))
	check(t, err)
	use(t, a)
	check(t, a.Log.Close())
	b, err := newDevice(t, "HOME", code).open(m)
	check(t, err)
	use(t, b)
	_, err = newDevice(t, "CLINIC", passphrase).open(m)
	wantErr(t, "a passphrase", err, ErrSecret)
}

// A device that cannot keep its keys makes no repository that it could not open.
func TestFoundKeepsItsKeysFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, nil, 0o600))
	for name, place := range map[string]Place{
		"keys":  {filepath.Join(file, "config"), t.TempDir()},
		"state": {t.TempDir(), filepath.Join(file, "state")},
	} {
		m := storetest.NewMemory()
		d := newDevice(t, "OFFICE", "")
		d.place = place
		if _, _, err := Found(ctx, d.config(m), founding(passphrase)); err == nil {
			t.Errorf("%s: kept in a file", name)
		}
		if n := len(objects(t, m)); n != 0 {
			t.Errorf("%s: %d objects are left behind", name, n)
		}
	}
}

// Of several who found at once one wins at most, and the others say that something is there.
func TestConcurrentFounders(t *testing.T) {
	for range 10 {
		m := storetest.NewMemory()
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			d := newDevice(t, fmt.Sprint("device ", i), "")
			wg.Go(func() {
				a, _, err := Found(ctx, d.config(m), founding(passphrase))
				if errs[i] = err; err == nil {
					a.Log.Close()
				}
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, ErrNotEmpty) && !errors.Is(err, ErrExists):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Fatalf("%d founders", won)
		}
		a, err := newDevice(t, "HOME", passphrase).open(m)
		check(t, err)
		use(t, a)
	}
}
