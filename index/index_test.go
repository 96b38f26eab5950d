package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"satchel/store/pack"
	"satchel/store/seal"
)

var (
	tenMillion = flag.Bool("10m", false, "benchmarks of ten million chunks too")
	seed       = flag.Uint64("seed", 0, "of the random tests; 0 is another each time")
	tries      = flag.Int("tries", 100, "how many random damages the tests of torn files try")
)

func seeded(n uint64) *rand.ChaCha8 {
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], n)
	return rand.NewChaCha8(s)
}

var repo = [16]byte{0: 's', 15: 'r'}

// makePack makes a pack of a session that exists only as a directory.
func makePack(session uint64, frames ...*pack.Frame) Pack {
	head := make([]byte, 48)
	binary.BigEndian.PutUint64(head, session)
	enc := pack.EncodeDirectory(head, frames)
	var s pack.Session
	copy(s[:], head)
	return Pack{
		Key:       pack.MakeKey(seal.Data, s, sha256.Sum256(append(bytes.Clone(enc), 'p'))),
		Size:      int64(len(enc)) + 1000,
		Hash:      sha256.Sum256(enc),
		Directory: enc,
	}
}

// makeFrame makes a frame of chunks with the sizes that sizeOf tells.
func makeFrame(ids ...pack.ID) *pack.Frame {
	f := &pack.Frame{Coding: pack.Raw}
	for _, id := range ids {
		f.Chunks = append(f.Chunks, pack.Chunk{ID: id, Size: sizeOf(id)})
		f.Plain += sizeOf(id)
	}
	f.Coded = make([]byte, f.Plain)
	return f
}

// makeDelta makes a frame of one chunk that needs another.
func makeDelta(id, base pack.ID) *pack.Frame {
	f := makeFrame(id)
	f.Coding, f.Base = pack.ZstdDelta, base
	return f
}

// rawPack puts each chunk into a frame of its own.
func rawPack(session uint64, ids []pack.ID) Pack {
	frames := make([]*pack.Frame, len(ids))
	for i, id := range ids {
		frames[i] = makeFrame(id)
	}
	return makePack(session, frames...)
}

// sizeOf is the size that the tests give to a chunk.
func sizeOf(id pack.ID) int { return 1 + int(id[31]) }

func randomID(r *rand.ChaCha8) (id pack.ID) {
	r.Read(id[:])
	return id
}

func mustOpen(t testing.TB, path string) *Index {
	t.Helper()
	x, err := Open(path, repo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func newIndex(t testing.TB) *Index { return mustOpen(t, filepath.Join(t.TempDir(), "index")) }
