package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"testing"

	"satchel/store/seal"
)

// rawDir is a directory as it is written down, so that a test can write it wrongly.
type rawDir struct {
	head    []byte
	counts  [3]int // frames, chunks, bases; −1 where they are as they should be
	frames  []rawFrame
	bases   []ID
	chunks  []Chunk
	trailer []byte
}

type rawFrame struct {
	stored, plain, chunks int
	coding                Coding
}

func (r *rawDir) encode() []byte {
	b := bytes.Clone(r.head)
	for i, n := range []int{len(r.frames), len(r.chunks), len(r.bases)} {
		if r.counts[i] >= 0 {
			n = r.counts[i]
		}
		b = append(b, u32(n)...)
	}
	for _, f := range r.frames {
		b = append(append(append(append(b, u32(f.stored)...), u32(f.plain)...), u32(f.chunks)...), byte(f.coding))
	}
	for _, id := range r.bases {
		b = append(b, id[:]...)
	}
	for _, c := range r.chunks {
		b = append(append(b, c.ID[:]...), u32(c.Size)...)
	}
	return append(b, r.trailer...)
}

// three is a valid directory: a zstd frame of two chunks, a raw one, a delta.
func three() *rawDir {
	return &rawDir{
		head:   noise(headSize, 1),
		counts: [3]int{-1, -1, -1},
		frames: []rawFrame{{100, 300, 2, Zstd}, {50 + seal.Overhead, 50, 1, Raw}, {40, 4096, 1, PagePatch}},
		bases:  []ID{{9}},
		chunks: []Chunk{{ID{1}, 100}, {ID{2}, 200}, {ID{3}, 50}, {ID{4}, 4096}},
	}
}

// many has n chunks of one byte in one raw frame.
func many(n int) *rawDir {
	r := &rawDir{head: noise(headSize, 1), counts: [3]int{-1, -1, -1}, frames: []rawFrame{{n + seal.Overhead, n, n, Raw}}}
	for i := range n {
		r.chunks = append(r.chunks, Chunk{sha256.Sum256(u32(i)), 1})
	}
	return r
}

