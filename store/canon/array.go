package canon

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// The functions below write the items of an array one by one, for what there are hundreds of
// thousands of; they write what Marshal writes, in a tenth of its time.

// AppendArray appends the head of an array of n items, which are to follow.
func AppendArray(b []byte, n int) []byte { return appendHead(b, majorArray, uint64(n)) }

// AppendUint appends a number.
func AppendUint(b []byte, n uint64) []byte { return appendHead(b, majorUint, n) }

// AppendInt appends a number.
func AppendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNeg, uint64(-1-n))
	}
	return appendHead(b, majorUint, uint64(n))
}

// AppendBytes appends a byte string.
func AppendBytes(b, v []byte) []byte { return append(appendHead(b, majorBytes, uint64(len(v))), v...) }

// AppendText appends text, which is UTF-8.
func AppendText(b []byte, v string) []byte {
	if !utf8.ValidString(v) {
		panic(fmt.Sprintf("canon: text that is not UTF-8: %q", v))
	}
	return append(appendHead(b, majorText, uint64(len(v))), v...)
}

func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// An Array reads what the Append functions wrote, item by item, as strictly as Unmarshal. After the
// first item that is another all are zero, and End says why.
type Array struct {
	rest []byte
	left int // items
	err  error
}

// ParseArray begins to read b, which is to be an array of n items.
func ParseArray(b []byte, n int) *Array {
	a := &Array{rest: b, left: 1}
	if got := a.next(majorArray); a.err == nil && got != uint64(n) {
		a.err = fmt.Errorf("an array of %d items where %d were meant", got, n)
	}
	a.left = n
	return a
}

func (a *Array) next(want byte) uint64 {
	if a.err == nil && a.left == 0 {
		a.err = fmt.Errorf("too few items")
	}
	if a.err != nil {
		return 0
	}
	a.left--
	major, n, rest, err := head(a.rest)
	if err == nil && major != want {
		err = fmt.Errorf("major type %d where %d was meant", major, want)
	}
	if a.err = err; err != nil {
		return 0
	}
	a.rest = rest
	return n
}

// Uint reads a number.
func (a *Array) Uint() uint64 { return a.next(majorUint) }

// Int reads a number.
func (a *Array) Int() int64 {
	negative := a.err == nil && len(a.rest) > 0 && a.rest[0]>>5 == majorNeg
	major := byte(majorUint)
	if negative {
		major = majorNeg
	}
	n := a.next(major)
	if n > math.MaxInt64 && a.err == nil {
		a.err = fmt.Errorf("a number out of range")
	}
	if negative && a.err == nil {
		return -1 - int64(n)
	}
	return int64(n)
}

// Bytes reads a byte string into v, which is as long.
func (a *Array) Bytes(v []byte) {
	n := a.next(majorBytes)
	if a.err == nil && (n != uint64(len(v)) || n > uint64(len(a.rest))) {
		a.err = fmt.Errorf("a string of %d bytes where %d were meant", n, len(v))
	}
	if a.err == nil {
		a.rest = a.rest[copy(v, a.rest):]
	}
}

// Text reads text.
func (a *Array) Text() (v string) {
	n := a.next(majorText)
	if a.err == nil && (n > uint64(len(a.rest)) || !utf8.Valid(a.rest[:n])) {
		a.err = fmt.Errorf("text of %d bytes", n)
	}
	if a.err == nil {
		v, a.rest = string(a.rest[:n]), a.rest[n:]
	}
	return v
}

// End reports ErrNotCanonical unless everything was read, and was what was asked for.
func (a *Array) End() error {
	if a.err == nil && (a.left != 0 || len(a.rest) != 0) {
		a.err = fmt.Errorf("%d items and %d bytes after the end", a.left, len(a.rest))
	}
	if a.err != nil {
		return fmt.Errorf("%w: %v", ErrNotCanonical, a.err)
	}
	return nil
}
