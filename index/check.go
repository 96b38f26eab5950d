package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

// What bbolt writes: go.etcd.io/bbolt, internal/common, page.go, meta.go, bucket.go. Its
// integers have the machine's byte order.
const (
	pageHead   = 16 // id u64, flags u16, count u16, overflow u32
	elemSize   = 16 // leaf: flags, pos, ksize, vsize u32; branch: pos, ksize u32, page id u64
	bucketSize = 16 // root page id u64 (0: inline), sequence u64
	metaSize   = 64

	boltMagic   = 0xED0CDAED
	boltVersion = 2

	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10
	bucketFlag   = 0x01 // of a leaf's element

	maxDepth  = 16      // of a bucket's tree
	maxBranch = 4 << 20 // bytes of a page of the skeleton; bbolt splits it beyond four keys and 16 KiB
)

var native = binary.NativeEndian

// checkFile walks the skeleton of a bbolt file of size bytes before it is mapped. What it
// refuses could do worse than panic: a map that ends behind the file, branches in a circle
// (bbolt descends by recursion, and a full stack cannot be recovered from), a freelist that
// asks for all memory or frees a page in use. Its error wraps ErrTorn if the file is not
// sound.
//
// Without full it reads the metas, the freelist and the branch pages, one page in hundreds,
// and believes that what they name are leaves; that will do for a file that was closed and
// not written since. With full it reads the head of every page.
func checkFile(r io.ReaderAt, size int64, full bool) error {
	c := &checker{r: r, full: full}
	m, err := c.meta(size)
	if err != nil {
		return err
	}
	c.used = make([]bool, m.pages)
	c.used[0], c.used[1] = true, true
	if err := c.freelist(m.freelist); err != nil {
		return err
	}
	return c.root(m.root)
}

type checker struct {
	r    io.ReaderAt
	full bool
	used []bool // by page id: free, or reached
}

// meta is what the checker needs of bbolt's.
type meta struct {
	root, freelist, pages, tx uint64
}

// meta returns the valid meta page of the newer transaction, as bbolt does.
func (c *checker) meta(size int64) (meta, error) {
	var best meta
	found := false
	for i := range int64(2) {
		m, err := c.readMeta(i)
		if err != nil {
			if errors.Is(err, ErrTorn) {
				continue
			}
			return meta{}, err
		}
		if !found || m.tx > best.tx {
			best, found = m, true
		}
	}
	switch {
	case !found:
		return meta{}, torn("no valid meta page in %d bytes", size)
	case best.pages < 4 || best.pages > uint64(size)/pageSize:
		return meta{}, torn("%d bytes where %d pages of %d were written", size, best.pages, pageSize)
	case best.pages != uint64(int(best.pages)):
		return meta{}, torn("%d pages", best.pages)
	}
	return best, nil
}

func (c *checker) readMeta(page int64) (meta, error) {
	b := make([]byte, pageHead+metaSize)
	if err := c.read(b, page*pageSize); err != nil {
		return meta{}, err
	}
	b = b[pageHead:]
	h := fnv.New64a()
	h.Write(b[:metaSize-8])
	if native.Uint32(b) != boltMagic || native.Uint32(b[4:]) != boltVersion ||
		native.Uint32(b[8:]) != pageSize || native.Uint64(b[56:]) != h.Sum64() {
		return meta{}, torn("meta page %d", page)
	}
	return meta{
		root:     native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]),
		pages:    native.Uint64(b[40:]),
		tx:       native.Uint64(b[48:]),
	}, nil
}

// read fills b; an end of the file on the way is damage.
func (c *checker) read(b []byte, off int64) error {
	if _, err := c.r.ReadAt(b, off); errors.Is(err, io.EOF) {
		return torn("the file ends before byte %d", off+int64(len(b)))
	} else if err != nil {
		return err
	}
	return nil
}

// page is a page as bbolt counts, of one or more of pageSize.
type page struct {
	id    uint64
	flags uint16
	count int
	pages uint64 // with what overflows
	body  []byte // from the head on; the head alone if it was not asked for
}

// claim marks pages as used once.
func (c *checker) claim(id, n uint64) error {
	if id < 2 || id >= uint64(len(c.used)) || n > uint64(len(c.used))-id {
		return torn("page %d of %d", id, len(c.used))
	}
	for i := id; i < id+n; i++ {
		if c.used[i] {
			return torn("page %d stands twice", i)
		}
		c.used[i] = true
	}
	return nil
}

