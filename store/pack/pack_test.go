package pack

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store"
	"satchel/store/seal"
	"satchel/store/storetest"
)

var (
	update = flag.Bool("update", false, "write the golden files and the fuzz corpora anew")
	seed   = flag.Uint64("seed", 0, "of the random tests; 0 is another each time")
)

// random returns a source that differs from run to run and says how to repeat it.
func random(t testing.TB) *rand.Rand {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// fixed returns the same bytes in every run, other ones for each seed.
func fixed(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	fixed(seed).Read(b)
	return b
}

func ok[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	testRepo    = seal.RepoID{0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	testRing    = ok(seal.NewKeyring(fixed(1)))
	testKeys    = testRing.Keys(testRepo)
	testSession = ok(NewSession(7, fixed(2)))
	ctx         = context.Background()
)

// frameOf encodes the given chunks as one frame.
func frameOf(t testing.TB, chunks ...[]byte) *Frame {
	t.Helper()
	var rows []Chunk
	for _, c := range chunks {
		rows = append(rows, Chunk{Sum(c), len(c)})
	}
	f, err := ok(NewEncoder()).Encode(bytes.Join(chunks, nil), rows)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func build(t testing.TB, kind seal.Kind, seed byte, frames ...*Frame) *Packed {
	t.Helper()
	b := ok(NewBuilder(kind, testSession, testKeys, fixed(seed), nil))
	for _, f := range frames {
		if err := b.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	p, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stored puts the pack into a new store.
func stored(t testing.TB, p *Packed) *storetest.Memory {
	t.Helper()
	m := storetest.NewMemory()
	if err := m.Put(ctx, p.Key.Name(), p.Data); err != nil {
		t.Fatal(err)
	}
	return m
}

// frames opens every frame of a pack with a directory that the caller has.
func frames(s store.Store, k Key, d *Directory) (plain [][]byte, errs []error) {
	o, err := Opener(testKeys, k, d)
	if err != nil {
		return nil, []error{err}
	}
	dec := ok(NewDecoder())
	for i, f := range d.Frames() {
		sealed, err := s.Get(ctx, k.Name(), f.Offset, int64(f.Stored))
		var b []byte
		if err == nil {
			b, err = dec.Frame(nil, o, k, d, i, sealed, nil)
		}
		plain, errs = append(plain, b), append(errs, err)
	}
	return plain, errs
}

// golden compares b with testdata/name, which is hexadecimal.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	if *update {
		var lines strings.Builder
		for rest := b; len(rest) > 0; rest = rest[min(32, len(rest)):] {
			fmt.Fprintf(&lines, "%x\n", rest[:min(32, len(rest))])
		}
		write(t, name, []byte(lines.String()))
	}
	if diff := cmp.Diff(hex.EncodeToString(readGolden(name)), hex.EncodeToString(b)); diff != "" {
		t.Errorf("%s (-file +now):\n%s", name, diff)
	}
}

func readGolden(name string) []byte {
	text := ok(os.ReadFile(filepath.Join("testdata", name)))
	return ok(hex.DecodeString(strings.Join(strings.Fields(string(text)), "")))
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// corpus keeps a case of a table as a seed of a fuzz target, under the name of its quirk.
func corpus(t testing.TB, target, quirk string, b []byte) {
	t.Helper()
	if *update {
		name := filepath.Join("fuzz", target, strings.NewReplacer(" ", "-", ",", "", "/", "-").Replace(quirk))
		write(t, name, fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", b))
	}
}

func u32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

var errDry = errors.New("dry")

// dry is a source of randomness that has none.
type dry struct{}

func (dry) Read([]byte) (int, error) { return 0, errDry }

var _ io.Reader = dry{}
