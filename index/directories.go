package index

import (
	"bytes"
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"unsafe"

	bolt "go.etcd.io/bbolt"

	"satchel/store/pack"
)

// recordSize is what stands before an encoding in the bucket directories.
const recordSize = pack.KeySize + 8 + 32 + 1 + sumSize

const hasDeltas = 1 // flag

// record is what stands before an encoding in the bucket directories.
type record struct {
	key    pack.Key
	size   int64
	hash   [32]byte
	deltas bool
}

func numberKey(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// encodeDirectory is the value of pack number n.
func encodeDirectory(n uint32, p *Pack, deltas bool) []byte {
	b := make([]byte, 0, recordSize+len(p.Directory))
	b = append(b, p.Key[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Size))
	b = append(b, p.Hash[:]...)
	if deltas {
		b = append(b, hasDeltas)
	} else {
		b = append(b, 0)
	}
	b = append(b, sum(bDirectories, numberKey(n), b)...)
	return append(b, p.Directory...)
}

// decodeDirectory takes a value of the bucket directories apart, without a copy. The
// checksums are compared if full is set: that of the record and the directory's hash.
func decodeDirectory(n uint32, value []byte, full bool) (r record, enc []byte, err error) {
	if len(value) <= recordSize || len(value) > recordSize+pack.MaxDirectory {
		return r, nil, torn("directory %d: %d bytes", n, len(value))
	}
	at := recordSize - sumSize
	enc = value[recordSize:]
	r = record{
		key:    pack.Key(value),
		size:   int64(binary.BigEndian.Uint64(value[pack.KeySize:])),
		hash:   [32]byte(value[pack.KeySize+8:]),
		deltas: value[at-1] == hasDeltas,
	}
	if !full {
		return r, enc, nil
	}
	if value[at-1] > hasDeltas || !bytes.Equal(value[at:recordSize], sum(bDirectories, numberKey(n), value[:at])) ||
		sha256.Sum256(enc) != r.hash {
		return r, nil, torn("directory %d: checksum", n)
	}
	return r, enc, nil
}

// directory reads the value of pack number n. What it says is checked once in a process.
// ok is false if the pack is gone.
func (x *Index) directory(tx *bolt.Tx, n uint32) (r record, enc []byte, ok bool, err error) {
	v := tx.Bucket(bDirectories).Get(numberKey(n))
	if v == nil {
		k := numberKey(n)
		if b, ok := cutCRC(k, tx.Bucket(bDead).Get(k)); !ok || len(b) != 0 {
			return r, nil, false, torn("directory %d is lost", n)
		}
		return r, nil, false, nil
	}
	known := x.verified.has(n)
	if r, enc, err = decodeDirectory(n, v, !known); err != nil {
		return r, nil, false, err
	}
	if known {
		return r, enc, true, nil
	}
	// What Packs does not list cannot be taken away.
	l, ok, err := findPack(tx.Bucket(bPacks), r.key)
	if err == nil && (!ok || l.number != n || l.size != r.size || l.hash != r.hash) {
		err = torn("directory %d is not listed", n)
	}
	if err != nil {
		return r, nil, false, err
	}
	x.verified.set(n)
	return r, enc, true, nil
}

// parsed is the directory of pack number n, which is there.
func (x *Index) parsed(n uint32, enc []byte) (*pack.Directory, error) {
	if d := x.cache.get(n); d != nil {
		return d, nil
	}
	d, err := pack.ParseDirectory(bytes.Clone(enc))
	if err != nil {
		return nil, torn("directory %d: %v", n, err)
	}
	x.cache.put(n, d)
	return d, nil
}

// Has reports whether a pack is in the index.
func (x *Index) Has(k pack.Key) (ok bool, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		_, ok, err = findPack(tx.Bucket(bPacks), k)
		return err
	})
	return ok, err
}

// Directory returns the directory of a pack; ok is false if the pack is not in the index.
func (x *Index) Directory(k pack.Key) (d *pack.Directory, ok bool, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		l, found, err := findPack(tx.Bucket(bPacks), k)
		if err != nil || !found {
			return err
		}
		r, enc, found, err := x.directory(tx, l.number)
		if err != nil {
			return err
		}
		if !found || r.key != k {
			return torn("directory %d is not of the pack that is listed", l.number)
		}
		d, err = x.parsed(l.number, enc)
		return err
	})
	return d, d != nil, err
}

// cacheBytes bounds the directories that are kept parsed.
const cacheBytes = 32 << 20

// weight is about how many bytes a parsed directory takes.
func weight(d *pack.Directory) int {
	return len(d.Encoding()) + len(d.Frames())*int(unsafe.Sizeof(pack.FrameInfo{}))
}

// cache keeps the directories that were used last.
type cache struct {
	mu    sync.Mutex
	bytes int
	order list.List // of cached, the last used in front
	by    map[uint32]*list.Element
}

type cached struct {
	number uint32
	d      *pack.Directory
}

func (c *cache) get(n uint32) *pack.Directory {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.by[n]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(cached).d
}

func (c *cache) put(n uint32, d *pack.Directory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[n] != nil {
		return
	}
	if c.by == nil {
		c.by = make(map[uint32]*list.Element)
	}
	c.by[n] = c.order.PushFront(cached{n, d})
	c.bytes += weight(d)
	for c.bytes > cacheBytes && c.order.Len() > 1 {
		old := c.order.Remove(c.order.Back()).(cached)
		delete(c.by, old.number)
		c.bytes -= weight(old.d)
	}
}
