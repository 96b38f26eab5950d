package check

import (
	"context"
	"errors"
	"fmt"
	"io"

	"satchel/index"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// loss is what cannot be had from a damaged pack.
type loss struct {
	all    bool
	chunks bits // by ordinal
}

func (l *loss) has(chunk int) bool { return l.all || l.chunks.has(chunk) }

// lose notes a damaged pack and which of its chunks are lost; nil is all of them.
func (c *checker) lose(k pack.Key, chunks bits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.losses[k] = &loss{chunks == nil, chunks}
}

// lost reports whether a chunk cannot be had from this location. It is for when the workers
// are done.
func (c *checker) lost(loc index.Location) bool {
	l := c.losses[loc.Pack]
	return l != nil && l.has(loc.Chunk)
}

// worker is one goroutine's own.
type worker struct {
	*checker
	dec   *pack.Decoder
	plain []byte
}

func newWorker(c *checker) (*worker, error) {
	dec, err := pack.NewDecoder()
	return &worker{checker: c, dec: dec}, err
}

// pack reads a pack in one request, compares it with its name and, if open is set or that
// fails, opens everything in it.
func (w *worker) pack(ctx context.Context, p ledger.Pack, open bool) error {
	name := p.Key.Name()
	data, ok, err := w.read(ctx, name, true)
	if err != nil {
		return err
	}
	if data == nil {
		w.lose(p.Key, nil)
		return nil
	}
	if ok && !open {
		return nil
	}
	w.mu.Lock()
	w.report.Opened++
	w.mu.Unlock()
	dir, err := w.directory(ctx, p, data, ok)
	if err != nil {
		return err
	}
	if dir == nil {
		w.problem(name, Damage, "its directory cannot be read, here or anywhere else: nobody can tell what it holds")
		w.lose(p.Key, nil)
		return nil
	}
	chunks, what, err := w.frames(p.Key, dir, data)
	if err != nil {
		return err
	}
	if len(chunks) > 0 {
		w.problem(name, Damage, "%s", what)
	}
	if w.healthy(p.Key) {
		return nil
	}
	w.lose(p.Key, append(bits{}, chunks...))
	return nil
}

// healthy forgets that a pack was damaged, unless it still is.
func (c *checker) healthy(k pack.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.found[k.Name()]; p != nil && p.Severity == Damage {
		return false
	}
	c.Note.drop(k)
	return true
}

// directory is what the ledger says that the pack holds: the pack's own table of contents is
// compared with it. It is nil if there is no way to know. Whether a newer satchel wrote the pack
// is only to be believed if its bytes are those that were written.
func (w *worker) directory(ctx context.Context, p ledger.Pack, data []byte, written bool) (*pack.Directory, error) {
	known, ok, err := w.Index.Directory(p.Key)
	if err != nil {
		return nil, err
	}
	own, err := pack.ReadDirectory(ctx, inMemory{data: data}, w.Log.Keys, p.Key, int64(len(data)))
	switch {
	case err != nil && written && !errors.Is(err, pack.ErrDamaged):
		return nil, err
	case err != nil:
		w.problem(p.Key.Name(), Damage, "%v", err)
	case own.Hash() != p.Hash:
		w.problem(p.Key.Name(), Damage, "its directory is not the one that was registered")
	case !ok:
		w.problem(p.Key.Name(), Notice, "this device's index does not have it: satchel repair index")
		return own, nil
	}
	if !ok {
		return nil, nil
	}
	return known, nil
}

// frames opens every frame and returns the chunks of those that do not.
func (w *worker) frames(k pack.Key, dir *pack.Directory, data []byte) (lost bits, what string, err error) {
	o, err := pack.Opener(w.Log.Keys, k, dir)
	if err != nil {
		return nil, "", err
	}
	bad := 0
	for i, f := range dir.Frames() {
		end := min(f.Offset+int64(f.Stored), int64(len(data)))
		w.plain, err = w.dec.Frame(w.plain[:0], o, k, dir, i, data[min(f.Offset, end):end], nil)
		if err == nil {
			continue
		} else if !errors.Is(err, pack.ErrDamaged) {
			return nil, "", err
		}
		w.plain = nil
		bad++
		for c := f.First; c < f.First+f.Chunks; c++ {
			lost.set(c)
		}
	}
	return lost, fmt.Sprintf("%d of its %d frames do not open", bad, len(dir.Frames())), nil
}

// inMemory is a store of one object, which has been read.
type inMemory struct {
	store.Store
	data []byte
}

func (m inMemory) Get(_ context.Context, _ string, off, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > int64(len(m.data)) || n > int64(len(m.data))-off {
		return nil, io.ErrUnexpectedEOF
	}
	return m.data[off : off+n], nil
}
