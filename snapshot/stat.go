package snapshot

import (
	"io/fs"
	"time"

	"satchel/index"
	"satchel/store/durable"
)

// lookedAt is a bit of index.Stat's Mode: the file was looked at for all that an entry holds beside
// the bytes. What an earlier satchel noted has it not, and is looked at once more. The flags of
// the file stand above it, below Go's bits of the type.
const lookedAt = 1 << 9

// StatOf is what lstat says of a file, as the index keeps it; read is when the reading of
// the file begins, zero if it is not read.
func StatOf(info fs.FileInfo, read time.Time) index.Stat {
	flags := durable.InfoOf(info).Flags &^ (durable.Archive | durable.ReadOnly) // which size, mtime and mode tell
	s := index.Stat{Size: info.Size(), Mtime: nanoseconds(info.ModTime()), Mode: uint32(info.Mode()) | lookedAt | uint32(flags)<<10}
	if !read.IsZero() {
		s.Read = read.UnixNano()
	}
	systemStat(&s, info)
	return s
}

// sameStat reports whether nothing that the system tells of a file is different.
func sameStat(a, b index.Stat) bool {
	a.Read, b.Read = 0, 0
	return a == b
}
