package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/chunker"
	"satchel/index"
	"satchel/snapshot/sqlite"
	"satchel/store/durable"
	"satchel/store/pack"
)

// How files are read, in bytes.
const (
	smallFile   = 256 << 10 // below: one chunk, read whole by one worker
	batchBytes  = 4 << 20   // small files handled together
	batchFiles  = 512       //
	readBuffer  = 5 << 20   // of the reader of large files: more than the largest chunk
	sqlitePiece = 256 << 10 // fixed cuts of databases
)

// A fileTask is a file to be read: the walk saw info at local.
type fileTask struct {
	local  string
	info   fs.FileInfo
	secret bool
	plain  bool                                          // no image is made of it
	about  *about                                        // filled in, if it is not nil
	in     *folders                                      // of who reads it
	done   func(content Entry, st index.Stat, err error) // called once; not reentrant
}

// capture reads files into chunks: small files in batches, each batch by one worker; large
// ones by one reader that cuts and several workers that hash and code. Memory is bounded by the number
// of workers: a buffer and a frame each, and a few buffers of the reader's.
type capture struct {
	root     *os.Root
	cut      *chunker.Chunker
	index    *index.Index
	known    map[pack.ID]bool // acknowledged by an earlier run, not registered
	sink     *sink
	progress *Progress
	dry      bool // hash only
	sleep    func(context.Context, time.Duration) error
	open     func(local string) (*os.File, error) // for tests; nil: by the task's folders
	image    func(context.Context, string, sqlite.Options) (*sqlite.Image, error)
	stage    string       // for images
	warn     func(string) // tells a person
	holder   *Holder
	paths    durable.Root // the same folder as root

	damaged map[pack.Key]bool // packs whose chunks count as lost; nil: none is known
	only    map[pack.ID]bool  // the chunks that are stored, unless it is nil

	seen    seenSet
	newSize atomic.Int64

	usedMu sync.Mutex
	used   map[pack.Key]bool // packs on whose chunks this push relies

	ctx    context.Context
	cancel context.CancelCauseFunc
	group  errgroup.Group
	jobs   chan func(*worker) error
	bigs   chan fileTask
	bufs   chan []byte
	batch  []fileTask
	bytes  int64
}

// worker is one goroutine's own: an encoder and the frame that it fills.
type worker struct {
	c      *capture
	enc    *pack.Encoder
	plain  []byte
	chunks []pack.Chunk
	file   []byte // a small file
	in     folders
}

// seenSet is the chunks that this push has met; whoever adds one stores it.
type seenSet [64]struct {
	sync.Mutex
	m map[pack.ID]struct{}
}

func (s *seenSet) add(id pack.ID) (first bool) {
	p := &s[id[0]%64]
	p.Lock()
	defer p.Unlock()
	if p.m == nil {
		p.m = map[pack.ID]struct{}{}
	}
	n := len(p.m)
	p.m[id] = struct{}{}
	return len(p.m) > n
}

// start starts the reader and the workers; finish ends them. After a failure they go on
// taking what is sent, without doing it, so that nobody waits for them in vain.
func (c *capture) start(ctx context.Context, workers int) {
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.jobs, c.bigs = make(chan func(*worker) error, workers), make(chan fileTask, 256)
	c.bufs = make(chan []byte, max(workers, 2))
	for range cap(c.bufs) {
		c.bufs <- nil
	}
	c.group.Go(func() error {
		defer close(c.jobs)
		in := &folders{root: c.root}
		defer in.leave(0)
		r := pieceReader{get: func() []byte { return <-c.bufs }, put: func(b []byte) { c.bufs <- b }, run: c.post, tail: new([]byte)}
		for t := range c.bigs {
			if t.in = in; c.ctx.Err() == nil {
				c.fail(c.large(t, r))
			}
		}
		return context.Cause(c.ctx)
	})
	for range workers {
		c.group.Go(func() error {
			enc, err := pack.NewEncoder()
			c.fail(err)
			w := &worker{c: c, enc: enc, in: folders{root: c.root}}
			defer w.in.leave(0)
			for job := range c.jobs {
				c.fail(job(w))
			}
			if c.ctx.Err() == nil {
				c.fail(w.flush())
			}
			return context.Cause(c.ctx)
		})
	}
}

