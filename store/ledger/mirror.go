package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"satchel/store"
	"satchel/store/durable"
	"satchel/store/seal"
)

// A mirror is what a device keeps of the ledger: the raw entries that it has read, the
// state that they fold to, and the nonces of the entries that it wrote itself. It lives
// in the user's state directory, not in a cache: it is how a rollback is noticed.
//
//	meta     "repository" 16 bytes; "position" u64; "head" 32; "state" payload; "digest" 32,
//	         of that state; "seen" two u64, size and time (ns) of the head as last listed;
//	         "newer", there if a valid entry had an unknown compatible bit
//	entries  position u64 → raw bytes, of all entries since this copy began
//	own      nonce 16 bytes → position u64 meant for it
type mirror struct{ db *bolt.DB }

var (
	bucketMeta    = []byte("meta")
	bucketEntries = []byte("entries")
	bucketOwn     = []byte("own")
)

// ErrBusy: another satchel holds this device's copy of the ledger.
var ErrBusy = errors.New("another satchel is at work on this repository")

// patience is how long another satchel is waited for. Tests shorten it.
var patience = 10 * time.Second

// errTorn: the copy is not as it was written.
var errTorn = errors.New("it is damaged")

// kept is what a mirror says of the time before; a nil state if it is new.
type kept struct {
	state *State
	seen  sight
	newer bool
}

// openMirror opens the copy at path, or makes one. One that is damaged or of another
// repository is set aside under a new name, never deleted.
func openMirror(path string, repo seal.RepoID, secret [32]byte) (*mirror, kept, error) {
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, kept{}, err
	}
	m, k, err := openMirrorFile(path, repo, secret)
	if !errors.Is(err, errTorn) {
		return m, k, err
	}
	if rerr := os.Rename(path, fmt.Sprintf("%s.unreadable-%d", path, time.Now().UnixNano())); rerr != nil {
		return nil, kept{}, errors.Join(err, rerr)
	}
	return openMirrorFile(path, repo, secret)
}

func openMirrorFile(path string, repo seal.RepoID, secret [32]byte) (*mirror, kept, error) {
	m := &mirror{}
	var k kept
	var file *os.File
	err := guard(func() (err error) {
		m.db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: patience, FreelistType: bolt.FreelistMapType,
			OpenFile: func(path string, flag int, perm os.FileMode) (*os.File, error) {
				if file, err = os.OpenFile(path, flag, perm); err == nil {
					err = sound(file)
				}
				return file, err
			}})
		return err
	})
	if err == nil {
		err = m.prepare(repo)
	}
	if err == nil {
		k, err = m.load(repo, secret)
	}
	switch {
	case err == nil:
		return m, k, nil
	case m.db != nil:
		m.close()
	case file != nil:
		file.Close() // bbolt has it closed, unless it panicked
	}
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, kept{}, fmt.Errorf("%w (%s)", ErrBusy, path)
	}
	return nil, kept{}, fmt.Errorf("ledger copy %s: %w", path, err)
}

// sound refuses a file that bbolt would take for one of its own and is not whole pages; an
// empty one is new.
func sound(f *os.File) error {
	info, err := f.Stat()
	if err == nil && info.Size() > 0 && info.Size() < 4*int64(os.Getpagesize()) {
		err = fmt.Errorf("%w: %d bytes", errTorn, info.Size())
	}
	return err
}

// guard runs fn, which uses bbolt. bbolt maps the file and follows what stands there; what
// comes of a damaged page is a panic or a fault of the memory map, and becomes errTorn.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // of this goroutine
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errTorn, p)
		}
	}()
	err = fn()
	for _, torn := range []error{berrors.ErrInvalid, berrors.ErrChecksum, berrors.ErrVersionMismatch, berrors.ErrInvalidMapping, berrors.ErrIncompatibleValue} {
		if errors.Is(err, torn) {
			return fmt.Errorf("%w: %w", errTorn, err)
		}
	}
	return err
}

func (m *mirror) view(fn func(*bolt.Tx) error) error {
	return guard(func() error { return m.db.View(fn) })
}

func (m *mirror) update(fn func(*bolt.Tx) error) error {
	return guard(func() error { return m.db.Update(fn) })
}

func (m *mirror) close() error { return guard(m.db.Close) }

