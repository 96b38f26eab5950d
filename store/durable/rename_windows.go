package durable

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// syncDir does nothing: FlushFileBuffers refuses a folder's handle.
func syncDir(string) error { return nil }

func syncOpenDir(*os.File) error { return nil }

func rename(from, to string) error {
	return move(from, to, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
}

func renameExclusive(from, to string) error {
	return move(from, to, windows.MOVEFILE_WRITE_THROUGH)
}

// patience is how long move tries again: virus scanners and indexers open a file that
// was just written, and let go of it soon.
const patience = 2 * time.Second

func move(from, to string, flags uint32) error {
	f, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	t, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	start, pause := time.Now(), time.Millisecond
	for {
		err = windows.MoveFileEx(f, t, flags)
		busy := errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
		if !busy || time.Since(start)+pause > patience {
			break
		}
		time.Sleep(pause)
		pause *= 2
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
