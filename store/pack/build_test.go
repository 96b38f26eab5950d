package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"satchel/store/seal"
)

// chunkCases are what workspaces are made of.
func chunkCases() [][][]byte {
	long := bytes.Repeat([]byte("patient,visit,dose\n"), 100_000)
	var small [][]byte
	for i := range 500 {
		small = append(small, append([]byte("note number "), u32(i)...))
	}
	return [][][]byte{
		{[]byte("x")},
		{noise(1, 3)},
		{noise(70_000, 4)},
		{long},
		small,
		{noise(3<<20, 5), []byte("and a little text behind what does not compress")},
	}
}

func TestPackRoundTrip(t *testing.T) {
	for _, kind := range []seal.Kind{seal.Data, seal.Tree} {
		t.Run(kind.String(), func(t *testing.T) {
			b := ok(NewBuilder(kind, testSession, testKeys, fixed(1), nil))
			var want [][]byte
			for _, chunks := range chunkCases() {
				f := frameOf(t, chunks...)
				if empty := b.Empty(); empty != (len(want) == 0) || !b.Fits(f) {
					t.Fatalf("empty %v, fits %v", empty, b.Fits(f))
				}
				before := b.Size()
				if err := b.Add(f); err != nil {
					t.Fatal(err)
				}
				if grown := b.Size() - before; grown < len(f.Coded) {
					t.Errorf("grown by %d for %d bytes", grown, len(f.Coded))
				}
				want = append(want, bytes.Join(chunks, nil))
			}
			p := ok(b.Finish())
			if p.Key != MakeKey(kind, testSession, sha256.Sum256(p.Data)) || p.Key.Kind() != kind {
				t.Errorf("key %s", p.Key.Name())
			}
			if n := uint64(len(p.Data)); seal.Padme(n) != n || int64(n) != p.Directory.PackSize() {
				t.Errorf("%d bytes, the directory says %d", n, p.Directory.PackSize())
			}
			s := stored(t, p)
			d, err := ReadDirectory(ctx, s, testKeys, p.Key, int64(len(p.Data)))
			if err != nil || !bytes.Equal(d.Encoding(), p.Directory.Encoding()) || d.Hash() != p.Directory.Hash() {
				t.Fatalf("ReadDirectory: %v", err)
			}
			compareDirectory(t, d)
			got, errs := frames(s, p.Key, d)
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if !bytes.Equal(got[i], want[i]) {
					t.Errorf("frame %d: %d bytes, want %d", i, len(got[i]), len(want[i]))
				}
			}
			if q := build(t, kind, 2, frameOf(t, chunkCases()[0]...)); bytes.Equal(q.Data[:headSize], p.Data[:headSize]) {
				t.Error("two packs have one salt")
			}
		})
	}
}

func TestLargestFrame(t *testing.T) {
	for name, plain := range map[string][]byte{"noise": noise(MaxFrame, 6), "zeros": make([]byte, MaxFrame)} {
		t.Run(name, func(t *testing.T) {
			f := frameOf(t, plain)
			b := ok(NewBuilder(seal.Tree, testSession, testKeys, fixed(1), nil))
			if !b.Fits(f) {
				t.Error("an empty pack does not take it")
			}
			if err := b.Add(f); err != nil {
				t.Fatal(err)
			}
			if name == "noise" && b.Fits(frameOf(t, []byte("x"))) {
				t.Error("a tree pack of 16 MiB takes more")
			}
			p := ok(b.Finish())
			s := stored(t, p)
			got, errs := frames(s, p.Key, ok(ReadDirectory(ctx, s, testKeys, p.Key, int64(len(p.Data)))))
			if errs[0] != nil || !bytes.Equal(got[0], plain) {
				t.Error(errs[0])
			}
			if _, err := ok(NewEncoder()).Encode(append(plain, 0), []Chunk{{Sum(plain), len(plain)}}); err == nil {
				t.Error("a byte more is taken")
			}
		})
	}
	if _, err := ok(NewEncoder()).Encode(nil, nil); err == nil {
		t.Error("a frame of nothing is taken")
	}
}

// A pack that holds what Fits let in is never larger than where a writer closes it.
func TestFitsUpToTheTarget(t *testing.T) {
	for kind, target := range map[seal.Kind]int{seal.Tree: TreeTarget, seal.Data: DataTarget} {
		b := ok(NewBuilder(kind, testSession, testKeys, fixed(1), nil))
		big := frameOf(t, noise(1<<20, 7))
		n := byte(0)
		for ; b.Fits(big); n++ {
			big.Chunks[0].ID = ID{n} // not looked at until it is read
			if err := b.Add(big); err != nil {
				t.Fatal(err)
			}
		}
		if int(n) != target>>20-1 {
			t.Errorf("%v: %d frames of 1 MiB", kind, n)
		}
		// What is left is a frame of exactly so many bytes.
		left := target - b.Size() - frameRow - chunkRow - 2*seal.Overhead - footerSize
		last := frameOf(t, noise(left+1, 8))
		if b.Fits(last) {
			t.Errorf("%v: a frame of %d bytes fits into %d", kind, left+1, left)
		}
		last = frameOf(t, noise(left, 8))
		if !b.Fits(last) || b.Add(last) != nil {
			t.Errorf("%v: a frame of %d bytes does not fit into %d", kind, left, left)
		}
		if p := ok(b.Finish()); len(p.Data) != target {
			t.Errorf("%v: a full pack has %d bytes, want %d", kind, len(p.Data), target)
		}
	}
}

