package chunker

import "testing"

func BenchmarkCut(b *testing.B) {
	c := mustNew(b, 1, Default)
	const size = 32 << 20
	for _, x := range []struct {
		name string
		data []byte
	}{
		{"random", random(size, 1)},
		{"text", text(size)},
		{"zeros", make([]byte, size)},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.SetBytes(int64(len(x.data)))
			ends := make([]int, 0, 64)
			for b.Loop() {
				ends = c.Cuts(ends[:0], x.data, 0, true)
			}
		})
	}
}

// BenchmarkScan looks at every position, as Cut does from Min on.
func BenchmarkScan(b *testing.B) {
	c := mustNew(b, 1, Default)
	c.t = 1<<64 - 1 // no candidates
	data := random(4<<20, 1)
	for _, x := range []struct {
		name string
		scan func([]byte, int) int
	}{{"portable", c.scanGo}, {"here", c.scan}} {
		b.Run(x.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				x.scan(data, window)
			}
		})
	}
}
