package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

func renameExclusive(from, to string) error {
	var err error
	for {
		err = unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		if err != unix.EINTR {
			break
		}
	}
	switch err {
	case nil:
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP: // NFS, some FUSE, old kernels
		return linkExclusive(from, to)
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}
