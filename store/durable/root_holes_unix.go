//go:build linux || darwin

package durable

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

func holes(f *os.File, size int64) (all []Range, err error) {
	for at := int64(0); at < size; {
		start, err := f.Seek(at, unix.SEEK_HOLE)
		if err != nil {
			return all, noHoles(f, err)
		}
		if start >= size { // the one behind the end
			break
		}
		end, err := f.Seek(start, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // no data follows
			end = size
		} else if err != nil {
			return all, noHoles(f, err)
		}
		if end = min(end, size); end > start {
			all = append(all, Range{start, end - start})
		}
		at = max(end, start+1)
	}
	_, err = f.Seek(0, io.SeekStart)
	return all, err
}

// noHoles ends a search that the file system does not know, or that met the end of a file
// that has become shorter.
func noHoles(f *os.File, err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENOTSUP) {
		_, err = f.Seek(0, io.SeekStart)
	}
	return err
}
