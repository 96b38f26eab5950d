package ledger

import (
	"bytes"
	"math"
	"testing"

	"satchel/store/canon"
	"satchel/store/pack"
)

// What is encoded by hand is what the general encoder writes.
func TestElementsAreCanonical(t *testing.T) {
	for _, n := range []uint64{0, 23, 24, 255, 256, 1 << 16, math.MaxUint64} {
		p := Pack{Tag: tagPack, Key: pack.Key{'d', 1, 2}, Size: int64(n >> 1), Hash: Hash{3}, Position: n}
		d := DeadName{Tag: tagDead, Name: p.Key.Name(), Position: n, Time: -int64(n >> 1)}
		if got, want := p.append(nil), canon.Marshal(p); !bytes.Equal(got, want) {
			t.Errorf("pack %x, want %x", got, want)
		}
		if got, want := d.append(nil), canon.Marshal(d); !bytes.Equal(got, want) {
			t.Errorf("dead name %x, want %x", got, want)
		}
		if got, err := parsePack(canon.Marshal(p)); got != p || err != nil {
			t.Errorf("%+v, want %+v: %v", got, p, err)
		}
		if got, err := parseDead(canon.Marshal(d)); got != d || err != nil {
			t.Errorf("%+v, want %+v: %v", got, d, err)
		}
		if _, err := parsePack(canon.Marshal(d)); err == nil {
			t.Error("a dead name reads as a pack")
		}
	}
}
