package index

import (
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func mustUnderway(t testing.TB, x *Index, w [16]byte, want ...Pack) {
	t.Helper()
	slices.SortFunc(want, func(a, b Pack) int { return slices.Compare(a.Key[:], b.Key[:]) })
	got, err := x.Underway(w)
	if diff := gocmp.Diff(want, got); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
}

func TestAnInterruptedPushIsFoundAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := mustOpen(t, path)
	packs := randomPacks(newModel(), newSeed(t), 6, 40)
	a, b := [16]byte{1}, [16]byte{2}
	for i, p := range packs {
		w := a
		if i >= 4 {
			w = b
		}
		for range 2 { // a lost answer
			if err := x.AddUnderway(w, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	x.Close()
	x = mustOpen(t, path)
	mustUnderway(t, x, a, packs[0], packs[1], packs[2], packs[3])
	mustUnderway(t, x, b, packs[4], packs[5])
	mustUnderway(t, x, [16]byte{3})

	// Not known before they are registered, not under way after.
	id := directoryIDs(packs[0])[0]
	if _, ok, err := x.Lookup(id); ok || err != nil {
		t.Fatal(ok, err)
	}
	mustUpdate(t, x, nil, 1, []Pack{packs[0], packs[4]}, nil)
	if _, ok, err := x.Lookup(id); !ok || err != nil {
		t.Fatal(ok, err)
	}
	mustUnderway(t, x, a, packs[1], packs[2], packs[3])
	mustUnderway(t, x, b, packs[5])

	// Added before, noted again: the next Update that hears of it drops it.
	if err := x.AddUnderway(a, packs[0]); err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, x, nil, 1, []Pack{packs[0]}, nil)
	mustUnderway(t, x, a, packs[1], packs[2], packs[3])

	if err := x.ClearUnderway(a); err != nil {
		t.Fatal(err)
	}
	mustUnderway(t, x, a)
	mustUnderway(t, x, b, packs[5])
}
