package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"satchel/snapshot"
	"satchel/store/pack"
	"satchel/store/seal"
)

// How packs are read, in bytes: ranges that are at most maxGap apart are one request of at
// most maxRange.
const (
	maxRange = 32 << 20
	maxGap   = 512 << 10
	maxHeld  = 2 * maxRange // of all requests under way
)

// piece is where one chunk of a pack goes.
type piece struct {
	chunk int // ordinal in the pack
	w     *write
	off   int64 // in the file
}

// packJob is what is wanted of one pack.
type packJob struct {
	key    pack.Key
	dir    *pack.Directory
	opener *seal.Opener
	pieces []piece // by chunk
}

// rangeJob is one request: frames that lie close together.
type rangeJob struct {
	*packJob
	from, to int64   // in the pack
	pieces   []piece // of these frames
}

// DamageError lists what could not be restored because the repository is damaged.
type DamageError struct {
	Paths []string   // local
	Packs []pack.Key // that are damaged
	Err   error      // the first
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%d files are damaged in the repository: %v", len(e.Paths), e.Err)
}
func (e *DamageError) Unwrap() error { return e.Err }

// damage gathers it.
type damage struct {
	mu    sync.Mutex
	paths map[string]bool
	packs []pack.Key // also those of which everything wanted lay elsewhere too
	err   error
}

// in notes that a pack is damaged, and reports whether that is what the error says.
func (d *damage) in(k pack.Key, err error) bool {
	if !errors.Is(err, pack.ErrDamaged) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.packs, k) {
		d.packs = append(d.packs, k)
	}
	return true
}

// add notes an error if it is damage, and reports whether it was.
func (d *damage) add(err error, ws ...*write) bool {
	if !errors.Is(err, pack.ErrDamaged) && !errors.Is(err, snapshot.ErrMissing) && !errors.Is(err, snapshot.ErrTree) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err, d.paths = err, map[string]bool{}
	}
	for _, w := range ws {
		d.paths[w.local] = true
	}
	return true
}

func (d *damage) error() error {
	if d.err == nil {
		return nil
	}
	e := &DamageError{Err: d.err, Packs: d.packs}
	for p := range d.paths {
		e.Paths = append(e.Paths, p)
	}
	slices.Sort(e.Paths)
	return e
}

// locate groups the chunks of all files by pack, in the order of their first use.
func (p *Plan) locate(ctx context.Context, d *damage) ([]*packJob, error) {
	jobs := map[pack.Key]*packJob{}
	var order []*packJob
	for _, w := range p.writes {
		if w.entry.Type != snapshot.File || w.same != nil {
			continue
		}
		var sum snapshot.Sum
		err := p.o.Reader.ChunkIDs(ctx, w.entry, func(id pack.ID) error {
			loc, ok, err := p.o.Index.Lookup(id)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("%w: %x", snapshot.ErrMissing, id[:])
			}
			j := jobs[loc.Pack]
			if j == nil {
				dir, ok, err := p.o.Index.Directory(loc.Pack)
				if err != nil {
					return err
				}
				if !ok {
					return fmt.Errorf("%w: pack %s", snapshot.ErrMissing, loc.Pack.Name())
				}
				o, err := pack.Opener(p.o.Keys, loc.Pack, dir)
				if err != nil {
					return err
				}
				j = &packJob{key: loc.Pack, dir: dir, opener: o}
				jobs[loc.Pack] = j
				order = append(order, j)
			}
			j.pieces = append(j.pieces, piece{loc.Chunk, w, int64(sum.Bytes)})
			return sum.Add(w.entry, 1, uint64(loc.Size))
		})
		if err == nil {
			err = sum.End(w.entry)
		}
		if err != nil && !d.add(fmt.Errorf("%q: %w", w.local, err), w) {
			return nil, err
		}
	}
	return order, nil
}

// ranges cuts the wanted frames of a pack into requests.
func (j *packJob) ranges() []*rangeJob {
	slices.SortStableFunc(j.pieces, func(a, b piece) int { return a.chunk - b.chunk })
	size := j.dir.PackSize()
	var out []*rangeJob
	for i := 0; i < len(j.pieces); {
		f := j.dir.Frames()[j.dir.FrameOf(j.pieces[i].chunk)]
		k := i
		for k < len(j.pieces) && j.pieces[k].chunk < f.First+f.Chunks {
			k++
		}
		from, to := f.Offset, f.Offset+int64(f.Stored)
		if last := len(out) - 1; last >= 0 && from-out[last].to <= maxGap && to-out[last].from <= maxRange {
			out[last].to = to
			out[last].pieces = j.pieces[i-len(out[last].pieces) : k]
		} else {
			out = append(out, &rangeJob{packJob: j, from: from, to: to, pieces: j.pieces[i:k]})
		}
		i = k
	}
	for _, r := range out {
		r.from, r.to = pack.Range(r.from, r.to, size)
	}
	return out
}

