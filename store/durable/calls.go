package durable

import (
	"io"
	"io/fs"
	"os"
)

// calls are the system calls that this package makes: a test puts faults between.
type calls struct {
	create          func(path string, perm fs.FileMode) (file, error) // for writing, O_EXCL
	rename          func(from, to string) error                       // replaces
	renameExclusive func(from, to string) error                       // fs.ErrExist, errors.ErrUnsupported
	remove          func(path string) error
	mkdir           func(path string, perm fs.FileMode) error
	stat            func(path string) (fs.FileInfo, error)
	lstat           func(path string) (fs.FileInfo, error)
	syncDir         func(path string) error
}

type file interface {
	io.WriteCloser
	Sync() error
}

// system is the operating system.
var system = calls{
	create: func(path string, perm fs.FileMode) (file, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	},
	rename:          rename,
	renameExclusive: renameExclusive,
	remove:          os.Remove,
	mkdir:           os.Mkdir,
	stat:            os.Stat,
	lstat:           os.Lstat,
	syncDir:         syncDir,
}
