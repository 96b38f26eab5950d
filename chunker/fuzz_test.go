package chunker

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// reference is the package doc word for word: the first place in data where a chunk
// may end for its content, or 0.
func reference(secret [16]byte, p Params, data []byte) int {
	le := binary.LittleEndian
	a, b := le.Uint64(secret[:])|1, le.Uint64(secret[8:])|1
	t := -((1<<64 - 1) / uint64(p.Avg-p.Min))
	if a*b >= t {
		b = -b
	}
	r := func(p int) (sum uint64) {
		for m := range 32 {
			sum += le.Uint64(data[p-8*m-8:]) << (2 * m)
		}
		return sum
	}
	for n := p.Min; n < p.Max && n <= len(data); n++ {
		if (r(n-8)^a)*(r(n)^b) >= t {
			return n
		}
	}
	return 0
}

// FuzzCut compares Cut, also when the bytes come in two parts, and both scans with
// the reference. The input is repeated, as the fuzzer makes short ones.
func FuzzCut(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), random(2000, 1), uint16(1), uint16(400))
	f.Add([]byte("one byte, again "), []byte{0}, uint16(3000), uint16(264))
	f.Add([]byte("almost threshold"), random(263, 2), uint16(9), uint16(2367))
	f.Add([]byte{15: 1}, []byte("masks of one"), uint16(99), uint16(777))
	f.Fuzz(func(t *testing.T, key, data []byte, repeat, part uint16) {
		if len(key) < 16 || len(data) == 0 {
			return
		}
		secret := [16]byte(key)
		data = bytes.Repeat(data, min(1+int(repeat), 1+4000/len(data)))
		p := Params{Min: window + int(part)%40, Avg: 400 + int(repeat)%2000, Max: 3000}
		c, err := New(secret, p)
		if err != nil {
			return // a secret of zeros
		}
		found := reference(secret, p, data)
		if last := min(len(data), p.Max-1); last >= p.Min {
			if n := c.scanGo(data[:last], p.Min); n != found {
				t.Errorf("scanGo finds %d, want %d", n, found)
			}
			if n := c.scan(data[:last], p.Min); n != found {
				t.Errorf("scan finds %d, want %d", n, found)
			}
		}
		want := found
		if found == 0 {
			want = min(len(data), p.Max)
		}
		if n := c.Cut(data, 0, true); n != want {
			t.Errorf("cut at %d, want %d", n, want)
		}
		first := int(part) % (len(data) + 1)
		n := c.Cut(data[:first], 0, false)
		if n == 0 {
			n = c.Cut(data, first, true)
		}
		if n != want {
			t.Errorf("cut at %d when %d bytes come first, want %d", n, first, want)
		}
	})
}
