package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Unnamed stands for a program that the system does not tell.
const Unnamed = "a program"

// InUse names the programs that have the file open, as "name (pid 123)" or Unnamed; none means
// that nobody has. It sees a program that does nothing, which holds no lock. What is
// no file is in nobody's use. Nothing in this process may have it open.
//
// Linux asks for a lease, which a file's owner and root may have; for another's file, or where the
// file system knows no leases, only the programs count that we may look into. macOS asks lsof.
// On Windows the file cannot be opened for us alone.
func InUse(path string) (by []string, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return inUse(path)
}

// Suffixes are those of the files that SQLite keeps beside a database.
var Suffixes = []string{walSuffix, shmSuffix, journalSuffix}

// Sidecars lists what stands beside the path and belongs to the database that was there: its
// -wal, -shm and -journal. Beside another database they do harm.
func Sidecars(path string) ([]string, error) {
	var there []string
	for _, suffix := range Suffixes {
		if _, err := os.Lstat(path + suffix); err == nil {
			there = append(there, path+suffix)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return there, nil
}

func program(name string, pid int) string {
	if name == "" {
		name = Unnamed
	}
	return fmt.Sprintf("%s (pid %d)", name, pid)
}
