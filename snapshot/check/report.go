package check

import (
	"cmp"
	"slices"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// Severity says how bad a Problem is.
type Severity uint8

const (
	Notice Severity = iota // worth a look; nothing is lost
	Damage                 // the repository is not what it was
)

// Problem is something wrong with one object.
type Problem struct {
	Object   string // its name; "" for chunks of which nobody knows where they were
	What     string
	Severity Severity
	Hurts    []Hurt // by path
}

// Hurt is a path that cannot be restored, and in which snapshots. A path that ends in a
// slash is a folder with all that is in it, "/" a whole snapshot; the empty path is a
// snapshot's manifest.
type Hurt struct {
	Path string // remote

	all   []ledger.Snapshot // oldest first
	spans []span            // of all
}

// span is some snapshots that follow each other.
type span struct{ from, to int }

// Snapshots lists the snapshots that are hurt, oldest first.
func (h Hurt) Snapshots() (out []pack.ID) {
	for _, s := range h.spans {
		for _, v := range h.all[s.from:s.to] {
			out = append(out, v.ID)
		}
	}
	return out
}

// Report is what Run found.
type Report struct {
	Problems     []Problem      // damage first, then by object
	Unregistered []store.Object // packs and the like that no ledger entry names: an interrupted push left them

	Objects   int   // listed
	Bytes     int64 //
	Entries   uint64
	Snapshots int
	Packs     int
	Read      int   // objects that were read whole
	ReadBytes int64 //
	Opened    int   // packs of which every frame was opened

	// Damaged are the live packs that are not as they were, and Lost the chunks that
	// are in no pack any more: what a repair begins with.
	Damaged []pack.Key
	Lost    map[pack.ID]bool
}

// Damage reports whether anything is damaged.
func (r *Report) Damage() bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Severity == Damage })
}

// sort puts everything into the order that is promised.
func (r *Report) sort() {
	slices.SortStableFunc(r.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Object, b.Object))
	})
	slices.SortFunc(r.Damaged, func(a, b pack.Key) int { return cmp.Compare(a.Name(), b.Name()) })
}
