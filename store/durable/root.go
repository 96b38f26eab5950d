package durable

import (
	"io"
	"io/fs"
	"os"
	"time"
)

// A Root is a folder that nothing reaches out of, as os.Root is, with what it takes to
// make changes in it survive a power cut. Names are relative and slash separated. A test puts
// faults between (package durabletest).
type Root interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Mkdir(name string, perm fs.FileMode) error
	MkdirAll(name string, perm fs.FileMode) error
	Rename(from, to string) error // replaces
	Remove(name string) error
	RemoveAll(name string) error
	Symlink(target, name string) error
	Chmod(name string, mode fs.FileMode) error
	Chtimes(name string, atime, mtime time.Time) error

	Lstat(name string) (fs.FileInfo, error)
	Readlink(name string) (string, error)
	ReadDir(name string) ([]fs.DirEntry, error)

	// SyncDir makes what was created, renamed and removed in a folder durable.
	SyncDir(name string) error
	// SyncAll makes everything that was done below the root durable: one call where the system
	// has it, else none, and ok is false: files and folders are then to be synced one by one.
	SyncAll() (ok bool, err error)

	Close() error
}

// A File is one that a Root has opened.
type File interface {
	io.ReadWriteCloser
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// OpenRoot opens a folder.
func OpenRoot(path string) (Root, error) {
	r, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return root{r}, nil
}

type root struct{ *os.Root }

func (r root) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := r.Root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not a File that holds a nil pointer
	}
	return f, nil
}

func (r root) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

func (r root) SyncDir(name string) error {
	f, err := r.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncOpenDir(f)
}

func (r root) SyncAll() (bool, error) {
	f, err := r.Open(".")
	if err != nil {
		return false, err
	}
	defer f.Close()
	return syncFileSystem(f)
}
