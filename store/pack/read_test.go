package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"satchel/store"
	"satchel/store/seal"
	"satchel/store/storetest"
)

func TestReadDirectoryRequests(t *testing.T) {
	var tiny [][]byte
	for i := range 6000 { // 216,000 bytes of directory
		tiny = append(tiny, u32(i))
	}
	for name, c := range map[string]struct {
		p    *Packed
		want int
	}{
		"small pack":               {build(t, seal.Tree, 1, frameOf(t, []byte("a"))), 1},
		"nearly 256 KiB":           {build(t, seal.Tree, 1, frameOf(t, noise(250<<10, 1))), 1},
		"one MiB":                  {build(t, seal.Data, 1, frameOf(t, noise(1<<20, 1))), 2},
		"large directory":          {build(t, seal.Data, 1, frameOf(t, noise(1<<20, 1)), frameOf(t, tiny...)), 3},
		"large directory, no more": {build(t, seal.Data, 1, frameOf(t, tiny...)), 1},
	} {
		t.Run(name, func(t *testing.T) {
			size := int64(len(c.p.Data))
			s := storetest.NewCounter(stored(t, c.p))
			d, err := ReadDirectory(ctx, s, testKeys, c.p.Key, size)
			if err != nil || d.Hash() != c.p.Directory.Hash() {
				t.Fatal(err)
			}
			if s.Total() != c.want {
				t.Errorf("%d requests for a pack of %d bytes, want %d", s.Total(), size, c.want)
			}
			for _, op := range s.Trace() {
				if op.Off%border != 0 || (op.Off+op.N)%border != 0 && op.Off+op.N != size && op.Off+op.N != size-footerSize {
					t.Errorf("bytes %d to %d are asked for", op.Off, op.Off+op.N)
				}
			}
		})
	}
}

// regions are the parts of a pack, as [from, to).
func regions(p *Packed) map[string][2]int {
	end := int(p.Directory.End())
	return map[string][2]int{
		"header":    {0, seal.HeaderSize},
		"frames":    {seal.HeaderSize, end},
		"directory": {end, len(p.Data) - footerSize},
		"footer":    {len(p.Data) - footerSize, len(p.Data)},
	}
}

func TestFlippedByteIsNeverReadAsContent(t *testing.T) {
	r := random(t)
	chunks := [][]byte{[]byte("one"), noise(400, 1), bytes.Repeat([]byte("three "), 200)}
	p := build(t, seal.Data, 1, frameOf(t, chunks[0]), frameOf(t, chunks[1]), frameOf(t, chunks[2]))
	for region, at := range regions(p) {
		for range 120 {
			i, mask := at[0]+r.IntN(at[1]-at[0]), byte(1)<<r.IntN(8)
			s := stored(t, p)
			s.Corrupt(p.Key.Name(), func(b []byte) []byte { b[i] ^= mask; return b })
			d, err := ReadDirectory(ctx, s, testKeys, p.Key, int64(len(p.Data)))
			switch {
			case region == "frames": // the directory is whole
				if err != nil {
					t.Fatalf("%s, byte %d: %v", region, i, err)
				}
			case errors.Is(err, seal.ErrTooNew), errors.Is(err, seal.ErrNoKey):
				if i < 8 || i > 15 {
					t.Errorf("%s, byte %d: %v", region, i, err)
				}
			case !errors.Is(err, ErrDamaged):
				t.Errorf("%s, byte %d: %v", region, i, err)
			}
			// A device that has the directory already reads the frames alone.
			got, errs := frames(s, p.Key, p.Directory)
			bad := 0
			for f := range errs {
				switch {
				case errs[f] == nil && !bytes.Equal(got[f], chunks[f]):
					t.Fatalf("%s, byte %d: frame %d is %q", region, i, f, got[f])
				case errs[f] != nil && !errors.Is(errs[f], ErrDamaged):
					t.Errorf("%s, byte %d: %v", region, i, errs[f])
				case errs[f] != nil:
					bad++
				}
			}
			if want := map[bool]int{true: 1}[region == "frames"]; bad != want {
				t.Errorf("%s, byte %d: %d frames are damaged, want %d", region, i, bad, want)
			}
			if d != nil && d.Hash() != p.Directory.Hash() {
				t.Errorf("%s, byte %d: another directory", region, i)
			}
		}
	}
}

