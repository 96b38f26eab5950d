package pack

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"satchel/store/seal"
)

// vectors.json is FORMAT.md §2 and §3 by example, for readers in other languages. Bytes are
// hexadecimal; the packs lie beside it.
type vectors struct {
	Repository string        `json:"repository"`
	Generation uint32        `json:"generation"`
	Master     string        `json:"master"` // key of the generation
	Packs      []vectorPack  `json:"packs"`
	Segment    vectorSegment `json:"segment"`
}

type vectorPack struct {
	File          string        `json:"file"`
	Name          string        `json:"name"`
	Key           string        `json:"key"` // 57 bytes
	Size          int           `json:"size"`
	Subkey        string        `json:"subkey"` // K of §2
	Directory     string        `json:"directory"`
	DirectoryHash string        `json:"directory_hash"`
	Frames        []vectorFrame `json:"frames"`
}

type vectorFrame struct {
	Offset int64         `json:"offset"`
	Stored int           `json:"stored"`
	Plain  int           `json:"plain"`
	Coding Coding        `json:"coding"`
	Coded  string        `json:"coded"`
	Chunks []vectorChunk `json:"chunks"`
}

type vectorChunk struct {
	ID    string `json:"id"`
	Size  int    `json:"size"`
	Bytes string `json:"bytes"`
}

type vectorSegment struct {
	Payload string   `json:"payload"` // both packs
	Packs   []string `json:"packs"`
}

// goldenPacks are built from fixed coded bytes, not by an Encoder: what zstd makes of a text
// may be another thing in the next version of its library.
func goldenPacks(t *testing.T) []*Packed {
	text := bytes.Repeat([]byte("satchel carries what git ignores\n"), 20)
	coded := ok(hex.DecodeString("28b52ffd400094015d010014027361746368656c20636172726965732077686174206769742069676e6f7265730a015416052d814302"))
	a, b := []byte("DATABASE_URL=file:app.db\n"), []byte{0, 1, 2, 3, 254, 255}
	both := append(bytes.Clone(a), b...)
	return []*Packed{
		build(t, seal.Data, 11,
			&Frame{Coding: Raw, Plain: len(both), Coded: both, Chunks: []Chunk{{Sum(a), len(a)}, {Sum(b), len(b)}}},
			&Frame{Coding: Zstd, Plain: len(text), Coded: coded, Chunks: []Chunk{{Sum(text), len(text)}}}),
		build(t, seal.Tree, 12, &Frame{Coding: Raw, Plain: 1, Coded: []byte{0xa0}, Chunks: []Chunk{{Sum([]byte{0xa0}), 1}}}),
	}
}

func TestGoldenPacks(t *testing.T) {
	v := vectors{Repository: testRepo.String(), Generation: 1, Master: hex.EncodeToString(testRing.Masters[0].Key[:])}
	var entries []Entry
	for _, p := range goldenPacks(t) {
		file := fmt.Sprintf("pack-%c.hex", p.Key.Kind())
		golden(t, file, p.Data)
		w := vectorPack{File: file, Name: p.Key.Name(), Key: hex.EncodeToString(p.Key[:]), Size: len(p.Data),
			Subkey: hex.EncodeToString(subkey(t, p.Data, byte(p.Key.Kind()))), Directory: hex.EncodeToString(p.Directory.Encoding())}
		h := p.Directory.Hash()
		w.DirectoryHash = hex.EncodeToString(h[:])
		got, errs := frames(stored(t, p), p.Key, p.Directory)
		o := ok(Opener(testKeys, p.Key, p.Directory))
		for i, f := range p.Directory.Frames() {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			coded := ok(o.Open(nil, p.Data[f.Offset:f.Offset+int64(f.Stored)], seal.Frame, uint64(f.Offset)))
			x := vectorFrame{Offset: f.Offset, Stored: f.Stored, Plain: f.Plain, Coding: f.Coding, Coded: hex.EncodeToString(coded)}
			rest := got[i]
			for c := f.First; c < f.First+f.Chunks; c++ {
				id, n := p.Directory.ID(c), p.Directory.Size(c)
				x.Chunks = append(x.Chunks, vectorChunk{hex.EncodeToString(id[:]), n, hex.EncodeToString(rest[:n])})
				rest = rest[n:]
			}
			w.Frames = append(w.Frames, x)
		}
		v.Packs = append(v.Packs, w)
		v.Segment.Packs = append(v.Segment.Packs, p.Key.Name())
		entries = append(entries, Entry{p.Key, int64(len(p.Data)), p.Directory.Encoding()})
	}
	v.Segment.Payload = hex.EncodeToString(EncodeSegments(entries)[0])
	b := append(ok(json.MarshalIndent(v, "", "  ")), '\n')
	if *update {
		write(t, "vectors.json", b)
	}
	if diff := cmp.Diff(string(ok(os.ReadFile(filepath.Join("testdata", "vectors.json")))), string(b)); diff != "" {
		t.Errorf("vectors.json (-file +now):\n%s", diff)
	}
}

