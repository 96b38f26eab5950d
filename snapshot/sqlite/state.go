package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// What a database is not.
var (
	// ErrNotDatabase: it has no header of SQLite's, or what follows is encrypted.
	ErrNotDatabase = errors.New("not a SQLite database, or encrypted")
	// ErrDamaged: a SQLite database by its header, which SQLite cannot read.
	ErrDamaged = errors.New("the database is damaged")
)

// A State is what a file is by its header and by what stands beside it.
type State int

// The states. The first two travel as plain files.
const (
	NotDatabase    State = iota
	MaybeEncrypted       // no header, but a -wal or -journal beside it that is not empty
	AtRest               // closed in WAL mode: the file is all there is
	Shared               // may be in use: SQLite has to read it
	Interrupted          // holds a program's last words in a -wal or -journal that nobody serves
)

func (s State) String() string {
	return [...]string{"not a database", "not a database, maybe encrypted", "at rest", "shared", "interrupted"}[s]
}

// Suffixes of the files that SQLite keeps beside a database.
const (
	walSuffix     = "-wal"
	shmSuffix     = "-shm"
	journalSuffix = "-journal"
)

// Classify tells the state of a file. It reads the header, and does not open the file with SQLite.
func Classify(path string) (State, error) {
	l, err := inspect(path)
	return l.state, err
}

// A look is what was seen of a database at one moment.
type look struct {
	state   State
	head    header
	info    fs.FileInfo
	wal     int64 // bytes; -1 if there is none
	shm     int64
	journal int64
}

func inspect(path string) (l look, err error) {
	if l.info, err = os.Lstat(path); err != nil {
		return l, err
	}
	if !l.info.Mode().IsRegular() {
		return l, fmt.Errorf("%s: not a regular file", path)
	}
	for suffix, size := range map[string]*int64{walSuffix: &l.wal, shmSuffix: &l.shm, journalSuffix: &l.journal} {
		if *size, err = sizeOf(path + suffix); err != nil {
			return l, err
		}
	}
	var ok bool
	if l.head, ok, err = readHeader(path); err != nil {
		return l, err
	}
	hot := false
	if ok && l.journal > 0 {
		if hot, err = beginsNonzero(path + journalSuffix); err != nil {
			return l, err
		}
	}
	l.state = l.judge(ok, hot)
	return l, nil
}

// judge is the rule. hot: the journal has a header, so that it counts.
func (l *look) judge(database, hot bool) State {
	open := l.wal >= 0 && l.shm >= 0
	switch {
	case !database && (l.wal > 0 || l.journal > 0):
		return MaybeEncrypted
	case !database:
		return NotDatabase
	case l.wal > 0 && l.shm < 0:
		return Interrupted // SQLite would have to make a -shm
	case (l.head.wal || l.wal == 0) && !open && hot:
		return Interrupted // SQLite would have to make a -wal
	case (l.head.wal || l.wal == 0) && !open:
		return AtRest
	}
	return Shared
}

func sizeOf(path string) (int64, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	} else if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// beginsNonzero reports whether the file has a first byte other than zero; a rollback journal
// without one is spent (journal_mode PERSIST).
func beginsNonzero(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	var b [1]byte
	_, err = io.ReadFull(f, b[:])
	return err == nil && b[0] != 0, nil
}

// header is what we need of the first 100 bytes: https://sqlite.org/fileformat.html, 1.3.
type header struct {
	page int  // size of a page in bytes
	wal  bool // the version for reading says WAL
}

const (
	headerSize = 100
	magic      = "SQLite format 3\x00"
)

// Begins reports whether a file begins as a database does, which it may not be all the same.
func Begins(f io.ReaderAt) bool {
	b := make([]byte, len(magic))
	_, err := f.ReadAt(b, 0)
	return err == nil && string(b) == magic
}

func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return h, false
	}
	h.page = int(binary.BigEndian.Uint16(b[16:]))
	if h.page == 1 {
		h.page = 1 << 16
	}
	h.wal = b[19] == 2
	// The payload fractions are fixed; a database encrypted but for its first bytes has others.
	return h, h.page >= 512 && h.page&(h.page-1) == 0 && b[19] <= 2 && [3]byte(b[21:24]) == [3]byte{64, 32, 32}
}

// readHeader reports whether the file begins as a database does.
func readHeader(path string) (h header, ok bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return h, false, err
	}
	defer f.Close()
	b := make([]byte, headerSize)
	if _, err = io.ReadFull(f, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return h, false, nil
	} else if err != nil {
		return h, false, err
	}
	h, ok = parseHeader(b)
	return h, ok, nil
}
