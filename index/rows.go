package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"sort"

	"satchel/store/pack"
)

// rowSize is the length of a row: 6 bytes of an id, pack number u32, chunk u16.
const rowSize = 12

// A row says that a chunk whose id begins with these 8 bytes may lie there. Rows are
// ordered by both fields, which is the order of their bytes.
type row struct {
	id uint64 // the first 8 bytes
	at uint64 // pack number << 16 | chunk
}

func makeRow(id pack.ID, number uint32, chunk int) row {
	return row{id: binary.BigEndian.Uint64(id[:]), at: uint64(number)<<16 | uint64(chunk)}
}

func (r row) prefix() uint16 { return uint16(r.id >> 48) }
func (r row) number() uint32 { return uint32(r.at >> 16) }
func (r row) chunk() int     { return int(r.at & 0xFFFF) }

func (r row) compare(s row) int { return cmp.Or(cmp.Compare(r.id, s.id), cmp.Compare(r.at, s.at)) }

// append appends the row's bytes; its first two are the key.
func (r row) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(r.id>>32))
	b = binary.BigEndian.AppendUint32(b, uint32(r.id))
	b = binary.BigEndian.AppendUint32(b, uint32(r.at>>16))
	return binary.BigEndian.AppendUint16(b, uint16(r.at))
}

// rows are the rows of one key.
type rows struct {
	prefix uint16
	b      []byte
}

func prefixKey(prefix uint16) []byte { return binary.BigEndian.AppendUint16(nil, prefix) }

// decodeRows checks a value of the bucket rows. It keeps the value.
func decodeRows(prefix uint16, value []byte) (rows, error) {
	b, ok := cutCRC(prefixKey(prefix), value)
	if !ok || len(b)%rowSize != 0 {
		return rows{}, torn("rows %04x", prefix)
	}
	return rows{prefix, b}, nil
}

func (r rows) len() int { return len(r.b) / rowSize }

func (r rows) row(i int) row {
	b := r.b[i*rowSize:]
	return row{
		id: uint64(r.prefix)<<48 | uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:])),
		at: uint64(binary.BigEndian.Uint32(b[6:]))<<16 | uint64(binary.BigEndian.Uint16(b[10:])),
	}
}

// find returns the index of the first row of an id.
func (r rows) find(id pack.ID) int {
	return sort.Search(r.len(), func(i int) bool {
		return bytes.Compare(r.b[i*rowSize:i*rowSize+6], id[2:8]) >= 0
	})
}

// merge returns the value of a key: old and add, both ascending, without the rows of
// packs that are dead.
func merge(old rows, add []row, dead func(number uint32) bool) ([]byte, error) {
	b := make([]byte, 0, len(old.b)+rowSize*len(add)+crcSize)
	last := row{}
	for i := range old.len() {
		r := old.row(i)
		if i > 0 && last.compare(r) >= 0 {
			return nil, torn("rows %04x: order", old.prefix)
		}
		last = r
		for len(add) > 0 && add[0].compare(r) < 0 {
			b, add = add[0].append(b), add[1:]
		}
		if !dead(r.number()) {
			b = r.append(b)
		}
	}
	for _, r := range add {
		b = r.append(b)
	}
	return appendCRC(prefixKey(old.prefix), b), nil
}
