package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// syncFileSystem: there is no such call without administrator's rights.
func syncFileSystem(*os.File) (bool, error) { return false, nil }

func openTop(*os.Root) (*os.File, error) { return nil, nil }

var attributes = [...]struct {
	flag Flags
	bit  uint32
}{
	{ReadOnly, windows.FILE_ATTRIBUTE_READONLY},
	{Hidden, windows.FILE_ATTRIBUTE_HIDDEN},
	{System, windows.FILE_ATTRIBUTE_SYSTEM},
	{Archive, windows.FILE_ATTRIBUTE_ARCHIVE},
}

const largeFile = 0 // has no need to be asked for

// InfoOf is what the system told of a path when info was made.
func InfoOf(info fs.FileInfo) Info {
	i := Info{Allocated: -1}
	d, ok := info.Sys().(*syscall.Win32FileAttributeData)
	if !ok {
		return i
	}
	i.Birth = d.CreationTime.Nanoseconds()
	for _, a := range attributes {
		if d.FileAttributes&a.bit != 0 {
			i.Flags |= a.flag
		}
	}
	if d.FileAttributes&windows.FILE_ATTRIBUTE_SPARSE_FILE != 0 {
		i.Allocated = 0 // to be asked for
	}
	return i
}

// InfoOfFile is InfoOf an open file, which also tells its other names.
func InfoOfFile(f *os.File, info fs.FileInfo) (Info, error) {
	i := InfoOf(info)
	var d windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &d); err != nil {
		return i, &os.PathError{Op: "GetFileInformationByHandle", Path: f.Name(), Err: err}
	}
	i.ID = FileID{uint64(d.VolumeSerialNumber), uint64(d.FileIndexHigh)<<32 | uint64(d.FileIndexLow)}
	i.Links = uint64(d.NumberOfLinks)
	return i, nil
}

// open opens name, or a stream of it, by the handle of its folder: links are not followed,
// and the path may be of any length.
func (r root) open(op, name, stream string, access, disposition, options uint32) (windows.Handle, error) {
	dir, base := path.Split(name)
	if strings.ContainsAny(base, `\:`) || strings.ContainsAny(stream, `\/:`) || base == ".." {
		return windows.InvalidHandle, &os.PathError{Op: op, Path: name, Err: windows.ERROR_INVALID_NAME}
	}
	if dir == "" {
		dir = "."
	}
	if stream != "" {
		base += ":" + stream
	}
	d, err := r.Root.Open(path.Clean(dir))
	if err != nil {
		return windows.InvalidHandle, err
	}
	defer d.Close()
	object, err := windows.NewNTUnicodeString(base)
	if err != nil {
		return windows.InvalidHandle, &os.PathError{Op: op, Path: name, Err: err}
	}
	oa := &windows.OBJECT_ATTRIBUTES{RootDirectory: windows.Handle(d.Fd()), ObjectName: object, Attributes: windows.OBJ_CASE_INSENSITIVE}
	oa.Length = uint32(unsafe.Sizeof(*oa))
	var h windows.Handle
	var status windows.IO_STATUS_BLOCK
	err = windows.NtCreateFile(&h, access|windows.SYNCHRONIZE, oa, &status, nil, windows.FILE_ATTRIBUTE_NORMAL,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, disposition,
		options|windows.FILE_OPEN_REPARSE_POINT|windows.FILE_OPEN_FOR_BACKUP_INTENT|windows.FILE_SYNCHRONOUS_IO_NONALERT, 0, 0)
	runtime.KeepAlive(d)
	if err != nil {
		if s := windows.NTStatus(0); errors.As(err, &s) {
			err = s.Errno()
		}
		return windows.InvalidHandle, &os.PathError{Op: op, Path: name, Err: err}
	}
	return h, nil
}

