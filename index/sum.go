package index

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Sizes of the checksums, in bytes.
const (
	sumSize = 8
	crcSize = 4
)

// sum is the checksum of what is believed without another look.
func sum(bucket, key, value []byte) []byte {
	h := sha256.New()
	h.Write(bucket)
	h.Write([]byte{0})
	h.Write(key)
	h.Write(value)
	return h.Sum(nil)[:sumSize]
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc is the checksum of what only says where to look.
func crc(key, value []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, value)
}

// appendCRC ends a value.
func appendCRC(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, crc(key, value))
}

// cutCRC returns what stands before the crc, if it fits.
func cutCRC(key, value []byte) ([]byte, bool) {
	n := len(value) - crcSize
	if n < 0 || binary.BigEndian.Uint32(value[n:]) != crc(key, value[:n]) {
		return nil, false
	}
	return value[:n], true
}

// torn makes an error that wraps ErrTorn.
func torn(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrTorn, fmt.Sprintf(format, a...))
}
