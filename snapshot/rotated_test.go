package snapshot_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"satchel/snapshot/snapshottest"
	"satchel/store/access"
	"satchel/store/dir"
	"satchel/store/ledger"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// TestSecondReaderAgreesOnPeopleAndKeys: a device came, was renamed, lost a right and was revoked; keys were
// rotated twice, a passphrase was added, the journal has a note, and somebody without keys wrote entries.
// Both readers and a new device have the same snapshots of it.
func TestSecondReaderAgreesOnPeopleAndKeys(t *testing.T) {
	needPython(t)
	root := t.TempDir()
	s, err := dir.Open(root)
	must(t, err)
	d := snapshottest.Found(t, s)
	var g goldenFile
	d.Write("a.txt", "before")
	g.note(t, d, d.Push())
	home := d.Join(s)
	garbage := func() {
		must(t, d.Access.Log.Sync(ctx))
		must(t, s.Put(ctx, ledger.Name(d.State().Position()+1), []byte("by who has no key")))
	}
	garbage()
	must(t, d.Sync())
	me, log := d.Access.Me, d.Access.Log
	_, err = log.Append(ctx, me, ledger.Describe, func(*ledger.State) (any, error) {
		return ledger.MemberContent{Principal: home.Access.Me.Principal.ID, Name: "CLINIC PC", Rights: seal.Push}, nil
	})
	must(t, err)
	must(t, log.Note(ctx, me, ledger.Overrode, 0, ledger.Detail{Reason: "the disk encrypts itself", Paths: [][]byte{[]byte("a.txt")}}))
	must(t, d.Access.Revoke(ctx, me, home.Access.Me.Principal.ID, "stolen"))
	_, err = d.Access.AddPerson(ctx, me, seal.Passphrase, "passphrase", access.Lock{Secret: "quaint marmot lifts seven teal umbrellas", LogN: 3})
	must(t, err)
	garbage()
	must(t, d.Access.Rotate(ctx, me))
	d.Reopen(s)
	d.Write("b.txt", noise(3, 70000))
	g.note(t, d, d.Push())

	kek := kekOf(t, s, me, 3)
	g.KEK = hex.EncodeToString(kek[:])
	out := compareReader(t, root, &g)
	if n := strings.Count(out, "is void"); n != 2 || strings.Count(out, "note:") != 2 {
		t.Error(out)
	}
	clinic := d.Join(s)
	must(t, clinic.Sync())
	if clinic.State().Digest() != d.State().Digest() && clinic.State().Position() == d.State().Position() {
		t.Error("the new device has another state")
	}
	for _, want := range g.Snapshots {
		if _, err := readSnapshot(clinic.State(), clinic.Reader, want.ID); err != nil {
			t.Error(err)
		}
	}
}

// What a push had sent before the keys were changed is sent again: packs that are registered after a KEYRING
// are sealed under its generation alone.
func TestInterruptedPushTakesUpNoOldKeys(t *testing.T) {
	m := storetest.NewMemory()
	d := snapshottest.Found(t, m)
	d.Write("a.bin", noise(1, 3<<20))
	f := storetest.NewFaults(m)
	f.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put && strings.HasPrefix(op.Name, ledger.Prefix) {
			return errors.New("the network is gone")
		}
		return nil
	}
	d.Reopen(f)
	must(t, d.Sync())
	if _, err := d.Push().Run(ctx); err == nil {
		t.Fatal("nothing failed")
	}
	d.Reopen(m)
	must(t, d.Access.Log.Sync(ctx))
	must(t, d.Access.Rotate(ctx, d.Access.Me))
	_, at := d.State().KEK(2)
	must(t, d.Sync())
	_, err := d.Push().Run(ctx)
	must(t, err)
	packs := 0
	for _, p := range d.State().Packs() {
		object, err := m.Get(ctx, p.Key.Name(), 0, 48)
		must(t, err)
		if packs++; p.Position > at && seal.Generation(object) != 2 {
			t.Errorf("%s is sealed under generation %d", p.Key.Name(), seal.Generation(object))
		}
	}
	if packs == 0 {
		t.Error("no pack")
	}
}