func (c *capture) fail(err error) {
	if err != nil {
		c.cancel(err)
	}
}

// add takes a file. It waits while the workers are behind.
func (c *capture) add(t fileTask) error {
	if t.info.Size() >= smallFile {
		select {
		case c.bigs <- t:
			return nil
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
	c.batch = append(c.batch, t)
	if c.bytes += t.info.Size(); c.bytes >= batchBytes || len(c.batch) >= batchFiles {
		return c.send()
	}
	return nil
}

func (c *capture) send() error {
	batch := c.batch
	c.batch, c.bytes = nil, 0
	if len(batch) == 0 {
		return nil
	}
	return c.post(func(w *worker) error {
		for _, t := range batch {
			if c.ctx.Err() != nil {
				break
			}
			if err := w.small(t); err != nil {
				return err
			}
		}
		return nil
	})
}

// post hands a job to the workers, which always take it.
func (c *capture) post(job func(*worker) error) error {
	c.jobs <- job
	return context.Cause(c.ctx)
}

// finish waits until every file is read.
func (c *capture) finish() error {
	c.fail(c.send())
	close(c.bigs)
	err := c.group.Wait()
	c.cancel(nil)
	return err
}

// has reports whether the repository holds the chunk, or will when this push ends. If not,
// the caller is the one to store it.
func (c *capture) has(id pack.ID) bool {
	if c.dry || !c.seen.add(id) {
		return true
	}
	if c.only != nil {
		return !c.only[id]
	}
	return c.live(id)
}

// live reports whether the chunk has a registered location, or an acknowledged one of our own.
func (c *capture) live(id pack.ID) bool {
	loc, ok, err := c.index.Lookup(id)
	if ok && c.damaged[loc.Pack] {
		loc, ok, err = c.elsewhere(id)
	}
	c.fail(err)
	if ok {
		c.usedMu.Lock()
		c.used[loc.Pack] = true
		c.usedMu.Unlock()
		return true
	}
	return c.known[id]
}

// chunk hashes one chunk and keeps it if it is new. b is not kept.
func (w *worker) chunk(b []byte) (pack.ID, error) {
	id := pack.Sum(b)
	if w.c.has(id) {
		return id, nil
	}
	w.c.newSize.Add(int64(len(b)))
	if w.c.progress != nil {
		w.c.progress.NewBytes.Add(int64(len(b)))
	}
	if len(b) >= frameTarget || len(w.plain)+len(b) > frameTarget || len(w.chunks) == pack.MaxChunks {
		if err := w.flush(); err != nil {
			return id, err
		}
	}
	if len(b) >= frameTarget {
		return id, w.frame(b, []pack.Chunk{{ID: id, Size: len(b)}})
	}
	w.plain = append(w.plain, b...)
	w.chunks = append(w.chunks, pack.Chunk{ID: id, Size: len(b)})
	return id, nil
}

func (w *worker) flush() error {
	if len(w.chunks) == 0 {
		return nil
	}
	plain, chunks := w.plain, w.chunks
	w.plain, w.chunks = w.plain[:0], w.chunks[:0]
	return w.frame(plain, chunks)
}

func (w *worker) frame(plain []byte, chunks []pack.Chunk) error {
	f, err := w.enc.Encode(plain, chunks)
	if err != nil {
		return err
	}
	return w.c.sink.addData(f)
}

// retries are the waits before a file that changed while it was read is read again.
var retries = [...]time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}

// errChanged: the file is not as it was when the reading began.
var errChanged = errors.New("changed while it was read")

// A readFunc turns the first size bytes of a file into content.
type readFunc func(f io.Reader, size int64) (Entry, error)

// settle reads a file with read, again if it changed meanwhile, and reports to t.done. Only
// an error of the push itself is returned.
func (c *capture) settle(t fileTask, read readFunc) error {
	var e Entry
	var st index.Stat
	err := errChanged
	for try := 0; errors.Is(err, errChanged) && try <= len(retries); try++ {
		if try > 0 {
			if err := c.sleep(c.ctx, retries[try-1]); err != nil {
				return err
			}
		}
		e, st, err = c.once(t, read)
		if fatal := (*pushError)(nil); errors.As(err, &fatal) {
			return fatal.error
		}
	}
	if errors.Is(err, errChanged) && !errors.Is(err, errTorn) {
		e.Marks |= MarkChanged
		err = nil
	}
	if err == nil && t.about != nil && c.holder.Streams() {
		err = c.streams(t, &e, read)
	}
	if fatal := (*pushError)(nil); errors.As(err, &fatal) {
		return fatal.error
	}
	c.progress.finished(t.info.Size())
	t.done(e, st, err)
	return nil
}

func (c *capture) openFile(t fileTask) (*os.File, error) {
	if c.open != nil {
		return c.open(t.local)
	}
	return t.in.open(t.local)
}

// pushError is an error of the push, not of the file.
type pushError struct{ error }

// once reads a file as long as it is when it is opened. If it changed meanwhile, errChanged
// comes with the content; if all that was read is still there it only grew.
func (c *capture) once(t fileTask, read readFunc) (e Entry, st index.Stat, err error) {
	f, err := c.openFile(t)
	if err != nil {
		return e, st, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return e, st, err
	}
	if t.about != nil {
		*t.about = c.holder.look(f, before)
	}
	if !t.plain && sqlite.Begins(f) {
		f.Close() // an image is made while nothing else here has it open
		return c.database(t, before, read)
	}
	if !os.SameFile(before, t.info) { // replaced since the walk: by a file, not by a link to one?
		if now, err := c.root.Lstat(t.local); err != nil {
			return e, st, err
		} else if !now.Mode().IsRegular() || !before.Mode().IsRegular() {
			return e, st, errors.New("it is no longer a file")
		}
	}
	st = StatOf(before, time.Now())
	if e, err = read(f, before.Size()); err != nil && !errors.Is(err, errChanged) {
		return e, st, err
	}
	setMeta(&e, before)
	if err == nil && durable.InfoOf(before).Sparse(before.Size()) {
		e.holes(f)
	}
	after, serr := f.Stat()
	if serr != nil {
		return e, st, serr
	}
	if err == nil && sameStat(StatOf(after, time.Time{}), st) {
		return e, st, nil
	}
	if err == nil && after.Size() > before.Size() {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return e, st, err
		}
		again, err := read(f, before.Size())
		if err != nil && !errors.Is(err, errChanged) {
			return e, st, err
		}
		if err == nil && again.SameContent(&e) {
			e.Marks |= MarkGrew
			return e, st, nil
		}
	}
	return e, st, errChanged
}

