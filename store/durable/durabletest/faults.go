// Package durabletest puts faults under code that works on a durable.Root: the k-th
// file-system call fails, or everything from it on does, as in a crash.
//
//	for k := 0; ; k++ {
//		f := durabletest.NewFaults(root)
//		f.CrashAt(k, durabletest.Landed)
//		err := run(f)
//		// look at what is left
//		if !f.Injected() {
//			break
//		}
//	}
package durabletest

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"satchel/store/durable"
)

// ErrInjected is what a call fails with.
var ErrInjected = errors.New("injected fault")

// Mode says what becomes of the call that fails.
type Mode int

const (
	Lost   Mode = iota // it is not made
	Landed             // it is made, and fails all the same
)

// Faults is a durable.Root whose changing calls are numbered from 0 in the order in which
// they begin: opens for writing, writes, syncs and closes of files among them. Calls that
// only look are not counted, but fail after a crash. It is safe for concurrent use.
type Faults struct {
	r durable.Root

	mu       sync.Mutex
	n        int // calls begun; guarded by mu, as are those below
	at       int // the call to fail; -1: none
	mode     Mode
	crash    bool // everything after it fails too
	injected bool
	trace    []string
}

var _ durable.Root = (*Faults)(nil)

// NewFaults passes everything on until it is told otherwise.
func NewFaults(r durable.Root) *Faults { return &Faults{r: r, at: -1} }

// FailAt makes call k fail, and no other.
func (f *Faults) FailAt(k int, m Mode) { f.plan(k, m, false) }

// CrashAt makes call k and everything after it fail; those after it are not made.
func (f *Faults) CrashAt(k int, m Mode) { f.plan(k, m, true) }

func (f *Faults) plan(k int, m Mode, crash bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.at, f.mode, f.crash, f.injected, f.trace = 0, k, m, crash, false, nil
}

// Injected reports whether a call was made to fail.
func (f *Faults) Injected() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.injected
}

// Trace lists the calls counted so far.
func (f *Faults) Trace() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.trace...)
}

// do makes a changing call, unless it is the one to fail.
func (f *Faults) do(what string, call func() error) error {
	f.mu.Lock()
	k := f.n
	f.n++
	f.trace = append(f.trace, what)
	fail := f.at >= 0 && (k == f.at || f.crash && k > f.at)
	land := fail && k == f.at && f.mode == Landed
	f.injected = f.injected || fail
	f.mu.Unlock()
	if fail && !land {
		return fmt.Errorf("%s: %w", what, ErrInjected)
	}
	err := call()
	if fail {
		return fmt.Errorf("%s: %w", what, ErrInjected)
	}
	return err
}

// look fails after a crash.
func (f *Faults) look() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crash && f.injected {
		return ErrInjected
	}
	return nil
}

// OpenFile implements durable.Root. Opening to read is no change.
func (f *Faults) OpenFile(name string, flag int, perm fs.FileMode) (file durable.File, err error) {
	const reading = 0 // os.O_RDONLY
	if flag == reading {
		if err := f.look(); err != nil {
			return nil, err
		}
		return f.r.OpenFile(name, flag, perm)
	}
	return f.opened(name, func() (durable.File, error) { return f.r.OpenFile(name, flag, perm) })
}

// opened makes a call that opens a file for writing.
func (f *Faults) opened(name string, open func() (durable.File, error)) (file durable.File, err error) {
	err = f.do("open "+name, func() error {
		file, err = open()
		return err
	})
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return &faultyFile{file, f, name}, nil
}

func (f *Faults) Mkdir(name string, perm fs.FileMode) error {
	return f.do("mkdir "+name, func() error { return f.r.Mkdir(name, perm) })
}

func (f *Faults) MkdirAll(name string, perm fs.FileMode) error {
	return f.do("mkdirall "+name, func() error { return f.r.MkdirAll(name, perm) })
}

func (f *Faults) Rename(from, to string) error {
	return f.do("rename "+from+" "+to, func() error { return f.r.Rename(from, to) })
}

func (f *Faults) Remove(name string) error {
	return f.do("remove "+name, func() error { return f.r.Remove(name) })
}

func (f *Faults) RemoveAll(name string) error {
	return f.do("removeall "+name, func() error { return f.r.RemoveAll(name) })
}

