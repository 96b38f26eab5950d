package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// inUse asks for a lease to write, which the kernel gives only while no other descriptor of the
// file exists: fcntl(2), "Leases".
func inUse(path string) ([]string, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		return nil, errors.Join(err, f.Close())
	}
	open := errors.Is(err, unix.EAGAIN)
	if err := f.Close(); err != nil {
		return nil, err
	}
	by, err := openers(path)
	if open && len(by) == 0 {
		by = []string{Unnamed}
	}
	return by, err
}

// openers looks for the file among the descriptors of all processes that let us.
func openers(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var by []string
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		fds, err := os.ReadDir(filepath.Join("/proc", p.Name(), "fd"))
		if err != nil {
			continue // not ours, or gone
		}
		for _, fd := range fds {
			link := filepath.Join("/proc", p.Name(), "fd", fd.Name())
			if to, err := os.Readlink(link); err != nil || filepath.Base(to) != filepath.Base(path) {
				continue // and a dead network is not touched
			}
			if opened, err := os.Stat(link); err == nil && os.SameFile(opened, info) {
				name, _ := os.ReadFile(filepath.Join("/proc", p.Name(), "comm"))
				by = append(by, program(strings.TrimSpace(string(name)), pid))
				break
			}
		}
	}
	return by, nil
}
