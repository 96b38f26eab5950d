//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// tellsTimes: a write shows in the times of a file at once.
const tellsTimes = true

// openFile opens a file for reading; it follows no link, and does not wait for a FIFO.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}