// fetch reads every range with several workers and stages the files.
func (p *Plan) fetch(ctx context.Context, jobs []*packJob, d *damage) error {
	workers := p.o.Workers
	if workers == 0 {
		workers = 3
	}
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan *rangeJob)
	held := semaphore.NewWeighted(maxHeld)
	g.Go(func() error {
		defer close(todo)
		for _, j := range jobs {
			for _, r := range j.ranges() {
				select {
				case todo <- r:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
		}
		return nil
	})
	for range workers {
		g.Go(func() error {
			dec, err := pack.NewDecoder()
			if err != nil {
				return err
			}
			var plain []byte
			for r := range todo {
				size := min(r.to-r.from, maxHeld)
				if err := held.Acquire(ctx, size); err != nil {
					return context.Cause(ctx)
				}
				if plain, err = p.read(ctx, r, dec, plain, d); err != nil {
					return err
				}
				held.Release(size)
			}
			return nil
		})
	}
	err := g.Wait()
	p.Damaged = d.packs
	return err
}

// read fetches one range and writes its chunks into the staged files. plain is a buffer to
// use again.
func (p *Plan) read(ctx context.Context, r *rangeJob, dec *pack.Decoder, plain []byte, d *damage) ([]byte, error) {
	raw, err := p.o.Store.Get(ctx, r.key.Name(), r.from, r.to-r.from)
	if err != nil {
		return plain, p.elsewhere(ctx, r.packJob, r.pieces, d, pack.GetError(r.key, err))
	}
	if p.o.Progress != nil {
		p.o.Progress.Stored.Add(int64(len(raw)))
	}
	for i := 0; i < len(r.pieces); {
		n := r.dir.FrameOf(r.pieces[i].chunk)
		f := r.dir.Frames()[n]
		k := i
		for k < len(r.pieces) && r.pieces[k].chunk < f.First+f.Chunks {
			k++
		}
		at := f.Offset - r.from
		var b []byte
		b, err = dec.Frame(plain[:0], r.opener, r.key, r.dir, n, raw[at:at+int64(f.Stored)], nil)
		if err != nil {
			if err := p.elsewhere(ctx, r.packJob, r.pieces[i:k], d, err); err != nil {
				return plain, err
			}
			i = k
			continue
		}
		plain = b
		if err := p.scatter(r.dir, f, plain, r.pieces[i:k]); err != nil {
			return plain, err
		}
		i = k
	}
	return plain, nil
}

// elsewhere fetches chunks that a damaged pack does not give from others that hold them too.
// It returns cause if that is no damage.
func (p *Plan) elsewhere(ctx context.Context, j *packJob, pieces []piece, d *damage, cause error) error {
	if !d.in(j.key, cause) {
		return cause
	}
	for _, q := range pieces {
		b, err := p.o.Reader.Chunk(ctx, j.dir.ID(q.chunk))
		if err == nil {
			err = p.stageAt(q.w, q.off, b)
		}
		if err != nil && !d.add(err, q.w) {
			return err
		}
	}
	return nil
}

// scatter writes the chunks of a frame to their files, runs of neighbours at once.
func (p *Plan) scatter(dir *pack.Directory, f pack.FrameInfo, plain []byte, pieces []piece) error {
	starts := make([]int, f.Chunks+1)
	for c := range f.Chunks {
		starts[c+1] = starts[c] + dir.Size(f.First+c)
	}
	// One chunk may go to many files, and one file may need many chunks: sort by file.
	slices.SortStableFunc(pieces, func(a, b piece) int {
		if a.w != b.w {
			if a.w.order < b.w.order {
				return -1
			}
			return 1
		}
		return int(min(max(a.off-b.off, -1), 1))
	})
	for i := 0; i < len(pieces); {
		first := pieces[i]
		k, off := i, first.off
		chunk := first.chunk
		for k < len(pieces) && pieces[k].w == first.w && pieces[k].off == off && pieces[k].chunk == chunk {
			off += int64(dir.Size(chunk))
			chunk++
			k++
		}
		b := plain[starts[first.chunk-f.First]:starts[chunk-f.First]]
		if err := p.stageAt(first.w, first.off, b); err != nil {
			return err
		}
		i = k
	}
	return nil
}

// stageAt writes bytes into a staged file, and finishes it with the last of them.
func (p *Plan) stageAt(w *write, off int64, b []byte) error {
	f, err := p.o.Root.OpenFile(w.stage, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", w.local, err)
	}
	if len(w.entry.Holes) > 0 {
		err = f.MakeSparse()
	}
	err = errors.Join(err, punched(w.entry, b, off, func(b []byte, off int64) error {
		_, err := f.WriteAt(b, off)
		return err
	}))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", w.local, err)
	}
	if p.o.Progress != nil {
		p.o.Progress.Bytes.Add(int64(len(b)))
	}
	if w.left.Add(-int64(len(b))) > 0 {
		return nil
	}
	if p.o.Progress != nil {
		p.o.Progress.Files.Add(1)
	}
	return p.finish(w)
}
