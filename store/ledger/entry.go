package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Hash is a SHA-256: of an entry's raw bytes, of an object, of a payload.
type Hash [sha256.Size]byte

// Workspace names a workspace: 128 random bits.
type Workspace [16]byte

// Kind is what an entry does (FORMAT.md §7).
type Kind uint8

const (
	Genesis    Kind = 1
	Commit     Kind = 2
	Register   Kind = 3
	Forget     Kind = 4
	Unforget   Kind = 5
	HoldKind   Kind = 6
	TagKind    Kind = 7
	Condemn    Kind = 8
	Checkpoint Kind = 9
	Enrol      Kind = 10
	Revoke     Kind = 11
	Keyring    Kind = 12
	Feature    Kind = 13
	Audit      Kind = 14
	Describe   Kind = 15

	ignorable Kind = 0x80 // from here on, who does not know a kind passes over it
)

// Body is the signed part of an entry.
type Body struct {
	Repository seal.RepoID `cbor:"1,keyasint,omitzero"`
	Position   uint64      `cbor:"2,keyasint,omitempty"`
	Prev       Hash        `cbor:"3,keyasint,omitzero"`
	State      Hash        `cbor:"4,keyasint,omitzero"`
	Sequence   uint64      `cbor:"5,keyasint,omitempty"`
	Time       int64       `cbor:"6,keyasint,omitempty"` // ns since 1970, the store's clock
	Nonce      [16]byte    `cbor:"7,keyasint,omitzero"`
	Kind       Kind        `cbor:"8,keyasint,omitempty"`
	Content    []byte      `cbor:"9,keyasint,omitempty"`
	Checkpoint uint64      `cbor:"10,keyasint,omitempty"`
	User       string      `cbor:"11,keyasint,omitempty"` // who sat at the author's device
}

// PackRef registers a pack. Directory is its encoding or empty.
type PackRef struct {
	_         struct{} `cbor:",toarray"`
	Key       pack.Key
	Size      int64
	Hash      Hash // of the directory's encoding
	Directory []byte
}

// Contents by kind.
type (
	GenesisContent struct {
		Principals []seal.Principal `cbor:"1,keyasint,omitempty"`
	}
	CommitContent struct {
		Snapshot  pack.ID   `cbor:"1,keyasint,omitzero"`
		Workspace Workspace `cbor:"2,keyasint,omitzero"`
		Name      string    `cbor:"3,keyasint,omitempty"`
		Remote    string    `cbor:"4,keyasint,omitempty"` // normalised git remote
		Parents   []pack.ID `cbor:"5,keyasint,omitempty"`
		Root      pack.ID   `cbor:"6,keyasint,omitzero"`
		Files     uint64    `cbor:"7,keyasint,omitempty"`
		Bytes     uint64    `cbor:"8,keyasint,omitempty"`
		NewBytes  uint64    `cbor:"9,keyasint,omitempty"`
		Problems  uint64    `cbor:"10,keyasint,omitempty"`
		Packs     []PackRef `cbor:"11,keyasint,omitempty"`
		Segments  []Hash    `cbor:"12,keyasint,omitempty"`
		Flags     uint64    `cbor:"13,keyasint,omitempty"`
		Clock     int64     `cbor:"14,keyasint,omitempty"` // ns, the device's own
	}
	RegisterContent struct {
		Packs    []PackRef `cbor:"1,keyasint,omitempty"`
		Segments []Hash    `cbor:"2,keyasint,omitempty"`
	}
	CheckpointContent struct {
		Covers   uint64   `cbor:"1,keyasint,omitempty"`
		Object   Hash     `cbor:"2,keyasint,omitzero"`
		Payload  Hash     `cbor:"3,keyasint,omitzero"`
		Segments []Hash   `cbor:"4,keyasint,omitempty"`
		Leave    []string `cbor:"5,keyasint,omitempty"`
		Horizon  uint64   `cbor:"6,keyasint,omitempty"`
	}
	EnrolContent struct {
		Principal seal.Principal `cbor:"1,keyasint,omitzero"`
	}
)

// Flags of a CommitContent.
const (
	FlagNewHead = 1 // begins a line of its own beside the workspace's heads
	FlagSafety  = 2 // a safety snapshot: never a head
)

type signature struct {
	_      struct{} `cbor:",toarray"`
	Signer seal.ID
	Bytes  []byte
}

type envelope struct {
	_          struct{} `cbor:",toarray"`
	Body       []byte
	Signatures []signature
}

// Entry is an entry that opened and is canonical. Whether it is valid only the fold can
// tell.
type Entry struct {
	Body
	Author seal.ID
	Hash   Hash // of the raw bytes

	generation uint32 // of the key that sealed it
	newer      bool   // the body has a key that this satchel does not know: the others are not to be trusted
	body       []byte
	signatures []signature
}

// signingContext separates these signatures from all others made with the same key.
const signingContext = "satchel/1 entry\x00"

// sealEntry signs a body by each signer, the author first, and seals it.
func sealEntry(b *Body, keys *seal.Keys, rand io.Reader, signers ...*seal.Identity) ([]byte, error) {
	env := envelope{Body: canon.Marshal(b)}
	for _, s := range signers {
		env.Signatures = append(env.Signatures, signature{Signer: s.Principal.ID, Bytes: s.Sign(append([]byte(signingContext), env.Body...))})
	}
	payload := canon.Marshal(env)
	if len(payload) > seal.Ledger.MaxPayload() {
		return nil, fmt.Errorf("%w: an entry of %d bytes: at most %d", ErrRefused, len(payload), seal.Ledger.MaxPayload())
	}
	return keys.SealObject(seal.Ledger, b.Position, payload, rand)
}

// openEntry opens the raw bytes at position n. An error that is neither seal.ErrTooNew nor
// seal.ErrNoKey, for a generation to come, means that the entry is void.
func openEntry(raw []byte, n uint64, keys *seal.Keys) (*Entry, error) {
	if len(raw) > maxEntry {
		return nil, fmt.Errorf("entry %d: %d bytes", n, len(raw))
	}
	payload, err := keys.OpenObject(seal.Ledger, n, raw)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", n, err)
	}
	e, err := parseEntry(payload, sha256.Sum256(raw))
	if err == nil {
		e.generation = seal.Generation(raw)
	}
	return e, err
}

func parseEntry(payload []byte, hash Hash) (*Entry, error) {
	var env envelope
	if err := canon.Unmarshal(payload, &env); err != nil {
		return nil, err
	}
	if len(env.Signatures) == 0 {
		return nil, errors.New("no signature")
	}
	e := &Entry{Author: env.Signatures[0].Signer, Hash: hash, body: env.Body, signatures: env.Signatures}
	if err := canon.Unmarshal(env.Body, &e.Body); errors.Is(err, canon.ErrUnknownKey) {
		e.newer = true
	} else if err != nil {
		return nil, err
	}
	return e, nil
}

// signedBy reports whether signature i is p's and verifies.
func (e *Entry) signedBy(i int, p seal.Principal) bool {
	return i < len(e.signatures) && e.signatures[i].Signer == p.ID &&
		p.VerifySignature(append([]byte(signingContext), e.body...), e.signatures[i].Bytes)
}
