package pack

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store/seal"
)

func entry(n byte, size int64, dir []byte) Entry {
	return Entry{Key: MakeKey(seal.Data, testSession, Sum([]byte{n})), Size: size, Directory: dir}
}

func TestSegmentsRoundTrip(t *testing.T) {
	r := random(t)
	for _, n := range []int{1, 2, 300} {
		var in []Entry
		for range n {
			k := MakeKey([]seal.Kind{seal.Data, seal.Tree}[r.IntN(2)], testSession, Sum(u32(int(r.Uint32()))))
			in = append(in, Entry{k, r.Int64N(MaxPack + 1), noise(r.IntN(3000), byte(r.Uint32()))})
		}
		before := slices.Clone(in)
		out := EncodeSegments(in)
		if diff := cmp.Diff(before, in); diff != "" {
			t.Errorf("the caller's order changed:\n%s", diff)
		}
		if len(out) != 1 {
			t.Fatalf("%d segments", len(out))
		}
		got, err := ParseSegment(out[0])
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(in, func(a, b Entry) int { return bytes.Compare(a.Key[:], b.Key[:]) })
		if diff := cmp.Diff(in, got); diff != "" {
			t.Errorf("%d packs (-in +out):\n%s", n, diff)
		}
	}
	if out := EncodeSegments(nil); out != nil {
		t.Errorf("of nothing: %x", out)
	}
}

func TestSegmentsSplit(t *testing.T) {
	if MaxSegment != seal.Segment.MaxPayload() {
		t.Errorf("a segment of %d bytes, and %d can be sealed", MaxSegment, seal.Segment.MaxPayload())
	}
	row := func(n int) []byte { return noise(n, 1) }
	full := MaxSegment - 4 - 4*segmentRow - 3*MaxDirectory // four packs fill a segment to the last byte
	for name, c := range map[string]struct {
		last int
		want []int // packs by segment
	}{
		"one byte less": {full - 1, []int{4}},
		"full":          {full, []int{4}},
		"one byte more": {full + 1, []int{3, 1}},
	} {
		var in []Entry
		for i := range byte(3) {
			in = append(in, entry(i, 1, row(MaxDirectory)))
		}
		last := Entry{Key: Key{0: 't', 1: 0xff}, Size: 1, Directory: row(c.last)} // sorts last
		out := EncodeSegments(append(in, last))
		var got []int
		for _, payload := range out {
			got = append(got, len(ok(ParseSegment(payload))))
			if _, err := testKeys.SealObject(seal.Segment, 0, payload, fixed(1)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: packs by segment (-want +got):\n%s", name, diff)
		}
	}
}

func TestSegmentHoldsAPackOnce(t *testing.T) {
	a, b := entry(1, 10, []byte("first")), entry(2, 10, nil)
	twice := a
	twice.Directory = []byte("second")
	got, err := ParseSegment(EncodeSegments([]Entry{a, b, twice})[0])
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	for _, e := range got {
		if e.Key == a.Key && string(e.Directory) != "first" {
			t.Errorf("%q", e.Directory)
		}
	}
}

func TestParseSegmentRefuses(t *testing.T) {
	good := EncodeSegments([]Entry{entry(1, 100, []byte("one")), entry(2, 200, []byte("two"))})[0]
	one := len(EncodeSegments([]Entry{entry(1, 100, []byte("one"))})[0]) - 4
	for name, change := range map[string]func(b []byte) []byte{
		"nothing":             func(b []byte) []byte { return nil },
		"no packs":            func(b []byte) []byte { return make([]byte, 4) },
		"one pack too many":   func(b []byte) []byte { return append(u32(3), b[4:]...) },
		"one pack too few":    func(b []byte) []byte { return append(u32(1), b[4:]...) },
		"four billion packs":  func(b []byte) []byte { return append(u32(-1), b[4:]...) },
		"trailing byte":       func(b []byte) []byte { return append(b, 0) },
		"cut off":             func(b []byte) []byte { return b[:len(b)-1] },
		"cut off in a row":    func(b []byte) []byte { return b[:4+one+10] },
		"out of order":        func(b []byte) []byte { return slices.Concat(b[:4], b[4+one:], b[4:4+one]) },
		"pack twice":          func(b []byte) []byte { return slices.Concat(b[:4], b[4:4+one], b[4:4+one]) },
		"kind of no pack":     func(b []byte) []byte { b[4] = 'l'; return b },
		"larger than a pack":  func(b []byte) []byte { copy(b[4+KeySize:], []byte{0, 0, 0, 0, 4, 0, 0, 1}); return b },
		"size below zero":     func(b []byte) []byte { b[4+KeySize] = 0x80; return b },
		"encoding of 4 GiB":   func(b []byte) []byte { copy(b[4+KeySize+8:], u32(-1)); return b },
		"encoding over 1 MiB": func([]byte) []byte { return EncodeSegments([]Entry{entry(1, 1, make([]byte, MaxDirectory+1))})[0] },
		"longer than a limit": func(b []byte) []byte { return append(b, make([]byte, MaxSegment)...) },
	} {
		t.Run(name, func(t *testing.T) {
			b := change(bytes.Clone(good))
			if len(b) < 4096 {
				corpus(t, "FuzzParseSegment", name, b)
			}
			var got []Entry
			var err error
			if used := allocated(func() { got, err = ParseSegment(b) }); used > 64<<10 {
				t.Errorf("%d bytes were allocated", used)
			}
			if !errors.Is(err, ErrSegment) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func FuzzParseSegment(f *testing.F) {
	f.Add(EncodeSegments([]Entry{entry(1, 100, []byte("one")), entry(2, 200, nil)})[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseSegment(b)
		if err != nil {
			if !errors.Is(err, ErrSegment) {
				t.Error(err)
			}
			return
		}
		if again := EncodeSegments(got); len(again) != 1 || !bytes.Equal(again[0], b) {
			t.Errorf("%x is encoded again as %x", b, again)
		}
	})
}
