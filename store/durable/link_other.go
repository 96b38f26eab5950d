//go:build !windows

package durable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// linkExclusive gives the file its second name and drops the first. Where a lost answer
// made link(2) report EEXIST for its own success (NFS), the two names are one file.
func linkExclusive(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, os.ErrExist) && sameFile(from, to) {
		err = nil
	}
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EMLINK):
		return fmt.Errorf("the file system has no exclusive rename and no hard links: %w (%w)", errors.ErrUnsupported, err)
	case err != nil:
		return err
	}
	os.Remove(from) // if it stays, a sweep finds it
	return nil
}

func sameFile(a, b string) bool {
	fa, errA := os.Lstat(a)
	fb, errB := os.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}
