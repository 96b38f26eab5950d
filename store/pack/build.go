package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"satchel/store/seal"
)

// sealer is *seal.Sealer, or a test's in which a bit falls over.
type sealer interface {
	Seal(dst, plain []byte, d seal.Domain, off uint64) []byte
	Open(dst, sealed []byte, d seal.Domain, off uint64) ([]byte, error)
}

// A Builder seals frames into one pack in memory. It is for one goroutine at a time. After
// an error it is of no use: the pack and its salt are abandoned.
type Builder struct {
	kind    seal.Kind
	session Session
	sealer  sealer
	buf     []byte
	dir     directoryWriter
	target  int
}

// NewBuilder begins a pack of kind seal.Data or seal.Tree under a fresh salt. It builds
// into buf, which may be nil; Finish returns it as part of the pack.
func NewBuilder(kind seal.Kind, session Session, keys *seal.Keys, rand io.Reader, buf []byte) (*Builder, error) {
	s, err := keys.NewSealer(kind, rand)
	if err != nil {
		return nil, err
	}
	b := &Builder{kind: kind, session: session, sealer: s, buf: append(buf[:0], s.Header()...), target: DataTarget}
	b.dir.head = s.Header()[:headSize]
	if kind == seal.Tree {
		b.target = TreeTarget
	}
	return b, nil
}

// Fits reports whether the frame can be added without passing the size at which a writer
// closes a pack. An empty pack takes any frame.
func (b *Builder) Fits(f *Frame) bool {
	dir := b.dir.size() + rows(f)
	pack := len(b.buf) + len(f.Coded) + seal.Overhead + dir + seal.Overhead + footerSize
	return b.Empty() || pack <= b.target && dir <= MaxDirectory
}

// Size is the length of the pack so far, in bytes.
func (b *Builder) Size() int { return len(b.buf) + b.dir.size() }

// Empty reports whether nothing was added yet.
func (b *Builder) Empty() bool { return len(b.dir.frames) == 0 }

// Add seals the frame at the end of the pack, opens it again and compares.
func (b *Builder) Add(f *Frame) error {
	if dir := b.dir.size() + rows(f); dir > MaxDirectory {
		return fmt.Errorf("pack: a directory of %d bytes, at most %d: a frame of %d chunks was added that does not fit", dir, MaxDirectory, len(f.Chunks))
	}
	off := len(b.buf)
	b.buf = b.sealer.Seal(b.buf, f.Coded, seal.Frame, uint64(off))
	if err := b.verify(off, f.Coded, seal.Frame); err != nil {
		return err
	}
	b.dir.add(f, len(b.buf)-off)
	return nil
}

// verify opens what was sealed at off into what is free of the buffer, where there is enough.
func (b *Builder) verify(off int, plain []byte, d seal.Domain) error {
	free := b.buf[len(b.buf):]
	if cap(free) < len(plain) {
		free = nil
	}
	check, err := b.sealer.Open(free, b.buf[off:], d, uint64(off))
	if err != nil || !bytes.Equal(check, plain) {
		return ErrSelfCheck
	}
	return nil
}

// Packed is a finished pack.
type Packed struct {
	Key       Key
	Data      []byte // the object
	Directory *Directory
}

// Finish seals directory and footer and names the pack.
func (b *Builder) Finish() (*Packed, error) {
	enc := b.dir.encode()
	dir, err := ParseDirectory(enc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSelfCheck, err)
	}
	off := len(b.buf)
	size := int(seal.Padme(uint64(off + seal.Overhead + len(enc) + footerSize)))
	padded := make([]byte, size-off-seal.Overhead-footerSize)
	copy(padded, enc)
	b.buf = b.sealer.Seal(b.buf, padded, seal.Directory, uint64(off))
	if err := b.verify(off, padded, seal.Directory); err != nil {
		return nil, err
	}
	end := len(b.buf)
	foot := binary.BigEndian.AppendUint64(nil, uint64(off))
	foot = binary.BigEndian.AppendUint64(foot, uint64(end-off))
	foot = binary.BigEndian.AppendUint32(foot, uint32(len(enc)))
	b.buf = b.sealer.Seal(b.buf, foot, seal.Footer, uint64(end))
	if err := b.verify(end, foot, seal.Footer); err != nil {
		return nil, err
	}
	if len(b.buf) != size || size > MaxPack {
		return nil, fmt.Errorf("pack: %d bytes where %d were meant", len(b.buf), size)
	}
	return &Packed{Key: MakeKey(b.kind, b.session, sha256.Sum256(b.buf)), Data: b.buf, Directory: dir}, nil
}
