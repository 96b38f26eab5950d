//go:build !windows

package index

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks f against all other descriptors, in this process or another. bbolt's
// own flock of the same descriptor finds it done.
func tryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		default:
			return err
		}
	}
}

// unlock ends the lock. Closing f does not, while it is mapped.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
