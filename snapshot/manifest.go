package snapshot

import (
	"fmt"

	"satchel/store/canon"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Manifest is a snapshot: FORMAT.md §5. Its id is the SHA-256 of its encoding.
type Manifest struct {
	Workspace ledger.Workspace `cbor:"1,keyasint,omitzero"`
	Name      string           `cbor:"2,keyasint,omitempty"`
	Device    seal.ID          `cbor:"3,keyasint,omitzero"`
	DeviceAs  string           `cbor:"4,keyasint,omitempty"` // its name at the time
	Parents   []pack.ID        `cbor:"5,keyasint,omitempty"`
	Root      pack.ID          `cbor:"6,keyasint,omitzero"`
	Started   int64            `cbor:"7,keyasint,omitempty"` // ns, the device's clock
	Read      int64            `cbor:"8,keyasint,omitempty"`
	Files     uint64           `cbor:"9,keyasint,omitempty"`
	Bytes     uint64           `cbor:"10,keyasint,omitempty"`
	Git       *Git             `cbor:"11,keyasint,omitempty"`
	Rules     *Rules           `cbor:"12,keyasint,omitempty"`
	Problems  []Problem        `cbor:"13,keyasint,omitempty"`
	Version   string           `cbor:"14,keyasint,omitempty"`
	Nonce     [16]byte         `cbor:"15,keyasint,omitzero"`
}

// Git is the state of the code beside the data.
type Git struct {
	Commit string `cbor:"1,keyasint,omitempty"`
	Branch string `cbor:"2,keyasint,omitempty"`
	Dirty  bool   `cbor:"3,keyasint,omitempty"`
	Remote string `cbor:"4,keyasint,omitempty"`
}

// Rules are the sync rules that were in force.
type Rules struct {
	Source   string `cbor:"1,keyasint,omitempty"`
	Manifest []byte `cbor:"2,keyasint,omitempty"` // .gitignore-sync.json, if there was one
}

// Problem is a path that could not be read, or not whole.
type Problem struct {
	_    struct{} `cbor:",toarray"`
	Path []byte   // remote
	Mark Mark
	Text string
}

// ParseManifest decodes a manifest.
func ParseManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := canon.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrTree, err)
	}
	if m.Root == (pack.ID{}) || m.Workspace == (ledger.Workspace{}) {
		return nil, fmt.Errorf("%w: manifest without a root or a workspace", ErrTree)
	}
	return &m, nil
}
