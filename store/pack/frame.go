package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"satchel/store/seal"
)

// Chunk is one chunk of a frame: its id and its length in bytes.
type Chunk struct {
	ID   ID
	Size int
}

// A Frame is coded plaintext, ready to be sealed into a pack.
type Frame struct {
	Coding Coding
	Base   ID      // of a delta
	Plain  int     // bytes of plaintext
	Chunks []Chunk // in order; their sizes add up to Plain
	Coded  []byte
}

// ErrSelfCheck says that what was coded or sealed did not come back as it was: memory or
// processor are at fault, and the pack is abandoned.
var ErrSelfCheck = errors.New("self-check failed: the bytes did not come back as they went in (faulty memory?)")

// zstdWindow is the window of an Encoder in bytes. A frame is about 1 MiB.
const zstdWindow = 1 << 20

// frameRoom is what an Encoder has ready for a frame, bytes.
const frameRoom = 1<<20 + 64<<10

// An Encoder turns plaintext into frames. It is for one goroutine; each worker has its
// own, 4 to 8 MB.
type Encoder struct {
	enc   *zstd.Encoder
	dec   *zstd.Decoder
	coded []byte // of the last frame
	check []byte
}

// NewEncoder makes an Encoder at zstd's fastest level.
func NewEncoder() (*Encoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(zstdWindow), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	dec, err := newDecoder()
	return &Encoder{enc: enc, dec: dec}, err
}

// Encode codes plain, the concatenation of chunks, into a frame: zstd where that is
// smaller, else raw. It decodes what it made and compares (ErrSelfCheck). The frame's Coded
// is good until the next call.
func (e *Encoder) Encode(plain []byte, chunks []Chunk) (*Frame, error) {
	if len(plain) == 0 || len(plain) > MaxFrame || len(chunks) > MaxChunks {
		return nil, fmt.Errorf("pack: a frame of %d bytes in %d chunks", len(plain), len(chunks))
	}
	f := &Frame{Coding: Zstd, Plain: len(plain), Chunks: chunks}
	if room := max(len(plain), frameRoom); cap(e.coded) < len(plain) {
		e.coded, e.check = make([]byte, 0, room), make([]byte, 0, room)
	}
	e.coded = e.enc.EncodeAll(plain, e.coded[:0])
	f.Coded = e.coded
	if len(f.Coded) >= len(plain) {
		f.Coding, f.Coded = Raw, append(e.coded[:0], plain...)
		return f, nil
	}
	var err error
	e.check, err = decode(e.dec, e.check[:0], f.Coding, f.Coded, f.Plain)
	if err != nil || !bytes.Equal(e.check, plain) {
		return nil, ErrSelfCheck
	}
	return f, nil
}

func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxFrame),
		zstd.WithDecoderMaxMemory(MaxFrame), zstd.WithDecodeAllCapLimit(true))
}

// decode appends the plaintext of coded bytes to dst, exactly plain bytes or an error.
func decode(dec *zstd.Decoder, dst []byte, c Coding, coded []byte, plain int) ([]byte, error) {
	start := len(dst)
	if cap(dst)-start < plain {
		dst = append(make([]byte, 0, start+plain), dst...)
	}
	switch c {
	case Raw:
		if len(coded) != plain {
			return nil, errors.New("raw frame of another length")
		}
		return append(dst, coded...), nil
	case Zstd:
		if !oneFrame(coded) {
			return nil, errors.New("zstd: not exactly one frame")
		}
		out, err := dec.DecodeAll(coded, dst[:start:start+plain])
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		if len(out)-start != plain {
			return nil, fmt.Errorf("zstd: %d bytes where %d were promised", len(out)-start, plain)
		}
		return dst[:len(out)], nil // out lies in dst, whose end it does not pass
	}
	return nil, fmt.Errorf("coding %d: %w", c, seal.ErrTooNew)
}

// oneFrame reports whether b is one zstd frame from its first byte to its last (RFC 8878
// §3.1.1). The decoder would take several, and skip what is marked as to be skipped.
func oneFrame(b []byte) bool {
	var h zstd.Header
	if h.Decode(b) != nil || h.Skippable {
		return false
	}
	for at := h.HeaderSize; at+3 <= len(b); {
		block := uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16
		size := int(block >> 3)
		if block>>1&3 == 1 { // one byte, to be repeated
			size = 1
		}
		at += 3 + size
		if block&1 == 0 {
			continue
		}
		if h.HasCheckSum {
			at += 4
		}
		return at == len(b)
	}
	return false
}

// Sum is the id of a chunk's bytes.
func Sum(b []byte) ID { return sha256.Sum256(b) }
