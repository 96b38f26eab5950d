package snapshot_test

import (
	"testing"
	"time"

	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/storetest"
)

// What is staged is known to the index and to nobody else: the push that sends it as a safety
// snapshot, with no sync in between, sends all of it.
func TestSafetySnapshotIsSentWhole(t *testing.T) {
	m := storetest.NewMemory()
	d := snapshottest.Found(t, m)
	d.Write("a.txt", "one")
	d.MustPush()
	d.Write("a.txt", "here alone")
	y, err := snapshot.OpenSafety(d.Lineage.SpoolPath(), func(string) (store.Store, error) { return storetest.NewMemory(), nil })
	if err != nil {
		t.Fatal(err)
	}
	room, err := y.Room()
	if err != nil {
		t.Fatal(err)
	}
	p := d.Push()
	base, _ := d.State().Snapshot(d.Lineage.Base)
	staged, err := p.Stage(ctx, base, room)
	if err != nil {
		t.Fatal(err)
	}
	step := snapshot.Step{Time: time.Now(), What: "pull", Packs: staged.Packs, Files: staged.Files, Bytes: staged.Bytes, Parent: base.ID,
		Before: snapshot.State{ID: staged.ID, Root: staged.Root}}
	if err := y.Add(ctx, step); err != nil {
		t.Fatal(err)
	}
	d.Write("a.txt", "later")
	p.Safety = y
	if _, err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	e := d.Join(m)
	if err := e.Sync(); err != nil {
		t.Fatal(err)
	}
	if v, ok := e.State().Snapshot(staged.ID); !ok || v.Flags != ledger.FlagSafety {
		t.Fatalf("%+v", v)
	}
	if got := content(t, e, staged.ID)["a.txt"]; got != "here alone" {
		t.Errorf("%q", got)
	}
}
