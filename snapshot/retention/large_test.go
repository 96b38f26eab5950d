package retention_test

import (
	"testing"
	"time"

	"satchel/snapshot/snapshottest"
	"satchel/store/pack"
	"satchel/store/storetest"
)

// Of a history of which half is forgotten, what the other half needs stays, in packs as they are; a
// prune without grace deletes all else in the same run, and lets go of the names.
func TestPruneOfALargeHistory(t *testing.T) {
	s := storetest.NewMemory()
	d := snapshottest.Found(t, s)
	l := snapshottest.Large{Snapshots: 300, Files: 50, Chunks: 300 * 96, Step: time.Microsecond, Pretend: func(name string, size int64) error { return s.Put(ctx, name, []byte{1}) }}
	must(t, l.Fill(ctx, d.Access))
	must(t, d.Sync())
	if sum, err := d.Index.Summary(); err != nil || sum.Chunks < l.Chunks || len(d.State().Snapshots(snapshottest.Workspace)) != l.Snapshots {
		t.Fatalf("%+v, %v", sum, err)
	}
	var forget []pack.ID
	for _, v := range d.State().Snapshots(snapshottest.Workspace)[:l.Snapshots/2] {
		forget = append(forget, v.ID)
	}
	if out := run(t, prune(t, d, forget...)); out.Forgotten != len(forget) || out.Deleted < out.Condemned {
		t.Errorf("%+v", out)
	}
	data, _ := objects(t, s, "d/")
	live := 0
	for p := range d.State().LivePacks() {
		if p.Key.Name()[0] == 'd' {
			live++
		}
	}
	if want := 3 * (l.Snapshots/2 + l.Files - 1); live != want || data != want { // with what the oldest that stays has from earlier ones
		t.Errorf("%d data packs, %d registered, want %d", data, live, want)
	}
	must(t, d.Sync())
	if out := run(t, prune(t, d)); out.Condemned != 0 || out.Deleted != 0 {
		t.Errorf("again: %+v", out)
	}
}
