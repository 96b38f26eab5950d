package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// openTop opens the folder of a root, for openat2.
func openTop(r *os.Root) (*os.File, error) { return r.OpenFile(".", folderOnly, 0) }

// folder opens a folder below the root, in one call where the kernel has one that lets no link
// lead out (Linux 5.6). os.Root opens every folder on the way; where that call fails it has the last word.
func (r root) folder(name string) (*os.File, error) {
	if f, err := r.beneath(name, folderOnly); err == nil {
		return f, nil
	}
	return r.Root.OpenFile(name, folderOnly, 0)
}

func (r root) beneath(name string, flags uint64) (*os.File, error) {
	fd, err := unix.Openat2(int(r.top.Fd()), name, &unix.OpenHow{
		Flags:   flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
	runtime.KeepAlive(r.top)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// deep says of a plain name that it has more than one folder above it: to open the last of them
// at once then pays.
func deep(name string) bool { return strings.Count(name, "/") > 1 && fs.ValidPath(name) }

// Lstat is os.Root's, with fewer calls.
func (r root) Lstat(name string) (info fs.FileInfo, err error) {
	if !deep(name) {
		return r.Root.Lstat(name)
	}
	err = r.at("lstat", name, func(dir int, base string) error {
		info, err = os.Lstat(byDescriptor(dir, base))
		if p := (*fs.PathError)(nil); errors.As(err, &p) {
			return p.Err
		}
		return err
	})
	return info, err
}

// Chmod is os.Root's, with fewer calls: like it, of what a link leads to.
func (r root) Chmod(name string, mode fs.FileMode) error {
	if deep(name) {
		if f, err := r.beneath(name, unix.O_PATH); err == nil {
			defer f.Close()
			if os.Chmod(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), mode) == nil {
				return nil
			}
		}
	}
	return r.Root.Chmod(name, mode)
}

// Rename is os.Root's, with fewer calls.
func (r root) Rename(from, to string) error {
	if !deep(from) && !deep(to) || !fs.ValidPath(from) || !fs.ValidPath(to) {
		return r.Root.Rename(from, to)
	}
	return r.at("rename", from, func(old int, was string) error {
		return r.at("rename", to, func(dir int, base string) error { return unix.Renameat(old, was, dir, base) })
	})
}
