//go:build unix

package dir

import (
	"io/fs"
	"syscall"
)

var (
	diskFull = []error{syscall.ENOSPC, syscall.EDQUOT}
	readOnly = []error{syscall.EROFS}
)

// sameVolume reports whether two folders lie on one device. Inode numbers are no help:
// some user-space file systems give a folder a new one now and then.
func sameVolume(a, b fs.FileInfo) bool {
	sa, okA := a.Sys().(*syscall.Stat_t)
	sb, okB := b.Sys().(*syscall.Stat_t)
	return !okA || !okB || sa.Dev == sb.Dev
}
