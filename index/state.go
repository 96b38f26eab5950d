package index

import (
	"bytes"
	"encoding/binary"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// The buckets, see the package's documentation.
var (
	bHead        = []byte("head")
	bRows        = []byte("rows")
	bPacks       = []byte("packs")
	bDirectories = []byte("directories")
	bDead        = []byte("dead")
	bDirs        = []byte("dirs")
	bUnderway    = []byte("underway")

	buckets = [][]byte{bHead, bRows, bPacks, bDirectories, bDead, bDirs, bUnderway}

	kHead     = []byte("head")
	kPrefixes = []byte("prefixes")
)

const (
	format   = 1
	headSize = 4 + 16 + 8 + 32 + 4 + 4 + 8 + sumSize
)

// state is the bucket head. It is immutable once it is published.
type state struct {
	repo     [16]byte
	tie      Tie
	next     uint32 // number of the next pack
	packs    uint32
	chunks   uint64
	prefixes *prefixes
}

// prefixes has a bit for each key of the bucket rows, so that a chunk that is nowhere
// near costs no read, and a key that got lost is noticed.
type prefixes [1 << 16 / 8]byte

func (p *prefixes) has(prefix uint16) bool { return p[prefix/8]&(0x80>>(prefix%8)) != 0 }
func (p *prefixes) set(prefix uint16)      { p[prefix/8] |= 0x80 >> (prefix % 8) }

func (s *state) encode() []byte {
	b := make([]byte, 0, headSize)
	b = binary.BigEndian.AppendUint32(b, format)
	b = append(b, s.repo[:]...)
	b = binary.BigEndian.AppendUint64(b, s.tie.Position)
	b = append(b, s.tie.Hash[:]...)
	b = binary.BigEndian.AppendUint32(b, s.next)
	b = binary.BigEndian.AppendUint32(b, s.packs)
	b = binary.BigEndian.AppendUint64(b, s.chunks)
	return append(b, sum(bHead, kHead, b)...)
}

// decodeState reads the two values of the bucket head.
func decodeState(head, bitmap []byte) (*state, error) {
	if len(head) >= 4 && binary.BigEndian.Uint32(head) != format {
		return nil, errFormat
	}
	if len(head) != headSize || !bytes.Equal(head[headSize-sumSize:], sum(bHead, kHead, head[:headSize-sumSize])) {
		return nil, torn("head")
	}
	bitmap, ok := cutCRC(kPrefixes, bitmap)
	if !ok || len(bitmap) != len(prefixes{}) {
		return nil, torn("prefixes")
	}
	s := &state{
		repo:     [16]byte(head[4:]),
		tie:      Tie{Position: binary.BigEndian.Uint64(head[20:]), Hash: [32]byte(head[28:])},
		next:     binary.BigEndian.Uint32(head[60:]),
		packs:    binary.BigEndian.Uint32(head[64:]),
		chunks:   binary.BigEndian.Uint64(head[68:]),
		prefixes: (*prefixes)(bytes.Clone(bitmap)),
	}
	return s, nil
}

// loadState reads the head of a file of repository repo.
func (x *Index) loadState(tx *bolt.Tx, repo [16]byte) error {
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			return torn("no bucket %s", name)
		}
	}
	b := tx.Bucket(bHead)
	s, err := decodeState(b.Get(kHead), b.Get(kPrefixes))
	if err != nil {
		return err
	}
	if s.repo != repo {
		return errForeign
	}
	x.state.Store(s)
	return nil
}

// putState writes s, and the bit set if it changed.
func putState(tx *bolt.Tx, s *state, bitmap bool) error {
	b := tx.Bucket(bHead)
	if bitmap {
		if err := b.Put(kPrefixes, appendCRC(kPrefixes, bytes.Clone(s.prefixes[:]))); err != nil {
			return err
		}
	}
	return b.Put(kHead, s.encode())
}

// create makes the buckets of a new file.
func (x *Index) create(repo [16]byte) error {
	s := &state{repo: repo, next: 1, prefixes: new(prefixes)}
	err := x.update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return putState(tx, s, true)
	})
	x.state.Store(s)
	return err
}

// bits is a set of small numbers.
type bits struct {
	mu    sync.RWMutex
	words []uint64
}

func (b *bits) has(n uint32) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return int(n/64) < len(b.words) && b.words[n/64]&(1<<(n%64)) != 0
}

func (b *bits) set(n uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for int(n/64) >= len(b.words) {
		b.words = append(b.words, make([]uint64, 1+len(b.words))...)
	}
	b.words[n/64] |= 1 << (n % 64)
}