func TestTruncatedPack(t *testing.T) {
	p := build(t, seal.Data, 1, frameOf(t, noise(300<<10, 1)), frameOf(t, []byte("text")))
	size := len(p.Data)
	for _, n := range []int{0, 1, seal.HeaderSize - 1, seal.HeaderSize, border - 1, border, 2*border + 7, int(p.Directory.End()), size - footerSize, size - footerSize + 1, size - 1} {
		s := stored(t, p)
		s.Corrupt(p.Key.Name(), func(b []byte) []byte { return b[:n:n] })
		if _, err := ReadDirectory(ctx, s, testKeys, p.Key, int64(size)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes of %d: %v", n, size, err)
		}
		// The ledger may have been told the shorter size, too.
		if _, err := ReadDirectory(ctx, s, testKeys, p.Key, int64(n)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes of %d, as registered: %v", n, size, err)
		}
	}
	s := stored(t, p)
	s.Corrupt(p.Key.Name(), func(b []byte) []byte { return append(b, make([]byte, seal.Padme(uint64(size+1))-uint64(size))...) })
	if _, err := ReadDirectory(ctx, s, testKeys, p.Key, int64(seal.Padme(uint64(size+1)))); !errors.Is(err, ErrDamaged) {
		t.Errorf("longer, as registered: %v", err)
	}
	for _, n := range []int64{-1, 0, 115, MaxPack + 1, 1 << 40, -1 << 63} {
		if _, err := ReadDirectory(ctx, s, testKeys, p.Key, n); !errors.Is(err, ErrDamaged) {
			t.Errorf("size %d: %v", n, err)
		}
	}
}

func TestMissingPackIsNotFound(t *testing.T) {
	p := build(t, seal.Data, 1, frameOf(t, []byte("a")))
	_, err := ReadDirectory(ctx, storetest.NewMemory(), testKeys, p.Key, int64(len(p.Data)))
	if !errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), p.Key.Name()) {
		t.Error(err)
	}
}

func TestPackInTheOthersPlace(t *testing.T) {
	a := build(t, seal.Data, 1, frameOf(t, []byte("alpha")))
	b := build(t, seal.Data, 2, frameOf(t, []byte("bravo")))
	tree := build(t, seal.Tree, 3, frameOf(t, []byte("carol")))
	foreign := *testRing
	foreign.Masters = []seal.Master{{Generation: 1, Key: [32]byte{1}}}
	s := storetest.NewMemory()
	s.Put(ctx, a.Key.Name(), b.Data)
	// It describes itself rightly, so who asks compares the hash; its frames are not those of a's directory.
	d, err := ReadDirectory(ctx, s, testKeys, a.Key, int64(len(b.Data)))
	if err != nil || d.Hash() == a.Directory.Hash() {
		t.Errorf("directory: %v", err)
	}
	if _, errs := frames(s, a.Key, a.Directory); !errors.Is(errs[0], ErrDamaged) {
		t.Errorf("frames: %v", errs)
	}
	for name, data := range map[string][]byte{"tree pack": tree.Data, "zeros": make([]byte, len(a.Data)), "noise": noise(len(a.Data), 1)} {
		s := stored(t, a)
		s.Corrupt(a.Key.Name(), func([]byte) []byte { return data })
		if _, err := ReadDirectory(ctx, s, testKeys, a.Key, int64(len(data))); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadDirectory(ctx, stored(t, a), foreign.Keys(testRepo), a.Key, int64(len(a.Data))); !errors.Is(err, ErrDamaged) {
		t.Errorf("other key: %v", err)
	}
	if _, err := ReadDirectory(ctx, stored(t, a), testRing.Keys(seal.RepoID{1}), a.Key, int64(len(a.Data))); !errors.Is(err, ErrDamaged) {
		t.Errorf("other repository: %v", err)
	}
	ring := ok(testRing.Next(fixed(9)))
	newer := ok(NewBuilder(seal.Data, testSession, ring.Keys(testRepo), fixed(1), nil))
	newer.Add(frameOf(t, []byte("a")))
	n := ok(newer.Finish())
	if _, err := ReadDirectory(ctx, stored(t, n), testKeys, n.Key, int64(len(n.Data))); !errors.Is(err, seal.ErrNoKey) || errors.Is(err, ErrDamaged) {
		t.Errorf("newer generation: %v", err)
	}
	if _, err := Opener(testKeys, n.Key, n.Directory); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("newer generation, frames: %v", err)
	}
}

