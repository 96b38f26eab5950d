package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"golang.org/x/text/unicode/norm"
)

// A person object, k/p/…, is personMagic ‖ principal kind u8 ‖ age file with one scrypt recipient
// around an encoded Identity (FORMAT §6).
const (
	personMagic  = "satchelp"
	personHeader = len(personMagic) + 1 // bytes
)

// Work factors of scrypt with r = 8 and p = 1: log N costs 2^(log N − 10) MiB and time in proportion.
const (
	PassphraseLogN = 18 // 256 MiB, about a second
	RecoveryLogN   = 12 // a code has 160 bits of its own
	maxLogN        = 20 // 1 GiB: what an object may make a reader spend
)

// PersonName returns a new random name for a person object. It panics if rand fails.
func PersonName(rand io.Reader) string {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		panic(fmt.Sprintf("seal: randomness: %v", err))
	}
	return "k/p/" + hex.EncodeToString(b[:])
}

// Lock returns the person object of a Passphrase or Recovery identity whose Genesis is set.
// log N is PassphraseLogN or RecoveryLogN, except in tests. A passphrase is not judged here:
// see CheckPassphrase.
func (i *Identity) Lock(secret string, logN int) ([]byte, error) {
	if i.Principal.Kind != Passphrase && i.Principal.Kind != Recovery {
		return nil, fmt.Errorf("seal: a %v is not locked by a secret", i.Principal.Kind)
	}
	if i.Genesis == [32]byte{} {
		return nil, errors.New("seal: lock: the genesis hash is not set")
	}
	if logN < 1 || logN > maxLogN {
		return nil, fmt.Errorf("seal: lock: log N %d: want 1 to %d", logN, maxLogN)
	}
	secret, err := normalise(i.Principal.Kind, secret)
	if err != nil {
		return nil, fmt.Errorf("seal: lock: %w", err)
	}
	r, err := age.NewScryptRecipient(secret)
	if err != nil {
		return nil, fmt.Errorf("seal: lock: %w", err)
	}
	r.SetWorkFactor(logN)
	prefix := append([]byte(personMagic), byte(i.Principal.Kind))
	object, err := encrypt(prefix, r, i.Encode())
	if err != nil {
		return nil, fmt.Errorf("seal: lock: %w", err)
	}
	return object, nil
}

// normalise returns what scrypt gets: a passphrase in Unicode normal form C, a recovery code as
// it is printed.
func normalise(kind PrincipalKind, secret string) (string, error) {
	if kind == Recovery {
		return ParseRecoveryCode(secret)
	}
	return norm.NFC.String(secret), nil
}

// PersonKind returns the kind of a person object, Passphrase or Recovery, which is known (and
// not authenticated) before the secret is. It reports ErrCorrupt or ErrTooNew.
func PersonKind(object []byte) (PrincipalKind, error) {
	if len(object) > limitKeyObject || len(object) < personHeader || !bytes.HasPrefix(object, []byte(personMagic)) {
		return 0, fmt.Errorf("person's key: %w: %d bytes that are none", ErrCorrupt, len(object))
	}
	switch kind := PrincipalKind(object[len(personMagic)]); kind {
	case Passphrase, Recovery:
		return kind, nil
	case 0, Device, KeyVault, AgeRecipient:
		return 0, fmt.Errorf("person's key: %w: for a %v", ErrCorrupt, kind)
	default:
		return 0, fmt.Errorf("person's key: %w: for a %v", ErrTooNew, kind)
	}
}

// UnlockPerson opens what Lock made. It reports ErrWrongSecret (which comes with what is wrong
// with a recovery code that is none), ErrCorrupt or ErrTooNew. An object that asks for a
// work factor above 20, 1 GiB of memory, is refused.
func UnlockPerson(object []byte, secret string) (*Identity, error) {
	return unlockPerson(object, secret, maxLogN)
}

func unlockPerson(object []byte, secret string, maxLogN int) (*Identity, error) {
	kind, err := PersonKind(object)
	if err != nil {
		return nil, err
	}
	secret, err = normalise(kind, secret)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrongSecret, err)
	}
	id, err := age.NewScryptIdentity(secret)
	if err != nil { // it is empty
		return nil, fmt.Errorf("%w: %w", ErrWrongSecret, err)
	}
	id.SetMaxWorkFactor(maxLogN)
	plain, err := decrypt(object[personHeader:], scryptOnly{id})
	switch {
	case errors.Is(err, age.ErrIncorrectIdentity):
		return nil, ErrWrongSecret
	case errors.Is(err, ErrCorrupt):
		return nil, fmt.Errorf("person's key: %w", err)
	case err != nil:
		return nil, fmt.Errorf("person's key: %w: %v", ErrCorrupt, err)
	}
	i, err := ParseIdentity(plain)
	if err != nil {
		return nil, fmt.Errorf("person's key: %w", err)
	}
	if i.Principal.Kind != kind {
		return nil, fmt.Errorf("person's key: %w: a %v in the place of a %v", ErrCorrupt, i.Principal.Kind, kind)
	}
	return i, nil
}

// scryptOnly tells a file for other recipients from a wrong secret.
type scryptOnly struct{ *age.ScryptIdentity }

func (s scryptOnly) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, errors.New("not locked by a secret")
	}
	return s.ScryptIdentity.Unwrap(stanzas)
}
