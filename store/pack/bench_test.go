package pack

import (
	"bytes"
	"fmt"
	"testing"

	"satchel/store/seal"
)

// words is text that compresses about as well as source does.
func words(n int) []byte {
	r := fixed(3)
	var b bytes.Buffer
	for b.Len() < n {
		v := r.Uint64()
		fmt.Fprintf(&b, "\tif w%d, err := f%d(x.field%d); err != nil { return %x }\n", v%97, v>>8%53, v>>16%31, v>>24&0xffff)
	}
	return b.Bytes()[:n]
}

// chunksOf cuts plain into chunks of 8 KiB.
func chunksOf(plain []byte) (chunks []Chunk) {
	for at := 0; at < len(plain); at += 8 << 10 {
		b := plain[at:min(at+8<<10, len(plain))]
		chunks = append(chunks, Chunk{ID: Sum(b), Size: len(b)})
	}
	return chunks
}

func BenchmarkEncode(b *testing.B) {
	for name, plain := range map[string][]byte{"text": words(1 << 20), "noise": noise(1<<20, 1)} {
		b.Run(name, func(b *testing.B) {
			chunks, enc := chunksOf(plain), ok(NewEncoder())
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				ok(enc.Encode(plain, chunks))
			}
		})
	}
}

// benchPack is a pack of 30 frames of a MiB that do not compress.
func benchPack(room []byte) *Packed {
	enc := ok(NewEncoder())
	b := ok(NewBuilder(seal.Data, testSession, testKeys, fixed(1), room))
	for i := range 30 {
		plain := noise(1<<20, byte(i))
		if err := b.Add(ok(enc.Encode(plain, chunksOf(plain)))); err != nil {
			panic(err)
		}
	}
	return ok(b.Finish())
}

func BenchmarkBuild(b *testing.B) {
	f := &Frame{Coding: Raw, Plain: 1 << 20, Coded: noise(1<<20, 9)}
	f.Chunks = chunksOf(f.Coded)
	room := make([]byte, 0, DataTarget)
	b.SetBytes(30 << 20)
	b.ReportAllocs()
	for b.Loop() {
		p := ok(NewBuilder(seal.Data, testSession, testKeys, fixed(1), room))
		for i := range 30 {
			for c := range f.Chunks { // no chunk stands twice
				f.Chunks[c].ID[0], f.Chunks[c].ID[1] = byte(i), byte(c)
			}
			if err := p.Add(f); err != nil {
				b.Fatal(err)
			}
		}
		ok(p.Finish())
	}
}

func BenchmarkReadFrames(b *testing.B) {
	p := benchPack(nil)
	o, dec := ok(Opener(testKeys, p.Key, p.Directory)), ok(NewDecoder())
	var plain []byte
	b.SetBytes(30 << 20)
	b.ReportAllocs()
	for b.Loop() {
		for i, f := range p.Directory.Frames() {
			plain = ok(dec.Frame(plain[:0], o, p.Key, p.Directory, i, p.Data[f.Offset:f.Offset+int64(f.Stored)], nil))
		}
	}
}