// liar seals a pack in which directory and footer may say anything.
func liar(frames [][]byte, directory func(s *seal.Sealer) []byte, footer func(off, length, enc uint64) (uint64, uint64, uint64)) *Packed {
	s := ok(testKeys.NewSealer(seal.Data, fixed(5)))
	b := bytes.Clone(s.Header())
	for _, f := range frames {
		b = s.Seal(b, f, seal.Frame, uint64(len(b)))
	}
	enc := directory(s)
	off := uint64(len(b))
	size := seal.Padme(off + seal.Overhead + uint64(len(enc)) + footerSize)
	n := uint64(len(enc))
	if pad := int(size-off) - seal.Overhead - footerSize - len(enc); pad > 0 {
		enc = append(enc, make([]byte, pad)...)
	}
	b = s.Seal(b, enc, seal.Directory, off)
	o, l, e := footer(off, uint64(len(b))-off, n)
	foot := binary.BigEndian.AppendUint64(nil, o)
	foot = binary.BigEndian.AppendUint64(foot, l)
	foot = binary.BigEndian.AppendUint32(foot, uint32(e))
	b = s.Seal(b, foot, seal.Footer, uint64(len(b)))
	return &Packed{Key: MakeKey(seal.Data, testSession, Sum(b)), Data: b}
}

func TestPackThatLies(t *testing.T) {
	honest := func(off, length, enc uint64) (uint64, uint64, uint64) { return off, length, enc }
	plain := []byte("hello")
	right := func(s *seal.Sealer) []byte {
		return EncodeDirectory(s.Header()[:headSize], []*Frame{{Coding: Raw, Plain: 5, Coded: plain, Chunks: []Chunk{{Sum(plain), 5}}}})
	}
	for name, c := range map[string]struct {
		directory func(s *seal.Sealer) []byte
		footer    func(off, length, enc uint64) (uint64, uint64, uint64)
		good      bool
	}{
		"as it should be":         {right, honest, true},
		"of another pack":         {func(*seal.Sealer) []byte { return right(ok(testKeys.NewSealer(seal.Data, fixed(6)))) }, honest, false},
		"commitment in its place": {func(s *seal.Sealer) []byte { return append(bytes.Clone(s.Header()[32:80]), right(s)[48:]...) }, honest, false},
		"filler is not zero":      {func(s *seal.Sealer) []byte { return append(right(s), 0, 1) }, func(o, l, e uint64) (uint64, uint64, uint64) { return o, l, e - 2 }, false},
		"frames end elsewhere": {func(s *seal.Sealer) []byte {
			return EncodeDirectory(s.Header()[:headSize], []*Frame{{Coding: Raw, Plain: 4, Coded: plain[:4], Chunks: []Chunk{{Sum(plain), 4}}}})
		}, honest, false},
		"offset too small":         {right, func(o, l, e uint64) (uint64, uint64, uint64) { return o - 1, l, e }, false},
		"offset and length agree":  {right, func(o, l, e uint64) (uint64, uint64, uint64) { return o - 1, l + 1, e }, false},
		"offset in the header":     {right, func(o, l, e uint64) (uint64, uint64, uint64) { return 79, l + o - 79, e }, false},
		"offset behind the footer": {right, func(o, l, e uint64) (uint64, uint64, uint64) { return o + l + 1, ^uint64(0), e }, false},
		"offset of all bits":       {right, func(o, l, e uint64) (uint64, uint64, uint64) { return ^uint64(0), l, e }, false},
		"length of all bits":       {right, func(o, l, e uint64) (uint64, uint64, uint64) { return o, ^uint64(0), e }, false},
		"encoding of 4 GiB":        {right, func(o, l, e uint64) (uint64, uint64, uint64) { return o, l, 1<<32 - 1 }, false},
		"encoding of nothing":      {right, func(o, l, e uint64) (uint64, uint64, uint64) { return o, l, 0 }, false},
		"encoding cut off":         {right, func(o, l, e uint64) (uint64, uint64, uint64) { return o, l, e - 1 }, false},
		"encoding with a zero":     {right, func(o, l, e uint64) (uint64, uint64, uint64) { return o, l, e + 1 }, false},
		"padded to the next size":  {func(s *seal.Sealer) []byte { return append(right(s), make([]byte, 40)...) }, func(o, l, e uint64) (uint64, uint64, uint64) { return o, l, e - 40 }, false},
		"nothing sealed":           {func(*seal.Sealer) []byte { return nil }, honest, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := liar([][]byte{plain}, c.directory, c.footer)
			d, err := ReadDirectory(ctx, stored(t, p), testKeys, p.Key, int64(len(p.Data)))
			if c.good != (err == nil) || !c.good && !errors.Is(err, ErrDamaged) {
				t.Errorf("ReadDirectory = %v, %v", d, err)
			}
		})
	}
}

