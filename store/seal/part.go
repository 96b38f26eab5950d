package seal

import (
	"fmt"
	"io"
)

// Sealer seals the parts of one pack. It is safe for concurrent use.
type Sealer struct{ box *box }

// NewSealer begins a pack, Data or Tree, with a fresh salt from rand, under the newest
// generation.
//
// A Sealer is to live in memory only, and no longer than the pack is being built: a pack that is
// given up, for whatever reason, is begun again with a new Sealer.
func (k *Keys) NewSealer(kind Kind, rand io.Reader) (*Sealer, error) {
	if !kind.pack() {
		return nil, fmt.Errorf("seal: %v: not sealed in parts", kind)
	}
	b, err := k.sealing(kind, 0, rand)
	if err != nil {
		return nil, err
	}
	return &Sealer{b}, nil
}

// Header is the 80 bytes that the pack begins with. They are not to be changed.
func (s *Sealer) Header() []byte { return s.box.header[:] }

// Seal appends the sealed part, len(plain)+Overhead bytes, to dst. off is where it will
// stand in the pack. To seal in place pass plain[:0] as dst; otherwise they do not overlap.
//
// A pair of domain and offset is to be sealed once: two plaintexts under one nonce give both
// away. That is not checked here, because parts that stand one after the other in a pack
// cannot share an offset: the caller adds up what it has sealed.
func (s *Sealer) Seal(dst, plain []byte, d Domain, off uint64) []byte {
	return s.box.seal(dst, plain, d, off)
}

// Open is the self-check of a part that Seal made, as Opener.Open. If it fails, the whole
// pack is given up.
func (s *Sealer) Open(dst, sealed []byte, d Domain, off uint64) ([]byte, error) {
	return s.box.open(dst, sealed, d, off)
}

// Opener opens the parts of one pack. It is safe for concurrent use.
type Opener struct{ box *box }

// Opener reads the header of a pack, Data or Tree, of which header is at least the first 80
// bytes, and compares the commitment. It reports ErrTooNew, ErrNoKey or ErrCorrupt.
func (k *Keys) Opener(kind Kind, header []byte) (*Opener, error) {
	if !kind.pack() {
		return nil, fmt.Errorf("seal: %v: not sealed in parts", kind)
	}
	b, err := k.opening(kind, 0, header)
	if err != nil {
		return nil, err
	}
	return &Opener{b}, nil
}

// Reopen is Opener for a pack whose header is known and has not been read: head is its first 48
// bytes, from a place that is authenticated itself (a directory that the state vouches for).
// No commitment is compared, and Open still reports what was sealed with another.
func (k *Keys) Reopen(kind Kind, head []byte) (*Opener, error) {
	if !kind.pack() || len(head) != HeadSize {
		return nil, fmt.Errorf("seal: %v, head of %d bytes: want a pack and %d", kind, len(head), HeadSize)
	}
	h, key, err := k.derive(kind, head)
	if err != nil {
		return nil, err
	}
	return &Opener{newBox(key, kind, h, 0)}, nil
}

// Open appends the plaintext, len(sealed)−Overhead bytes, to dst, or reports ErrCorrupt. To
// open in place pass sealed[:0] as dst; otherwise they do not overlap.
func (o *Opener) Open(dst, sealed []byte, d Domain, off uint64) ([]byte, error) {
	return o.box.open(dst, sealed, d, off)
}
