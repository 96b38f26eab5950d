package durable

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// A Root is a folder that nothing reaches out of, as os.Root is, with what it takes to
// make changes in it survive a power cut. Names are relative and slash separated. A test puts
// faults between (package durabletest).
type Root interface {
	Name() string // of the folder, as it was given to OpenRoot
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Mkdir(name string, perm fs.FileMode) error
	MkdirAll(name string, perm fs.FileMode) error
	Rename(from, to string) error // replaces
	Remove(name string) error
	RemoveAll(name string) error
	Symlink(target, name string) error
	Link(from, to string) error // another name of a file
	Chmod(name string, mode fs.FileMode) error
	Chtimes(name string, atime, mtime time.Time) error

	// What follows is done to name itself, never to what a link names. Each call reports
	// errors.ErrUnsupported where the system has no such thing.

	// Mknod makes a FIFO or a device, as the type bits of kind say, with the mode 0600.
	Mknod(name string, kind fs.FileMode, device uint64) error
	Lchown(name string, uid, gid int) error
	Lchtimes(name string, mtime time.Time) error
	// SetBirth sets the time of creation. Chtimes is to follow: a system may set the other
	// times with it.
	SetBirth(name string, birth time.Time) error
	// SetFlags sets and clears the flags that the system has.
	SetFlags(name string, flags Flags) error
	// Xattrs reads the extended attributes whose names keep takes, in order of name.
	Xattrs(name string, keep func(attr string) bool) ([]Xattr, error)
	SetXattr(name, attr string, value []byte) error
	RemoveXattr(name, attr string) error
	// OpenStream opens an alternate stream of a file: to write, a new or empty one.
	OpenStream(name, stream string, write bool) (File, error)

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
	Truncate(size int64) error
	Sync() error
	// MakeSparse says that parts of the file will not be written, where a system wants to
	// know this beforehand.
	MakeSparse() error
}

// An Xattr is one extended attribute. Names are bytes that are not NUL.
type Xattr struct {
	Name  string
	Value []byte
}

// Flags are attributes that Windows and macOS keep of a file, by the numbers of FORMAT.md §5.
type Flags uint64

const (
	ReadOnly  Flags = 1 << iota // Windows
	Hidden                      // Windows, macOS
	System                      // Windows
	Archive                     // Windows; every program that writes sets it
	Immutable                   // macOS, by the owner
	Append                      // macOS, by the owner
	NoDump                      // macOS
)

// FlagsOf are the flags that files have on a system, as runtime.GOOS calls it, and lstat tells.
func FlagsOf(system string) Flags {
	switch system {
	case "windows":
		return ReadOnly | Hidden | System | Archive
	case "darwin":
		return Hidden | Immutable | Append | NoDump
	}
	return 0
}

// Locked are the flags under which a path cannot be renamed, removed or written.
const Locked = Immutable | Append

// Info is what a system tells of a path beside what fs.FileInfo has. All is zero where it is
// not known.
type Info struct {
	Owned      bool // UID and GID are known
	UID, GID   uint32
	ID         FileID
	Links      uint64 // names that the file has
	Allocated  int64  // bytes on disk; -1: not known
	DeviceType uint64 // of a device: major ‖ minor, 32 bits each
	Flags      Flags
	Birth      int64 // ns since 1970
}

// Sparse reports whether a file of this size, in bytes, may have holes.
func (i Info) Sparse(size int64) bool { return i.Allocated >= 0 && i.Allocated < size }

// A Stream is an alternate stream of a file.
type Stream struct {
	Name string
	Size int64 // bytes
}

// A FileID tells whether two paths are one file.
type FileID struct{ Device, Inode uint64 }

// OpenRoot opens a folder.
func OpenRoot(path string) (Root, error) {
	r, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	top, err := openTop(r)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return root{r, top}, nil
}

type root struct {
	*os.Root
	top *os.File // the folder, where a system has a use for it; else nil
}

func (r root) Close() error {
	if r.top == nil {
		return r.Root.Close()
	}
	return errors.Join(r.top.Close(), r.Root.Close())
}

type rootFile struct{ *os.File }

func (r root) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := r.Root.OpenFile(name, flag|largeFile, perm)
	if err != nil {
		return nil, err // not a File that holds a nil pointer
	}
	return rootFile{f}, nil
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

// sorted puts attributes in order of name, as bytes.
func sorted(xs []Xattr) []Xattr {
	slices.SortFunc(xs, func(a, b Xattr) int { return cmp.Compare(a.Name, b.Name) })
	return xs
}

// names are the names in a list of attributes, each of which a NUL ends.
func names(list []byte, keep func(attr string) bool) (ns []string) {
	for name := range bytes.SplitSeq(list, []byte{0}) {
		if n := string(name); n != "" && keep(n) {
			ns = append(ns, n)
		}
	}
	return ns
}
