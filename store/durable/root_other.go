//go:build !linux && !darwin && !windows

package durable

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// syncFileSystem: there is no such call, or none that waits.
func syncFileSystem(*os.File) (bool, error) { return false, nil }

func openTop(*os.Root) (*os.File, error) { return nil, nil }

const largeFile = 0 // has no need to be asked for

// InfoOf is what the system told of a path when info was made: nothing that is known here.
func InfoOf(fs.FileInfo) Info { return Info{Allocated: -1} }

// InfoOfFile is InfoOf an open file.
func InfoOfFile(_ *os.File, info fs.FileInfo) (Info, error) { return InfoOf(info), nil }

// FileXattrs is Root.Xattrs of an open file.
func FileXattrs(*os.File, func(string) bool) ([]Xattr, error) { return nil, errors.ErrUnsupported }

// FileStreams lists the alternate streams of a file: none here.
func FileStreams(*os.File) ([]Stream, error) { return nil, nil }

func (root) Mknod(string, fs.FileMode, uint64) error       { return errors.ErrUnsupported }
func (root) Lchtimes(string, time.Time) error              { return errors.ErrUnsupported }
func (root) SetBirth(string, time.Time) error              { return errors.ErrUnsupported }
func (root) SetFlags(string, Flags) error                  { return errors.ErrUnsupported }
func (root) SetXattr(string, string, []byte) error         { return errors.ErrUnsupported }
func (root) RemoveXattr(string, string) error              { return errors.ErrUnsupported }
func (root) OpenStream(string, string, bool) (File, error) { return nil, errors.ErrUnsupported }
func (root) Xattrs(string, func(string) bool) ([]Xattr, error) {
	return nil, errors.ErrUnsupported
}

func (rootFile) MakeSparse() error { return nil }
