package snapshot

import (
	"io/fs"
	"syscall"

	"satchel/index"
)

// nonblock keeps an open from waiting for ever on what became a FIFO.
const nonblock = syscall.O_NONBLOCK

func systemStat(s *index.Stat, info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Ctime, s.Inode = syscall.TimespecToNsec(st.Ctim), st.Ino
	}
}