// small reads a file that fits a buffer.
func (w *worker) small(t fileTask) error {
	t.in = &w.in
	return w.c.settle(t, func(f io.Reader, size int64) (Entry, error) {
		if size >= smallFile { // it has grown since the walk
			r := pieceReader{get: func() []byte { return nil }, put: func([]byte) {}, run: func(job func(*worker) error) error { return job(w) }, tail: new([]byte)}
			return w.c.pieces(f, size, t.secret, r)
		}
		if cap(w.file) < smallFile {
			w.file = make([]byte, smallFile)
		}
		n, err := io.ReadFull(f, w.file[:size])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errChanged
		} else if err != nil {
			return Entry{}, err
		}
		if n == 0 {
			return Entry{}, err
		}
		if t.secret {
			if err := w.flush(); err != nil {
				return Entry{}, &pushError{err}
			}
		}
		id, cerr := w.chunk(w.file[:n])
		if cerr == nil && t.secret {
			cerr = w.flush()
		}
		if cerr != nil {
			return Entry{}, &pushError{cerr}
		}
		return Entry{Size: uint64(n), IDs: bytes.Clone(id[:])}, err
	})
}

// large reads a file piece by piece.
func (c *capture) large(t fileTask, r pieceReader) error {
	return c.settle(t, func(f io.Reader, size int64) (Entry, error) { return c.pieces(f, size, t.secret, r) })
}