// Remove removes also where only the old way of removing is known, which os.Root does not
// take: on some servers, and by Wine.
func (r root) Remove(name string) error {
	err := r.Root.Remove(name)
	if !errors.Is(err, windows.ERROR_INVALID_FUNCTION) {
		return err
	}
	if err := r.SetFlags(name, 0); err != nil { // it may be read-only
		return err
	}
	h, err := r.open("remove", name, "", windows.DELETE, windows.FILE_OPEN, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	gone := byte(1) // FILE_DISPOSITION_INFO
	if err := windows.SetFileInformationByHandle(h, windows.FileDispositionInfo, &gone, 1); err != nil {
		return &os.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

// RemoveAll is the same with all that is in a folder.
func (r root) RemoveAll(name string) error {
	err := r.Root.RemoveAll(name)
	if !errors.Is(err, windows.ERROR_INVALID_FUNCTION) {
		return err
	}
	info, err := r.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if info.IsDir() {
		entries, err := r.ReadDir(name)
		for _, e := range entries {
			err = errors.Join(err, r.RemoveAll(path.Join(name, e.Name())))
		}
		if err != nil {
			return err
		}
	}
	return r.Remove(name)
}

// attributesOf calls f with a handle that may change what Windows notes of name.
func (r root) attributesOf(op, name string, f func(windows.Handle) error) error {
	h, err := r.open(op, name, "", windows.FILE_READ_ATTRIBUTES|windows.FILE_WRITE_ATTRIBUTES, windows.FILE_OPEN, 0)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	if err := f(h); err != nil {
		return &os.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

func (root) Mknod(name string, kind fs.FileMode, _ uint64) error {
	return fmt.Errorf("%s: %v: %w", name, kind, errors.ErrUnsupported)
}

func (r root) Lchtimes(name string, mtime time.Time) error {
	return r.attributesOf("SetFileTime", name, func(h windows.Handle) error {
		t := windows.NsecToFiletime(mtime.UnixNano())
		return windows.SetFileTime(h, nil, &t, &t)
	})
}

func (r root) SetBirth(name string, birth time.Time) error {
	return r.attributesOf("SetFileTime", name, func(h windows.Handle) error {
		t := windows.NsecToFiletime(birth.UnixNano())
		return windows.SetFileTime(h, &t, nil, nil)
	})
}

// basicInfo is FILE_BASIC_INFO (winbase.h); times that are zero stay.
type basicInfo struct {
	creation, access, write, change int64
	attributes                      uint32
	_                               uint32
}

func (r root) SetFlags(name string, flags Flags) error {
	return r.attributesOf("SetFileAttributes", name, func(h windows.Handle) error {
		var d windows.ByHandleFileInformation
		if err := windows.GetFileInformationByHandle(h, &d); err != nil {
			return err
		}
		b := basicInfo{attributes: d.FileAttributes &^ windows.FILE_ATTRIBUTE_NORMAL}
		for _, a := range attributes {
			b.attributes &^= a.bit
			if flags&a.flag != 0 {
				b.attributes |= a.bit
			}
		}
		if b.attributes == d.FileAttributes {
			return nil
		}
		if b.attributes == 0 { // which would change nothing
			b.attributes = windows.FILE_ATTRIBUTE_NORMAL
		}
		return windows.SetFileInformationByHandle(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&b)), uint32(unsafe.Sizeof(b)))
	})
}

func (root) Xattrs(string, func(string) bool) ([]Xattr, error) { return nil, errors.ErrUnsupported }
func (root) SetXattr(string, string, []byte) error             { return errors.ErrUnsupported }
func (root) RemoveXattr(string, string) error                  { return errors.ErrUnsupported }

// FileXattrs is Root.Xattrs of an open file.
func FileXattrs(*os.File, func(string) bool) ([]Xattr, error) { return nil, errors.ErrUnsupported }

func (r root) OpenStream(name, stream string, write bool) (File, error) {
	access, disposition := uint32(windows.FILE_GENERIC_READ), uint32(windows.FILE_OPEN)
	if write {
		access, disposition = access|windows.FILE_GENERIC_WRITE, windows.FILE_OVERWRITE_IF
	}
	h, err := r.open("open stream "+stream, name, stream, access, disposition, windows.FILE_NON_DIRECTORY_FILE)
	if err != nil {
		return nil, err
	}
	return rootFile{os.NewFile(uintptr(h), name+":"+stream)}, nil
}

// FileStreams lists the alternate streams of a file.
func FileStreams(f *os.File) ([]Stream, error) {
	for size := 4 << 10; ; size *= 4 {
		b := make([]byte, size)
		err := windows.GetFileInformationByHandleEx(windows.Handle(f.Fd()), windows.FileStreamInfo, &b[0], uint32(size))
		switch {
		case errors.Is(err, windows.ERROR_HANDLE_EOF), errors.Is(err, windows.ERROR_INVALID_PARAMETER), errors.Is(err, windows.ERROR_NOT_SUPPORTED),
			errors.Is(err, windows.ERROR_INVALID_FUNCTION):
			return nil, nil // none at all, or a file system without
		case errors.Is(err, windows.ERROR_MORE_DATA) && size < 4<<20:
			continue
		case err != nil:
			return nil, &os.PathError{Op: "streams", Path: f.Name(), Err: err}
		}
		return parseStreams(b), nil
	}
}

// parseStreams reads a chain of FILE_STREAM_INFO: next u32, length of the name in bytes u32,
// size u64, allocated u64, the name as ":name:$DATA" in UTF-16. The unnamed stream is left out.
func parseStreams(b []byte) (all []Stream) {
	for len(b) >= 24 {
		next, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if uint64(n) > uint64(len(b)-24) {
			break
		}
		u := make([]uint16, n/2)
		for i := range u {
			u[i] = binary.LittleEndian.Uint16(b[24+2*i:])
		}
		name, ok := strings.CutSuffix(windows.UTF16ToString(u), ":$DATA")
		if name = strings.TrimPrefix(name, ":"); ok && name != "" {
			all = append(all, Stream{name, int64(binary.LittleEndian.Uint64(b[8:]))})
		}
		if next == 0 || uint64(next) > uint64(len(b)) {
			break
		}
		b = b[next:]
	}
	return all
}

func (f rootFile) MakeSparse() error {
	var n uint32
	return windows.DeviceIoControl(windows.Handle(f.Fd()), windows.FSCTL_SET_SPARSE, nil, 0, nil, 0, &n, nil)
}
