package seal

import (
	"errors"
	"fmt"
	"io"
	"math"

	"satchel/store/canon"
)

// Keyring is the secrets of a repository: the master keys, in ascending order of generation,
// and the keys of chunker and balance, which stay the same in every generation, so that cuts
// and balances do. Its encoding is CBOR (FORMAT §6) and is stored sealed, as kind Ring.
type Keyring struct {
	Masters          []Master
	Chunker, Balance [32]byte
}

// Master is the key of one generation; generations count from 1.
type Master struct {
	_          struct{} `cbor:",toarray"`
	Generation uint32
	Key        [32]byte
}

// String shows no key.
func (m Master) String() string { return fmt.Sprintf("master key of generation %d", m.Generation) }

type keyringWire struct {
	Masters []Master `cbor:"1,keyasint,omitempty"`
	Chunker [32]byte `cbor:"2,keyasint,omitzero"`
	Balance [32]byte `cbor:"3,keyasint,omitzero"`
}

// NewKeyring makes the keyring of a new repository: generation 1.
func NewKeyring(rand io.Reader) (*Keyring, error) {
	k := &Keyring{Masters: []Master{{Generation: 1}}}
	for _, secret := range []*[32]byte{&k.Masters[0].Key, &k.Chunker, &k.Balance} {
		if _, err := io.ReadFull(rand, secret[:]); err != nil {
			return nil, fmt.Errorf("seal: new keyring: %w", err)
		}
	}
	return k, nil
}

// Next returns a keyring with one generation more; k stays as it is.
func (k *Keyring) Next(rand io.Reader) (*Keyring, error) {
	return k.NextAt(uint64(k.Generation())+1, rand)
}

// NextAt is Next with a generation that may leave some out: those of keyrings that were never put in force.
func (k *Keyring) NextAt(generation uint64, rand io.Reader) (*Keyring, error) {
	if generation <= uint64(k.Generation()) || generation > math.MaxUint32 {
		return nil, errors.New("seal: no key generation is left")
	}
	m := Master{Generation: uint32(generation)}
	if _, err := io.ReadFull(rand, m.Key[:]); err != nil {
		return nil, fmt.Errorf("seal: new master key: %w", err)
	}
	masters := append(append([]Master(nil), k.Masters...), m)
	return &Keyring{Masters: masters, Chunker: k.Chunker, Balance: k.Balance}, nil
}

// Generation is the newest one, 0 for an empty keyring.
func (k *Keyring) Generation() uint32 {
	if len(k.Masters) == 0 {
		return 0
	}
	return k.Masters[len(k.Masters)-1].Generation
}

// String shows no key.
func (k Keyring) String() string { return fmt.Sprintf("keyring of generation %d", k.Generation()) }

// Encode returns the payload of a Ring object.
func (k *Keyring) Encode() []byte {
	return canon.Marshal(keyringWire{k.Masters, k.Chunker, k.Balance})
}

// ParseKeyring is the inverse of Encode. It reports ErrCorrupt or ErrTooNew.
func ParseKeyring(b []byte) (*Keyring, error) {
	var w keyringWire
	if err := decode(b, &w); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if len(w.Masters) == 0 || w.Chunker == [32]byte{} || w.Balance == [32]byte{} {
		return nil, fmt.Errorf("keyring: %w: a key is missing", ErrCorrupt)
	}
	last := uint32(0)
	for _, m := range w.Masters {
		if m.Generation <= last || m.Key == [32]byte{} {
			return nil, fmt.Errorf("keyring: %w: generation %d after %d", ErrCorrupt, m.Generation, last)
		}
		last = m.Generation
	}
	return &Keyring{Masters: w.Masters, Chunker: w.Chunker, Balance: w.Balance}, nil
}

// decode reads canonical CBOR in the words of this package's errors.
func decode(b []byte, v any) error {
	err := canon.Unmarshal(b, v)
	if errors.Is(err, canon.ErrUnknownKey) {
		return fmt.Errorf("%w: %v", ErrTooNew, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return nil
}
