package sqlite

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"
)

// tellsTimes: the times of a file may wait until its writer closes it.
const tellsTimes = false

func changeTime(info fs.FileInfo) time.Time { return info.ModTime() }

// openFile opens a file for reading, and lets others rename and delete it meanwhile.
func openFile(path string) (*os.File, error) { return openShared(path, shareAll) }

const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

func openShared(path string, share uint32) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, share, nil, windows.OPEN_EXISTING,
		windows.FILE_ATTRIBUTE_NORMAL|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// holdShared does nothing here: see the package comment.
func holdShared(*os.File) error { return nil }

// remote reports whether the file is on a network drive.
func remote(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	volume := filepath.VolumeName(path)
	if strings.HasPrefix(volume, `\\`) {
		return true
	}
	root, err := windows.UTF16PtrFromString(volume + `\`)
	return err == nil && windows.GetDriveType(root) == windows.DRIVE_REMOTE
}
