package index

import (
	"bytes"
	"encoding/binary"
	"iter"

	bolt "go.etcd.io/bbolt"
)

const (
	// maxPath bounds the paths that are remembered, in bytes; longer than what systems
	// open.
	maxPath = 4096

	// maxDir bounds what is remembered of one directory, in bytes.
	maxDir = 64 << 20

	dirHead = sumSize + 4
)

// A Dir is what the last push saw of a directory.
type Dir struct {
	Node  []byte // its node, {1: [entry …]}, as it was built; opaque here
	Stats []Stat // one for each entry of the node, in its order; zero for what is not a file
}

func (d Dir) size() int { return dirHead + len(d.Node) + statSize*len(d.Stats) }

func (d Dir) encode(key []byte) []byte {
	b := make([]byte, sumSize, d.size())
	b = binary.BigEndian.AppendUint32(b, uint32(len(d.Node)))
	b = append(b, d.Node...)
	for _, s := range d.Stats {
		b = s.append(b)
	}
	copy(b, sum(bDirs, key, b[sumSize:]))
	return b
}

// decodeDir reads a value of the bucket dirs. It copies.
func decodeDir(key, value []byte) (Dir, error) {
	if len(value) < dirHead || len(value) > maxDir {
		return Dir{}, torn("dirs: %d bytes", len(value))
	}
	if !bytes.Equal(value[:sumSize], sum(bDirs, key, value[sumSize:])) {
		return Dir{}, torn("dirs: checksum")
	}
	n, rest := uint64(binary.BigEndian.Uint32(value[sumSize:])), value[dirHead:]
	if n > uint64(len(rest)) || (uint64(len(rest))-n)%statSize != 0 {
		return Dir{}, torn("dirs: a node of %d bytes in %d", n, len(rest))
	}
	d := Dir{Node: bytes.Clone(rest[:n])}
	if rest = rest[n:]; len(rest) > 0 {
		d.Stats = make([]Stat, len(rest)/statSize)
	}
	for i := range d.Stats {
		d.Stats[i] = decodeStat(rest[i*statSize:])
	}
	return d, nil
}

func dirKey(workspace [16]byte, path string) []byte { return append(workspace[:], path...) }

// Dir returns what PutDirs was last given for the directory with this remote path; "" is
// the root. ok is false if that is nothing.
func (x *Index) Dir(workspace [16]byte, path string) (d Dir, ok bool, err error) {
	if len(path) > maxPath {
		return Dir{}, false, nil
	}
	err = x.view(func(tx *bolt.Tx) error {
		key := dirKey(workspace, path)
		v := tx.Bucket(bDirs).Get(key)
		if v == nil {
			return nil
		}
		d, err = decodeDir(key, v)
		ok = err == nil
		return err
	})
	return d, ok, err
}

// PutDirs forgets the directories in gone with all that is below them, and then remembers
// changed, by remote path. One that is too large to remember (64 MiB, or a path of more than
// 4,096 bytes) is forgotten, so its files will be read again. The workspace is one root on
// this device: a copy of it elsewhere is another.
//
// Much is written in several transactions; each directory is whole. changed may come from
// maps.All, better in order of path, and may call other methods while it is read.
func (x *Index) PutDirs(workspace [16]byte, changed iter.Seq2[string, Dir], gone []string) error {
	var batch []dirEntry
	size := 0
	put := func(e dirEntry) (err error) {
		batch = append(batch, e)
		if size += pageSize/16 + len(e.key) + len(e.value); size >= x.step {
			err = x.putBatch(batch)
			batch, size = batch[:0], 0
		}
		return err
	}
	for _, path := range gone {
		keys, err := x.dirsBelow(workspace, path)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := put(dirEntry{key: k}); err != nil {
				return err
			}
		}
	}
	if changed != nil {
		for path, d := range changed {
			if len(path) > maxPath {
				continue
			}
			e := dirEntry{key: dirKey(workspace, path)}
			if d.size() <= maxDir {
				e.value = d.encode(e.key)
			}
			if err := put(e); err != nil {
				return err
			}
		}
	}
	return x.putBatch(batch)
}

// dirEntry is one pair of the bucket dirs; a nil value is to be deleted.
type dirEntry struct{ key, value []byte }

func (x *Index) putBatch(batch []dirEntry) error {
	if len(batch) == 0 {
		return nil
	}
	return x.update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bDirs)
		b.FillPercent = 0.9 // most come in order
		for _, e := range batch {
			var err error
			if e.value == nil {
				err = b.Delete(e.key)
			} else {
				err = b.Put(e.key, e.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// dirsBelow lists the keys of a directory and all below it.
func (x *Index) dirsBelow(workspace [16]byte, path string) (keys [][]byte, err error) {
	err = x.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(bDirs)
		below := dirKey(workspace, path)
		if path != "" {
			if b.Get(below) != nil {
				keys = append(keys, bytes.Clone(below))
			}
			below = append(below, '/')
		}
		c := b.Cursor()
		for k, _ := c.Seek(below); bytes.HasPrefix(k, below); k, _ = c.Next() {
			keys = append(keys, bytes.Clone(k))
		}
		return nil
	})
	return keys, err
}
