package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"satchel/store/durable"
	"satchel/store/seal"
)

// A mirror is what a device keeps of the ledger: the raw entries that it has read, the
// state that they fold to, and the nonces of the entries that it wrote itself. It lives
// in the user's state directory, not in a cache: it is how a rollback is noticed.
//
//	meta     "repository" 16 bytes; "position" u64; "head" 32; "state" payload; "since" u64,
//	         the position at which this copy began
//	entries  position u64 → raw bytes
//	own      nonce 16 bytes → position u64 meant for it
type mirror struct{ db *bolt.DB }

var (
	bucketMeta    = []byte("meta")
	bucketEntries = []byte("entries")
	bucketOwn     = []byte("own")
)

// ErrBusy: another satchel holds this device's copy of the ledger.
var ErrBusy = errors.New("another satchel is at work on this repository")

// openMirror opens the copy at path, or makes one. One that cannot be read or is of
// another repository is set aside under a new name, never deleted.
func openMirror(path string, repo seal.RepoID) (*mirror, error) {
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		m, err := openMirrorFile(path, repo)
		if err == nil || errors.Is(err, ErrBusy) || errors.Is(err, os.ErrPermission) || try > 0 {
			return m, err
		}
		if os.Rename(path, fmt.Sprintf("%s.unreadable-%d", path, time.Now().Unix())) != nil {
			return nil, err
		}
	}
}

func openMirrorFile(path string, repo seal.RepoID) (m *mirror, err error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 10 * time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if errors.Is(err, bolt.ErrTimeout) {
		return nil, fmt.Errorf("%w (%s)", ErrBusy, path)
	} else if err != nil {
		return nil, fmt.Errorf("ledger copy %s: %w", path, err)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("ledger copy %s: %v", path, r)
		}
		if err != nil {
			db.Close()
		}
	}()
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	err = db.View(func(tx *bolt.Tx) error {
		if tx.Size() > st.Size() {
			return fmt.Errorf("ledger copy %s: cut off", path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	known := false
	err = db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucketMeta); b != nil {
			known = true
			if !bytes.Equal(b.Get([]byte("repository")), repo[:]) {
				return fmt.Errorf("ledger copy %s: of another repository", path)
			}
		}
		return nil
	})
	if err != nil || known {
		return &mirror{db}, err
	}
	return &mirror{db}, db.Update(func(tx *bolt.Tx) error {
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

// load returns the state kept here; a nil state if there is none.
func (m *mirror) load(repo seal.RepoID, secret [32]byte) (*State, error) {
	var s *State
	err := m.db.View(func(tx *bolt.Tx) (err error) {
		b := tx.Bucket(bucketMeta)
		payload := b.Get([]byte("state"))
		if payload == nil {
			return nil
		}
		if s, err = parseState(payload, getU64(b.Get([]byte("position"))), repo, secret); err == nil {
			copy(s.head[:], b.Get([]byte("head")))
		}
		return err
	})
	return s, err
}

// save keeps the raw entries and the state that they lead to, in one transaction.
func (m *mirror) save(s *State, raw map[uint64][]byte) error {
	return m.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketMeta)
		if b.Get([]byte("state")) == nil {
			if err := b.Put([]byte("since"), u64(s.position)); err != nil {
				return err
			}
		}
		err := errors.Join(b.Put([]byte("position"), u64(s.position)), b.Put([]byte("head"), s.head[:]), b.Put([]byte("state"), s.Payload()))
		for n, r := range raw {
			err = errors.Join(err, tx.Bucket(bucketEntries).Put(u64(n), r))
		}
		return err
	})
}

// entry returns the raw bytes kept of entry n, nil if there are none.
func (m *mirror) entry(n uint64) (raw []byte) {
	m.db.View(func(tx *bolt.Tx) error {
		raw = bytes.Clone(tx.Bucket(bucketEntries).Get(u64(n)))
		return nil
	})
	return raw
}

// intend notes, before it is written, an entry of this device's own.
func (m *mirror) intend(nonce [16]byte, n uint64) error {
	return m.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketOwn).Put(nonce[:], u64(n)) })
}

// wrote reports whether this device meant to write an entry with that nonce at n, or
// cannot know because its copy is younger.
func (m *mirror) wrote(nonce [16]byte, n uint64) (ok bool) {
	m.db.View(func(tx *bolt.Tx) error {
		ok = tx.Bucket(bucketOwn).Get(nonce[:]) != nil || n <= getU64(tx.Bucket(bucketMeta).Get([]byte("since")))
		return nil
	})
	return ok
}