// prepare makes the buckets of a new file, and compares the repository of an old one.
func (m *mirror) prepare(repo seal.RepoID) error {
	known := false
	err := m.view(func(tx *bolt.Tx) error {
		if st, err := os.Stat(m.db.Path()); err != nil {
			return err
		} else if tx.Size() > st.Size() {
			return fmt.Errorf("%w: cut off at byte %d", errTorn, st.Size())
		}
		b := tx.Bucket(bucketMeta)
		if known = b != nil; !known {
			return nil
		}
		if tx.Bucket(bucketEntries) == nil || tx.Bucket(bucketOwn) == nil {
			return fmt.Errorf("%w: a bucket is missing", errTorn)
		}
		if !bytes.Equal(b.Get([]byte("repository")), repo[:]) {
			return fmt.Errorf("%w: it is of another repository", errTorn)
		}
		return nil
	})
	if err != nil || known {
		return err
	}
	return m.update(func(tx *bolt.Tx) error {
		for _, b := range [][]byte{bucketMeta, bucketEntries, bucketOwn} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put([]byte("repository"), repo[:])
	})
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func getU64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// load returns what was saved last. A bit that fell over would make a device void what all
// others honour, so the digest is compared.
func (m *mirror) load(repo seal.RepoID, secret [32]byte) (k kept, err error) {
	err = m.view(func(tx *bolt.Tx) (err error) {
		b := tx.Bucket(bucketMeta)
		payload := b.Get([]byte("state"))
		if payload == nil {
			return nil
		}
		k.state, err = parseState(payload, getU64(b.Get([]byte("position"))), repo, secret)
		if errors.Is(err, ErrTooNew) {
			return err
		}
		digest, head := b.Get([]byte("digest")), b.Get([]byte("head"))
		if err != nil || len(digest) != len(Hash{}) || k.state.Digest() != Hash(digest) || len(head) != len(Hash{}) {
			return fmt.Errorf("%w: the state kept there is not as it was", errTorn)
		}
		k.state.head = Hash(head)
		k.newer = b.Get([]byte("newer")) != nil
		if seen := b.Get([]byte("seen")); len(seen) == 16 {
			k.seen = sight{int64(getU64(seen[:8])), int64(getU64(seen[8:]))}
		}
		return nil
	})
	return k, err
}

// keep notes raw entries, which save will make part of the state.
func (m *mirror) keep(raw map[uint64][]byte) error {
	return m.update(func(tx *bolt.Tx) error { return putEntries(tx, raw) })
}

func putEntries(tx *bolt.Tx, raw map[uint64][]byte) (err error) {
	for n, r := range raw {
		err = errors.Join(err, tx.Bucket(bucketEntries).Put(u64(n), r))
	}
	return err
}

// save keeps the raw entries and what they lead to, in one transaction.
func (m *mirror) save(k kept, raw map[uint64][]byte) error {
	return m.update(func(tx *bolt.Tx) error {
		b, s := tx.Bucket(bucketMeta), k.state
		if k.newer {
			if err := b.Put([]byte("newer"), []byte{1}); err != nil {
				return err
			}
		}
		digest := s.Digest()
		seen := append(u64(uint64(k.seen.size)), u64(uint64(k.seen.time))...)
		return errors.Join(b.Put([]byte("position"), u64(s.position)), b.Put([]byte("head"), s.head[:]), b.Put([]byte("digest"), digest[:]),
			b.Put([]byte("state"), s.Payload()), b.Put([]byte("seen"), seen), putEntries(tx, raw))
	})
}

// entry returns the raw bytes kept of entry n, nil if there are none.
func (m *mirror) entry(n uint64) (raw []byte) {
	err := m.view(func(tx *bolt.Tx) error {
		raw = bytes.Clone(tx.Bucket(bucketEntries).Get(u64(n)))
		return nil
	})
	if err != nil {
		return nil
	}
	return raw
}

// intend notes, before it is written, an entry of this device's own.
func (m *mirror) intend(nonce [16]byte, n uint64) error {
	return m.update(func(tx *bolt.Tx) error { return tx.Bucket(bucketOwn).Put(nonce[:], u64(n)) })
}

// wrote reports whether this device meant to write an entry with that nonce.
func (m *mirror) wrote(nonce [16]byte) (ok bool, err error) {
	err = m.view(func(tx *bolt.Tx) error {
		ok = tx.Bucket(bucketOwn).Get(nonce[:]) != nil
		return nil
	})
	return ok, err
}

// A sight is how the newest entry showed in a listing: if it shows so again, it is the
// same, and need not be read.
type sight struct{ size, time int64 } // bytes; ns

func sightOf(o store.Object) sight { return sight{o.Size, o.Time.UnixNano()} }

// like allows for what a store's clock and the time it gives to an object differ by. A
// branch that took over after a rollback is younger by more.
func (s sight) like(o sight) bool {
	const most = int64(5 * time.Second)
	return s.size == o.size && s.time-o.time < most && o.time-s.time < most
}
