// Package durable writes files that survive a power cut: after a nil error the file is
// complete under its name, and before it the name holds what it held.
//
//	err := durable.WriteFile(path, data, 0o600)       // replaces
//	err = durable.CreateExclusive(path, data, 0o600)  // fs.ErrExist if the name is taken
//	err = durable.MkdirAll(dir, 0o700)
//
// Bytes go to a temporary file in the same folder, are synced, and then get their name
// in one step; the folder is synced last. The final name is never created directly. A
// crash may leave a temporary file, which IsTemp recognises.
//
// Holes that remain:
//
//   - A disk, its controller or a virtual machine that acknowledges a flush which it did
//     not do. On macOS files and folders are synced with F_FULLFSYNC.
//   - Windows has no way to sync a folder. A rename is asked to be written through, which
//     NTFS honours by its log; a new folder's own name may be lost with the power, and
//     the files in it.
//   - Some network and user-space file systems refuse to sync a folder (EINVAL, ENOTSUP).
//     There it counts as done.
//   - On Linux a failed sync may drop pages and report that once only: the file is then
//     removed and never synced again, but an earlier writer's loss can go to another.
//
// The functions are safe for concurrent use, and so are processes: one name has one
// creator.
package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// tempPrefix begins the name of every temporary file.
const tempPrefix = ".satchel-tmp-"

// TempName returns a new name, without a folder, that IsTemp recognises. Its random
// part is 26 letters and digits, 130 bits.
func TempName() string { return tempPrefix + strings.ToLower(rand.Text()) }

// IsTemp reports whether the last element of path is a temporary file's. One that is
// older than any running write was left by a crash and may be removed.
func IsTemp(path string) bool { return strings.HasPrefix(filepath.Base(path), tempPrefix) }

// WriteFile makes path hold data, with the permissions perm before umask. A file that is
// there is replaced, also its permissions; a symbolic link is replaced, not followed. On
// an error path holds its old bytes or, if only the folder could not be synced, the new.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return system.writeFile(path, data, perm)
}

// CreateExclusive makes a new file at path. Of any number of concurrent calls for one
// path, in any number of processes, exactly one puts its bytes there. The others, and all
// later ones, get fs.ErrExist; by then the file that is there is durable too.
//
// It reports errors.ErrUnsupported where the file system has neither an exclusive rename
// nor hard links. After any other error the file may be there, complete.
func CreateExclusive(path string, data []byte, perm fs.FileMode) error {
	return system.createExclusive(path, data, perm)
}

// MkdirAll makes the folder path and those above it that are missing, and syncs the
// folder above each one that it made. It is no error if path is there.
func MkdirAll(path string, perm fs.FileMode) error {
	return system.mkdirAll(filepath.Clean(path), perm)
}

// SyncDir makes the names in a folder durable: files created, renamed or removed there.
// It does nothing where the system or the file system has no such thing.
func SyncDir(path string) error { return system.syncDir(path) }

func (c calls) writeFile(path string, data []byte, perm fs.FileMode) error {
	temp, err := c.writeTemp(filepath.Dir(path), data, perm)
	if err != nil {
		return err
	}
	if err := c.rename(temp, path); err != nil {
		return c.abandon(temp, err)
	}
	return c.syncDir(filepath.Dir(path))
}

func (c calls) createExclusive(path string, data []byte, perm fs.FileMode) error {
	dir := filepath.Dir(path)
	if _, err := c.lstat(path); err == nil { // spares writing what cannot be kept
		return c.taken(path)
	}
	temp, err := c.writeTemp(dir, data, perm)
	if err != nil {
		return err
	}
	switch err := c.renameExclusive(temp, path); {
	case errors.Is(err, fs.ErrExist):
		return c.abandon(temp, c.taken(path))
	case err != nil:
		return c.abandon(temp, err)
	}
	return c.syncDir(dir)
}

// taken reports that path exists, once that is durable: its creator may have the sync of
// the folder still ahead.
func (c calls) taken(path string) error {
	if err := c.syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
}

// writeTemp leaves a synced temporary file in dir, or none.
func (c calls) writeTemp(dir string, data []byte, perm fs.FileMode) (string, error) {
	temp := filepath.Join(dir, TempName())
	f, err := c.create(temp, perm)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", c.abandon(temp, err)
	}
	return temp, nil
}

// abandon removes a temporary file and returns why. What cannot be removed stays for a
// sweep; err is the news.
func (c calls) abandon(temp string, err error) error {
	c.remove(temp)
	return err
}

func (c calls) mkdirAll(path string, perm fs.FileMode) error {
	if info, err := c.stat(path); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s: is not a folder: %w", path, fs.ErrExist)
		}
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := c.mkdirAll(parent, perm); err != nil {
			return err
		}
	}
	err := c.mkdir(path, perm)
	if errors.Is(err, fs.ErrExist) { // made by another meanwhile, and maybe not synced
		if info, serr := c.stat(path); serr != nil || !info.IsDir() {
			return err
		}
	} else if err != nil {
		return err
	}
	return c.syncDir(parent)
}
