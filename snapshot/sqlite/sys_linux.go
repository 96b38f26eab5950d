package sqlite

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func changeTime(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}

// The bytes that SQLite locks: https://sqlite.org/src/file/src/os.h, "PENDING_BYTE".
const (
	pendingLock = lockAt
	sharedLock  = lockAt + 2
	sharedSize  = 510
)

// holdShared takes a reader's lock on the database until f is closed: whoever has it open in WAL mode
// cannot remove the -wal meanwhile. Where there are no such locks it does nothing.
func holdShared(f *os.File) error {
	lock := func(kind int16, at, n int64) error {
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: at, Len: n})
	}
	err := lock(unix.F_RDLCK, pendingLock, 1) // behind a writer that waits, as SQLite does
	if err == nil {
		err = errors.Join(lock(unix.F_RDLCK, sharedLock, sharedSize), lock(unix.F_UNLCK, pendingLock, 1))
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return errLocked
	}
	return nil
}

// Magic numbers of network file systems: statfs(2), linux/magic.h. FUSE is among them, as what
// lies behind it cannot be told.
var networks = map[uint32]bool{
	0x6969: true, 0x517b: true, 0xff534d42: true, 0xfe534d42: true, // NFS, SMB, CIFS, SMB 2
	0x564c: true, 0x5346414f: true, 0x6b414653: true, 0x73757245: true, // NCP, AFS, kAFS, Coda
	0x01021997: true, 0x00c36400: true, 0x0bd00bd0: true, 0x65735546: true, // 9P, Ceph, Lustre, FUSE
	0xbacbacbc: true, 0x786f4256: true, // shared folders of VMware and VirtualBox
}

// remote reports whether the file is on a network file system.
func remote(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && networks[uint32(st.Type)]
}
