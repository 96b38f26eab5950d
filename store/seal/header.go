package seal

import (
	"encoding/binary"
	"fmt"
)

// The header that begins every sealed object (FORMAT §2). Integers are big endian.
//
//	 0  magic       8
//	 8  format      1
//	 9  suite       1
//	10  flags       2  compatible bits, then incompatible bits
//	12  generation  4  of the key
//	16  salt       32
//	48  commitment 32
const (
	magic          = "satchel\n"
	atFormat       = 8
	atSuite        = 9
	atCompatible   = 10
	atIncompatible = 11
	atGeneration   = 12
	atSalt         = 16
	atCommitment   = HeadSize

	format1     = 1
	suiteAESGCM = 1 // AES-256-GCM, HKDF-SHA256
)

// newHeader returns a header without salt and commitment.
func newHeader(generation uint32) (h [HeaderSize]byte) {
	copy(h[:], magic)
	h[atFormat] = format1
	h[atSuite] = suiteAESGCM
	binary.BigEndian.PutUint32(h[atGeneration:], generation)
	return h
}

// parseHeader returns the header that b begins with, without its commitment, and its key
// generation. What it says is not authenticated.
func parseHeader(b []byte) (h [HeaderSize]byte, generation uint32, err error) {
	if copy(h[:HeadSize], b) < HeadSize {
		return h, 0, fmt.Errorf("%w: %d bytes are no header", ErrCorrupt, len(b))
	}
	if string(h[:len(magic)]) != magic {
		return h, 0, fmt.Errorf("%w: not a sealed object", ErrCorrupt)
	}
	switch {
	case h[atFormat] != format1:
		err = fmt.Errorf("%w: format %d", ErrTooNew, h[atFormat])
	case h[atSuite] != suiteAESGCM:
		err = fmt.Errorf("%w: suite %d", ErrTooNew, h[atSuite])
	case h[atIncompatible] != 0:
		err = fmt.Errorf("%w: flags %#02x", ErrTooNew, h[atIncompatible])
	}
	return h, binary.BigEndian.Uint32(h[atGeneration:]), err
}

// ReadOnly reports whether an object, or the header of one, that was opened carries a
// compatible bit that this satchel does not know: a newer one writes to the repository, and
// this one may only read it.
func ReadOnly(object []byte) bool {
	return len(object) >= HeaderSize && object[atCompatible] != 0
}

// Generation is that of the key that sealed an object, which nobody vouches for until the object opens; 0
// if it is too short for one.
func Generation(object []byte) uint32 {
	if len(object) < atSalt {
		return 0
	}
	return binary.BigEndian.Uint32(object[atGeneration:])
}
