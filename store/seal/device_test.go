package seal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDeviceKeyIsSavedAndLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "satchel", "keys", "device")
	for seed := range byte(2) { // the second replaces the first
		i := testIdentity(Device, seed)
		if err := SaveIdentity(path, i); err != nil {
			t.Fatal(err)
		}
		got, err := LoadIdentity(path)
		if err != nil || !bytes.Equal(got.Encode(), i.Encode()) {
			t.Errorf("loads as %v, %v", got, err)
		}
	}
	if !hasModes {
		return
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		if info := ok(os.Stat(p)); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, info.Mode())
		}
	}
}

func TestDeviceKeyThatOthersReadIsRefused(t *testing.T) {
	if !hasModes {
		t.Skip("files have no modes here")
	}
	path := filepath.Join(t.TempDir(), "device")
	ok(0, SaveIdentity(path, testIdentity(Device, 1)))
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o660, 0o602, 0o601} {
		ok(0, os.Chmod(path, mode))
		if _, err := LoadIdentity(path); err == nil || !strings.Contains(err.Error(), "chmod 600 ") {
			t.Errorf("%v: %v", mode, err)
		}
	}
	ok(0, os.Chmod(path, 0o400))
	if _, err := LoadIdentity(path); err != nil {
		t.Error(err)
	}
}

func TestLoadIdentityRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadIdentity(filepath.Join(dir, "none"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := LoadIdentity(dir); err == nil {
		t.Error("a folder loads")
	}
	plain := testIdentity(Device, 1).Encode()
	for name, c := range map[string]struct {
		file string
		want error
	}{
		"empty":             {"", ErrCorrupt},
		"magic only":        {"satcheld", ErrCorrupt},
		"other file":        {"satchelp\x00" + string(plain), ErrCorrupt},
		"cut off":           {"satcheld\x00" + string(plain[:100]), ErrCorrupt},
		"unknown":           {"satcheld\x07" + string(plain), ErrTooNew},
		"too large":         {"satcheld\x00" + string(make([]byte, limitKeyObject)), ErrCorrupt},
		"key of a person":   {"satcheld\x00" + string(testIdentity(Passphrase, 1).Encode()), ErrCorrupt},
		"plain, everywhere": {"satcheld\x00" + string(plain), nil},
	} {
		path := filepath.Join(dir, "device")
		ok(0, os.WriteFile(path, []byte(c.file), 0o600))
		_, err := LoadIdentity(path)
		wantErr(t, name, err, c.want)
	}
}

func TestSaveIdentityRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device")
	for _, i := range []*Identity{testIdentity(Passphrase, 1), ok(NewIdentity(testRepo, Device, "d", 0, fixed(1)))} {
		if err := SaveIdentity(path, i); err == nil {
			t.Errorf("%v: saved", i)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("there is a file", err)
	}
}
