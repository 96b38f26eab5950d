package index

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"satchel/store/pack"
)

var (
	// ErrBusy: another process has the index open.
	ErrBusy = errors.New("the index is in use by another satchel")

	// ErrTorn: the file is not what this package wrote. Every method refuses from then on
	// with an error that wraps it; close the index and open it again, which makes it anew.
	ErrTorn = errors.New("the index is torn")

	// errForeign and errFormat are reasons to make a whole file anew.
	errForeign = errors.New("the index is of another repository")
	errFormat  = errors.New("the index was written by another version")
)

// patience is how long Open waits for another process: longer than a status or a list
// takes, shorter than a person thinks that nothing happens.
const patience = 10 * time.Second

// pageSize of the bbolt file, in bytes. Large pages make the skeleton that Open walks
// small; a transaction of one record writes about six of them.
const pageSize = 16 << 10

// stepBytes is about how much one transaction writes. bbolt holds it twice in memory.
const stepBytes = 32 << 20

// An Index is the open index of one repository.
type Index struct {
	file    *os.File // bbolt's, which closes it
	db      *bolt.DB
	rebuilt error // why Open made the file anew
	step    int   // stepBytes, less in tests

	state    atomic.Pointer[state] // of the last transaction that changed it
	verified bits                  // pack numbers whose directory was hashed in this process
	cache    cache                 // parsed directories

	begin    sync.Mutex // one transaction begins at a time, and none after a failure
	closed   bool       // guarded by begin
	failed   error      // a reason to make the file anew; guarded by begin
	stuck    bool       // bbolt holds locks that nobody will release; guarded by begin
	writing  sync.Mutex // one writing transaction
	updating sync.Mutex // one Update, of several transactions
}

// A Tie says what an index covers: the ledger up to the entry at Position, whose bytes
// have this SHA-256. The zero Tie covers nothing.
type Tie struct {
	Position uint64
	Hash     [32]byte
}

// Open opens the index of repository repo at path, or makes it. It waits ten seconds for
// another process that has it open, then reports ErrBusy. A file that is torn, of another
// repository or of another format is made anew; Rebuilt tells.
func Open(path string, repo [16]byte) (*Index, error) { return open(path, repo, patience) }

func open(path string, repo [16]byte, wait time.Duration) (*Index, error) {
	x, err := load(path, repo, wait)
	if err == nil || !unusable(err) {
		return x, err
	}
	// load has left the file unusable on purpose: this time it begins with a new one.
	reason := err
	if x, err = load(path, repo, wait); err != nil {
		return nil, err
	}
	x.rebuilt = reason
	return x, nil
}

// unusable reports whether a new file cures err.
func unusable(err error) bool {
	return errors.Is(err, ErrTorn) || errors.Is(err, errForeign) || errors.Is(err, errFormat)
}

// load opens the file as it is, or a new one if its skeleton is not sound. If its head
// is not usable, it wipes the file and says why.
func load(path string, repo [16]byte, wait time.Duration) (*Index, error) {
	f, err := lockFile(path, wait)
	if err != nil {
		return nil, err
	}
	x := &Index{file: f, step: stepBytes}
	fresh, err := x.prepare()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("index %s: %w", path, err)
	}
	err = guard(func() error {
		x.db, err = bolt.Open(path, 0o600, &bolt.Options{
			PageSize:     pageSize,
			FreelistType: bolt.FreelistMapType,
			NoStatistics: true,
			OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
	if err == nil && fresh {
		err = x.create(repo)
	} else if err == nil {
		err = x.view(func(tx *bolt.Tx) error { return x.loadState(tx, repo) })
	}
	if err == nil {
		return x, nil
	}
	err = fmt.Errorf("index %s: %w", path, err)
	if unusable(err) {
		x.failed = err // Close wipes
	}
	x.stuck = x.db == nil
	x.Close()
	return nil, err
}

// prepare makes a file that is not sound an empty one, and reports whether it is empty.
func (x *Index) prepare() (fresh bool, err error) {
	info, err := x.file.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() == 0 {
		return true, nil
	}
	if err := checkFile(x.file, info.Size(), !stamped(info)); err != nil {
		if !errors.Is(err, ErrTorn) {
			return false, err
		}
		x.rebuilt = err
		return true, x.file.Truncate(0)
	}
	return false, nil
}

// Close closes the file. An index that has failed is left so that the next Open makes
// it anew.
func (x *Index) Close() error {
	x.begin.Lock()
	defer x.begin.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	var wiped error
	if x.failed != nil {
		wiped = x.wipe()
	}
	if x.stuck {
		return errors.Join(wiped, unlock(x.file), x.file.Close())
	}
	if err := errors.Join(wiped, guard(x.db.Close)); err != nil || x.failed != nil {
		return err
	}
	stamp(x.file.Name())
	return nil
}

// stamp marks a file that was closed as it ought to be with an mtime on a full minute.
// Whoever writes to it afterwards, or does not come to the end of Close, leaves another.
// Where that cannot be set, the next Open reads more.
func stamp(path string) {
	minute := time.Now().Truncate(time.Minute)
	os.Chtimes(path, minute, minute)
}

func stamped(info os.FileInfo) bool {
	return info.ModTime().Equal(info.ModTime().Truncate(time.Minute))
}

// wipe overwrites the beginning of the two pages of which bbolt needs one.
func (x *Index) wipe() error {
	zeros := make([]byte, pageHead+metaSize)
	_, err0 := x.file.WriteAt(zeros, 0)
	_, err1 := x.file.WriteAt(zeros, pageSize)
	return errors.Join(err0, err1)
}

// Remove empties the index at path and takes it away; none is none. Nobody may have it
// open.
func Remove(path string) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	f, err := lockFile(path, patience)
	if err != nil {
		return err
	}
	// Where an open file cannot be removed, try again; an empty one is as good as none.
	err = f.Truncate(0)
	removed := os.Remove(path)
	err = errors.Join(err, f.Close())
	if removed != nil {
		os.Remove(path)
	}
	return err
}

// Rebuilt says why Open made a new file in place of one that was there, in a few words;
// "" if it did not.
func (x *Index) Rebuilt() string {
	if x.rebuilt == nil {
		return ""
	}
	return x.rebuilt.Error()
}

// Tie is what the last complete Update covered.
func (x *Index) Tie() Tie { return x.state.Load().tie }

// A Summary is what a person may ask of an index.
type Summary struct {
	Packs  int
	Chunks int   // one that lies in two packs counts twice
	Size   int64 // of the file, bytes
}

// Summary counts what the index holds.
func (x *Index) Summary() (Summary, error) {
	s := x.state.Load()
	info, err := x.file.Stat()
	if err != nil {
		return Summary{}, err
	}
	return Summary{Packs: int(s.packs), Chunks: int(s.chunks), Size: info.Size()}, nil
}

// A Location is one place where a chunk lies.
type Location struct {
	Pack  pack.Key
	Chunk int  // ordinal in the pack's directory
	Size  int  // of the chunk, bytes
	Delta bool // its frame needs a base chunk, see pack.FrameInfo
}
