package seal

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"satchel/store/canon"
)

// Identity is a principal with its private half, for one repository, and the hash of the
// repository's first ledger entry, which is what its owner trusts (FORMAT §6).
type Identity struct {
	Repo      RepoID
	Genesis   [32]byte // zeros only while a repository is being made; set it once
	Principal Principal

	private *age.HybridIdentity // nil if it lies elsewhere
	signing ed25519.PrivateKey
}

type identityWire struct {
	Repo      RepoID    `cbor:"1,keyasint,omitzero"`
	Genesis   [32]byte  `cbor:"2,keyasint,omitzero"`
	Principal Principal `cbor:"3,keyasint"`
	Private   string    `cbor:"4,keyasint,omitempty"` // AGE-SECRET-KEY-PQ-1…
	Seed      [32]byte  `cbor:"5,keyasint,omitzero"`  // Ed25519, RFC 8032
}

// NewIdentity makes a device, passphrase or recovery principal. Its id and signing key are from
// rand, its hybrid post-quantum age key (ML-KEM-768 and X25519) from the system's randomness.
func NewIdentity(repo RepoID, kind PrincipalKind, name string, rights Rights, rand io.Reader) (*Identity, error) {
	if kind != Device && kind != Passphrase && kind != Recovery {
		return nil, fmt.Errorf("seal: the private key of a %v is not made here", kind)
	}
	private, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("seal: new identity: %w", err)
	}
	i, err := newIdentity(repo, kind, name, rights, private.Recipient().String(), rand)
	if err != nil {
		return nil, err
	}
	i.private = private
	return i, nil
}

// NewEscrow makes a principal whose private key lies elsewhere: a KeyVault or AgeRecipient
// with the given recipient text. It has no rights: it can be given the KEK and so reads
// everything, and its signing key serves to enrol it and is then forgotten: it cannot be
// locked, saved or encoded.
func NewEscrow(repo RepoID, kind PrincipalKind, name, recipient string, rand io.Reader) (*Identity, error) {
	if kind != KeyVault && kind != AgeRecipient {
		return nil, fmt.Errorf("seal: the private key of a %v does not lie elsewhere", kind)
	}
	return newIdentity(repo, kind, name, 0, recipient, rand)
}

func newIdentity(repo RepoID, kind PrincipalKind, name string, rights Rights, recipient string, rand io.Reader) (*Identity, error) {
	var random [len(ID{}) + ed25519.SeedSize]byte
	if _, err := io.ReadFull(rand, random[:]); err != nil {
		return nil, fmt.Errorf("seal: new identity: %w", err)
	}
	i := &Identity{Repo: repo, signing: ed25519.NewKeyFromSeed(random[len(ID{}):])}
	i.Principal = Principal{
		ID:        ID(random[:len(ID{})]),
		Kind:      kind,
		Name:      name,
		Rights:    rights,
		Recipient: recipient,
		Verify:    [32]byte(i.signing.Public().(ed25519.PublicKey)),
	}
	if err := i.Principal.Check(); err != nil {
		return nil, fmt.Errorf("seal: new identity: %w", err)
	}
	return i, nil
}

// String shows no key.
func (i Identity) String() string {
	return fmt.Sprintf("%v %v of repository %v", i.Principal.Kind, i.Principal.ID, i.Repo)
}

// Sign returns the Ed25519 signature of msg, 64 bytes.
func (i *Identity) Sign(msg []byte) []byte { return ed25519.Sign(i.signing, msg) }

// UnwrapKEK opens the slot that WrapKEK made for this principal. It reports ErrCorrupt for one
// that is for another principal, repository or generation. Anyone can wrap anything to a
// public key: compare the KEK's SHA-256 with the ledger's.
func (i *Identity) UnwrapKEK(generation uint32, slot []byte) ([32]byte, error) {
	if i.private == nil {
		return [32]byte{}, fmt.Errorf("seal: the private key of a %v is not here", i.Principal.Kind)
	}
	kek, err := OpenSlot(i.Repo, generation, slot, i.private)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%w: %v", ErrCorrupt, err) // nothing but the bytes can make our own key fail
	}
	return kek, err
}

// Encode returns the private halves, in the clear: for Lock and SaveIdentity, and what
// holds them in other ways. An identity whose Genesis is not set is not readable again.
func (i *Identity) Encode() []byte {
	w := identityWire{Repo: i.Repo, Genesis: i.Genesis, Principal: i.Principal, Seed: [32]byte(i.signing.Seed())}
	if i.private != nil {
		w.Private = i.private.String()
	}
	return canon.Marshal(w)
}

// ParseIdentity is the inverse of Encode. It reports ErrTooNew, or ErrCorrupt for one that is
// not whole or whose keys are not those of its principal.
func ParseIdentity(b []byte) (*Identity, error) {
	i, err := parseIdentity(b)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return i, nil
}

func parseIdentity(b []byte) (*Identity, error) {
	if len(b) > limitKeyObject {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	var w identityWire
	if err := decode(b, &w); err != nil {
		return nil, err
	}
	if err := w.Principal.Check(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	if w.Repo == (RepoID{}) || w.Genesis == [32]byte{} {
		return nil, fmt.Errorf("%w: repository or genesis is missing", ErrCorrupt)
	}
	private, err := age.ParseHybridIdentity(w.Private)
	if err != nil || private.String() != w.Private { // not shown: err may quote the key
		return nil, fmt.Errorf("%w: the age key does not parse", ErrCorrupt)
	}
	signing := ed25519.NewKeyFromSeed(w.Seed[:])
	if private.Recipient().String() != w.Principal.Recipient || !signing.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(w.Principal.Verify[:])) {
		return nil, fmt.Errorf("%w: the keys are not those of principal %v", ErrCorrupt, w.Principal.ID)
	}
	return &Identity{Repo: w.Repo, Genesis: w.Genesis, Principal: w.Principal, private: private, signing: signing}, nil
}
