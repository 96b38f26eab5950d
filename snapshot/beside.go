package snapshot

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"satchel/index"
	"satchel/snapshot/workspace"
	"satchel/store/durable"
	"satchel/store/pack"
)

// links numbers hardlink groups. A group keeps the number that the parent snapshot has, so
// that it does not change from device to device.
type links struct {
	mu    sync.Mutex
	of    map[durable.FileID]uint64
	taken map[uint64]bool
}

func (l *links) number(i durable.Info, prev *Entry) uint64 {
	if i.Links < 2 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.of[i.ID]; ok {
		return n
	}
	n := uint64(0)
	if prev != nil {
		n = prev.Link
	}
	for try := uint64(0); n == 0 || l.taken[n]; try++ {
		id := pack.Sum(fmt.Appendf(nil, "%x %x %x", i.ID.Device, i.ID.Inode, try))
		n = binary.BigEndian.Uint64(id[:])
	}
	if l.of == nil {
		l.of, l.taken = map[durable.FileID]uint64{}, map[uint64]bool{}
	}
	l.of[i.ID], l.taken[n] = n, true
	return n
}

// complete adds to the content of an entry what it is beside.
func (b *builder) complete(e *Entry, prev *Entry, remote string, a about) {
	b.holder.setOwner(e, a.info)
	if e.Type == File {
		e.Link = b.links.number(a.info, prev)
	}
	if tooLarge := e.attrs(a.attrs); len(tooLarge) > 0 {
		b.problem(remote, 0, "too large for a snapshot are its extended attributes "+strings.Join(tooLarge, ", "))
	}
	if a.err != nil {
		b.problem(remote, 0, "its extended attributes cannot be read: "+reason(a.err))
	}
	b.holder.keep(e, prev, a.bare || b.partly[remote])
}

// other settles what is no file: its kind and its properties, or what the last push or pull
// noted of it, if it was not touched since. It reports whether the entry is one to keep.
func (b *builder) other(d *dirBuild, i int, w *workspace.Entry) bool {
	e, prev, remote := &d.entries[i], find(d.prev, []byte(w.Name)), join(d.remote, w.Name)
	if w.Info == nil { // a folder that exists only remotely
		*e = Entry{Name: []byte(w.Name), Type: Dir, Mode: 0o755}
		if prev != nil && prev.Type == Dir {
			*e = *prev
		}
		return true
	}
	kind, known := typeOf(w.Type)
	if !known || kind == Socket {
		b.leave(w.Local, "a socket is nothing without the program that made it")
		return false
	}
	if old, st, ok := d.recorded(w); ok && !b.force && old.Type == kind {
		*e, d.stats[i] = old, st
		return true
	}
	began := time.Now()
	e.Type = kind
	setMeta(e, w.Info)
	switch kind {
	case Symlink:
		target, err := b.root.Readlink(w.Local)
		if err != nil || target == "" || len(target) > maxTarget {
			b.failed(d, i, errors.Join(errors.New("a link that cannot be kept"), err))
			return !d.drop[i]
		}
		e.Target, e.Mode = []byte(target), 0o777
	case CharDevice, BlockDevice:
		e.Device = durable.InfoOf(w.Info).DeviceType
	}
	a := b.holder.lookAt(b.capture.paths, cmp.Or(w.Local, "."), w.Info)
	if errors.Is(a.err, fs.ErrNotExist) && kind != Dir {
		return false // it vanished since the walk
	}
	b.complete(e, prev, remote, a)
	d.stats[i] = StatOf(w.Info, began)
	return true
}

func typeOf(m fs.FileMode) (Type, bool) {
	switch m.Type() {
	case 0:
		return File, true
	case fs.ModeDir:
		return Dir, true
	case fs.ModeSymlink:
		return Symlink, true
	case fs.ModeNamedPipe:
		return Fifo, true
	case fs.ModeSocket:
		return Socket, true
	case fs.ModeDevice:
		return BlockDevice, true
	case fs.ModeDevice | fs.ModeCharDevice:
		return CharDevice, true
	}
	return File, false
}

// recorded is what the last push or pull noted of a path, if it was not touched since.
func (d *dirBuild) recorded(w *workspace.Entry) (e Entry, st index.Stat, ok bool) {
	i, found := slices.BinarySearchFunc(d.oldEs, w.Name, func(e Entry, n string) int { return cmp.Compare(string(e.Name), n) })
	if !found {
		return e, st, false
	}
	e, st = d.oldEs[i], d.old.Stats[i]
	return e, st, st.Fresh(StatOf(w.Info, time.Time{}))
}

func (b *builder) leave(local, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leftOut = append(b.leftOut, workspace.LeftOut{Local: local, Rule: "always", Reason: reason})
}

// absent keeps what the parent snapshot has under names that this device could not be given
// and does not have: it is not removed. It appends their entries to d's.
func (b *builder) absent(d *dirBuild, list *workspace.Listing) (kept int) {
	for i := range d.prev {
		p := &d.prev[i]
		if !b.homeless[join(d.remote, string(p.Name))] || slices.ContainsFunc(d.entries[len(list.Entries):], func(e Entry) bool { return string(e.Name) == string(p.Name) }) {
			continue
		}
		if !slices.ContainsFunc(list.Entries, func(e workspace.Entry) bool { return e.Name == string(p.Name) }) {
			d.entries = append(d.entries, *p)
			b.countBelow(p)
			kept++
		}
	}
	return kept
}

// countBelow counts what is in a folder that is kept as the parent snapshot has it.
func (b *builder) countBelow(e *Entry) {
	if e.Type != Dir {
		return
	}
	files, bytes, dirs := uint64(0), uint64(0), uint64(0)
	err := b.reader.Walk(b.capture.ctx, e.Node, func(_ string, e *Entry) error {
		if e.Type == Dir {
			dirs++
		} else {
			files++
			bytes += e.Size
		}
		return nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.Files += files
	b.counts.Bytes += bytes
	b.counts.dirs += dirs
	b.counts.Unchanged += int(files)
	if err != nil && !errors.Is(err, ErrMissing) && !errors.Is(err, pack.ErrDamaged) && !errors.Is(err, ErrTree) {
		b.err = errors.Join(b.err, err)
	}
}

// holes notes where a sparse file takes no room. What is not known does not matter.
func (e *Entry) holes(f *os.File) {
	all, err := durable.Holes(f, int64(e.Size))
	if err != nil {
		return
	}
	for _, h := range all[:min(len(all), maxHoles)] {
		e.Holes = append(e.Holes, Hole{Offset: uint64(h.Offset), Length: uint64(h.Length)})
	}
}

// streams reads the alternate streams of a file.
func (c *capture) streams(t fileTask, e *Entry, read readFunc) error {
	f, err := c.openFile(t)
	if err != nil {
		return err
	}
	defer f.Close()
	all, err := durable.FileStreams(f)
	if err != nil {
		return err
	}
	if len(all) > maxStreams {
		c.warn(fmt.Sprintf("%s has %d alternate streams; %d of them travel", t.local, len(all), maxStreams))
	}
	for _, s := range all[:min(len(all), maxStreams)] {
		content, err := c.stream(t, s, read)
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		e.Streams = append(e.Streams, Stream{Name: []byte(s.Name), Content: content})
	}
	slices.SortFunc(e.Streams, func(a, b Stream) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return e.checkStreams()
}

func (c *capture) stream(t fileTask, s durable.Stream, read readFunc) (Entry, error) {
	f, err := c.paths.OpenStream(t.local, s.Name, false)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	e, err := read(f, s.Size)
	return Entry{Size: e.Size, IDs: e.IDs, Depth: e.Depth}, err
}
