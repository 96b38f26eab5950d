package check

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// Note is what a device remembers of a repository's health: the SHA-256 of each key object
// when it first saw it, and the packs that it found damaged. It is a small file in the
// state directory. A push that is given the damaged packs takes their chunks for unknown, and
// so sends again what it has.
type Note struct {
	keys    map[string]string // hex, by name
	damaged map[pack.Key]bool
	path    string
	changed bool
}

type noteFile struct {
	Keys    map[string]string `json:"keys,omitempty"`
	Damaged []string          `json:"damaged,omitempty"`
}

// NotePath is where the note of a repository lies in the state directory of a device.
func NotePath(state, repository string) string {
	return filepath.Join(state, repository, "health.json")
}

// OpenNote reads a note. One that is not there, or cannot be understood, is empty.
func OpenNote(path string) (*Note, error) {
	n := &Note{keys: map[string]string{}, damaged: map[pack.Key]bool{}, path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	} else if err != nil {
		return nil, err
	}
	var f noteFile
	if json.Unmarshal(b, &f) != nil {
		return n, nil
	}
	for name, sum := range f.Keys {
		n.keys[name] = sum
	}
	for _, name := range f.Damaged {
		if k, err := pack.ParseName(name); err == nil {
			n.damaged[k] = true
		}
	}
	return n, nil
}

// Damaged are the packs that are noted, nil if there are none; not to be changed.
func (n *Note) Damaged() map[pack.Key]bool {
	if len(n.damaged) == 0 {
		return nil
	}
	return n.damaged
}

// Add notes damaged packs.
func (n *Note) Add(packs ...pack.Key) {
	for _, k := range packs {
		n.changed = n.changed || !n.damaged[k]
		n.damaged[k] = true
	}
}

// drop forgets a pack that is whole, or none of the repository's any more.
func (n *Note) drop(k pack.Key) {
	n.changed = n.changed || n.damaged[k]
	delete(n.damaged, k)
}

// prune forgets packs that the ledger no longer knows.
func (n *Note) prune(s *ledger.State) {
	for k := range n.damaged {
		if _, live := s.Pack(k); !live {
			n.drop(k)
		}
	}
}

// sawKey compares a key object with what was noted; one that is new is noted.
func (n *Note) sawKey(name string, sum [32]byte) (same bool) {
	now := hex.EncodeToString(sum[:])
	if was, ok := n.keys[name]; ok {
		return was == now
	}
	n.keys[name], n.changed = now, true
	return true
}

// Save writes the file durably, if anything changed.
func (n *Note) Save() error {
	if !n.changed {
		return nil
	}
	f := noteFile{Keys: n.keys}
	for k := range n.damaged {
		f.Damaged = append(f.Damaged, k.Name())
	}
	slices.Sort(f.Damaged)
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(n.path), 0o700); err != nil {
		return err
	}
	if err := durable.WriteFile(n.path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("note of damages: %w", err)
	}
	n.changed = false
	return nil
}
