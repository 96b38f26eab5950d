package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

func renameExclusive(from, to string) error {
	var err error
	for {
		err = unix.RenamexNp(from, to, unix.RENAME_EXCL)
		if err != unix.EINTR {
			break
		}
	}
	switch err {
	case nil:
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP: // not APFS or HFS+
		return linkExclusive(from, to)
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}
