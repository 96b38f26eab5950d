package restore

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// unholdable are the codes of cannotHold: names and values that a file system refuses.
var unholdable = [...]syscall.Errno{windows.ERROR_INVALID_NAME, windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_DIRECTORY,
	windows.ERROR_PRIVILEGE_NOT_HELD, windows.ERROR_INVALID_FUNCTION, windows.ERROR_INVALID_PARAMETER, windows.ERROR_BAD_PATHNAME}
