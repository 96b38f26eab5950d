package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
)

// Keys open and seal the objects of one repository. They are immutable.
type Keys struct {
	prks   map[uint32][]byte // by generation
	newest uint32
	kek    bool // made by KEK: for kind Ring only
}

// Keys returns the keys for all kinds but Ring. Later changes of the keyring do not reach them.
func (k *Keyring) Keys(repo RepoID) *Keys {
	keys := &Keys{prks: make(map[uint32][]byte, len(k.Masters))}
	for _, m := range k.Masters {
		keys.prks[m.Generation] = extract(repo, m.Key)
		keys.newest = max(keys.newest, m.Generation)
	}
	return keys
}

// KEK returns the keys for kind Ring: those that a key-encryption key gives.
func KEK(repo RepoID, generation uint32, kek [32]byte) *Keys {
	return &Keys{prks: map[uint32][]byte{generation: extract(repo, kek)}, newest: generation, kek: true}
}

// Generation is the newest one, which is used for sealing.
func (k *Keys) Generation() uint32 { return k.newest }

// String shows no key.
func (k *Keys) String() string { return fmt.Sprintf("keys of generation %d", k.newest) }

// fits refuses a kind that these keys are not for.
func (k *Keys) fits(kind Kind) error {
	if kind.Limit() == 0 || k.kek != (kind == Ring) {
		return fmt.Errorf("seal: %v: not a kind for these keys", kind)
	}
	return nil
}

// Extract and expand are as in FORMAT §2: RFC 5869 with SHA-256.
func extract(repo RepoID, key [32]byte) []byte {
	prk, err := hkdf.Extract(sha256.New, key[:], append([]byte("satchel/1"), repo[:]...))
	if err != nil {
		panic(err) // only for keys that are too short for a FIPS module
	}
	return prk
}

func expand(prk []byte, kind Kind, header *[HeaderSize]byte) (key, commitment []byte) {
	info := "object" + string([]byte{byte(kind)}) + string(header[:atCommitment])
	out, err := hkdf.Expand(sha256.New, prk, info, 64)
	if err != nil {
		panic(err) // only for output that is too long
	}
	return out[:32], out[32:]
}

// sealing returns the box and the header of a new object.
func (k *Keys) sealing(kind Kind, position uint64, rand io.Reader) (*box, error) {
	if err := k.fits(kind); err != nil {
		return nil, err
	}
	prk := k.prks[k.newest]
	if prk == nil {
		return nil, &GenerationError{k.newest}
	}
	h := newHeader(k.newest)
	if _, err := io.ReadFull(rand, h[atSalt:atCommitment]); err != nil {
		return nil, fmt.Errorf("seal: salt: %w", err)
	}
	key, commitment := expand(prk, kind, &h)
	copy(h[atCommitment:], commitment)
	return newBox(key, kind, h, position), nil
}

// opening returns the box of the object that begins with header.
func (k *Keys) opening(kind Kind, position uint64, header []byte) (*box, error) {
	h, key, err := k.derive(kind, header)
	if err != nil {
		return nil, err
	}
	if len(header) < HeaderSize || subtle.ConstantTimeCompare(header[atCommitment:HeaderSize], h[atCommitment:]) != 1 {
		return nil, fmt.Errorf("%w: the commitment differs", ErrCorrupt)
	}
	return newBox(key, kind, h, position), nil
}

// derive returns the subkey and the whole header of the object that begins with head, of which 48
// bytes are read.
func (k *Keys) derive(kind Kind, head []byte) (h [HeaderSize]byte, key []byte, err error) {
	if err := k.fits(kind); err != nil {
		return h, nil, err
	}
	h, generation, err := parseHeader(head)
	if err != nil {
		return h, nil, err
	}
	prk := k.prks[generation]
	if prk == nil {
		return h, nil, &GenerationError{generation}
	}
	key, commitment := expand(prk, kind, &h)
	copy(h[atCommitment:], commitment)
	return h, key, nil
}

// box is the subkey of one object. It is immutable.
type box struct {
	header [HeaderSize]byte
	gcm    cipher.AEAD
	aad    [Whole + 1][]byte // additional data, by domain
}

func newBox(key []byte, kind Kind, header [HeaderSize]byte, position uint64) *box {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for keys of another length
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for other block sizes
	}
	b := &box{header: header, gcm: gcm}
	for d := Frame; d <= Whole; d++ {
		b.aad[d] = append(bytes.Clone(header[:]), byte(d))
		if kind == Ledger {
			b.aad[d] = binary.BigEndian.AppendUint64(b.aad[d], position)
		}
	}
	return b
}

func nonce(d Domain, off uint64) []byte {
	n := make([]byte, 12)
	n[0] = byte(d)
	binary.BigEndian.PutUint64(n[4:], off)
	return n
}

func (b *box) seal(dst, plain []byte, d Domain, off uint64) []byte {
	return b.gcm.Seal(dst, nonce(d, off), plain, b.aad[d])
}

func (b *box) open(dst, sealed []byte, d Domain, off uint64) ([]byte, error) {
	out, err := b.gcm.Open(dst, nonce(d, off), sealed, b.aad[d])
	if err != nil {
		return nil, fmt.Errorf("%w: part at byte %d", ErrCorrupt, off)
	}
	return out, nil
}
