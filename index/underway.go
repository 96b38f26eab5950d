package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"satchel/store/pack"
)

// underwaySize is what stands before an encoding in the bucket underway.
const underwaySize = 8 + 32 + sumSize

func encodeUnderway(key []byte, p *Pack) []byte {
	b := make([]byte, 0, underwaySize+len(p.Directory))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Size))
	b = append(b, p.Hash[:]...)
	b = append(b, sum(bUnderway, key, b)...)
	return append(b, p.Directory...)
}

// decodeUnderway reads an entry of the bucket underway. It copies.
func decodeUnderway(key, value []byte) (Pack, error) {
	if len(key) != 16+pack.KeySize || len(value) <= underwaySize || len(value) > underwaySize+pack.MaxDirectory {
		return Pack{}, torn("underway: %d bytes", len(value))
	}
	head, enc := value[:underwaySize-sumSize], value[underwaySize:]
	p := Pack{
		Key:  pack.Key(key[16:]),
		Size: int64(binary.BigEndian.Uint64(head)),
		Hash: [32]byte(head[8:]),
	}
	if !bytes.Equal(value[len(head):underwaySize], sum(bUnderway, key, head)) || sha256.Sum256(enc) != p.Hash {
		return Pack{}, torn("underway: checksum")
	}
	p.Directory = bytes.Clone(enc)
	return p, nil
}

// AddUnderway notes that the store has acknowledged a pack of a push of this workspace,
// which the ledger does not know yet. A push that begins after an interrupted one finds
// the packs with Underway, in the sessions that wrote them; whether they are still alive
// is for the ledger to say.
func (x *Index) AddUnderway(workspace [16]byte, p Pack) error {
	if _, err := p.check(); err != nil {
		return err
	}
	key := append(workspace[:], p.Key[:]...)
	return x.update(func(tx *bolt.Tx) error {
		return tx.Bucket(bUnderway).Put(key, encodeUnderway(key, &p))
	})
}

// Underway returns the packs that were acknowledged and not added by an Update since, in
// ascending order of key.
func (x *Index) Underway(workspace [16]byte) (packs []Pack, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bUnderway).Cursor()
		for k, v := c.Seek(workspace[:]); bytes.HasPrefix(k, workspace[:]); k, v = c.Next() {
			p, err := decodeUnderway(k, v)
			if err != nil {
				return err
			}
			packs = append(packs, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return packs, nil
}

// ClearUnderway forgets the packs of a workspace.
func (x *Index) ClearUnderway(workspace [16]byte) error {
	return x.update(func(tx *bolt.Tx) error {
		return deleteAll(tx.Bucket(bUnderway), func(k []byte) bool { return bytes.HasPrefix(k, workspace[:]) })
	})
}

// dropUnderway forgets packs in every workspace.
func dropUnderway(tx *bolt.Tx, keys map[pack.Key]bool) error {
	return deleteAll(tx.Bucket(bUnderway), func(k []byte) bool {
		return len(k) == 16+pack.KeySize && keys[pack.Key(k[16:])]
	})
}

// deleteAll deletes the keys for which drop returns true. A cursor does not survive what is deleted
// under it, so they are gathered first.
func deleteAll(b *bolt.Bucket, drop func(key []byte) bool) error {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if drop(k) {
			keys = append(keys, bytes.Clone(k))
		}
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
