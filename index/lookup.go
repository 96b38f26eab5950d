package index

import (
	bolt "go.etcd.io/bbolt"

	"satchel/store/pack"
)

// Lookup returns a place where a chunk lies, one that is not a delta if there is one.
// known is false if the index knows of none.
func (x *Index) Lookup(id pack.ID) (loc Location, known bool, err error) {
	err = x.find(id, func(l Location) bool {
		if !known || !l.Delta {
			loc, known = l, true
		}
		return loc.Delta
	})
	if err != nil {
		return Location{}, false, err
	}
	return loc, known, nil
}

// Locations returns every place where a chunk lies.
func (x *Index) Locations(id pack.ID) (locs []Location, err error) {
	err = x.find(id, func(l Location) bool {
		locs = append(locs, l)
		return true
	})
	return locs, err
}

// find calls visit with the places where a chunk lies, until it returns false.
func (x *Index) find(id pack.ID, visit func(Location) bool) error {
	prefix := row{id: uint64(id[0])<<56 | uint64(id[1])<<48}.prefix()
	if !x.state.Load().prefixes.has(prefix) {
		return nil
	}
	return x.view(func(tx *bolt.Tx) error {
		v := tx.Bucket(bRows).Get(id[:2])
		if v == nil {
			return torn("rows %04x are lost", prefix)
		}
		page, err := decodeRows(prefix, v)
		if err != nil {
			return err
		}
		want := makeRow(id, 0, 0)
		for i := page.find(id); i < page.len(); i++ {
			r := page.row(i)
			if r.id != want.id {
				break
			}
			loc, ok, err := x.locate(tx, id, r)
			if err != nil {
				return err
			}
			if ok && !visit(loc) {
				break
			}
		}
		return nil
	})
}

// locate compares the whole id with what a row names. ok is false if the row's pack is
// gone, or if the row is of another chunk.
func (x *Index) locate(tx *bolt.Tx, id pack.ID, r row) (loc Location, ok bool, err error) {
	rec, enc, ok, err := x.directory(tx, r.number())
	if err != nil || !ok {
		return loc, false, err
	}
	got, size, ok := pack.ChunkRow(enc, r.chunk())
	if !ok {
		return loc, false, torn("directory %d has no chunk %d", r.number(), r.chunk())
	}
	if got != id {
		return loc, false, nil
	}
	loc = Location{Pack: rec.key, Chunk: r.chunk(), Size: size}
	if rec.deltas {
		d, err := x.parsed(r.number(), enc)
		if err != nil {
			return loc, false, err
		}
		loc.Delta = d.Frames()[d.FrameOf(r.chunk())].Coding.Delta()
	}
	return loc, true, nil
}
