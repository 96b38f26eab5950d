package index

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"

	"satchel/store/pack"
)

// sizes of the benchmarks, in chunks. Ten million is asked for by name:
//
//	go test ./index -run '^$' -bench 'Update/10M' -benchtime 1x
var sizes = []struct {
	name   string
	chunks int
}{{"100k", 100_000}, {"1M", 1_000_000}, {"10M", 10_000_000}}

// perPack is the number of chunks of a pack of 32 MiB with chunks of 1 MiB: what makes
// most packs for a number of chunks.
const perPack = 32

// manyPacks makes packs of chunks whose ids are those of a sequence, see benchID.
func manyPacks(first, chunks int) []Pack {
	packs := make([]Pack, 0, chunks/perPack+1)
	for c := 0; c < chunks; c += perPack {
		ids := make([]pack.ID, min(perPack, chunks-c))
		for i := range ids {
			ids[i] = benchID(first + c + i)
		}
		packs = append(packs, rawPack(uint64(first+c), ids))
	}
	return packs
}

// benchID is the id of a chunk: as even as a hash, and cheap.
func benchID(n int) pack.ID {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	r := rand.NewChaCha8(seed)
	var id pack.ID
	r.Read(id[:])
	return id
}

// build fills an index in batches of a million chunks.
func build(b *testing.B, path string, chunks int) *Index {
	b.Helper()
	x, err := Open(path, [16]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	const batch = 1_000_000
	for at := 0; at < chunks; at += batch {
		n := min(batch, chunks-at)
		tie := Tie{}
		if at+n == chunks {
			tie.Position = uint64(chunks)
		}
		b.StopTimer()
		packs := manyPacks(at, n)
		b.StartTimer()
		if err := x.Update(tie, packs, nil); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

// report tells file size and memory, in bytes.
func report(b *testing.B, x *Index, chunks int) {
	s, err := x.Summary()
	if err != nil {
		b.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(s.Size)/1e6, "MB-file")
	b.ReportMetric(float64(s.Size)/float64(chunks), "file-B/item")
	b.ReportMetric(float64(m.HeapSys)/1e6, "MB-heap")
}

func BenchmarkUpdate(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			heavy(b, size.chunks)
			for range b.N {
				x := build(b, filepath.Join(b.TempDir(), "index"), size.chunks)
				b.StopTimer()
				report(b, x, size.chunks)
				b.ReportMetric(float64(size.chunks)*float64(b.N)/b.Elapsed().Seconds(), "chunks/s")
				x.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkPush adds one pack of 32 chunks to an index of some size.
func BenchmarkPush(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			heavy(b, size.chunks)
			x := build(b, filepath.Join(b.TempDir(), "index"), size.chunks)
			defer x.Close()
			b.ResetTimer()
			for i := range b.N {
				at := size.chunks + i*perPack
				if err := x.Update(Tie{Position: uint64(at)}, manyPacks(at, perPack), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			heavy(b, size.chunks)
			path := filepath.Join(b.TempDir(), "index")
			x := build(b, path, size.chunks)
			defer x.Close()
			for _, hit := range []bool{true, false} {
				b.Run(fmt.Sprintf("hit=%v", hit), func(b *testing.B) {
					b.ReportAllocs()
					for i := range b.N {
						n := i * 7919 % size.chunks
						if !hit {
							n += size.chunks
						}
						if _, ok, err := x.Lookup(benchID(n)); err != nil || ok != hit {
							b.Fatal(n, ok, err)
						}
					}
				})
			}
			b.Run("open", func(b *testing.B) {
				x.Close()
				for range b.N {
					var err error
					if x, err = Open(path, [16]byte{1}); err != nil || x.Rebuilt() != "" {
						b.Fatal(err, x.Rebuilt())
					}
					x.Close()
				}
				x, _ = Open(path, [16]byte{1})
			})
			b.Run("packs", func(b *testing.B) {
				for range b.N {
					for _, err := range x.Packs() {
						if err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		})
	}
}

// heavy keeps sizes of minutes out of a plain -bench .
func heavy(b *testing.B, chunks int) {
	if chunks > 1_000_000 && !*tenMillion {
		b.Skip("give -10m")
	}
}

// BenchmarkDirs writes and reads the state of 200,000 files in 10,000 directories.
func BenchmarkDirs(b *testing.B) {
	const dirs, files = 10_000, 20
	d := Dir{Node: make([]byte, files*90), Stats: make([]Stat, files)}
	paths := make([]string, dirs)
	for i := range paths {
		paths[i] = fmt.Sprintf("some/folder/%04d/%03d", i/100, i%100)
	}
	path := filepath.Join(b.TempDir(), "index")
	x, err := Open(path, [16]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	all := func(yield func(string, Dir) bool) {
		for _, p := range paths {
			if !yield(p, d) {
				return
			}
		}
	}
	b.Run("put", func(b *testing.B) {
		for range b.N {
			if err := x.PutDirs([16]byte{}, all, nil); err != nil {
				b.Fatal(err)
			}
		}
		report(b, x, dirs*files)
	})
	b.Run("get", func(b *testing.B) {
		for range b.N {
			for _, p := range paths {
				if got, ok, err := x.Dir([16]byte{}, p); !ok || err != nil || len(got.Stats) != files {
					b.Fatal(ok, err)
				}
			}
		}
	})
}

// BenchmarkUnderway notes a pack of 32 MiB.
func BenchmarkUnderway(b *testing.B) {
	x, err := Open(filepath.Join(b.TempDir(), "index"), [16]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	packs := manyPacks(0, 1_000_000)
	b.ResetTimer()
	for i := range b.N {
		if err := x.AddUnderway([16]byte{}, packs[i%len(packs)]); err != nil {
			b.Fatal(err)
		}
	}
}
