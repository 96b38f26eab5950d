package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// A whole object is header ‖ seal(Whole, 80, payload length u32 ‖ payload ‖ zeros), as long as
// Padmé says (FORMAT §2).
const lengthSize = 4 // bytes of the payload length

// SealObject returns the object of the given kind, not a pack, around payload, which is at
// most kind.MaxPayload() bytes. position is the ledger's and matters for kind Ledger only.
// Each call takes a new salt from rand, so a retry is another object. The object has been
// opened again and compared.
func (k *Keys) SealObject(kind Kind, position uint64, payload []byte, rand io.Reader) ([]byte, error) {
	if kind.pack() {
		return nil, fmt.Errorf("seal: %v: sealed in parts", kind)
	}
	if len(payload) > kind.MaxPayload() {
		return nil, fmt.Errorf("seal: %v of %d bytes: at most %d", kind, len(payload), kind.MaxPayload())
	}
	b, err := k.sealing(kind, position, rand)
	if err != nil {
		return nil, err
	}
	object := make([]byte, WholeSize(len(payload)))
	copy(object, b.header[:])
	plain := object[HeaderSize : len(object)-Overhead]
	binary.BigEndian.PutUint32(plain, uint32(len(payload)))
	copy(plain[lengthSize:], payload)
	b.seal(plain[:0], plain, Whole, HeaderSize)

	again, err := k.OpenObject(kind, position, object)
	if err != nil || !bytes.Equal(again, payload) {
		return nil, errors.New("seal: what was sealed does not open again: this computer's memory or processor is faulty")
	}
	return object, nil
}

// OpenObject returns the payload of an object that SealObject made for this kind and position.
// It reports ErrTooNew, ErrNoKey or ErrCorrupt.
func (k *Keys) OpenObject(kind Kind, position uint64, object []byte) (payload []byte, err error) {
	if kind.pack() {
		return nil, fmt.Errorf("seal: %v: sealed in parts", kind)
	}
	b, err := k.opening(kind, position, object)
	if err != nil {
		return nil, err
	}
	if len(object) > kind.Limit() || len(object) < WholeSize(0) {
		return nil, fmt.Errorf("%w: a %v of %d bytes", ErrCorrupt, kind, len(object))
	}
	plain, err := b.open(nil, object[HeaderSize:], Whole, HeaderSize)
	if err != nil {
		return nil, err
	}
	n := uint64(binary.BigEndian.Uint32(plain))
	if Padme(HeaderSize+lengthSize+n+Overhead) != uint64(len(object)) {
		return nil, fmt.Errorf("%w: a payload of %d bytes in an object of %d", ErrCorrupt, n, len(object))
	}
	end := lengthSize + int(n)
	for _, c := range plain[end:] {
		if c != 0 {
			return nil, fmt.Errorf("%w: the filler is not zero", ErrCorrupt)
		}
	}
	return plain[lengthSize:end:end], nil
}

// WholeSize is the size in bytes of the object that SealObject makes of a payload.
func WholeSize(payload int) int {
	return int(Padme(uint64(HeaderSize + lengthSize + payload + Overhead)))
}

// Padme rounds a length up so that it tells O(log log n) bits about n: to a multiple of
// 2^(E−S), where E = ⌊log2 n⌋ and S = ⌊log2 E⌋ + 1. It adds at most 12 %, and 3 % from 1 MiB on.
// n is at most 2^63. (Nikitin et al., Reducing Metadata Leakage from Encrypted Files and
// Communication with PURBs, PETS 2019, §4.)
func Padme(n uint64) uint64 {
	if n < 2 {
		return n
	}
	e := bits.Len64(n) - 1
	s := bits.Len(uint(e))
	unit := uint64(1) << (e - s)
	return (n + unit - 1) &^ (unit - 1)
}
