package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Beside tells in one number what the -wal and -journal of a database hold that is not in its
// file, and when the last of them was written; zero if both are empty or missing. As long as the file
// and this number are the same, so is the database. It goes by size, times and header, and by
// the header of the -shm, which counts the transactions in the -wal: Windows tells times late.
func Beside(path string) (sum uint64, written time.Time, err error) {
	h := sha256.New()
	for _, suffix := range []string{walSuffix, journalSuffix, shmSuffix} {
		if suffix == shmSuffix && sum == 0 {
			break // nothing to count
		}
		f, err := openFile(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return 0, written, err
		}
		info, head, err := begin(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return 0, written, err
		}
		if info.Size() == 0 {
			continue
		}
		fmt.Fprintf(h, "%s %x ", suffix, head)
		if suffix != shmSuffix {
			fmt.Fprintf(h, "%d %d ", info.Size(), info.ModTime().UnixNano()) // SQLite changes the ctime when root opens it
			if info.ModTime().After(written) {
				written = info.ModTime()
			}
		}
		sum = binary.BigEndian.Uint64(h.Sum(nil)) | 1
	}
	return sum, written, nil
}

// besideHead is as long as the longest header that Beside looks at, one of the two in the -shm:
// https://sqlite.org/walformat.html, 2.1.
const besideHead = 48

func begin(f *os.File) (fs.FileInfo, []byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	b := make([]byte, besideHead)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return info, b[:n], err
}
