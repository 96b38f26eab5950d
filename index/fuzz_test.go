package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"testing"

	"satchel/store/pack"
)

// The values are under checksums that no fuzzer guesses: each target tries the bytes as
// they are, and then under the right checksum.

func FuzzRows(f *testing.F) {
	value, _ := merge(rows{prefix: 7}, []row{{7<<48 | 1, 1 << 16}, {7<<48 | 1, 2<<16 | 5}}, func(uint32) bool { return false })
	f.Add(uint16(7), value)
	f.Add(uint16(0), []byte{})
	f.Fuzz(func(t *testing.T, prefix uint16, b []byte) {
		decodeRows(prefix, b)
		r, err := decodeRows(prefix, appendCRC(prefixKey(prefix), bytes.Clone(b)))
		if (err == nil) != (len(b)%rowSize == 0) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		again, err := merge(r, nil, func(uint32) bool { return false })
		if err == nil && !bytes.Equal(again[:len(b)], b) {
			t.Fatal("not canonical")
		}
		id := pack.ID{0: byte(prefix >> 8), 1: byte(prefix)}
		copy(id[2:], b)
		if i := r.find(id); err == nil && len(b) > 0 && r.row(i).id != makeRow(id, 0, 0).id {
			t.Fatal("not found", i)
		}
	})
}

func FuzzDir(f *testing.F) {
	key := dirKey(repo, "d")
	f.Add(someDir(4).encode(key))
	f.Add(make([]byte, dirHead))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeDir(key, b)
		if len(b) < sumSize {
			return
		}
		b = append(sum(bDirs, key, b[sumSize:]), b[sumSize:]...)
		if d, err := decodeDir(key, b); err == nil && !bytes.Equal(d.encode(key), b) {
			t.Fatal("not canonical")
		}
	})
}

func FuzzPackValues(f *testing.F) {
	p := rawPack(1, []pack.ID{{1}, {2}})
	k := append(repo[:], p.Key[:]...)
	f.Add(k, encodeUnderway(k, &p))
	f.Add(p.Key[:], listing{1, p.Size, p.Hash}.encode(p.Key))
	f.Add(numberKey(1), encodeDirectory(1, &p, false))
	f.Fuzz(func(t *testing.T, key, b []byte) {
		decodeUnderway(key, b)
		decodeDirectory(1, b, true)
		decodeDirectory(1, b, false)
		if k, l, err := decodeListing(key, appendCRC(key, bytes.Clone(b))); err == nil && !bytes.Equal(l.encode(k)[:len(b)], b) {
			t.Fatal("not canonical")
		}
	})
}

func FuzzState(f *testing.F) {
	s := &state{repo: repo, tie: Tie{Position: 7}, next: 3, packs: 2, chunks: 9, prefixes: new(prefixes)}
	f.Add(s.encode(), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, head, bits []byte) {
		decodeState(head, bits)
		p := new(prefixes)
		copy(p[:], bits)
		if len(head) >= sumSize {
			head = head[:len(head)-sumSize]
		}
		head = append(bytes.Clone(head), sum(bHead, kHead, head)...)
		s, err := decodeState(head, appendCRC(kPrefixes, bytes.Clone(p[:])))
		if err == nil && (!bytes.Equal(s.encode(), head) || *s.prefixes != *p) {
			t.Fatal("not canonical")
		}
	})
}

// FuzzCheckFile patches a file: at four bytes of offset, one byte each.
func FuzzCheckFile(f *testing.F) {
	file := makeSample(f, seeded(1)).file
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 16 + 40, 200, 0, 0, 64, 16 + 40, 200}) // more pages
	f.Add([]byte{0, 0, 0, 16 + 32, 3, 0, 0, 64, 16 + 32, 3})     // another freelist
	f.Add([]byte{0, 0, 0, 16 + 16, 3, 0, 0, 64, 16 + 16, 3})     // another root
	f.Fuzz(func(t *testing.T, patch []byte) {
		b := bytes.Clone(file)
		for ; len(patch) >= 5; patch = patch[5:] {
			b[int(binary.BigEndian.Uint32(patch)%uint32(len(b)))] = patch[4]
		}
		for at := pageHead; at < 2*pageSize; at += pageSize { // metas
			h := fnv.New64a()
			h.Write(b[at : at+metaSize-8])
			native.PutUint64(b[at+metaSize-8:], h.Sum64())
		}
		for _, full := range []bool{false, true} {
			if err := checkFile(bytes.NewReader(b), int64(len(b)), full); err != nil && !errors.Is(err, ErrTorn) {
				t.Fatal(err)
			}
		}
	})
}