func TestParseDirectoryRefuses(t *testing.T) {
	largest := func(r *rawDir) { // a frame as large as can be
		r.frames[0] = rawFrame{MaxFrame + seal.Overhead, MaxFrame, 2, Raw}
		r.chunks[0].Size, r.chunks[1].Size = 1, MaxFrame-1
	}
	for name, c := range map[string]struct {
		change func(*rawDir)
		good   bool
		want   error // ErrDirectory if nil
	}{
		"as it should be":             {change: func(r *rawDir) {}, good: true},
		"largest frame":               {change: largest, good: true},
		"frame larger than the limit": {change: func(r *rawDir) { largest(r); r.frames[0].plain++; r.frames[0].stored++; r.chunks[0].Size++ }},
		"raw, all slack":              {change: func(r *rawDir) { r.frames[1].stored = 50 + seal.Overhead + slack }},
		"zstd, all slack":             {change: func(r *rawDir) { r.frames[0].stored = 300 + seal.Overhead + slack }, good: true},
		"zstd, more than the slack":   {change: func(r *rawDir) { r.frames[0].stored = 300 + seal.Overhead + slack + 1 }},
		"raw, a byte short":           {change: func(r *rawDir) { r.frames[1].stored-- }},
		"raw, a byte more":            {change: func(r *rawDir) { r.frames[1].stored++ }},
		"frame of the tag alone":      {change: func(r *rawDir) { r.frames[0].stored = seal.Overhead }},
		"frame of nothing stored":     {change: func(r *rawDir) { r.frames[0].stored = 0 }},
		"frame of nothing":            {change: func(r *rawDir) { r.frames[0].plain = 0; r.chunks[0].Size, r.chunks[1].Size = 0, 0 }},
		"frame without chunks":        {change: func(r *rawDir) { r.frames[1].chunks = 0; r.frames[0].chunks = 3 }},
		"chunks do not add up":        {change: func(r *rawDir) { r.chunks[0].Size++ }},
		"chunks add up over 32 bits":  {change: func(r *rawDir) { r.chunks[0].Size, r.chunks[1].Size = -1, 301 }},
		"empty chunk":                 {change: func(r *rawDir) { r.chunks[0].Size, r.chunks[1].Size = 0, 300 }},
		"chunk twice in a frame":      {change: func(r *rawDir) { r.chunks[1].ID = r.chunks[0].ID }},
		"chunk twice in two frames":   {change: func(r *rawDir) { r.chunks[3].ID = r.chunks[0].ID }},
		"delta of two chunks": {change: func(r *rawDir) {
			r.frames[2].chunks = 2
			r.frames[0].chunks = 1
			r.frames[0].plain = 100
			r.frames[1] = rawFrame{216, 200, 1, Raw}
			r.frames[2].plain = 50 + 4096
		}},
		"delta without its base":          {change: func(r *rawDir) { r.bases = nil }},
		"base too many":                   {change: func(r *rawDir) { r.bases = append(r.bases, ID{8}) }},
		"base of no delta":                {change: func(r *rawDir) { r.frames[2].coding = Zstd }},
		"more bases than frames":          {change: func(r *rawDir) { r.bases = make([]ID, 4) }},
		"no frames":                       {change: func(r *rawDir) { *r = rawDir{head: r.head, counts: r.counts} }},
		"no frames, but chunks":           {change: func(r *rawDir) { r.frames, r.bases = nil, nil }},
		"fewer chunks than frames":        {change: func(r *rawDir) { r.frames = r.frames[:2]; r.chunks = r.chunks[:1]; r.bases = nil }},
		"chunk of no frame":               {change: func(r *rawDir) { r.chunks = append(r.chunks, Chunk{ID{5}, 1}) }},
		"frame beyond the chunks":         {change: func(r *rawDir) { r.frames[2].chunks = 2 }},
		"frame of four billion chunks":    {change: func(r *rawDir) { r.frames[2].chunks = -1 }},
		"count of frames, one more":       {change: func(r *rawDir) { r.counts[0] = 4 }},
		"count of chunks, one less":       {change: func(r *rawDir) { r.counts[1] = 3 }},
		"count of bases, one less":        {change: func(r *rawDir) { r.counts[2] = 0 }},
		"two billion frames":              {change: func(r *rawDir) { r.counts[0] = 1<<31 - 1 }},
		"two billion chunks":              {change: func(r *rawDir) { r.counts[1] = 1<<31 - 1 }},
		"two billion of everything":       {change: func(r *rawDir) { r.counts = [3]int{1<<31 - 1, 1<<31 - 1, 1<<31 - 1} }},
		"counts that hide in the trailer": {change: func(r *rawDir) { r.counts[1] = 5; r.trailer = make([]byte, 35) }},
		"trailing byte":                   {change: func(r *rawDir) { r.trailer = []byte{0} }},
		"trailing row":                    {change: func(r *rawDir) { r.trailer = make([]byte, chunkRow) }},
		"cut off in the head":             {change: func(r *rawDir) { r.head = r.head[:headSize-1] }},
		"head alone":                      {change: func(r *rawDir) { *r = rawDir{head: r.head, counts: [3]int{1, 1, 0}} }},
		"frames longer than a pack":       {change: func(r *rawDir) { fill(r, 4) }},
		"frames as long as a pack": {change: func(r *rawDir) {
			fill(r, 4)
			r.frames[3] = rawFrame{MaxFrame - 80, MaxFrame, 1, Zstd}
			r.frames[2].stored -= 100
		}, good: true},
		"as many chunks as fit":     {change: func(r *rawDir) { *r = *many(MaxChunks) }, good: true},
		"more chunks than fit":      {change: func(r *rawDir) { *r = *many(MaxChunks + 2) }},
		"coding of a newer satchel": {change: func(r *rawDir) { r.frames[0].coding = 4 }, want: seal.ErrTooNew},
		"coding 255":                {change: func(r *rawDir) { r.frames[0].coding = 255 }, want: seal.ErrTooNew},
	} {
		t.Run(name, func(t *testing.T) {
			r := three()
			c.change(r)
			enc := r.encode()
			if len(enc) < 4096 {
				corpus(t, "FuzzParseDirectory", name, enc)
			}
			d, err := ParseDirectory(enc)
			if c.good {
				if err != nil || !bytes.Equal(again(d), enc) {
					t.Errorf("%v", err)
				}
				return
			}
			if c.want == nil {
				c.want = ErrDirectory
			}
			if !errors.Is(err, c.want) {
				t.Errorf("ParseDirectory = %v, %v", d, err)
			}
		})
	}
}

// fill makes n frames of the greatest size.
func fill(r *rawDir, n int) {
	*r = rawDir{head: r.head, counts: r.counts}
	for i := range n {
		r.frames = append(r.frames, rawFrame{MaxFrame + seal.Overhead, MaxFrame, 1, Zstd})
		r.chunks = append(r.chunks, Chunk{ID{byte(i)}, MaxFrame})
	}
}

