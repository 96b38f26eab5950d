package snapshot

import (
	"io/fs"
	"syscall"

	"satchel/index"
)

// nonblock keeps an open from waiting for ever on what became a FIFO. os.Root does not ask for
// files of 2 GiB and more by itself, as os.OpenFile does where that has to be asked for.
const nonblock = syscall.O_NONBLOCK | syscall.O_LARGEFILE

func systemStat(s *index.Stat, info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Ctime, s.Inode = syscall.TimespecToNsec(st.Ctim), st.Ino
	}
}
