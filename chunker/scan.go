package chunker

import "encoding/binary"

// sums returns r(p-8) to r(p-1) of the package doc, for p ≥ window.
func sums(data []byte, p int) (r [8]uint64) {
	for j := range r {
		for q := p - window + j; q < p-8+j; q += 8 {
			r[j] = r[j]<<2 + binary.LittleEndian.Uint64(data[q:])
		}
	}
	return r
}

// scanGo returns the smallest p ≥ from in data, its end included, with h(p) ≥ T, or 0.
// It takes eight positions a step, because r(p) needs r(p-8): each of the eight
// sums stays in a register.
func (c *Chunker) scanGo(data []byte, from int) int {
	r := sums(data, from)
	r0, r1, r2, r3, r4, r5, r6, r7 := r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
	a, b, t := c.a, c.b, c.t
	le := binary.LittleEndian
	w := data[from-8:] // begins with u(p)
	var x uint64
	for len(w) >= 15 {
		x, r0 = r0^a, le.Uint64(w)+r0<<2
		if x*(r0^b) >= t {
			return len(data) - len(w) + 8
		}
		x, r1 = r1^a, le.Uint64(w[1:])+r1<<2
		if x*(r1^b) >= t {
			return len(data) - len(w) + 9
		}
		x, r2 = r2^a, le.Uint64(w[2:])+r2<<2
		if x*(r2^b) >= t {
			return len(data) - len(w) + 10
		}
		x, r3 = r3^a, le.Uint64(w[3:])+r3<<2
		if x*(r3^b) >= t {
			return len(data) - len(w) + 11
		}
		x, r4 = r4^a, le.Uint64(w[4:])+r4<<2
		if x*(r4^b) >= t {
			return len(data) - len(w) + 12
		}
		x, r5 = r5^a, le.Uint64(w[5:])+r5<<2
		if x*(r5^b) >= t {
			return len(data) - len(w) + 13
		}
		x, r6 = r6^a, le.Uint64(w[6:])+r6<<2
		if x*(r6^b) >= t {
			return len(data) - len(w) + 14
		}
		x, r7 = r7^a, le.Uint64(w[7:])+r7<<2
		if x*(r7^b) >= t {
			return len(data) - len(w) + 15
		}
		w = w[8:]
	}
	for _, x := range [...]uint64{r0, r1, r2, r3, r4, r5, r6} {
		if len(w) < 8 {
			break
		}
		if (x^a)*((le.Uint64(w)+x<<2)^b) >= t {
			return len(data) - len(w) + 8
		}
		w = w[1:]
	}
	return 0
}
