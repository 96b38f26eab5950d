package retention

import (
	"testing"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Live packs are not in a listing, so a name that died after it was made may have its object still:
// it must not leave the ledger's state.
func TestListingKnowsWhatMayBeThere(t *testing.T) {
	l := &listing{objects: map[string]store.Object{"t/seen": {}}, gone: map[string]bool{"t/deleted": true}, position: 5}
	for name, c := range map[string]struct {
		position uint64
		there    bool
	}{"t/seen": {3, true}, "t/not-seen": {5, false}, "t/was-live": {6, true}, "t/deleted": {6, false}} {
		if got := l.there(ledger.DeadName{Name: name, Position: c.position}); got != c.there {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// As many names as a checkpoint may let go of fit into an entry.
func TestNamesThatLeaveFitIntoAnEntry(t *testing.T) {
	var c ledger.CheckpointContent
	for range maxLeave {
		c.Leave = append(c.Leave, pack.Key{'d'}.Name())
	}
	if n := len(canon.Marshal(c)); n > seal.Ledger.MaxPayload()-4096 {
		t.Errorf("%d bytes", n)
	}
}