// A pieceReader says where the buffers of a large file come from and go to, and who does
// the work on a full one.
type pieceReader struct {
	get  func() []byte // may be nil: a new one is made
	put  func([]byte)
	run  func(job func(*worker) error) error
	tail *[]byte // of a buffer, for the next one
}

// pieces reads size bytes in large buffers, cuts them, and has the chunks stored.
func (c *capture) pieces(f io.Reader, size int64, secret bool, r pieceReader) (e Entry, err error) {
	var ids [][]byte
	tail := (*r.tail)[:0]
	defer func() { *r.tail = tail }()
	var pending sync.WaitGroup
	defer pending.Wait()
	database := false
	for left := size; left > 0; {
		buf := r.get()
		if buf == nil {
			buf = make([]byte, readBuffer)
		}
		carried := copy(buf, tail)
		n, err := io.ReadFull(f, buf[carried:min(int64(len(buf)), int64(carried)+left)])
		short := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !short {
			r.put(buf)
			return e, err
		}
		if left -= int64(n); short {
			left = 0
		}
		data := buf[:carried+n]
		if e.Size == 0 {
			database = sqlite.Begins(bytes.NewReader(data))
		}
		e.Size += uint64(n)
		ends := c.cuts(data, carried, database, left == 0)
		done := 0
		if len(ends) > 0 {
			done = ends[len(ends)-1]
		}
		tail = append(tail[:0], data[done:]...)
		out := make([]byte, len(ends)*sha256.Size)
		ids = append(ids, out)
		pending.Add(1)
		job := func(w *worker) error {
			defer pending.Done()
			defer r.put(buf)
			return w.piece(data, ends, out, secret)
		}
		if err := r.run(job); err != nil {
			return e, &pushError{err}
		}
		if short {
			err = errChanged
		}
		if left == 0 {
			pending.Wait()
			if cause := context.Cause(c.ctx); cause != nil {
				return e, &pushError{cause}
			}
			all, depth, perr := encodeIDs(bytes.Join(ids, nil), c.addTree)
			if perr != nil {
				return e, &pushError{perr}
			}
			e.IDs, e.Depth = all, depth
			return e, err
		}
	}
	return e, nil
}

// piece stores the chunks of one buffer, which end at ends, and writes their ids to out.
func (w *worker) piece(data []byte, ends []int, out []byte, secret bool) error {
	if w.c.ctx.Err() != nil {
		return nil
	}
	if secret {
		if err := w.flush(); err != nil {
			return err
		}
	}
	at := 0
	for i, end := range ends {
		id, err := w.chunk(data[at:end])
		if err != nil {
			return err
		}
		copy(out[i*sha256.Size:], id[:])
		at = end
	}
	if secret {
		return w.flush()
	}
	return nil
}

// addTree stores a tree chunk that the repository does not have.
func (c *capture) addTree(id pack.ID, b []byte) error {
	if c.has(id) {
		return nil
	}
	return c.sink.addTree(id, b)
}

// cuts returns the ends of the chunks of data, of which the first seen bytes were there
// before and had no end.
func (c *capture) cuts(data []byte, seen int, database, final bool) []int {
	if !database {
		return c.cut.Cuts(nil, data, seen, final)
	}
	var ends []int
	for end := sqlitePiece; end <= len(data); end += sqlitePiece {
		ends = append(ends, end)
	}
	if last := len(ends) * sqlitePiece; final && last < len(data) {
		ends = append(ends, len(data))
	}
	return ends
}
