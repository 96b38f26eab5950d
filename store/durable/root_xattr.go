//go:build linux || darwin

package durable

import (
	"os"
	"path"
	"runtime"

	"golang.org/x/sys/unix"
)

// FileXattrs is Root.Xattrs of an open file.
func FileXattrs(f *os.File, keep func(attr string) bool) ([]Xattr, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var xs []Xattr
	var xerr error
	err = c.Control(func(fd uintptr) {
		xs, xerr = readXattrs(keep,
			func(b []byte) (int, error) { return unix.Flistxattr(int(fd), b) },
			func(attr string, b []byte) (int, error) { return unix.Fgetxattr(int(fd), attr, b) })
	})
	if err == nil {
		err = xerr
	}
	if err != nil {
		return nil, &os.PathError{Op: "xattr", Path: f.Name(), Err: err}
	}
	return xs, nil
}

// readXattrs lists and reads; attributes that vanish between do not count.
func readXattrs(keep func(string) bool, list func([]byte) (int, error), get func(string, []byte) (int, error)) ([]Xattr, error) {
	b, err := sized(list)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	var xs []Xattr
	for _, name := range names(b, keep) {
		value, err := sized(func(b []byte) (int, error) { return get(name, b) })
		if err == errNoAttr {
			continue
		} else if err != nil {
			return nil, err
		}
		xs = append(xs, Xattr{name, value})
	}
	return sorted(xs), nil
}

// sized makes a call that says how much room it needs, with enough of it.
func sized(call func([]byte) (int, error)) ([]byte, error) {
	b := make([]byte, 512)
	for {
		n, err := call(b)
		switch err {
		case nil:
			return b[:n:n], nil
		case unix.EINTR:
			continue
		case unix.ERANGE:
			if n, err = call(nil); err != nil {
				return nil, err
			}
			b = make([]byte, n+64)
		default:
			return nil, err
		}
	}
}

// at calls f with the open folder in which name stands and the last element of name: no
// system call that takes these two follows a link out of the root.
func (r root) at(op, name string, f func(dir int, base string) error) error {
	dir, base := path.Split(name)
	if dir == "" {
		dir = "."
	}
	d, err := r.folder(path.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		err = f(int(d.Fd()), base)
		runtime.KeepAlive(d)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return &os.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func (rootFile) MakeSparse() error { return nil }