// A directory of every coding, deltas too, whatever can be read of them.
func TestGoldenDirectory(t *testing.T) {
	golden(t, "directory.hex", EncodeDirectory(noise(headSize, 13), []*Frame{
		{Coding: Raw, Plain: 5, Coded: make([]byte, 5), Chunks: []Chunk{{ID{1}, 2}, {ID{2}, 3}}},
		{Coding: Zstd, Plain: 1 << 20, Coded: make([]byte, 1000), Chunks: []Chunk{{ID{3}, 1 << 20}}},
		{Coding: ZstdDelta, Base: ID{0xb1}, Plain: 1 << 18, Coded: make([]byte, 70), Chunks: []Chunk{{ID{4}, 1 << 18}}},
		{Coding: PagePatch, Base: ID{0xb2}, Plain: 1 << 18, Coded: make([]byte, 60), Chunks: []Chunk{{ID{5}, 1 << 18}}},
	}))
	d := ok(ParseDirectory(readGolden("directory.hex")))
	compareDirectory(t, d)
	if f := d.Frames()[3]; f.Coding != PagePatch || f.Base != (ID{0xb2}) || f.Offset != 80+21+1016+86 || f.First != 4 {
		t.Errorf("%+v", f)
	}
}

// subkey is K of FORMAT.md §2, for the object that begins with these bytes; the commitment
// is compared.
func subkey(t *testing.T, object []byte, kind byte) []byte {
	t.Helper()
	prk := ok(hkdf.Extract(sha256.New, testRing.Masters[0].Key[:], append([]byte("satchel/1"), testRepo[:]...)))
	out := ok(hkdf.Expand(sha256.New, prk, "object"+string([]byte{kind})+string(object[:48]), 64))
	if !bytes.Equal(out[32:], object[48:80]) {
		t.Error("the commitment is another one")
	}
	return out[:32]
}

