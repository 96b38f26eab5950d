package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// syncFileSystem flushes the file system that f lies on.
func syncFileSystem(f *os.File) (bool, error) {
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return false, os.NewSyscallError("syncfs", err)
	}
	return true, nil
}

const (
	// largeFile asks for files of 2 GiB and more, where 32 bits are a file's length by default.
	largeFile = unix.O_LARGEFILE

	folderOnly = unix.O_PATH | unix.O_DIRECTORY // opens a folder that may not be listed, too
	errNoAttr  = unix.ENODATA
)

// InfoOf is what the system told of a path when info was made.
func InfoOf(info fs.FileInfo) Info {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Info{Allocated: -1}
	}
	rdev := uint64(st.Rdev)
	return Info{Owned: true, UID: st.Uid, GID: st.Gid, ID: FileID{uint64(st.Dev), st.Ino}, Links: uint64(st.Nlink), Allocated: st.Blocks * 512,
		DeviceType: uint64(unix.Major(rdev))<<32 | uint64(unix.Minor(rdev))}
}

// InfoOfFile is InfoOf an open file.
func InfoOfFile(_ *os.File, info fs.FileInfo) (Info, error) { return InfoOf(info), nil }

func (r root) Mknod(name string, kind fs.FileMode, device uint64) error {
	mode := uint32(0o600)
	switch kind {
	case fs.ModeNamedPipe:
		mode |= unix.S_IFIFO
	case fs.ModeDevice:
		mode |= unix.S_IFBLK
	case fs.ModeDevice | fs.ModeCharDevice:
		mode |= unix.S_IFCHR
	default:
		return fmt.Errorf("%s: %v: %w", name, kind, errors.ErrUnsupported)
	}
	return r.at("mknod", name, func(dir int, base string) error {
		return unix.Mknodat(dir, base, mode, int(unix.Mkdev(uint32(device>>32), uint32(device))))
	})
}

func (r root) Lchtimes(name string, mtime time.Time) error {
	t := unix.NsecToTimespec(mtime.UnixNano())
	return r.at("utimensat", name, func(dir int, base string) error {
		return unix.UtimesNanoAt(dir, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (root) SetBirth(string, time.Time) error { return errors.ErrUnsupported }

func (root) SetFlags(string, Flags) error { return errors.ErrUnsupported }

// byDescriptor names a path below an open folder: there are no calls for attributes that
// take the two apart.
func byDescriptor(dir int, base string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir, base) }

func (r root) Xattrs(name string, keep func(attr string) bool) (xs []Xattr, err error) {
	err = r.at("xattr", name, func(dir int, base string) error {
		file := byDescriptor(dir, base)
		xs, err = readXattrs(keep,
			func(b []byte) (int, error) { return unix.Llistxattr(file, b) },
			func(attr string, b []byte) (int, error) { return unix.Lgetxattr(file, attr, b) })
		return err
	})
	return xs, err
}

func (r root) SetXattr(name, attr string, value []byte) error {
	return r.at("setxattr "+attr, name, func(dir int, base string) error {
		return unix.Lsetxattr(byDescriptor(dir, base), attr, value, 0)
	})
}

func (r root) RemoveXattr(name, attr string) error {
	return r.at("removexattr "+attr, name, func(dir int, base string) error {
		return unix.Lremovexattr(byDescriptor(dir, base), attr)
	})
}

func (root) OpenStream(string, string, bool) (File, error) { return nil, errors.ErrUnsupported }

// FileStreams lists the alternate streams of a file: none here.
func FileStreams(*os.File) ([]Stream, error) { return nil, nil }