// zeros is a zstd frame that decodes to n·128 KiB of zeros, four bytes for each.
func zeros(n int, header []byte) []byte {
	b := append([]byte{0x28, 0xb5, 0x2f, 0xfd}, header...)
	for i := range n {
		block := 128<<10<<3 | 1<<1 // RLE
		if i == n-1 {
			block |= 1
		}
		b = append(b, byte(block), byte(block>>8), byte(block>>16), 0)
	}
	return b
}

var (
	window1MiB  = []byte{0x00, 10 << 3}                                        // no content size
	window32MiB = []byte{0x00, 15 << 3}                                        //
	size1GiB    = []byte{0xa0, 0, 0, 0, 0x40}                                  // single segment, content size u32
	window2TiB  = []byte{0x00, 31 << 3}                                        //
	dictionary7 = []byte{0x21, 7, 100}                                         // dictionary id, content size
	size2To63   = []byte{0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f} // content size u64
)

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestDecodingTakesNoMoreThanPromised(t *testing.T) {
	small := ok(zstd.NewWriter(nil)).EncodeAll(make([]byte, 100), nil)
	for name, c := range map[string]struct {
		coding Coding
		coded  []byte
		plain  int
		good   bool
	}{
		"as it should be":          {Zstd, small, 100, true},
		"zeros, as promised":       {Zstd, zeros(1, window1MiB), 128 << 10, true},
		"1 GiB of zeros":           {Zstd, zeros(8192, window1MiB), 100, false},
		"1 GiB of zeros in 16 MiB": {Zstd, zeros(8192, window1MiB), MaxFrame, false},
		"says 1 GiB":               {Zstd, zeros(8192, size1GiB), 100, false},
		"says all there is":        {Zstd, zeros(8192, size2To63), 100, false},
		"window of 32 MiB":         {Zstd, zeros(1, window32MiB), 128 << 10, false},
		"window of 2 TiB":          {Zstd, zeros(1, window2TiB), 128 << 10, false},
		"needs a dictionary":       {Zstd, zeros(1, dictionary7), 128 << 10, false},
		"shorter than promised":    {Zstd, small, 101, false},
		"longer than promised":     {Zstd, small, 99, false},
		"two frames":               {Zstd, append(bytes.Clone(small), small...), 200, false},
		"frame and nothing":        {Zstd, append(bytes.Clone(small), 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0), 100, false},
		"nothing and a frame":      {Zstd, append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, small...), 100, false},
		"trailing byte":            {Zstd, append(bytes.Clone(small), 0), 100, false},
		"cut off":                  {Zstd, small[:len(small)-1], 100, false},
		"checksum cut off":         {Zstd, small[:len(small)-4], 100, false},
		"no zstd at all":           {Zstd, noise(100, 1), 100, false},
		"nothing":                  {Zstd, nil, 100, false},
		"raw":                      {Raw, make([]byte, 100), 100, true},
		"raw, longer":              {Raw, make([]byte, 101), 100, false},
		"raw, shorter":             {Raw, make([]byte, 99), 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			dec := ok(newDecoder())
			var out []byte
			var err error
			used := allocated(func() { out, err = decode(dec, []byte("before "), c.coding, c.coded, c.plain) })
			if limit := uint64(2*c.plain + 8<<20); used > limit {
				t.Errorf("%d bytes were allocated for %d", used, c.plain)
			}
			if c.good && (err != nil || !bytes.Equal(out, append([]byte("before "), make([]byte, c.plain)...))) || !c.good && err == nil {
				t.Errorf("%d bytes, %v", len(out), err)
			}
		})
	}
}

// A frame of a pack that promises 100 bytes and would be 35 MiB.
func TestBombInAPack(t *testing.T) {
	coded := zeros(270, window1MiB)
	plain := make([]byte, 100)
	p := build(t, seal.Data, 1, &Frame{Coding: Zstd, Plain: 100, Coded: coded, Chunks: []Chunk{{Sum(plain), 100}}})
	s := stored(t, p)
	d, err := ReadDirectory(ctx, s, testKeys, p.Key, int64(len(p.Data)))
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	if used := allocated(func() { _, errs = frames(s, p.Key, d) }); used > 8<<20 {
		t.Errorf("%d bytes were allocated", used)
	}
	if !errors.Is(errs[0], ErrDamaged) {
		t.Error(errs[0])
	}
}