// open claims a page, and reads its head, and its body if it has one of these flags.
func (c *checker) open(id uint64, limit int, body uint16) (page, error) {
	if id < 2 || id >= uint64(len(c.used)) {
		return page{}, torn("page %d of %d", id, len(c.used))
	}
	head := make([]byte, pageHead)
	if err := c.read(head, int64(id)*pageSize); err != nil {
		return page{}, err
	}
	p := page{
		id:    id,
		flags: native.Uint16(head[8:]),
		count: int(native.Uint16(head[10:])),
		pages: uint64(native.Uint32(head[12:])) + 1,
		body:  head,
	}
	if native.Uint64(head) != id {
		return page{}, torn("page %d: head", id)
	}
	if err := c.claim(id, p.pages); err != nil || p.flags&body == 0 {
		return p, err
	}
	if p.pages > uint64(limit)/pageSize {
		return page{}, torn("page %d: overflows by %d", id, p.pages-1)
	}
	p.body = make([]byte, p.pages*pageSize)
	return p, c.read(p.body, int64(id)*pageSize)
}

// freelist marks the free pages.
func (c *checker) freelist(id uint64) error {
	p, err := c.open(id, 8*len(c.used)+2*pageSize, freelistFlag)
	if err != nil {
		return err
	}
	if p.flags != freelistFlag {
		return torn("freelist: page %d has flags %x", id, p.flags)
	}
	ids, count := p.body[pageHead:], uint64(p.count)
	if p.count == 0xFFFF { // the number stands in front
		count, ids = native.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return torn("freelist of %d pages", count)
	}
	last := uint64(0)
	for i := range int(count) {
		free := native.Uint64(ids[8*i:])
		if free <= last {
			return torn("freelist: %d after %d", free, last)
		}
		if err := c.claim(free, 1); err != nil {
			return err
		}
		last = free
	}
	return nil
}

// root walks the root bucket, whose leaves name the others.
func (c *checker) root(id uint64) error {
	_, err := c.tree(id, 0, func(p page) error {
		for i := range p.count {
			if pageHead+elemSize*(i+1) > len(p.body) {
				return torn("page %d: %d elements", p.id, p.count)
			}
			e := p.body[pageHead+elemSize*i:]
			pos, ksize, vsize := uint64(native.Uint32(e[4:])), uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
			if native.Uint32(e) != bucketFlag || vsize < bucketSize || pos+ksize+vsize > uint64(len(e)) {
				return torn("page %d: element %d", p.id, i)
			}
			if root := native.Uint64(e[pos+ksize:]); root != 0 {
				if _, err := c.tree(root, 0, nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return err
}

// tree walks the branches at and below a page, and hands on its leaves if somebody wants
// them. The tree is balanced: where the first child is a leaf all are, and their heads
// need not be read. It returns the flags of the page.
func (c *checker) tree(id uint64, depth int, leaf func(page) error) (flags uint16, err error) {
	body := uint16(branchFlag)
	if leaf != nil {
		body |= leafFlag
	}
	p, err := c.open(id, maxBranch, body)
	switch {
	case err != nil:
		return 0, err
	case p.flags == leafFlag && leaf != nil:
		return p.flags, leaf(p)
	case p.flags == leafFlag:
		return p.flags, nil
	case p.flags != branchFlag || p.count == 0 || depth == maxDepth || pageHead+elemSize*p.count > len(p.body):
		return 0, torn("page %d: flags %x, %d elements, depth %d", id, p.flags, p.count, depth)
	}
	var last []byte
	var first uint16
	leaves := false
	for i := range p.count {
		e := p.body[pageHead+elemSize*i:]
		pos, ksize, child := uint64(native.Uint32(e)), uint64(native.Uint32(e[4:])), native.Uint64(e[8:])
		if ksize == 0 || pos+ksize > uint64(len(e)) {
			return 0, torn("page %d: element %d", id, i)
		}
		key := e[pos : pos+ksize]
		if bytes.Compare(key, last) <= 0 {
			return 0, torn("page %d: element %d is out of order", id, i)
		}
		last = key
		if leaves {
			err = c.claim(child, 1)
		} else {
			first, err = c.tree(child, depth+1, leaf)
			leaves = first == leafFlag && !c.full && leaf == nil
		}
		if err != nil {
			return 0, err
		}
	}
	return p.flags, nil
}
