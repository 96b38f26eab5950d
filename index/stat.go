package index

import (
	"encoding/binary"
	"time"
)

// Resolution is the coarsest step in which file systems that people use keep an mtime:
// FAT's two seconds. A file that was changed within it before it was read may be changed
// again and show the same time.
const Resolution = 2 * time.Second

// A Stat is what one lstat said of a file when it was read. Times are nanoseconds since
// 1970.
type Stat struct {
	Size   int64
	Mtime  int64
	Ctime  int64  // 0 where there is none
	Inode  uint64 // 0 where it takes an open file to know it
	Beside uint64 // of a database: what its -wal and -journal held, in the caller's words; 0: nothing
	Mode   uint32 // type and permissions, as the caller encodes them
	Read   int64  // when the reading began, by this device's clock; 0: it was not read
}

// Fresh reports whether a file that was s when it was read, and is now what a new lstat
// says, needs no reading: nothing changed that both know of, and its mtime was at least
// Resolution old when it was read. A file from the future is never fresh. The ctime only
// has to be the same: it may be young, as that of a file which a pull has just put
// there with its old mtime is. Of now, Read does not matter.
func (s Stat) Fresh(now Stat) bool {
	return s.Read > 0 &&
		s.Size == now.Size && s.Mtime == now.Mtime && s.Mode == now.Mode &&
		agree(s.Ctime, now.Ctime) && agree(s.Inode, now.Inode) && s.Beside == now.Beside &&
		s.Mtime <= s.Read-int64(Resolution)
}

// agree compares what a file system may not have.
func agree[T int64 | uint64](a, b T) bool { return a == b || a == 0 || b == 0 }

// statSize is the length of an encoded Stat.
const statSize = 5*8 + 4 + 8

func (s Stat) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.Size))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Mtime))
	b = binary.BigEndian.AppendUint64(b, uint64(s.Ctime))
	b = binary.BigEndian.AppendUint64(b, s.Inode)
	b = binary.BigEndian.AppendUint64(b, s.Beside)
	b = binary.BigEndian.AppendUint32(b, s.Mode)
	return binary.BigEndian.AppendUint64(b, uint64(s.Read))
}

func decodeStat(b []byte) Stat {
	u64 := binary.BigEndian.Uint64
	return Stat{
		Size:   int64(u64(b)),
		Mtime:  int64(u64(b[8:])),
		Ctime:  int64(u64(b[16:])),
		Inode:  u64(b[24:]),
		Beside: u64(b[32:]),
		Mode:   binary.BigEndian.Uint32(b[40:]),
		Read:   int64(u64(b[44:])),
	}
}
