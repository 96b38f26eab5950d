package durable

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// holes asks for what is allocated (FSCTL_QUERY_ALLOCATED_RANGES); holes are what lies between.
func holes(f *os.File, size int64) (all []Range, err error) {
	at := int64(0) // up to here everything is known
	for at < size {
		ask, got := Range{at, size - at}, make([]Range, 256)
		var n uint32
		err := windows.DeviceIoControl(windows.Handle(f.Fd()), windows.FSCTL_QUERY_ALLOCATED_RANGES, (*byte)(unsafe.Pointer(&ask)), uint32(unsafe.Sizeof(ask)),
			(*byte)(unsafe.Pointer(&got[0])), uint32(len(got))*uint32(unsafe.Sizeof(got[0])), &n, nil)
		more := errors.Is(err, windows.ERROR_MORE_DATA)
		if err != nil && !more {
			return nil, nil // a file system without
		}
		for _, r := range got[:n/uint32(unsafe.Sizeof(got[0]))] {
			if r.Offset > at {
				all = append(all, Range{at, min(r.Offset, size) - at})
			}
			at = max(at, r.Offset+r.Length)
		}
		if more && n == 0 {
			return nil, nil
		}
		if !more {
			break
		}
	}
	if at < size {
		all = append(all, Range{at, size - at})
	}
	return all, nil
}
