//go:build unix

package workspace

import (
	"errors"
	"os"
	"syscall"
)

// openDir opens a folder; for anything else, links included, it reports errNotFolder.
func openDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return nil, errNotFolder
	}
	return f, err
}
