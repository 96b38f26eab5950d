package access

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// clinic is a repository that office founded and home has joined.
func clinic(t *testing.T, s store.Store) (office, home *Access, code string) {
	t.Helper()
	office, code = newDevice(t, "OFFICE", "").found(s)
	home, err := newDevice(t, "HOME", passphrase).open(s)
	check(t, err)
	check(t, office.current(ctx))
	return office, home, code
}

// joins reports the error with which a new device does not join, or cannot use what it joined.
func joins(t *testing.T, s store.Store, secret string) error {
	t.Helper()
	a, err := newDevice(t, "CLINIC", secret).open(s)
	if err == nil {
		use(t, a)
		if n := len(a.Log.Voids()); n > 0 {
			t.Errorf("who joined skips %v", a.Log.Voids())
		}
	}
	return err
}

func TestRotate(t *testing.T) {
	m := storetest.NewMemory()
	office, home, code := clinic(t, m)
	check(t, office.Rotate(ctx, office.Me))
	if g := office.Keys.Generation(); g != 2 || office.Log.State().Generation() != 2 || office.Keyring.Chunker != home.Keyring.Chunker {
		t.Errorf("generation %d, and %d in force", g, office.Log.State().Generation())
	}
	use(t, office)
	var missing *seal.GenerationError
	if err := home.Log.Sync(ctx); !errors.As(err, &missing) {
		t.Errorf("home reads on with its old keys: %v", err)
	}
	check(t, home.Renew(ctx))
	use(t, home)
	for _, secret := range []string{passphrase, code} {
		check(t, joins(t, m, secret))
	}
	check(t, office.current(ctx))
	check(t, office.Rotate(ctx, office.Me))
	if office.Keyring.Generation() != 3 || len(office.Keyring.Masters) != 3 {
		t.Errorf("%v", office.Keyring)
	}
	check(t, joins(t, m, passphrase))
}

// What a device kept of a rotation opens again, with no request.
func TestRotatedKeysAreKept(t *testing.T) {
	m := storetest.NewMemory()
	d := newDevice(t, "OFFICE", "")
	office, _ := d.found(m)
	check(t, office.Log.Sync(ctx))
	check(t, office.Rotate(ctx, office.Me))
	check(t, office.Log.Close())
	c := storetest.NewCounter(m)
	again, err := d.open(c)
	check(t, err)
	if c.Total() != 0 || again.Keyring.Generation() != 2 {
		t.Errorf("%d calls, %v", c.Total(), again.Keyring)
	}
	use(t, again)
}

func TestRevoke(t *testing.T) {
	m := storetest.NewMemory()
	office, home, code := clinic(t, m)
	thief := *home
	check(t, office.Revoke(ctx, office.Me, home.Me.Principal.ID, "stolen"))
	use(t, office)
	if Unfinished(office.Log.State()) {
		t.Error("it was rotated, and is called unfinished")
	}
	if err := home.current(ctx); !errors.Is(err, ErrRevoked) {
		t.Errorf("the revoked device: %v", err)
	}
	if _, err := m.Get(ctx, seal.SlotName(home.Me.Principal.ID, 2), 0, -1); !errors.Is(err, store.ErrNotFound) {
		t.Error("it has a slot of the new generation:", err)
	}
	if _, err := thief.Log.Append(ctx, thief.Me, ledger.Register, func(*ledger.State) (any, error) { return ledger.RegisterContent{}, nil }); err == nil {
		t.Error("it appends")
	}
	if err := home.Rotate(ctx, home.Me); !errors.Is(err, ErrRevoked) {
		t.Errorf("it rotates: %v", err)
	}
	check(t, joins(t, m, passphrase))
	check(t, joins(t, m, code))
	if err := office.Revoke(ctx, office.Me, office.Me.Principal.ID, "by mistake"); !errors.Is(err, ledger.ErrRefused) {
		t.Errorf("office revokes itself: %v", err)
	}
}

// A revocation whose rotation was cut off is known as such, and finished by the next one.
func TestRevocationThatWasCutOff(t *testing.T) {
	m := storetest.NewMemory()
	office, home, _ := clinic(t, m)
	f := storetest.NewFaults(m)
	f.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put && strings.HasPrefix(op.Name, "k/") {
			return errors.New("the network is gone")
		}
		return nil
	}
	office.config.Store = f
	if err := office.Revoke(ctx, office.Me, home.Me.Principal.ID, ""); err == nil {
		t.Fatal("nothing failed")
	}
	if !Unfinished(office.Log.State()) {
		t.Error("nobody would know")
	}
	office.config.Store = m
	check(t, office.Revoke(ctx, office.Me, home.Me.Principal.ID, ""))
	if Unfinished(office.Log.State()) || office.Keyring.Generation() != 2 {
		t.Errorf("%v", office.Keyring)
	}
}

