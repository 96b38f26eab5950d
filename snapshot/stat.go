package snapshot

import (
	"io/fs"
	"time"

	"satchel/index"
)

// StatOf is what lstat says of a file, as the index keeps it; read is when the reading of
// the file begins, zero if it is not read.
func StatOf(info fs.FileInfo, read time.Time) index.Stat {
	s := index.Stat{Size: info.Size(), Mtime: info.ModTime().UnixNano(), Mode: uint32(info.Mode())}
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
