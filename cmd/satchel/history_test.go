package main

import (
	"testing"

	"satchel/snapshot"
	"satchel/store/pack"
)

// A merge that took a path as one of its parents has it did nothing to it.
func TestChangedComparesWithEveryParent(t *testing.T) {
	id := func(n byte) pack.ID { return pack.ID{n} }
	one := &snapshot.Entry{Size: 1, IDs: make([]byte, 32)}
	two := &snapshot.Entry{Size: 2, IDs: make([]byte, 32)}
	known := map[pack.ID]*snapshot.Entry{id(1): one, id(2): two, id(3): nil}
	for _, c := range []struct {
		name    string
		now     *snapshot.Entry
		parents []pack.ID
		differs bool
		letter  snapshot.Letter
	}{
		{"as the second parent", two, []pack.ID{id(1), id(2)}, false, 0},
		{"as neither", two, []pack.ID{id(1), id(3)}, true, snapshot.Modified},
		{"gone in one parent, and here", nil, []pack.ID{id(1), id(3)}, false, 0},
		{"gone", nil, []pack.ID{id(1)}, true, snapshot.Removed},
		{"a parent that is not known", one, []pack.ID{id(9), id(1)}, false, 0},
		{"no parent", one, nil, true, snapshot.Added},
		{"no parent, and not there", nil, nil, false, 0},
	} {
		got, differs := changed("f", c.now, c.parents, known)
		if differs != c.differs || differs && got.Letter() != c.letter {
			t.Errorf("%s: %v, %c", c.name, differs, got.Letter())
		}
	}
}
