package chunker

import "golang.org/x/sys/cpu"

const block = 32 // positions that skip looks at in one step

// scan is scanGo, at twice its speed where there is AVX2.
func (c *Chunker) scan(data []byte, from int) int {
	for cpu.X86.HasAVX2 && from+block <= len(data) {
		r := sums(data, from)
		from += block * skip(&data[from-8], (len(data)-from)/block, &r, c.a, c.b, uint32(c.t>>32))
		if from+block > len(data) {
			break
		}
		// The block at from holds a candidate, or nearly so: skip compares 32 bits.
		if p := c.scanGo(data[:from+block-1], from); p > 0 {
			return p
		}
		from += block
	}
	return c.scanGo(data, from)
}

// skip returns how many of n blocks pass before one with a p whose h(p) has top 32 bits
// of at least t. u points at u(p) of the first position, and block·n+8 bytes are read
// from there; r holds the sums r(p-8) to r(p-1) of that position.
//
//go:noescape
func skip(u *byte, n int, r *[8]uint64, a, b uint64, t uint32) int
