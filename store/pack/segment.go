package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Entry is a pack as a segment or a ledger entry tells of it.
type Entry struct {
	Key       Key
	Size      int64  // bytes
	Directory []byte // encoding
}

// ErrSegment is wrapped by every error about a segment that is not canonical.
var ErrSegment = errors.New("bad index segment")

const segmentRow = KeySize + 8 + 4

// EncodeSegments sorts the entries by key and encodes them into payloads of at most
// MaxSegment bytes. Of several with one key it takes the first.
func EncodeSegments(entries []Entry) [][]byte {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b Entry) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	entries = slices.CompactFunc(entries, func(a, b Entry) bool { return a.Key == b.Key })
	var out [][]byte
	var cur []byte
	n := uint32(0)
	flush := func() {
		if n > 0 {
			binary.BigEndian.PutUint32(cur, n)
			out = append(out, cur)
		}
		cur, n = make([]byte, 4, 64<<10), 0
	}
	flush()
	for _, e := range entries {
		if len(cur)+segmentRow+len(e.Directory) > MaxSegment {
			flush()
		}
		cur = append(cur, e.Key[:]...)
		cur = binary.BigEndian.AppendUint64(cur, uint64(e.Size))
		cur = binary.BigEndian.AppendUint32(cur, uint32(len(e.Directory)))
		cur = append(cur, e.Directory...)
		n++
	}
	flush()
	return out
}

// ParseSegment decodes a payload. The entries' directories point into it and are not
// parsed: who uses one compares its hash with the state first.
func ParseSegment(b []byte) ([]Entry, error) {
	if len(b) < 4 || len(b) > MaxSegment {
		return nil, fmt.Errorf("%w: %d bytes", ErrSegment, len(b))
	}
	n := binary.BigEndian.Uint32(b)
	b = b[4:]
	if n == 0 || uint64(n) > uint64(len(b))/segmentRow {
		return nil, fmt.Errorf("%w: %d packs", ErrSegment, n)
	}
	out := make([]Entry, 0, n)
	for i := range n {
		if len(b) < segmentRow {
			return nil, fmt.Errorf("%w: pack %d is cut off", ErrSegment, i)
		}
		e := Entry{Key: Key(b), Size: int64(binary.BigEndian.Uint64(b[KeySize:]))}
		m := binary.BigEndian.Uint32(b[KeySize+8:])
		b = b[segmentRow:]
		if !e.Key.Valid() || e.Size < 0 || e.Size > MaxPack || uint64(m) > uint64(len(b)) || m > MaxDirectory {
			return nil, fmt.Errorf("%w: pack %d", ErrSegment, i)
		}
		if i > 0 && bytes.Compare(out[i-1].Key[:], e.Key[:]) >= 0 {
			return nil, fmt.Errorf("%w: pack %d is out of order", ErrSegment, i)
		}
		e.Directory, b = b[:m:m], b[m:]
		out = append(out, e)
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: %d trailing bytes", ErrSegment, len(b))
	}
	return out, nil
}
