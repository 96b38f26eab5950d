//go:build unix

package restore

import "syscall"

// unholdable are the codes of cannotHold: names and values that a file system refuses.
var unholdable = [...]syscall.Errno{syscall.EINVAL, syscall.EILSEQ, syscall.ENAMETOOLONG, syscall.E2BIG, syscall.ERANGE, syscall.ENXIO}
