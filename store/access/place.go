// Package access gets a device into a repository: it founds one, joins one with a
// passphrase or a recovery code, and opens one with the device's own key.
//
//	a, err := access.Open(ctx, access.Config{Store: s, Location: loc.String(), Place: place, Secret: ask})
//	defer a.Log.Close()
//	err = a.Log.Sync(ctx)
//
// What a device keeps, under two folders of the user's (Place):
//
//	Config/<repository>/device.key       its private halves, 0600
//	State/stores/<hash>.json             which repository lies at a location: pinned on first use
//	State/<repository>/slot, ring        as fetched: they open with device.key alone
//	State/<repository>/ledger.db         its copy of the ledger
//
// FORMAT.md §6 and §8 (in store/pack) say what lies in the store. Nothing here is safe for
// concurrent use.
package access

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/seal"
)

// Place is where a device keeps what is its own.
type Place struct {
	Config string // keys
	State  string // what it has seen
}

// KeyPath is the file of the device's private halves.
func (p Place) KeyPath(repo seal.RepoID) string {
	return filepath.Join(p.Config, repo.String(), "device.key")
}

// LedgerPath is the file of the device's copy of the ledger.
func (p Place) LedgerPath(repo seal.RepoID) string {
	return filepath.Join(p.State, repo.String(), "ledger.db")
}

// Pin is which repository lies at a location, and what its ledger began with.
type Pin struct {
	Location   string
	Repository seal.RepoID
	Genesis    ledger.Hash
}

type pinFile struct {
	Location   string `json:"location"`
	Repository string `json:"repository"`
	Genesis    string `json:"genesis"`
}

// PinPath is the file that remembers which repository lies at a location.
func (p Place) PinPath(location string) string {
	sum := sha256.Sum256([]byte(location))
	return filepath.Join(p.State, "stores", hex.EncodeToString(sum[:8])+".json")
}

// Vanished says that the repository known at a location is not there, and why this device knows it.
func (p Place) Vanished(location string) error {
	return fmt.Errorf("%w: %s (known from %s)", ErrVanished, location, p.PinPath(location))
}

// Pinned returns the pin of a location; ok is false if there is none.
func (p Place) Pinned(location string) (pin Pin, ok bool, err error) {
	b, err := os.ReadFile(p.PinPath(location))
	if errors.Is(err, fs.ErrNotExist) {
		return Pin{}, false, nil
	} else if err != nil {
		return Pin{}, false, err
	}
	var f pinFile
	if err := json.Unmarshal(b, &f); err != nil || f.Location != location {
		return Pin{}, false, fmt.Errorf("%s: not what satchel wrote there", p.PinPath(location))
	}
	if pin, ok, err = parsePin(f); err != nil {
		return Pin{}, false, fmt.Errorf("%s: %w", p.PinPath(location), err)
	}
	return pin, ok, nil
}

func parsePin(f pinFile) (Pin, bool, error) {
	repo, err := seal.ParseRepoID(f.Repository)
	if err != nil {
		return Pin{}, false, err
	}
	g, err := hex.DecodeString(f.Genesis)
	if err != nil || len(g) != sha256.Size {
		return Pin{}, false, errors.New("the hash of the first entry is not one")
	}
	return Pin{f.Location, repo, ledger.Hash(g)}, true, nil
}

func (p Place) savePin(pin Pin) error {
	b, err := json.MarshalIndent(pinFile{pin.Location, pin.Repository.String(), hex.EncodeToString(pin.Genesis[:])}, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(p.PinPath(pin.Location), append(b, '\n'))
}

func writePrivate(path string, b []byte) error {
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, b, 0o600)
}

func (p Place) keptPath(repo seal.RepoID, what string) string {
	return filepath.Join(p.State, repo.String(), what)
}
