package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// errLocked is what tryLock reports when another handle has the lock.
var errLocked = errors.New("locked")

// lockFile opens the file at path, which it makes if need be, and locks it until it is
// closed. bbolt locks too, but only after that is too late: whether a file is sound must be
// known before bbolt maps it, and cannot be judged while somebody writes.
func lockFile(path string, wait time.Duration) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	for end := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		err = tryLock(f)
		if err == nil && same(f, path) {
			return f, nil
		}
		f.Close()
		switch {
		case err == nil: // removed or replaced between open and lock
		case !errors.Is(err, errLocked):
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%s: %w", path, ErrBusy)
		}
	}
}

// same reports whether path still names the open file f.
func same(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}
