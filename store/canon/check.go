package canon

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Major types of RFC 8949 §3.1.
const (
	majorUint   = 0
	majorNeg    = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	simpleFalse = 0xf4
	simpleTrue  = 0xf5
)

// Check reports ErrNotCanonical unless b is exactly one item of the subset of CBOR that this
// package writes, whatever its type: what cbor.RawMessage and any leave open, and what
// comparing encodings cannot see.
func Check(b []byte) error {
	rest, err := item(b, 0)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes after the end", len(rest))
	}
	if err != nil {
		return fmt.Errorf("%w: %v", ErrNotCanonical, err)
	}
	return nil
}

// item checks the item that b begins with and returns what follows it.
func item(b []byte, depth int) (rest []byte, err error) {
	if len(b) > 0 && (b[0] == simpleFalse || b[0] == simpleTrue) {
		return b[1:], nil
	}
	major, n, rest, err := head(b)
	if err != nil {
		return nil, err
	}
	switch major {
	case majorUint, majorNeg:
		return rest, nil
	case majorBytes, majorText:
		if n > uint64(len(rest)) {
			return nil, fmt.Errorf("string of %d bytes where %d are left", n, len(rest))
		}
		if major == majorText && !utf8.Valid(rest[:n]) {
			return nil, fmt.Errorf("text that is not UTF-8")
		}
		return rest[n:], nil
	}
	if depth == MaxDepth {
		return nil, fmt.Errorf("more than %d levels", MaxDepth)
	}
	if major == majorArray {
		return array(rest, n, depth+1)
	}
	return pairs(rest, n, depth+1)
}

func array(b []byte, n uint64, depth int) (rest []byte, err error) {
	if n > min(MaxArray, uint64(len(b))) {
		return nil, fmt.Errorf("array of %d elements", n)
	}
	for ; n > 0 && err == nil; n-- {
		b, err = item(b, depth)
	}
	return b, err
}

func pairs(b []byte, n uint64, depth int) (rest []byte, err error) {
	if n > min(MaxMap, uint64(len(b))/2) {
		return nil, fmt.Errorf("map of %d pairs", n)
	}
	var last []byte
	for ; n > 0; n-- {
		rest, err = item(b, depth)
		if err != nil {
			return nil, err
		}
		key := b[:len(b)-len(rest)]
		if last != nil && bytes.Compare(last, key) >= 0 {
			return nil, fmt.Errorf("keys out of order")
		}
		last = key
		if b, err = item(rest, depth); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// head reads an initial byte and its argument, which has to be in the shortest form.
func head(b []byte) (major byte, n uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, nil, fmt.Errorf("ends early")
	}
	major, info, rest := b[0]>>5, b[0]&31, b[1:]
	if major > majorMap {
		return 0, 0, nil, fmt.Errorf("a tag, float or other value %#02x", b[0])
	}
	if info < 24 {
		return major, uint64(info), rest, nil
	}
	if info > 27 {
		return 0, 0, nil, fmt.Errorf("an indefinite or reserved length")
	}
	width := 1 << (info - 24) // bytes
	if len(rest) < width {
		return 0, 0, nil, fmt.Errorf("ends early")
	}
	var wide [8]byte
	copy(wide[8-width:], rest)
	n = binary.BigEndian.Uint64(wide[:])
	least := uint64(24)
	if width > 1 {
		least = 1 << (4 * width)
	}
	if n < least {
		return 0, 0, nil, fmt.Errorf("%d in %d bytes", n, width)
	}
	return major, n, rest[width:], nil
}