func (f *Faults) Symlink(target, name string) error {
	return f.do("symlink "+name, func() error { return f.r.Symlink(target, name) })
}

func (f *Faults) Chmod(name string, mode fs.FileMode) error {
	return f.do("chmod "+name, func() error { return f.r.Chmod(name, mode) })
}

func (f *Faults) Chtimes(name string, atime, mtime time.Time) error {
	return f.do("chtimes "+name, func() error { return f.r.Chtimes(name, atime, mtime) })
}

func (f *Faults) Link(from, to string) error {
	return f.do("link "+from+" "+to, func() error { return f.r.Link(from, to) })
}

func (f *Faults) Mknod(name string, kind fs.FileMode, device uint64) error {
	return f.do("mknod "+name, func() error { return f.r.Mknod(name, kind, device) })
}

func (f *Faults) Lchown(name string, uid, gid int) error {
	return f.do("lchown "+name, func() error { return f.r.Lchown(name, uid, gid) })
}

func (f *Faults) Lchtimes(name string, mtime time.Time) error {
	return f.do("lchtimes "+name, func() error { return f.r.Lchtimes(name, mtime) })
}

func (f *Faults) SetBirth(name string, birth time.Time) error {
	return f.do("setbirth "+name, func() error { return f.r.SetBirth(name, birth) })
}

func (f *Faults) SetFlags(name string, flags durable.Flags) error {
	return f.do("setflags "+name, func() error { return f.r.SetFlags(name, flags) })
}

func (f *Faults) SetXattr(name, attr string, value []byte) error {
	return f.do("setxattr "+name+" "+attr, func() error { return f.r.SetXattr(name, attr, value) })
}

func (f *Faults) RemoveXattr(name, attr string) error {
	return f.do("removexattr "+name+" "+attr, func() error { return f.r.RemoveXattr(name, attr) })
}

// OpenStream implements durable.Root. Opening to read is no change.
func (f *Faults) OpenStream(name, stream string, write bool) (file durable.File, err error) {
	if !write {
		if err := f.look(); err != nil {
			return nil, err
		}
		return f.r.OpenStream(name, stream, write)
	}
	return f.opened(name+":"+stream, func() (durable.File, error) { return f.r.OpenStream(name, stream, write) })
}

func (f *Faults) SyncDir(name string) error {
	return f.do("syncdir "+name, func() error { return f.r.SyncDir(name) })
}

func (f *Faults) SyncAll() (ok bool, err error) {
	err = f.do("syncall", func() error {
		ok, err = f.r.SyncAll()
		return err
	})
	return ok, err
}

func (f *Faults) Lstat(name string) (fs.FileInfo, error) {
	if err := f.look(); err != nil {
		return nil, err
	}
	return f.r.Lstat(name)
}

func (f *Faults) Readlink(name string) (string, error) {
	if err := f.look(); err != nil {
		return "", err
	}
	return f.r.Readlink(name)
}

func (f *Faults) Xattrs(name string, keep func(attr string) bool) ([]durable.Xattr, error) {
	if err := f.look(); err != nil {
		return nil, err
	}
	return f.r.Xattrs(name, keep)
}

func (f *Faults) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.look(); err != nil {
		return nil, err
	}
	return f.r.ReadDir(name)
}

// Name implements durable.Root.
func (f *Faults) Name() string { return f.r.Name() }

// Close is never made to fail.
func (f *Faults) Close() error { return f.r.Close() }

type faultyFile struct {
	durable.File
	f    *Faults
	name string
}

func (w *faultyFile) Write(b []byte) (n int, err error) {
	err = w.f.do("write "+w.name, func() error { n, err = w.File.Write(b); return err })
	return n, err
}

func (w *faultyFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = w.f.do("writeat "+w.name, func() error { n, err = w.File.WriteAt(b, off); return err })
	return n, err
}

func (w *faultyFile) Truncate(size int64) error {
	return w.f.do("truncate "+w.name, func() error { return w.File.Truncate(size) })
}

func (w *faultyFile) Sync() error { return w.f.do("sync "+w.name, w.File.Sync) }

// Close closes in any case: a crash closes files too.
func (w *faultyFile) Close() error {
	err := w.File.Close()
	return errors.Join(err, w.f.do("close "+w.name, func() error { return nil }))
}
