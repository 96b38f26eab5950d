package pack

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"satchel/store"
	"satchel/store/seal"
)

// border is where ranged reads begin and end, in bytes, so that a provider does not
// learn frame lengths from them.
const border = 128 << 10

// Error says which pack is damaged and how. It wraps ErrDamaged.
type Error struct {
	Pack Key
	What string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("pack %s: %s: %v", e.Pack.Name(), e.What, e.Err) }
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrDamaged}
	}
	return []error{ErrDamaged, e.Err}
}

// ErrDamaged says that a pack does not hold what the ledger says it does.
var ErrDamaged = errors.New("pack is damaged")

// damaged wraps an error unless it speaks of the store or of the keys rather than of the
// pack's bytes.
func damaged(k Key, what string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, seal.ErrCorrupt) || errors.Is(err, ErrDirectory) {
		return &Error{k, what, err}
	}
	return fmt.Errorf("pack %s: %s: %w", k.Name(), what, err)
}

// ReadDirectory reads the directory from the end of a pack of size bytes: one request if the
// pack is smaller than 256 KiB, else two, tail and header, and a third for a directory that the tail
// does not hold. A pack that does not open or is not canonical is ErrDamaged.
func ReadDirectory(ctx context.Context, s store.Store, keys *seal.Keys, k Key, size int64) (*Directory, error) {
	if size < seal.HeaderSize+footerSize || size > MaxPack || int64(seal.Padme(uint64(size))) != size {
		return nil, &Error{k, "size", fmt.Errorf("%d bytes is not a pack's size", size)}
	}
	from := max(0, (size-border)/border*border)
	tail, err := s.Get(ctx, k.Name(), from, size-from)
	if err != nil {
		return nil, damaged(k, "directory", err)
	}
	head := tail
	if from > 0 {
		if head, err = s.Get(ctx, k.Name(), 0, min(border, size)); err != nil {
			return nil, damaged(k, "header", err)
		}
	}
	o, err := keys.Opener(k.Kind(), head[:seal.HeaderSize])
	if err != nil {
		return nil, damaged(k, "header", err)
	}
	foot, err := o.Open(nil, tail[len(tail)-footerSize:], seal.Footer, uint64(size-footerSize))
	if err != nil {
		return nil, damaged(k, "footer", err)
	}
	off, length, enc := binary.BigEndian.Uint64(foot), binary.BigEndian.Uint64(foot[8:]), binary.BigEndian.Uint32(foot[16:])
	end := uint64(size - footerSize)
	if off < seal.HeaderSize || off > end || length != end-off || enc > MaxDirectory || uint64(enc)+seal.Overhead > length ||
		seal.Padme(off+seal.Overhead+uint64(enc)+footerSize) != uint64(size) {
		return nil, &Error{k, "footer", fmt.Errorf("directory of %d bytes at %d", length, off)}
	}
	sealed := tail
	if int64(off) < from {
		start := int64(off) / border * border
		if sealed, err = s.Get(ctx, k.Name(), start, int64(end)-start); err != nil {
			return nil, damaged(k, "directory", err)
		}
		from = start
	}
	plain, err := o.Open(nil, sealed[int64(off)-from:int64(end)-from], seal.Directory, off)
	if err != nil {
		return nil, damaged(k, "directory", err)
	}
	if len(bytes.Trim(plain[enc:], "\x00")) != 0 {
		return nil, &Error{k, "directory", errors.New("padding is not zero")}
	}
	d, err := ParseDirectory(plain[:enc:enc])
	if err != nil {
		return nil, damaged(k, "directory", err)
	}
	if d.End() != int64(off) || !bytes.Equal(d.Head(), head[:headSize]) {
		return nil, &Error{k, "directory", errors.New("it is of another pack")}
	}
	return d, nil
}

// Range rounds the bytes [from, to) of a pack of size bytes out to read borders.
func Range(from, to, size int64) (int64, int64) {
	return from / border * border, min((to+border-1)/border*border, size)
}

// A Decoder opens and decodes frames. It is for one goroutine.
type Decoder struct {
	dec   *zstd.Decoder
	coded []byte
}

// NewDecoder makes a Decoder.
func NewDecoder() (*Decoder, error) {
	dec, err := newDecoder()
	return &Decoder{dec: dec}, err
}

// Frame opens the frame whose sealed bytes are given, appends its plaintext to dst and
// checks every chunk against its id. Its error is ErrDamaged where the bytes are at fault,
// and seal.ErrTooNew for a coding that this satchel does not know: the deltas, so far, which
// will need their base's plaintext in base.
func (r *Decoder) Frame(dst []byte, o *seal.Opener, k Key, d *Directory, frame int, sealed, base []byte) ([]byte, error) {
	f := d.Frames()[frame]
	if len(sealed) != f.Stored {
		return nil, &Error{k, fmt.Sprintf("frame %d", frame), io.ErrUnexpectedEOF}
	}
	var err error
	r.coded, err = o.Open(r.coded[:0], sealed, seal.Frame, uint64(f.Offset))
	if err != nil {
		return nil, &Error{k, fmt.Sprintf("frame %d", frame), err}
	}
	start := len(dst)
	dst, err = decode(r.dec, dst, f.Coding, r.coded, f.Plain)
	if errors.Is(err, seal.ErrTooNew) {
		return nil, fmt.Errorf("pack %s: frame %d: %w", k.Name(), frame, err)
	} else if err != nil {
		return nil, &Error{k, fmt.Sprintf("frame %d", frame), err}
	}
	at := start
	for c := f.First; c < f.First+f.Chunks; c++ {
		n := d.Size(c)
		if Sum(dst[at:at+n]) != d.ID(c) {
			return nil, &Error{k, fmt.Sprintf("frame %d", frame), errors.New("a chunk is not what its hash says")}
		}
		at += n
	}
	return dst, nil
}

// Opener opens the frames of a pack whose directory is known, with no read of its header.
func Opener(keys *seal.Keys, k Key, d *Directory) (*seal.Opener, error) {
	o, err := keys.Reopen(k.Kind(), d.Head())
	if err != nil {
		return nil, damaged(k, "header", err)
	}
	return o, nil
}
