package chunker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// small cuts often, so that a test needs little data; Max is far out in its tail.
var small = Params{Min: 300, Avg: 1000, Max: 5000}

// random returns n bytes of splitmix64 (Steele, Lea and Flood, 2014), little endian. It
// stands here because golden values hang on it.
func random(n int, seed uint64) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		b = binary.LittleEndian.AppendUint64(b, z^z>>31)
	}
	return b[:n]
}

// text returns n bytes of numbered lines.
func text(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "%08d INFO request served method=GET path=/notes/%d status=200\n", i, i*i%1009)
	}
	return b[:n]
}

func secret(seed uint64) [16]byte { return [16]byte(random(16, seed)) }

func mustNew(t testing.TB, seed uint64, p Params) *Chunker {
	t.Helper()
	c, err := New(secret(seed), p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestGoldenCuts fails when a change would store every file of every repository again.
func TestGoldenCuts(t *testing.T) {
	for _, g := range []struct {
		name string
		p    Params
		data []byte
		ends []int
	}{
		{"small", small, random(8000, 1), []int{1109, 1440, 3568, 3912, 4247, 5328, 6727, 7116, 7853, 8000}},
		{"default", Default, random(8<<20, 2), []int{1115907, 2920254, 3673851, 4471863, 5204549, 6197733, 7016685, 8026921, 8388608}},
		{"256 KiB", Params{256 << 10, 1 << 20, 4 << 20}, random(8<<20, 2), []int{1115907, 4040337, 4471863, 5122229, 6457959, 7616849, 8026921, 8359352, 8388608}},
		{"text", small, text(8000), []int{2268, 2856, 3879, 4323, 7068, 8000}},
		{"zeros", small, make([]byte, 12000), []int{5000, 10000, 12000}},
	} {
		c := mustNew(t, 42, g.p)
		if ends := c.Cuts(nil, g.data, 0, true); !slices.Equal(ends, g.ends) {
			t.Errorf("%s: cuts at %#v, want %#v", g.name, ends, g.ends)
		}
	}
}

// TestGoldenManyCuts covers ten thousand cuts by a checksum of their positions.
func TestGoldenManyCuts(t *testing.T) {
	const wantCuts, wantSum = 10393, 0x66cc4667
	ends := mustNew(t, 42, small).Cuts(nil, random(10<<20, 3), 0, true)
	sum := crc32.NewIEEE()
	for _, end := range ends {
		binary.Write(sum, binary.LittleEndian, uint32(end))
	}
	if len(ends) != wantCuts || sum.Sum32() != wantSum {
		t.Errorf("%d cuts, checksum %#08x; want %d, %#08x", len(ends), sum.Sum32(), wantCuts, wantSum)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, p := range []Params{
		{Min: 263, Avg: 1000, Max: 2000},
		{Min: -1, Avg: 1000, Max: 2000},
		{Min: 1000, Avg: 1063, Max: 2000},
		{Min: 1000, Avg: 900, Max: 2000},
		{Min: 1000, Avg: 3000, Max: 2000},
		{Min: 1000, Avg: 2000, Max: 16<<20 + 1},
		{Min: 300, Avg: -1 << 31, Max: 2000},
		{Avg: 1 << 20},
	} {
		if _, err := New(secret(1), p); err == nil {
			t.Errorf("New accepts %+v", p)
		}
	}
	if _, err := New([16]byte{}, Default); err == nil {
		t.Error("New accepts a secret of zeros")
	}
	for _, size := range []int{-1, 0, 16<<20 + 1} {
		if _, err := Fixed(size); err == nil {
			t.Errorf("Fixed accepts %d", size)
		}
	}
}

func TestZeroParamsAreDefault(t *testing.T) {
	if a, b := mustNew(t, 1, Params{}), mustNew(t, 1, Default); *a != *b {
		t.Errorf("%+v, want %+v", a, b)
	}
}

func TestFixedCuts(t *testing.T) {
	c, err := Fixed(100)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		n     int
		final bool
		want  []int
	}{
		{0, true, nil},
		{99, false, nil},
		{99, true, []int{99}},
		{250, false, []int{100, 200}},
		{250, true, []int{100, 200, 250}},
		{200, true, []int{100, 200}},
	} {
		if got := c.Cuts(nil, random(x.n, 1), 0, x.final); !slices.Equal(got, x.want) {
			t.Errorf("%d bytes, final %v: %v, want %v", x.n, x.final, got, x.want)
		}
	}
}

func TestLengthsKeepLimits(t *testing.T) {
	data := random(1<<20, 5)
	start := 0
	for _, end := range mustNew(t, 1, small).Cuts(nil, data, 0, true) {
		if n := end - start; n > small.Max || n < small.Min && end != len(data) {
			t.Errorf("chunk at %d is %d bytes long", start, n)
		}
		start = end
	}
	if start != len(data) {
		t.Errorf("the last cut is at %d of %d", start, len(data))
	}
}

func TestAverageOfDefault(t *testing.T) {
	const size = 32 << 20
	cuts, data := 0, random(size, 6)
	for seed := range uint64(8) {
		cuts += len(mustNew(t, seed, Default).Cuts(nil, data, 0, true))
	}
	// 256 chunks with a deviation of 0.37 MiB each: 0.023 MiB for their mean.
	if mean := 8 * size / float64(cuts); mean < 0.93*(1<<20) || mean > 1.07*(1<<20) {
		t.Errorf("the mean of %d chunks is %.0f bytes", cuts, mean)
	}
}

func TestZerosAreCutAtMaxOnly(t *testing.T) {
	data := make([]byte, 20000)
	negated := 0
	for seed := range uint64(4000) {
		c := mustNew(t, seed, Params{Min: 264, Avg: 328, Max: 4096})
		if n := c.Cut(data, 0, true); n != c.Max() {
			t.Fatalf("secret %d cuts zeros at %d", seed, n)
		}
		if s := secret(seed); c.b != binary.LittleEndian.Uint64(s[8:])|1 {
			negated++
		}
	}
	if negated == 0 {
		t.Error("no secret of this test would cut zeros")
	}
}

// TestThresholdIsExact covers what random data do not: the vector scan compares only the
// top 32 bits, and has to go on where they tie.
func TestThresholdIsExact(t *testing.T) {
	zeros := make([]byte, 3000) // h is a·b everywhere
	c := Chunker{a: 0x0123456789abcdef, b: 0xfedcba9876543211}
	h := c.a * c.b
	for _, x := range []struct {
		t    uint64
		want int
	}{{h - 1, 300}, {h, 300}, {h + 1, 0}, {h + 1<<32, 0}} {
		c.t = x.t
		if n := c.scan(zeros, 300); n != x.want {
			t.Errorf("scan finds %d for h = %#x, T = %#x; want %d", n, h, x.t, x.want)
		}
		if n := c.scanGo(zeros, 300); n != x.want {
			t.Errorf("scanGo finds %d for h = %#x, T = %#x; want %d", n, h, x.t, x.want)
		}
	}
}

func TestScansAgreeOnLongData(t *testing.T) {
	data := slices.Concat(random(1<<20, 12), make([]byte, 1<<19), text(1<<20))
	c := mustNew(t, 6, Params{Min: 264, Avg: 16 << 10, Max: 1 << 20})
	for from := window; ; {
		n, want := c.scan(data, from), c.scanGo(data, from)
		if n != want {
			t.Fatalf("from %d: %d, want %d", from, n, want)
		}
		if n == 0 || n == len(data) {
			break
		}
		from = n + 1
	}
}

func TestSecretsDecideCuts(t *testing.T) {
	data := random(1<<20, 7)
	seen := map[int]bool{}
	for _, end := range mustNew(t, 1, small).Cuts(nil, data, 0, true) {
		seen[end] = true
	}
	ends := mustNew(t, 2, small).Cuts(nil, data, 0, true)
	same := 0
	for _, end := range ends {
		if seen[end] {
			same++
		}
	}
	if same > len(ends)/50 {
		t.Errorf("%d of %d cuts are the same with another secret", same, len(ends))
	}
}

func TestEditsMoveFewCuts(t *testing.T) {
	old := random(1<<20, 8)
	for _, e := range []struct {
		name string
		data []byte
	}{
		{"insert", slices.Concat(old[:500000], []byte{1}, old[500000:])},
		{"delete", slices.Concat(old[:500000], old[500100:])},
		{"change", slices.Concat(old[:500000], []byte("other bytes"), old[500011:])},
		{"prepend", slices.Concat([]byte("a new beginning"), old)},
	} {
		c := mustNew(t, 3, small)
		chunks := map[string]bool{}
		start := 0
		for _, end := range c.Cuts(nil, old, 0, true) {
			chunks[string(old[start:end])] = true
			start = end
		}
		fresh := 0
		start = 0
		for _, end := range c.Cuts(nil, e.data, 0, true) {
			if !chunks[string(e.data[start:end])] {
				fresh++
			}
			start = end
		}
		if fresh == 0 || fresh > 10 {
			t.Errorf("%s: %d chunks of %d are new", e.name, fresh, len(chunks))
		}
	}
}

func TestCutsDoNotDependOnBuffers(t *testing.T) {
	c := mustNew(t, 4, small)
	for _, x := range []struct{ size, step int }{
		{20_000, 1}, {20_000, 7}, {200_000, 299}, {200_000, 300}, {200_000, 1000},
		{200_000, 4999}, {200_000, 5000}, {200_000, 5001}, {200_000, 64 << 10},
	} {
		data := random(x.size, 9)
		var got []int
		for n, start, seen := 0, 0, 0; n < len(data); seen = n - start {
			n = min(n+x.step, len(data))
			for _, end := range c.Cuts(nil, data[start:n], seen, n == len(data)) {
				got = append(got, start+end)
			}
			if len(got) > 0 {
				start = got[len(got)-1]
			}
			if n-start >= c.Max() {
				t.Fatalf("step %d: %d bytes without a cut", x.step, n-start)
			}
		}
		if want := c.Cuts(nil, data, 0, true); !slices.Equal(got, want) {
			t.Errorf("step %d: cuts differ", x.step)
		}
	}
}

func TestSplitGivesEveryByteOnce(t *testing.T) {
	data := random(100_000, 10)
	c := mustNew(t, 5, small)
	want := c.Cuts(nil, data, 0, true)
	for _, slow := range []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r },
		iotest.OneByteReader,
		iotest.HalfReader,
		iotest.DataErrReader,
	} {
		for _, size := range []int{c.Max(), c.Max() + 1, 64 << 10} {
			r := slow(bytes.NewReader(data))
			var got []byte
			var ends []int
			err := c.Split(r, make([]byte, size), func(chunk []byte) error {
				got = append(got, chunk...)
				ends = append(ends, len(got))
				return nil
			})
			if err != nil || !bytes.Equal(got, data) || !slices.Equal(ends, want) {
				t.Errorf("%T, buffer of %d: %v, %d bytes in %d chunks", r, size, err, len(got), len(ends))
			}
		}
	}
}

func TestSplitReportsErrors(t *testing.T) {
	c := mustNew(t, 5, small)
	buf := make([]byte, c.Max())
	keep := func([]byte) error { return nil }
	broken := errors.New("broken")
	for _, want := range []error{broken, io.ErrUnexpectedEOF} {
		r := io.MultiReader(bytes.NewReader(random(20_000, 11)), iotest.ErrReader(want))
		if err := c.Split(r, buf, keep); err != want {
			t.Errorf("a reader's %v came back as %v", want, err)
		}
	}
	calls := 0
	err := c.Split(bytes.NewReader(random(20_000, 11)), buf, func([]byte) error { calls++; return broken })
	if err != broken || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if err := c.Split(bytes.NewReader(nil), buf[1:], keep); err == nil {
		t.Error("a buffer below Max is accepted")
	}
	if err := c.Split(stuck{}, buf, keep); err != io.ErrNoProgress {
		t.Errorf("a reader that stands still: %v", err)
	}
}

// stuck is a reader that returns nothing and no error.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }
