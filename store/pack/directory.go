package pack

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"satchel/store/seal"
)

// Coding says how a frame's plaintext is coded (FORMAT.md §3).
type Coding uint8

const (
	Raw       Coding = 0
	Zstd      Coding = 1
	ZstdDelta Coding = 2
	PagePatch Coding = 3
)

// Delta reports whether the coding needs a base chunk.
func (c Coding) Delta() bool { return c == ZstdDelta || c == PagePatch }

// Sizes of a directory's parts, in bytes.
const (
	dirHead  = headSize + 12
	headSize = 48 // the part of the pack's header from which its key is derived
	frameRow = 13
	baseRow  = sha256.Size
	chunkRow = sha256.Size + 4
	slack    = 1 << 10 // what a coding may add to incompressible data

	// footerSize is the sealed footer: three numbers and a tag.
	footerSize = 8 + 8 + 4 + seal.Overhead
)

// ErrDirectory is wrapped by every error about a directory that is not canonical.
var ErrDirectory = errors.New("bad pack directory")

// FrameInfo is one frame of a directory.
type FrameInfo struct {
	Offset int64  // in the pack
	Stored int    // bytes in the pack, tag included
	Plain  int    // bytes of plaintext
	First  int    // index of its first chunk
	Chunks int    // how many
	Coding Coding //
	Base   ID     // of a delta, else zero
}

// A Directory is the decoded table of contents of a pack. It keeps the encoding and
// answers from it; it is immutable and safe for concurrent use.
type Directory struct {
	enc    []byte
	frames []FrameInfo
	ids    []byte // chunk rows
}

// ParseDirectory decodes an encoding and refuses one that is not canonical, with an error
// that wraps ErrDirectory, and one with a coding that it does not know, with
// seal.ErrTooNew. It keeps enc.
func ParseDirectory(enc []byte) (*Directory, error) {
	bad := func(format string, a ...any) (*Directory, error) {
		return nil, fmt.Errorf("%w: %s", ErrDirectory, fmt.Sprintf(format, a...))
	}
	if len(enc) < dirHead || len(enc) > MaxDirectory {
		return bad("%d bytes", len(enc))
	}
	nf := uint64(binary.BigEndian.Uint32(enc[headSize:]))
	nc := uint64(binary.BigEndian.Uint32(enc[headSize+4:]))
	nb := uint64(binary.BigEndian.Uint32(enc[headSize+8:]))
	if nf == 0 || nc < nf || nb > nf {
		return bad("%d frames, %d chunks, %d bases", nf, nc, nb)
	}
	if want := dirHead + nf*frameRow + nb*baseRow + nc*chunkRow; want != uint64(len(enc)) {
		return bad("%d bytes for %d frames and %d chunks", len(enc), nf, nc)
	}
	d := &Directory{enc: enc, frames: make([]FrameInfo, nf), ids: enc[uint64(len(enc))-nc*chunkRow:]}
	bases := enc[dirHead+nf*frameRow : uint64(len(enc))-nc*chunkRow]
	off, first := int64(seal.HeaderSize), 0
	for i := range d.frames {
		row := enc[dirHead+i*frameRow:]
		f := FrameInfo{Offset: off, First: first, Coding: Coding(row[12])}
		if f.Coding > PagePatch {
			return nil, fmt.Errorf("pack directory: frame %d has coding %d: %w", i, f.Coding, seal.ErrTooNew)
		}
		stored, plain, chunks := binary.BigEndian.Uint32(row), binary.BigEndian.Uint32(row[4:]), binary.BigEndian.Uint32(row[8:])
		if plain == 0 || plain > MaxFrame || stored <= seal.Overhead || uint64(stored) > uint64(plain)+seal.Overhead+slack ||
			chunks == 0 || uint64(chunks) > nc-uint64(first) {
			return bad("frame %d: %d bytes stored for %d in %d chunks, coding %d", i, stored, plain, chunks, f.Coding)
		}
		f.Stored, f.Plain, f.Chunks = int(stored), int(plain), int(chunks)
		if f.Coding == Raw && f.Stored != f.Plain+seal.Overhead {
			return bad("frame %d: raw, but %d bytes for %d", i, f.Stored, f.Plain)
		}
		if f.Coding.Delta() {
			if len(bases) == 0 || f.Chunks != 1 {
				return bad("frame %d: a delta with %d chunks", i, f.Chunks)
			}
			f.Base, bases = ID(bases), bases[baseRow:]
		}
		sum := uint64(0)
		for c := first; c < first+f.Chunks; c++ {
			n := binary.BigEndian.Uint32(d.ids[c*chunkRow+sha256.Size:])
			if n == 0 {
				return bad("chunk %d is empty", c)
			}
			sum += uint64(n)
		}
		if sum != uint64(plain) {
			return bad("frame %d: chunks of %d bytes in %d", i, sum, plain)
		}
		off += int64(f.Stored)
		first += f.Chunks
		d.frames[i] = f
	}
	if uint64(first) != nc || len(bases) != 0 {
		return bad("%d chunks of %d in frames", first, nc)
	}
	if off > MaxPack {
		return bad("frames of %d bytes", off)
	}
	seen := make(map[ID]struct{}, nc)
	for c := range int(nc) {
		id := d.ID(c)
		if _, dup := seen[id]; dup {
			return bad("chunk %d stands twice", c)
		}
		seen[id] = struct{}{}
	}
	return d, nil
}

// Encoding is the canonical encoding; not to be changed.
func (d *Directory) Encoding() []byte { return d.enc }

// Chunks lists the chunks of a frame.
func (d *Directory) Chunks(f FrameInfo) []Chunk {
	out := make([]Chunk, 0, f.Chunks)
	for c := f.First; c < f.First+f.Chunks; c++ {
		out = append(out, Chunk{ID: d.ID(c), Size: d.Size(c)})
	}
	return out
}

// Unsealed is a frame as an Encoder made it, from its bytes in the pack: so it can go into another
// one without being coded anew. It is not decoded.
func (d *Directory) Unsealed(f FrameInfo, o *seal.Opener, sealed []byte) (*Frame, error) {
	coded, err := o.Open(nil, sealed, seal.Frame, uint64(f.Offset))
	if err != nil {
		return nil, err
	}
	return &Frame{Coding: f.Coding, Base: f.Base, Plain: f.Plain, Chunks: d.Chunks(f), Coded: coded}, nil
}

// Hash is the directory hash of FORMAT.md.
func (d *Directory) Hash() [sha256.Size]byte { return sha256.Sum256(d.enc) }

// Head is the first 48 bytes of the pack's header.
func (d *Directory) Head() []byte { return d.enc[:headSize] }

// Frames lists the frames in the pack's order; not to be changed.
func (d *Directory) Frames() []FrameInfo { return d.frames }

// Len is the number of chunks.
func (d *Directory) Len() int { return len(d.ids) / chunkRow }

// ID is the id of chunk c, counted over the whole pack.
func (d *Directory) ID(c int) ID { return ID(d.ids[c*chunkRow:]) }

// Size is the length of chunk c in bytes.
func (d *Directory) Size(c int) int {
	return int(binary.BigEndian.Uint32(d.ids[c*chunkRow+sha256.Size:]))
}

// End is the offset in the pack at which the frames end.
func (d *Directory) End() int64 {
	f := d.frames[len(d.frames)-1]
	return f.Offset + int64(f.Stored)
}

// directoryWriter gathers the rows of a pack under construction.
type directoryWriter struct {
	head                  []byte
	frames, bases, chunks []byte
}

// EncodeDirectory is the encoding of a pack whose header begins with head (48 bytes)
// and which holds these frames; only their rows are looked at, so Coded counts by its length.
func EncodeDirectory(head []byte, frames []*Frame) []byte {
	w := directoryWriter{head: head}
	for _, f := range frames {
		w.add(f, len(f.Coded)+seal.Overhead)
	}
	return w.encode()
}

// rows is by how many bytes a frame lengthens the encoding.
func rows(f *Frame) int {
	n := frameRow + len(f.Chunks)*chunkRow
	if f.Coding.Delta() {
		n += baseRow
	}
	return n
}

func (w *directoryWriter) add(f *Frame, stored int) {
	w.frames = binary.BigEndian.AppendUint32(w.frames, uint32(stored))
	w.frames = binary.BigEndian.AppendUint32(w.frames, uint32(f.Plain))
	w.frames = binary.BigEndian.AppendUint32(w.frames, uint32(len(f.Chunks)))
	w.frames = append(w.frames, byte(f.Coding))
	if f.Coding.Delta() {
		w.bases = append(w.bases, f.Base[:]...)
	}
	for _, c := range f.Chunks {
		w.chunks = append(w.chunks, c.ID[:]...)
		w.chunks = binary.BigEndian.AppendUint32(w.chunks, uint32(c.Size))
	}
}

// size is the length of the encoding so far.
func (w *directoryWriter) size() int {
	return dirHead + len(w.frames) + len(w.bases) + len(w.chunks)
}

func (w *directoryWriter) encode() []byte {
	b := append(make([]byte, 0, w.size()), w.head...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(w.frames)/frameRow))
	b = binary.BigEndian.AppendUint32(b, uint32(len(w.chunks)/chunkRow))
	b = binary.BigEndian.AppendUint32(b, uint32(len(w.bases)/baseRow))
	b = append(b, w.frames...)
	b = append(b, w.bases...)
	return append(b, w.chunks...)
}

// ChunkRow returns id and size of chunk c straight from an encoding that has been
// parsed before: one memory access, for an index that keeps encodings on disk. ok is false
// if there is no such row.
func ChunkRow(enc []byte, c int) (id ID, size int, ok bool) {
	if len(enc) < dirHead || c < 0 {
		return ID{}, 0, false
	}
	nc := int64(binary.BigEndian.Uint32(enc[headSize+4:]))
	at := int64(len(enc)) - (nc-int64(c))*chunkRow
	if int64(c) >= nc || at < dirHead {
		return ID{}, 0, false
	}
	return ID(enc[at:]), int(binary.BigEndian.Uint32(enc[at+sha256.Size:])), true
}

// FrameOf is the index of the frame that holds chunk c.
func (d *Directory) FrameOf(c int) int {
	i, _ := slices.BinarySearchFunc(d.frames, c, func(f FrameInfo, c int) int {
		switch {
		case c < f.First:
			return 1
		case c >= f.First+f.Chunks:
			return -1
		}
		return 0
	})
	return i
}

// PackSize is the size in bytes of the pack that ends in this directory.
func (d *Directory) PackSize() int64 {
	return int64(seal.Padme(uint64(d.End()) + seal.Overhead + uint64(len(d.enc)) + footerSize))
}
