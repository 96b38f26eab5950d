package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFileSystem flushes the file system that f lies on.
func syncFileSystem(f *os.File) (bool, error) {
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return false, os.NewSyscallError("syncfs", err)
	}
	return true, nil
}