func TestDirectoryIsNeverTooLarge(t *testing.T) {
	tiny := func(n, from int) *Frame {
		f := &Frame{Coding: Raw, Plain: n, Coded: noise(n, 9)}
		for i := range n {
			f.Chunks = append(f.Chunks, Chunk{sha256.Sum256(u32(from + i)), 1})
		}
		return f
	}
	b := ok(NewBuilder(seal.Data, testSession, testKeys, fixed(1), nil))
	if err := b.Add(tiny(MaxChunks, 0)); err != nil {
		t.Fatal(err)
	}
	more := tiny(2, MaxChunks)
	if b.Fits(more) {
		t.Error("a directory at its limit takes more")
	}
	if err := b.Add(more); err == nil || errors.Is(err, ErrSelfCheck) {
		t.Errorf("Add = %v", err)
	}
	p := ok(b.Finish())
	if n := len(p.Directory.Encoding()); n > MaxDirectory || n < MaxDirectory-2*chunkRow {
		t.Errorf("a directory of %d bytes", n)
	}
	if d, err := ReadDirectory(ctx, stored(t, p), testKeys, p.Key, int64(len(p.Data))); err != nil || d.Len() != MaxChunks {
		t.Error(err)
	}
	e, b := ok(NewEncoder()), ok(NewBuilder(seal.Data, testSession, testKeys, fixed(1), nil))
	over := tiny(MaxChunks+2, 0)
	if _, err := e.Encode(over.Coded, over.Chunks); err == nil {
		t.Error("an encoder takes more chunks than a directory holds")
	}
	if err := b.Add(over); err == nil || errors.Is(err, ErrSelfCheck) {
		t.Errorf("Add = %v", err)
	}
}

func TestBufferIsUsedAgain(t *testing.T) {
	p := build(t, seal.Data, 1, frameOf(t, noise(10_000, 1)))
	want := bytes.Clone(p.Data)
	b := ok(NewBuilder(seal.Data, testSession, testKeys, fixed(1), noise(30_000, 2)))
	if err := b.Add(frameOf(t, noise(10_000, 1))); err != nil {
		t.Fatal(err)
	}
	if q := ok(b.Finish()); !bytes.Equal(q.Data, want) || cap(q.Data) != 30_000 {
		t.Errorf("%d bytes in %d", len(q.Data), cap(q.Data))
	}
}

// faulty seals as it should, and then a bit falls over in part number n.
type faulty struct {
	*seal.Sealer
	n int
}

func (f *faulty) Seal(dst, plain []byte, d seal.Domain, off uint64) []byte {
	out := f.Sealer.Seal(dst, plain, d, off)
	if f.n--; f.n == 0 {
		out[len(out)-len(plain)/2-1] ^= 1
	}
	return out
}

func TestSelfCheckFindsAFlippedBit(t *testing.T) {
	for n := 1; n <= 4; n++ {
		b := ok(NewBuilder(seal.Data, testSession, testKeys, fixed(1), nil))
		b.sealer = &faulty{b.sealer.(*seal.Sealer), n}
		err := b.Add(frameOf(t, []byte("one")))
		if err == nil {
			err = b.Add(frameOf(t, []byte("two")))
		}
		if err == nil {
			_, err = b.Finish()
		}
		if !errors.Is(err, ErrSelfCheck) {
			t.Errorf("part %d: %v", n, err)
		}
	}
	e := ok(NewEncoder())
	e.dec = ok(zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1000))) // one that does not get it back
	if _, err := e.Encode(make([]byte, 2000), nil); !errors.Is(err, ErrSelfCheck) {
		t.Errorf("coding: %v", err)
	}
}

func TestFinishRefusesWhatNobodyCouldRead(t *testing.T) {
	for name, fs := range map[string][]*Frame{
		"nothing":         nil,
		"chunk twice":     {frameOf(t, []byte("a")), frameOf(t, []byte("a"))},
		"lengths are off": {{Coding: Raw, Plain: 3, Coded: []byte("abc"), Chunks: []Chunk{{Sum([]byte("abc")), 4}}}},
	} {
		b := ok(NewBuilder(seal.Data, testSession, testKeys, fixed(1), nil))
		for _, f := range fs {
			if err := b.Add(f); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p, err := b.Finish(); !errors.Is(err, ErrDirectory) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if _, err := NewBuilder(seal.Ledger, testSession, testKeys, fixed(1), nil); err == nil {
		t.Error("a pack of entries")
	}
	if _, err := NewBuilder(seal.Data, testSession, testKeys, dry{}, nil); !errors.Is(err, errDry) {
		t.Error(err)
	}
}

func TestEncodeChoosesTheShorter(t *testing.T) {
	for name, c := range map[string]struct {
		plain []byte
		want  Coding
	}{
		"text":  {bytes.Repeat([]byte("abc "), 1000), Zstd},
		"noise": {noise(100_000, 1), Raw},
		"tiny":  {[]byte("ab"), Raw},
	} {
		f := ok(ok(NewEncoder()).Encode(c.plain, []Chunk{{Sum(c.plain), len(c.plain)}}))
		if f.Coding != c.want || len(f.Coded) > len(c.plain) || f.Plain != len(c.plain) {
			t.Errorf("%s: coding %d, %d bytes for %d", name, f.Coding, len(f.Coded), f.Plain)
		}
		before := bytes.Clone(f.Coded)
		clear(c.plain)
		if diff := cmp.Diff(before, f.Coded); diff != "" {
			t.Errorf("%s: the frame points into what it was made of", name)
		}
	}
}