// Every call of a rotation may fail, lost or landed: one generation is in force, every device goes on, a
// new one joins, and the next rotation succeeds.
func TestRotationFailsAtEveryCall(t *testing.T) {
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		for k := 0; ; k++ {
			m := storetest.NewMemory()
			office, home, _ := clinic(t, m)
			f := storetest.NewFaults(m)
			office.config.Store, office.Log.Store = f, f
			f.FailAt(k, mode)
			err := office.Rotate(ctx, office.Me)
			injected := f.Injected()
			f.Heal()
			office.config.Store, office.Log.Store = m, m
			check(t, home.current(ctx))
			use(t, home)
			check(t, office.current(ctx))
			use(t, office)
			if k%3 == 0 {
				check(t, joins(t, m, passphrase))
			}
			check(t, office.Rotate(ctx, office.Me))
			check(t, home.current(ctx))
			use(t, home)
			if g, want := home.Keyring.Generation(), office.Keyring.Generation(); g != want || g < 2 {
				t.Errorf("call %d %v (%v): home is at generation %d, office at %d", k, mode, err, g, want)
			}
			if !injected {
				break
			}
		}
	}
}

// Who comes between the wrapping and the entry gets the keys all the same.
func TestEnrolmentDuringARotation(t *testing.T) {
	m := storetest.NewMemory()
	office, _, _ := clinic(t, m)
	f := storetest.NewFaults(m)
	var late *Access
	f.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put && strings.HasPrefix(op.Name, ledger.Prefix) && late == nil {
			var err error
			late, err = newDevice(t, "LATE", passphrase).open(m)
			check(t, err)
		}
		return nil
	}
	office.config.Store, office.Log.Store = f, f
	check(t, office.Rotate(ctx, office.Me))
	check(t, late.current(ctx))
	use(t, late)
	if late.Keyring.Generation() != 2 {
		t.Errorf("%v", late.Keyring)
	}
}

// Two rotations at once: one after the other is in force, and both devices have the last.
func TestTwoRotationsAtOnce(t *testing.T) {
	m := storetest.NewMemory()
	office, _, code := clinic(t, m)
	f := storetest.NewFaults(m)
	other, err := newDevice(t, "OTHER", passphrase).open(m)
	check(t, err)
	boss, err := other.Unlock(ctx, code)
	check(t, err)
	done := false
	f.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put && strings.HasPrefix(op.Name, ledger.Prefix) && !done {
			done = true
			check(t, other.Rotate(ctx, boss))
		}
		return nil
	}
	office.config.Store, office.Log.Store = f, f
	check(t, office.Rotate(ctx, office.Me))
	check(t, other.current(ctx))
	use(t, other)
	if g := office.Keyring.Generation(); g != other.Keyring.Generation() || g < 3 {
		t.Errorf("generation %d and %d", g, other.Keyring.Generation())
	}
	check(t, joins(t, m, passphrase))
}

// Who was revoked knows everybody's public key and may still be able to create objects: a keyring of its
// own making, with slots for all, is nobody's.
func TestKeyringOfAThief(t *testing.T) {
	m := storetest.NewMemory()
	office, home, _ := clinic(t, m)
	check(t, office.Revoke(ctx, office.Me, home.Me.Principal.ID, "stolen"))
	for _, g := range []uint64{3, 99} {
		ring, err := home.Keyring.NextAt(g, rand.Reader)
		check(t, err)
		kek := [32]byte{1}
		object, err := seal.KEK(home.Repository, uint32(g), kek).SealObject(seal.Ring, 0, ring.Encode(), rand.Reader)
		check(t, err)
		check(t, m.Put(ctx, seal.RingName(uint32(g)), object))
		for _, member := range office.Log.State().Members() {
			slot, err := member.Principal.WrapKEK(home.Repository, uint32(g), kek)
			check(t, err)
			check(t, m.Put(ctx, seal.SlotName(member.Principal.ID, uint32(g)), slot))
		}
		a, err := newDevice(t, "CLINIC", passphrase).open(m)
		check(t, err)
		if a.Keyring.Generation() != 2 || !bytes.Equal(a.Keyring.Encode(), office.Keyring.Encode()) {
			t.Errorf("the new device took %v", a.Keyring)
		}
		use(t, a)
		check(t, office.current(ctx))
		use(t, office)
	}
	check(t, office.Rotate(ctx, office.Me))
	if g := office.Keyring.Generation(); g != 100 {
		t.Errorf("generation %d", g)
	}
	check(t, joins(t, m, passphrase))
}

// A slot that somebody put in the place of the right one opens to another key than the ledger says.
func TestSlotWithAnotherKey(t *testing.T) {
	m := storetest.NewMemory()
	office, home, _ := clinic(t, m)
	check(t, office.Rotate(ctx, office.Me))
	use(t, office)
	ring, err := home.Keyring.NextAt(2, rand.Reader)
	check(t, err)
	kek := [32]byte{1}
	object, err := seal.KEK(home.Repository, 2, kek).SealObject(seal.Ring, 0, ring.Encode(), rand.Reader)
	check(t, err)
	slot, err := home.Me.Principal.WrapKEK(home.Repository, 2, kek)
	check(t, err)
	for name, b := range map[string][]byte{seal.RingName(2): object, seal.SlotName(home.Me.Principal.ID, 2): slot} {
		check(t, m.Delete(ctx, name))
		check(t, m.Put(ctx, name, b))
	}
	if err := home.current(ctx); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "k/2/ring") {
		t.Errorf("%v", err)
	}
	if home.Keyring.Generation() != 1 {
		t.Error("it took the key up")
	}
}
