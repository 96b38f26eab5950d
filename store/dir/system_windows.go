package dir

import (
	"io/fs"

	"golang.org/x/sys/windows"
)

var (
	diskFull = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED}
	readOnly = []error{windows.ERROR_WRITE_PROTECT}
)

// sameVolume trusts the path: without its volume a drive letter has no folders.
func sameVolume(a, b fs.FileInfo) bool { return true }
