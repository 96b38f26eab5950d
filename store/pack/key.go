package pack

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"satchel/store/seal"
)

// Session names one push: the ledger position at which it began (u64) and 128 random
// bits. Packs lie under it, so that no name is ever used twice.
type Session [24]byte

// NewSession begins a session at ledger position pos.
func NewSession(pos uint64, rand io.Reader) (Session, error) {
	var s Session
	binary.BigEndian.PutUint64(s[:8], pos)
	_, err := io.ReadFull(rand, s[8:])
	return s, err
}

// Began is the ledger position at which the session began.
func (s Session) Began() uint64 { return binary.BigEndian.Uint64(s[:8]) }

// KeySize is the length of a Key in bytes.
const KeySize = 1 + 24 + sha256.Size

// A Key is a pack's name in binary: kind, session, SHA-256 of the pack's bytes.
type Key [KeySize]byte

// MakeKey names the pack of these bytes.
func MakeKey(kind seal.Kind, s Session, sum [sha256.Size]byte) Key {
	var k Key
	k[0] = byte(kind)
	copy(k[1:25], s[:])
	copy(k[25:], sum[:])
	return k
}

// Kind is seal.Data or seal.Tree in a valid key.
func (k Key) Kind() seal.Kind { return seal.Kind(k[0]) }

// Session is the session that wrote the pack.
func (k Key) Session() Session { return Session(k[1:25]) }

// Sum is the SHA-256 of the pack's bytes.
func (k Key) Sum() [sha256.Size]byte { return [sha256.Size]byte(k[25:]) }

// Valid reports whether the key is one of a data or a tree pack.
func (k Key) Valid() bool { return k.Kind() == seal.Data || k.Kind() == seal.Tree }

// Name is the object's name in the store: `d/<session>/<sha256>`.
func (k Key) Name() string {
	b := make([]byte, 0, 2+48+1+64)
	b = append(b, k[0], '/')
	b = hex.AppendEncode(b, k[1:25])
	b = append(b, '/')
	return string(hex.AppendEncode(b, k[25:]))
}

// ParseName is the inverse of Name.
func ParseName(name string) (Key, error) {
	var k Key
	parts := strings.Split(name, "/")
	if len(parts) != 3 || len(parts[0]) != 1 || len(parts[1]) != 48 || len(parts[2]) != 64 {
		return k, fmt.Errorf("%q is not a pack's name", name)
	}
	k[0] = parts[0][0]
	_, err1 := hex.Decode(k[1:25], []byte(parts[1]))
	_, err2 := hex.Decode(k[25:], []byte(parts[2]))
	if err1 != nil || err2 != nil || !k.Valid() || k.Name() != name {
		return Key{}, fmt.Errorf("%q is not a pack's name", name)
	}
	return k, nil
}
