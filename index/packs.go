package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"

	"satchel/store/pack"
)

// A Pack is a pack as the ledger registers it. Its directory's encoding hashes to Hash.
type Pack struct {
	Key       pack.Key
	Size      int64    // bytes
	Hash      [32]byte // SHA-256 of the directory's encoding
	Directory []byte   // the encoding; nil from Packs
}

// check parses the directory, and says what is wrong with a pack that is to be stored.
func (p *Pack) check() (*pack.Directory, error) {
	if !p.Key.Valid() || p.Size <= 0 {
		return nil, fmt.Errorf("pack %s: %d bytes", p.Key.Name(), p.Size)
	}
	if sha256.Sum256(p.Directory) != p.Hash {
		return nil, fmt.Errorf("pack %s: the directory is not the registered one", p.Key.Name())
	}
	d, err := pack.ParseDirectory(p.Directory)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", p.Key.Name(), err)
	}
	if d.Len() > 1<<16 { // a row has 16 bits for the chunk
		return nil, fmt.Errorf("pack %s: %d chunks", p.Key.Name(), d.Len())
	}
	return d, nil
}

// packSize is the length of a value of the bucket packs.
const packSize = 4 + 8 + 32 + crcSize

// listing is a value of the bucket packs.
type listing struct {
	number uint32
	size   int64
	hash   [32]byte
}

func (l listing) encode(k pack.Key) []byte {
	b := make([]byte, 0, packSize)
	b = binary.BigEndian.AppendUint32(b, l.number)
	b = binary.BigEndian.AppendUint64(b, uint64(l.size))
	b = append(b, l.hash[:]...)
	return appendCRC(k[:], b)
}

func decodeListing(key, value []byte) (pack.Key, listing, error) {
	value, ok := cutCRC(key, value)
	if !ok || len(key) != pack.KeySize || len(value) != packSize-crcSize {
		return pack.Key{}, listing{}, torn("packs: checksum")
	}
	return pack.Key(key), listing{
		number: binary.BigEndian.Uint32(value),
		size:   int64(binary.BigEndian.Uint64(value[4:])),
		hash:   [32]byte(value[12:]),
	}, nil
}

// findPack reads the listing of one pack.
func findPack(b *bolt.Bucket, k pack.Key) (l listing, ok bool, err error) {
	v := b.Get(k[:])
	if v == nil {
		return l, false, nil
	}
	_, l, err = decodeListing(k[:], v)
	return l, err == nil, err
}

// Packs yields key, size and directory hash of every pack in the index, in ascending
// order of key. What another goroutine changes meanwhile it may show or not.
func (x *Index) Packs() iter.Seq2[Pack, error] {
	return func(yield func(Pack, error) bool) {
		var seen packsSeen
		for {
			batch, err := x.packsAfter(&seen)
			if err != nil {
				yield(Pack{}, err)
				return
			}
			if len(batch) == 0 {
				return
			}
			for _, p := range batch {
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

// packsSeen is how far an iteration over the packs has come.
type packsSeen struct {
	last  []byte // key
	count int
	head  []byte // of the bucket head, when it began; nil after a change
}

// packsAfter reads the next packs, up to a thousand. At the end it compares their number
// with what the head says.
func (x *Index) packsAfter(seen *packsSeen) (batch []Pack, err error) {
	const many = 1000
	err = x.view(func(tx *bolt.Tx) error {
		head := tx.Bucket(bHead).Get(kHead)
		if seen.last == nil {
			seen.head = bytes.Clone(head)
		} else if !bytes.Equal(seen.head, head) {
			seen.head = nil
		}
		c := tx.Bucket(bPacks).Cursor()
		k, v := c.Seek(append(bytes.Clone(seen.last), 0))
		for ; k != nil && len(batch) < many; k, v = c.Next() {
			key, l, err := decodeListing(k, v)
			if err != nil {
				return err
			}
			if bytes.Compare(k, seen.last) <= 0 {
				return torn("packs: order")
			}
			seen.last = key[:]
			batch = append(batch, Pack{Key: key, Size: l.size, Hash: l.hash})
		}
		seen.count += len(batch)
		if len(batch) > 0 || seen.head == nil {
			return nil
		}
		s, err := decodeState(head, tx.Bucket(bHead).Get(kPrefixes))
		if err == nil && uint64(seen.count) != uint64(s.packs) {
			err = torn("%d packs of %d", seen.count, s.packs)
		}
		return err
	})
	return batch, err
}
