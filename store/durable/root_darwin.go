package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// syncFileSystem: sync(2) does not wait here.
func syncFileSystem(*os.File) (bool, error) { return false, nil }

const (
	folderOnly = unix.O_RDONLY | unix.O_DIRECTORY
	errNoAttr  = unix.ENOATTR
)

// chflags are the flags as chflags(2) numbers them.
var chflags = [...]struct {
	flag Flags
	bit  uint32
}{{Hidden, unix.UF_HIDDEN}, {Immutable, unix.UF_IMMUTABLE}, {Append, unix.UF_APPEND}, {NoDump, unix.UF_NODUMP}}

const largeFile = 0 // has no need to be asked for

// InfoOf is what the system told of a path when info was made.
func InfoOf(info fs.FileInfo) Info {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Info{Allocated: -1}
	}
	rdev := uint64(uint32(st.Rdev))
	i := Info{Owned: true, UID: st.Uid, GID: st.Gid, ID: FileID{uint64(uint32(st.Dev)), st.Ino}, Links: uint64(st.Nlink), Allocated: st.Blocks * 512,
		DeviceType: uint64(unix.Major(rdev))<<32 | uint64(unix.Minor(rdev)), Birth: syscall.TimespecToNsec(st.Birthtimespec)}
	for _, c := range chflags {
		if st.Flags&c.bit != 0 {
			i.Flags |= c.flag
		}
	}
	return i
}

// InfoOfFile is InfoOf an open file.
func InfoOfFile(_ *os.File, info fs.FileInfo) (Info, error) { return InfoOf(info), nil }

// Mknod goes by the path, as there is no call that takes a descriptor: it is for a staging
// folder, which nobody else changes.
func openTop(*os.Root) (*os.File, error) { return nil, nil }

func (r root) folder(name string) (*os.File, error) { return r.Root.OpenFile(name, folderOnly, 0) }

func (r root) Mknod(name string, kind fs.FileMode, device uint64) error {
	file := filepath.Join(r.Name(), filepath.FromSlash(name))
	var err error
	switch dev := int(unix.Mkdev(uint32(device>>32), uint32(device))); kind {
	case fs.ModeNamedPipe:
		err = unix.Mkfifo(file, 0o600)
	case fs.ModeDevice:
		err = unix.Mknod(file, unix.S_IFBLK|0o600, dev)
	case fs.ModeDevice | fs.ModeCharDevice:
		err = unix.Mknod(file, unix.S_IFCHR|0o600, dev)
	default:
		return fmt.Errorf("%s: %v: %w", name, kind, errors.ErrUnsupported)
	}
	if err != nil {
		return &os.PathError{Op: "mknod", Path: name, Err: err}
	}
	return nil
}

func (r root) Lchtimes(name string, mtime time.Time) error {
	t := unix.NsecToTimespec(mtime.UnixNano())
	return r.at("utimensat", name, func(dir int, base string) error {
		return unix.UtimesNanoAt(dir, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// SetBirth sets the mtime: one that lies before the time of creation moves it too.
func (r root) SetBirth(name string, birth time.Time) error { return r.Lchtimes(name, birth) }

// open calls f with a descriptor of name itself, be it a link or a FIFO.
func (r root) open(op, name string, f func(fd int) error) error {
	return r.at(op, name, func(dir int, base string) error {
		fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_SYMLINK|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return f(fd)
	})
}

func (r root) SetFlags(name string, flags Flags) error {
	return r.open("chflags", name, func(fd int) error {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		bits := st.Flags
		for _, c := range chflags {
			bits &^= c.bit
			if flags&c.flag != 0 {
				bits |= c.bit
			}
		}
		if bits == st.Flags {
			return nil
		}
		return unix.Fchflags(fd, int(bits))
	})
}

func (r root) Xattrs(name string, keep func(attr string) bool) (xs []Xattr, err error) {
	err = r.open("xattr", name, func(fd int) error {
		xs, err = readXattrs(keep,
			func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
			func(attr string, b []byte) (int, error) { return unix.Fgetxattr(fd, attr, b) })
		return err
	})
	return xs, err
}

func (r root) SetXattr(name, attr string, value []byte) error {
	return r.open("setxattr "+attr, name, func(fd int) error { return unix.Fsetxattr(fd, attr, value, 0) })
}

func (r root) RemoveXattr(name, attr string) error {
	return r.open("removexattr "+attr, name, func(fd int) error { return unix.Fremovexattr(fd, attr) })
}

func (root) OpenStream(string, string, bool) (File, error) { return nil, errors.ErrUnsupported }

// FileStreams lists the alternate streams of a file: none here; a resource fork is an
// extended attribute.
func FileStreams(*os.File) ([]Stream, error) { return nil, nil }
