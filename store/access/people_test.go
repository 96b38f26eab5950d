package access

import (
	"crypto/rand"
	"errors"
	"testing"

	"filippo.io/age"

	"satchel/store/seal"
	"satchel/store/storetest"
)

const otherPassphrase = "quaint marmot lifts seven teal umbrellas"

func TestAddAndRemoveWaysIn(t *testing.T) {
	m := storetest.NewMemory()
	office, _, code := clinic(t, m)
	second, err := office.AddPerson(ctx, office.Me, seal.Passphrase, "second", Lock{otherPassphrase, 3})
	check(t, err)
	if there, err := office.Slot(ctx, second.Principal.ID); !there || err != nil {
		t.Error("no slot:", err)
	}
	check(t, joins(t, m, otherPassphrase))
	if who, err := office.Unlock(ctx, otherPassphrase); err != nil || who.Principal != second.Principal {
		t.Errorf("%v, %v", who, err)
	}
	if _, err := office.Unlock(ctx, "another one altogether, wrong"); !errors.Is(err, ErrSecret) {
		t.Error(err)
	}

	check(t, office.Revoke(ctx, office.Me, second.Principal.ID, "no more needed"))
	if _, err := office.Unlock(ctx, otherPassphrase); !errors.Is(err, ErrSecret) {
		t.Error("what was removed opens:", err)
	}
	if err := joins(t, m, otherPassphrase); !errors.Is(err, ErrSecret) {
		t.Error("a device joins with what was removed:", err)
	}
	third, err := office.AddPerson(ctx, office.Me, seal.Passphrase, "the same again", Lock{otherPassphrase, 3})
	check(t, err)
	if who, err := office.Unlock(ctx, otherPassphrase); err != nil || who.Principal != third.Principal {
		t.Errorf("%v, %v", who, err)
	}
	check(t, joins(t, m, otherPassphrase))
	check(t, joins(t, m, code))

	// One after the other goes, and the last stays.
	var ways []seal.ID
	for _, member := range office.Log.State().Members() {
		if k := member.Principal.Kind; member.Revoked == 0 && (k == seal.Passphrase || k == seal.Recovery) {
			ways = append(ways, member.Principal.ID)
		}
	}
	for i, id := range ways {
		err := office.Revoke(ctx, office.Me, id, "")
		if last := i == len(ways)-1; last != errors.Is(err, ErrLastWay) || !last && err != nil {
			t.Errorf("way %d of %d: %v", i+1, len(ways), err)
		}
	}
}

func TestWeakPassphraseIsNotAdded(t *testing.T) {
	office, _, _ := clinic(t, storetest.NewMemory())
	before := office.Log.State().Position()
	_, err := office.AddPerson(ctx, office.Me, seal.Passphrase, "weak", Lock{"secret", 3})
	if weak := (*seal.WeakPassphraseError)(nil); !errors.As(err, &weak) || office.Log.State().Position() != before {
		t.Error(err)
	}
}

// Who has the private key of an age recipient, or of Key Vault, reads what is sealed.
func TestEscrowOpensTheKeys(t *testing.T) {
	m := storetest.NewMemory()
	office, _, _ := clinic(t, m)
	id, err := age.GenerateX25519Identity()
	check(t, err)
	escrow, err := seal.NewEscrow(office.Repository, seal.AgeRecipient, "safe", id.Recipient().String(), rand.Reader)
	check(t, err)
	check(t, office.AddEscrow(ctx, office.Me, escrow))
	check(t, office.Rotate(ctx, office.Me))
	for g := uint32(1); g <= 2; g++ {
		slot, err := m.Get(ctx, seal.SlotName(escrow.Principal.ID, g), 0, -1)
		check(t, err)
		kek, err := seal.OpenSlot(office.Repository, g, slot, id)
		check(t, err)
		if g == 2 && kek != office.kek {
			t.Error("another key")
		}
	}
	check(t, office.Revoke(ctx, office.Me, escrow.Principal.ID, ""))
	if there, err := office.Slot(ctx, escrow.Principal.ID); there || err != nil {
		t.Error("it has a slot of the new generation", err)
	}
}

// A device without the right asks for a person who has it.
func TestAuthor(t *testing.T) {
	_, home, code := clinic(t, storetest.NewMemory())
	if who, err := home.Author(ctx, seal.Prune); err != nil || who != home.Me {
		t.Errorf("%v, %v", who, err)
	}
	who, err := home.Author(ctx, seal.Enrol|seal.Admin)
	if err != nil || who.Principal.Kind != seal.Passphrase {
		t.Errorf("%v, %v", who, err)
	}
	check(t, home.Rotate(ctx, who))
	home.config.Secret = nil
	if _, err := home.Author(ctx, seal.Admin); !errors.Is(err, ErrNotAllowed) {
		t.Error(err)
	}
	d := newDevice(t, "", code)
	home.config.Secret = d.config(home.config.Store).Secret
	if who, err = home.Author(ctx, seal.Admin); err != nil || who.Principal.Kind != seal.Recovery {
		t.Errorf("%v, %v", who, err)
	}
	if _, err := home.Author(ctx, seal.Push|seal.Admin); !errors.Is(err, ErrNotAllowed) {
		t.Error("nobody has both:", err)
	}
}
