package snapshot_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"satchel/snapshot"
	"satchel/snapshot/retention"
	"satchel/snapshot/snapshottest"
	"satchel/store/dir"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// The second reader follows a repository in which snapshots were forgotten, brought back, held and
// tagged, packs condemned, written anew and deleted, and the horizon moved.
func TestSecondReaderAfterPrune(t *testing.T) {
	needPython(t)
	root := t.TempDir()
	s, err := dir.Open(root)
	must(t, err)
	d := snapshottest.Found(t, s)
	var g goldenFile
	kek := kekOf(t, s, d.Access.Me, 1)
	g.KEK, g.Generation = hex.EncodeToString(kek[:]), 1
	for i := range 12 {
		d.Write(fmt.Sprint("big", i), noise(uint64(i), 1<<20))
	}
	g.note(t, d, d.Push())
	for i := range 8 {
		d.Write(fmt.Sprint("big", i), "small now")
	}
	for i := range 10 {
		d.Write("small", fmt.Sprint("version ", i))
		g.note(t, d, d.Push())
	}
	say := func(kind ledger.Kind, content any) {
		t.Helper()
		_, err := d.Access.Log.Append(ctx, d.Access.Me, kind, func(*ledger.State) (any, error) { return content, nil })
		must(t, err)
	}
	all := d.State().Snapshots(d.Lineage.Workspace)
	id := all[5].ID
	say(ledger.HoldKind, ledger.HoldContent{Snapshot: id, Reason: "a court asks"})
	say(ledger.TagKind, ledger.TagContent{Snapshot: id, Tag: "audit"})
	say(ledger.TagKind, ledger.TagContent{Snapshot: all[6].ID, Tag: "gone"})
	say(ledger.HoldKind, ledger.HoldContent{Snapshot: all[7].ID, Reason: "for a moment"})
	say(ledger.HoldKind, ledger.HoldContent{Snapshot: all[7].ID, Released: true})
	say(ledger.Forget, ledger.ForgetContent{Snapshots: []pack.ID{all[8].ID}})
	say(ledger.Unforget, ledger.UnforgetContent{Snapshots: []ledger.Snapshot{all[8]}})
	must(t, snapshot.SyncIndex(ctx, d.Access.Log, d.Index))
	prune := func(forget ...pack.ID) {
		t.Helper()
		must(t, d.Sync())
		p := retention.Prune{Push: d.Push(), Reader: d.Reader, Forget: forget}
		_, err := p.Run(ctx)
		must(t, err)
	}
	prune(all[0].ID, all[1].ID, all[6].ID)
	g.Snapshots = append(g.Snapshots[2:6:6], g.Snapshots[7:]...)
	must(t, d.Access.Log.MoveHorizon(ctx, d.Access.Me, d.State().Position(), nil))
	d.Write("small", "after the horizon")
	g.note(t, d, d.Push())
	prune()
	out := compareReader(t, root, &g)
	if !strings.Contains(out, "sound: ") || strings.Contains(out, "not registered") || strings.Contains(out, "is void") {
		t.Error(out)
	}
}
