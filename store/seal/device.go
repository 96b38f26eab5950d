package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"satchel/store/durable"
)

// A device's own file is deviceMagic ‖ protection u8 ‖ encoded Identity, protected. It is not part of
// the repository format: it stays on its device.
const (
	deviceMagic  = "satcheld"
	deviceHeader = len(deviceMagic) + 1 // bytes

	protectionNone  = 0 // the file's mode, 0600
	protectionDPAPI = 1 // Windows: CryptProtectData for the user
)

// SaveIdentity writes a device's private halves to path, durably, and replaces what is there. Folders
// that are missing are made, for the owner only. On Windows the bytes are
// protected by the user's account (DPAPI); elsewhere they are plain and the mode is 0600.
func SaveIdentity(path string, i *Identity) error {
	if i.Principal.Kind != Device || i.Genesis == [32]byte{} {
		return fmt.Errorf("seal: save: a %v, or one without a genesis hash, is not saved", i.Principal.Kind)
	}
	protection, b, err := protect(i.Encode())
	if err != nil {
		return fmt.Errorf("%s: protect the device's key: %w", path, err)
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file := append([]byte(deviceMagic), protection)
	return durable.WriteFile(path, append(file, b...), 0o600)
}

// LoadIdentity reads what SaveIdentity wrote. It reports fs.ErrNotExist, ErrCorrupt or ErrTooNew,
// and refuses, where files have modes, one that others than its owner may read or change.
func LoadIdentity(path string) (*Identity, error) {
	file, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(file, []byte(deviceMagic))
	if !ok || len(rest) == 0 || len(file) > limitKeyObject {
		return nil, fmt.Errorf("%s: %w: not a device's key", path, ErrCorrupt)
	}
	plain, err := unprotect(rest[0], rest[1:])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	i, err := ParseIdentity(plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if i.Principal.Kind != Device {
		return nil, fmt.Errorf("%s: %w: the key of a %v", path, ErrCorrupt, i.Principal.Kind)
	}
	return i, nil
}

// readPrivate reads a file that nobody else can, up to one byte above the limit.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a file", path)
	}
	if hasModes && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read this device's key (mode %04o): chmod 600 %q", path, info.Mode().Perm(), path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limitKeyObject+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// unknownProtection is the error for a protection that this system cannot undo.
func unknownProtection(protection byte) error {
	if protection == protectionDPAPI {
		return errors.New("this key was protected by Windows and opens there only: enrol this device again")
	}
	return fmt.Errorf("%w: protection %d", ErrTooNew, protection)
}
