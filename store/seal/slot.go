package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// A slot is an age file to one recipient around slotMagic ‖ repository id (16) ‖
// generation u32 ‖ KEK (32) (FORMAT §6).
const slotMagic = "satchel-kek"

// RingName is the name of the keyring of a generation.
func RingName(generation uint32) string { return fmt.Sprintf("k/%d/ring", generation) }

// SlotName is the name of a principal's slot. Who does not know the id cannot tell whose it is.
func SlotName(id ID, generation uint32) string {
	b := append([]byte("satchel slot"), id[:]...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(b, generation))
	return fmt.Sprintf("k/%d/%s", generation, hex.EncodeToString(sum[:16]))
}

func slotPlain(repo RepoID, generation uint32) []byte {
	b := append([]byte(slotMagic), repo[:]...)
	return binary.BigEndian.AppendUint32(b, generation)
}

// WrapKEK returns p's slot: the KEK of a generation, which p alone can unwrap.
func (p Principal) WrapKEK(repo RepoID, generation uint32, kek [32]byte) ([]byte, error) {
	r, err := p.recipient()
	if err != nil {
		return nil, fmt.Errorf("slot of principal %v: %w", p.ID, err)
	}
	slot, err := encrypt(nil, r, append(slotPlain(repo, generation), kek[:]...))
	if err != nil {
		return nil, fmt.Errorf("slot of principal %v: %w", p.ID, err)
	}
	return slot, nil
}

// OpenSlot is UnwrapKEK for a principal whose private key is not an Identity's: id is an age
// identity or VaultIdentity's. An error of id's own is passed on.
//
// Anyone can wrap anything to a public key: compare the KEK's SHA-256 with the ledger's.
func OpenSlot(repo RepoID, generation uint32, slot []byte, id age.Identity) (kek [32]byte, err error) {
	if len(slot) > limitKeyObject {
		return kek, fmt.Errorf("slot: %w: %d bytes", ErrCorrupt, len(slot))
	}
	plain, err := decrypt(slot, id)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		err = fmt.Errorf("%w: not wrapped to this key", ErrCorrupt)
	}
	if err != nil {
		return kek, fmt.Errorf("slot: %w", err)
	}
	rest, ok := bytes.CutPrefix(plain, slotPlain(repo, generation))
	if !ok || len(rest) != len(kek) {
		return kek, fmt.Errorf("slot: %w: of another repository or generation", ErrCorrupt)
	}
	return [32]byte(rest), nil
}

// encrypt appends an age file to r to prefix.
func encrypt(prefix []byte, r age.Recipient, plain []byte) ([]byte, error) {
	out := bytes.NewBuffer(prefix)
	w, err := age.Encrypt(out, r)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// decrypt opens an age file to one recipient. It returns id's own error as it is
// (age.ErrIncorrectIdentity: for another key) and reports ErrCorrupt for the rest.
func decrypt(file []byte, id age.Identity) ([]byte, error) {
	only := &onlyOne{Identity: id}
	r, err := age.Decrypt(bytes.NewReader(file), only)
	if only.err != nil {
		return nil, only.err
	}
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return plain, nil
}

// onlyOne unwraps age files to exactly one recipient and keeps the error of the identity.
type onlyOne struct {
	age.Identity
	err error
}

func (o *onlyOne) Unwrap(stanzas []*age.Stanza) (key []byte, err error) {
	if len(stanzas) != 1 {
		return nil, fmt.Errorf("%d recipients", len(stanzas))
	}
	key, o.err = o.Identity.Unwrap(stanzas)
	return key, o.err
}