// TestVectorsReadByHand is a second reader: it knows FORMAT.md, and nothing of this package.
func TestVectorsReadByHand(t *testing.T) {
	var v vectors
	if err := json.Unmarshal(ok(os.ReadFile("testdata/vectors.json")), &v); err != nil {
		t.Fatal(err)
	}
	if v.Repository != testRepo.String() || v.Master != hex.EncodeToString(testRing.Masters[0].Key[:]) || len(v.Packs) != 2 {
		t.Fatal("not the vectors of this repository")
	}
	for _, p := range v.Packs {
		b := readGolden(p.File)
		sum := sha256.Sum256(b)
		kind, session, hash := p.Name[0], p.Name[2:50], p.Name[51:]
		if hash != hex.EncodeToString(sum[:]) || p.Key != fmt.Sprintf("%x", kind)+session+hash || p.Size != len(b) {
			t.Errorf("%s: it is not its name", p.File)
		}
		if string(b[:8]) != "satchel\n" || !bytes.Equal(b[8:16], []byte{1, 1, 0, 0, 0, 0, 0, 1}) {
			t.Errorf("%s: header %x", p.File, b[:16])
		}
		key := subkey(t, b, kind)
		if hex.EncodeToString(key) != p.Subkey {
			t.Errorf("%s: subkey %x", p.File, key)
		}
		gcm := ok(cipher.NewGCM(ok(aes.NewCipher(key))))
		open := func(domain byte, from, to int) []byte {
			nonce := binary.BigEndian.AppendUint64([]byte{domain, 0, 0, 0}, uint64(from))
			return ok(gcm.Open(nil, nonce, b[from:to], append(bytes.Clone(b[:80]), domain)))
		}
		footer := open(3, len(b)-36, len(b))
		off, length, enc := int(binary.BigEndian.Uint64(footer)), int(binary.BigEndian.Uint64(footer[8:])), int(binary.BigEndian.Uint32(footer[16:]))
		if off+length != len(b)-36 {
			t.Fatalf("%s: directory of %d at %d", p.File, length, off)
		}
		directory := open(2, off, off+length)
		if strings.Trim(string(directory[enc:]), "\x00") != "" || hex.EncodeToString(directory[:enc]) != p.Directory || !bytes.Equal(directory[:48], b[:48]) {
			t.Errorf("%s: directory %x", p.File, directory)
		}
		d := directory[:enc]
		if h := sha256.Sum256(d); hex.EncodeToString(h[:]) != p.DirectoryHash {
			t.Errorf("%s: directory hash %x", p.File, h)
		}
		frames, chunks := int(binary.BigEndian.Uint32(d[48:])), int(binary.BigEndian.Uint32(d[52:]))
		if frames != len(p.Frames) || binary.BigEndian.Uint32(d[56:]) != 0 || len(d) != 60+13*frames+36*chunks {
			t.Fatalf("%s: %d frames, %d chunks", p.File, frames, chunks)
		}
		row, at := d[60+13*frames:], 80
		for i, f := range p.Frames {
			r := d[60+13*i:]
			stored, plain := int(binary.BigEndian.Uint32(r)), int(binary.BigEndian.Uint32(r[4:]))
			if int(f.Offset) != at || f.Stored != stored || f.Plain != plain || len(f.Chunks) != int(binary.BigEndian.Uint32(r[8:])) || byte(f.Coding) != r[12] {
				t.Errorf("%s: frame %d: %x", p.File, i, r[:13])
			}
			coded := open(1, at, at+stored)
			if f.Coding == 1 {
				coded = ok(ok(zstd.NewReader(nil)).DecodeAll(coded, nil))
			}
			for _, c := range f.Chunks {
				sum := sha256.Sum256(coded[:c.Size])
				if hex.EncodeToString(sum[:]) != c.ID || hex.EncodeToString(row[:32]) != c.ID || int(binary.BigEndian.Uint32(row[32:])) != c.Size ||
					hex.EncodeToString(coded[:c.Size]) != c.Bytes {
					t.Errorf("%s: chunk %s", p.File, c.ID)
				}
				coded, row = coded[c.Size:], row[36:]
			}
			if len(coded) != 0 {
				t.Errorf("%s: frame %d: %d bytes too many", p.File, i, len(coded))
			}
			at += stored
		}
		if at != off || len(row) != 0 {
			t.Errorf("%s: frames end at %d, the directory begins at %d", p.File, at, off)
		}
	}
	segment := ok(hex.DecodeString(v.Segment.Payload))
	if n := int(binary.BigEndian.Uint32(segment)); n != 2 {
		t.Fatalf("a segment of %d packs", n)
	}
	segment = segment[4:]
	for _, p := range v.Packs {
		n := len(p.Directory) / 2
		if hex.EncodeToString(segment[:57]) != p.Key || int(binary.BigEndian.Uint64(segment[57:])) != p.Size ||
			int(binary.BigEndian.Uint32(segment[65:])) != n || hex.EncodeToString(segment[69:69+n]) != p.Directory {
			t.Errorf("segment: %x", segment[:69])
		}
		segment = segment[69+n:]
	}
	if len(segment) != 0 {
		t.Errorf("segment: %d bytes too many", len(segment))
	}
}