func TestChunkThatIsNotItsHash(t *testing.T) {
	f := frameOf(t, []byte("first"), []byte("second"))
	f.Chunks[1].ID = Sum([]byte("other"))
	p := build(t, seal.Data, 1, f)
	_, errs := frames(stored(t, p), p.Key, p.Directory)
	var e *Error
	if !errors.Is(errs[0], ErrDamaged) || !errors.As(errs[0], &e) || e.Pack != p.Key || strings.Contains(errs[0].Error(), "second") {
		t.Error(errs[0])
	}
}

func TestUnknownCodingIsNewerNotDamage(t *testing.T) {
	for _, c := range []Coding{ZstdDelta, PagePatch} {
		plain := make([]byte, 4096)
		p := build(t, seal.Data, 1, &Frame{Coding: c, Base: ID{1}, Plain: 4096, Coded: []byte("delta"), Chunks: []Chunk{{Sum(plain), 4096}}})
		_, errs := frames(stored(t, p), p.Key, p.Directory)
		if !errors.Is(errs[0], seal.ErrTooNew) || errors.Is(errs[0], ErrDamaged) {
			t.Errorf("coding %d: %v", c, errs[0])
		}
	}
	p := liar([][]byte{[]byte("hello")}, func(s *seal.Sealer) []byte {
		return EncodeDirectory(s.Header()[:headSize], []*Frame{{Coding: 4, Plain: 5, Coded: []byte("hello"), Chunks: []Chunk{{ID{1}, 5}}}})
	}, func(off, length, enc uint64) (uint64, uint64, uint64) { return off, length, enc })
	_, err := ReadDirectory(ctx, stored(t, p), testKeys, p.Key, int64(len(p.Data)))
	if !errors.Is(err, seal.ErrTooNew) || errors.Is(err, ErrDamaged) {
		t.Errorf("coding 4: %v", err)
	}
}

func TestFrameAppends(t *testing.T) {
	p := build(t, seal.Data, 1, frameOf(t, []byte("one")), frameOf(t, bytes.Repeat([]byte("two "), 50)))
	o, dec := ok(Opener(testKeys, p.Key, p.Directory)), ok(NewDecoder())
	for _, room := range []int{0, 1000} {
		out := append(make([]byte, 0, room), "zero "...)
		for i, f := range p.Directory.Frames() {
			var err error
			if out, err = dec.Frame(out, o, p.Key, p.Directory, i, p.Data[f.Offset:f.Offset+int64(f.Stored)], nil); err != nil {
				t.Fatal(err)
			}
		}
		if want := "zero one" + strings.Repeat("two ", 50); string(out) != want {
			t.Errorf("%q", out)
		}
	}
	if _, err := dec.Frame(nil, o, p.Key, p.Directory, 0, p.Data[80:90], nil); !errors.Is(err, ErrDamaged) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
	f := p.Directory.Frames()[1]
	if _, err := dec.Frame(nil, o, p.Key, p.Directory, 0, p.Data[f.Offset:f.Offset+19], nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("in another frame's place: %v", err)
	}
}

func TestRange(t *testing.T) {
	const k = 1 << 10
	for _, c := range [][5]int64{ // from, to, size; want
		{80, 100, 200, 0, 200},
		{80, 100, 200 * k, 0, 128 * k},
		{128 * k, 256 * k, 300 * k, 128 * k, 256 * k},
		{128*k - 1, 128*k + 1, 300 * k, 0, 256 * k},
		{256 * k, 299 * k, 300 * k, 256 * k, 300 * k},
	} {
		if from, to := Range(c[0], c[1], c[2]); from != c[3] || to != c[4] {
			t.Errorf("Range(%d, %d, %d) = %d, %d", c[0], c[1], c[2], from, to)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(ok(zstd.NewWriter(nil)).EncodeAll([]byte("some text, some text"), nil), 20)
	f.Add(zeros(3, window1MiB), 100)
	f.Add(zeros(1, size1GiB), 100)
	dec := ok(newDecoder())
	f.Fuzz(func(t *testing.T, coded []byte, plain int) {
		if plain < 1 || plain > 1<<20 {
			return
		}
		if out, err := decode(dec, nil, Zstd, coded, plain); err == nil && len(out) != plain {
			t.Errorf("%d bytes where %d were promised", len(out), plain)
		}
	})
}