// again encodes what a directory says of itself.
func again(d *Directory) []byte {
	var fs []*Frame
	for _, f := range d.Frames() {
		g := &Frame{Coding: f.Coding, Base: f.Base, Plain: f.Plain, Coded: make([]byte, f.Stored-seal.Overhead)}
		for c := f.First; c < f.First+f.Chunks; c++ {
			g.Chunks = append(g.Chunks, Chunk{d.ID(c), d.Size(c)})
		}
		fs = append(fs, g)
	}
	return EncodeDirectory(d.Head(), fs)
}

func FuzzParseDirectory(f *testing.F) {
	f.Add(three().encode())
	f.Fuzz(func(t *testing.T, enc []byte) {
		d, err := ParseDirectory(bytes.Clone(enc))
		if err != nil {
			if !errors.Is(err, ErrDirectory) && !errors.Is(err, seal.ErrTooNew) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(again(d), enc) || !bytes.Equal(d.Encoding(), enc) || d.Hash() != sha256.Sum256(enc) {
			t.Errorf("%x is encoded again as %x", enc, again(d))
		}
		compareDirectory(t, d)
	})
}

// compareDirectory computes from the frames alone what a directory answers.
func compareDirectory(t *testing.T, d *Directory) {
	t.Helper()
	end, chunk := int64(80), 0
	for i, f := range d.Frames() {
		if f.Offset != end || f.First != chunk {
			t.Fatalf("frame %d: offset %d, first %d, want %d, %d", i, f.Offset, f.First, end, chunk)
		}
		plain := 0
		for range f.Chunks {
			if got := d.FrameOf(chunk); got != i {
				t.Fatalf("FrameOf(%d) = %d, want %d", chunk, got, i)
			}
			id, size, there := ChunkRow(d.Encoding(), chunk)
			if !there || id != d.ID(chunk) || size != d.Size(chunk) {
				t.Fatalf("ChunkRow(%d) = %x, %d, %v", chunk, id, size, there)
			}
			plain += size
			chunk++
		}
		if plain != f.Plain {
			t.Fatalf("frame %d: %d bytes, not %d", i, plain, f.Plain)
		}
		end += int64(f.Stored)
	}
	if d.Len() != chunk || d.End() != end {
		t.Fatalf("%d chunks, end %d, want %d, %d", d.Len(), d.End(), chunk, end)
	}
	for _, c := range []int{-1, chunk, chunk + 1, 1<<31 - 1} {
		if _, _, there := ChunkRow(d.Encoding(), c); there {
			t.Fatalf("there is a chunk %d of %d", c, chunk)
		}
	}
	least := end + 16 + int64(len(d.Encoding())) + 36
	if got := d.PackSize(); got < least || got > least+least/8 || int64(seal.Padme(uint64(got))) != got {
		t.Fatalf("PackSize = %d for %d bytes", got, least)
	}
}

func TestDirectoryAnswersAsComputed(t *testing.T) {
	r := random(t)
	for range 200 {
		compareDirectory(t, ok(ParseDirectory(EncodeDirectory(noise(headSize, 3), randomFrames(r)))))
	}
}

// randomFrames are frames that exist only as rows.
func randomFrames(r *rand.Rand) []*Frame {
	var fs []*Frame
	id := func() (id ID) {
		for i := range id {
			id[i] = byte(r.Uint32())
		}
		return id
	}
	for range 1 + r.IntN(20) {
		f := &Frame{Coding: Coding(r.IntN(4))}
		n := 1 + r.IntN(1+r.IntN(50))
		if f.Coding.Delta() {
			n, f.Base = 1, id()
		}
		for range n {
			c := Chunk{id(), 1 + r.IntN(10000)}
			f.Chunks = append(f.Chunks, c)
			f.Plain += c.Size
		}
		f.Coded = make([]byte, 1+r.IntN(f.Plain))
		if f.Coding == Raw {
			f.Coded = make([]byte, f.Plain)
		}
		fs = append(fs, f)
	}
	return fs
}

func TestChunkRowOfTornEncoding(t *testing.T) {
	enc := three().encode()
	for n := range len(enc) {
		for c := -1; c < 6; c++ {
			ChunkRow(enc[:n], c) // an index on a torn disk asks; it must not panic
		}
	}
	copy(enc[headSize+4:], []byte{0xff, 0xff, 0xff, 0xff})
	if _, _, there := ChunkRow(enc, 0); there {
		t.Error("a row before the first")
	}
}

func FuzzChunkRow(f *testing.F) {
	f.Add(three().encode(), 3)
	f.Add(three().encode()[:70], 0)
	f.Fuzz(func(t *testing.T, enc []byte, c int) {
		if _, size, there := ChunkRow(enc, c); there && (c < 0 || size < 0) {
			t.Errorf("chunk %d has %d bytes", c, size)
		}
	})
}
