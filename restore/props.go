package restore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"satchel/snapshot"
	"satchel/store/durable"
)

// props is what a path is beside its bytes, as this system can hold it, or as it was here.
type props struct {
	Mode   uint32        `json:"mode"`  // 12 bits
	Mtime  int64         `json:"mtime"` // ns
	UID    *int          `json:"uid,omitempty"`
	GID    *int          `json:"gid,omitempty"`
	Xattrs []attr        `json:"xattrs,omitempty"`
	All    bool          `json:"all,omitempty"` // other attributes go
	Flags  durable.Flags `json:"flags,omitempty"`
	Btime  int64         `json:"btime,omitempty"`
	Link   bool          `json:"link,omitempty"` // has no mode
}

type attr struct {
	Name  []byte `json:"name"`
	Value []byte `json:"value"`
}

// propsOf says what of an entry is set here, and what is not although somebody will miss it.
func propsOf(h *snapshot.Holder, e *snapshot.Entry) (m props, lacks []string) {
	m = props{Mode: e.Mode&0o1777 | h.Setuid(e), Mtime: e.Mtime, Btime: e.Btime, All: true, Link: e.Type == snapshot.Symlink}
	if m.Mode != e.Mode {
		lacks = append(lacks, "setuid or setgid, as its owner or group is another here")
	}
	if uid, gid := h.Owner(e); h.Root && (uid >= 0 || gid >= 0) {
		m.UID, m.GID = &uid, &gid
	}
	var attrs []string
	for _, x := range e.Xattrs {
		if name := string(x.Name); h.Holds(name) {
			m.Xattrs = append(m.Xattrs, attr{x.Name, x.Value})
		} else if !snapshot.Minor(name) {
			attrs = append(attrs, name)
		}
	}
	if len(attrs) > 0 {
		lacks = append(lacks, "extended attributes "+strings.Join(attrs, ", "))
	}
	var streams []string
	for _, s := range e.Streams {
		if name := string(s.Name); !h.Streams() && !snapshot.Minor(name) {
			streams = append(streams, name)
		}
	}
	if len(streams) > 0 {
		lacks = append(lacks, "streams "+strings.Join(streams, ", "))
	}
	m.Flags = e.Flags & durable.FlagsOf(h.System)
	if e.Mode&0o200 == 0 && e.Type == snapshot.File {
		m.Flags |= durable.ReadOnly & durable.FlagsOf(h.System)
	}
	return m, lacks
}

// propsHere is what a path is like now.
func (p *Plan) propsHere(local string, info fs.FileInfo) (props, error) {
	i := durable.InfoOf(info)
	m := props{Mode: modeBits(info.Mode()), Mtime: info.ModTime().UnixNano(), Btime: i.Birth, Flags: i.Flags, Link: info.Mode().Type() == fs.ModeSymlink}
	if uid, gid := int(i.UID), int(i.GID); i.Owned && p.holder.Root {
		m.UID, m.GID = &uid, &gid
	}
	xs, err := p.o.Root.Xattrs(local, p.holder.Holds)
	for _, x := range xs {
		m.Xattrs = append(m.Xattrs, attr{[]byte(x.Name), x.Value})
	}
	if m.All = err == nil; cannotHold(err) {
		err = nil
	}
	return m, err
}

// set gives a path its properties, in an order in which none undoes another. What the file
// system or the user cannot hold is returned in words; flags that lock a path are left to lock.
func (m *props) set(r durable.Root, name string, fresh bool) (lacks []string, err error) {
	try := func(what string, err error) error {
		if cannotHold(err) {
			lacks, err = append(lacks, what), nil
		}
		return err
	}
	if m.UID != nil || m.GID != nil {
		if err := try("its owner", r.Lchown(name, orNone(m.UID), orNone(m.GID))); err != nil {
			return lacks, err
		}
	}
	if err := m.setXattrs(r, name, fresh, try); err != nil {
		return lacks, err
	}
	if !m.Link {
		if err := r.Chmod(name, fileMode(m.Mode)); err != nil {
			return lacks, err
		}
	}
	if m.Btime != 0 {
		if err := r.SetBirth(name, time.Unix(0, m.Btime)); err != nil && !cannotHold(err) {
			return lacks, err
		}
	}
	if err := r.Lchtimes(name, time.Unix(0, m.Mtime)); err != nil && !(m.Link && cannotHold(err)) {
		return lacks, err
	}
	if flags := m.Flags &^ durable.Locked; flags != 0 || !fresh {
		if err := r.SetFlags(name, flags); err != nil && !cannotHold(err) {
			return lacks, err
		}
	}
	return lacks, nil
}

func orNone(id *int) int {
	if id == nil {
		return -1
	}
	return *id
}

// setXattrs sets attributes and, of what is not fresh, removes all others that this user can see.
func (m *props) setXattrs(r durable.Root, name string, fresh bool, try func(string, error) error) error {
	for _, x := range m.Xattrs {
		err := r.SetXattr(name, string(x.Name), x.Value)
		if errors.Is(err, syscall.ENOSPC) { // in an inode
			err = errors.ErrUnsupported
		}
		if err := try("extended attribute "+string(x.Name), err); err != nil {
			return err
		}
	}
	if fresh || !m.All {
		return nil
	}
	xs, err := r.Xattrs(name, snapshot.Here().Holds)
	if cannotHold(err) {
		return nil
	}
	for _, x := range xs {
		if !slices.ContainsFunc(m.Xattrs, func(a attr) bool { return string(a.Name) == x.Name }) {
			err = errors.Join(err, r.RemoveXattr(name, x.Name))
		}
	}
	return err
}

// cannotHold says of an error that the system, the file system or the user cannot hold what
// was to be put there, however often it is tried.
func cannotHold(err error) bool {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		return true
	}
	var code syscall.Errno
	return errors.As(err, &code) && slices.Contains(unholdable[:], code)
}

// finish gives a staged object what it is beside its bytes.
func (p *Plan) finish(w *write) error {
	e := w.entry
	if len(e.Holes) > 0 {
		f, err := p.o.Root.OpenFile(w.stage, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("%s: %w", w.local, err)
		}
		if err := errors.Join(f.Truncate(int64(e.Size)), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", w.local, err)
		}
	}
	m, lacks := propsOf(p.holder, e)
	more, err := m.set(p.o.Root, w.stage, true)
	if err != nil {
		return fmt.Errorf("%s: %w", w.local, err)
	}
	p.partly(w.remote, w.local, append(lacks, more...))
	return nil
}

// partly notes what a path cannot have here.
func (p *Plan) partly(remote, local string, lacks []string) {
	p.lackMu.Lock()
	defer p.lackMu.Unlock()
	if len(lacks) == 0 {
		delete(p.lacks.partly, remote)
		return
	}
	if !p.lacks.partly[remote] {
		p.Unheld = append(p.Unheld, Conflict{local, "cannot have here " + strings.Join(lacks, "; ")})
	}
	p.lacks.partly[remote] = true
}

// homeless notes that a path cannot be put here. What was known and has not changed is not told again.
func (p *Plan) homeless(remote, local, reason string, known bool) {
	p.lackMu.Lock()
	defer p.lackMu.Unlock()
	if !p.lacks.homeless[remote] || !known {
		p.Unheld = append(p.Unheld, Conflict{local, reason})
	}
	p.lacks.homeless[remote] = true
}

// settled notes that a path is here.
func (p *Plan) settled(remote string) {
	p.lackMu.Lock()
	defer p.lackMu.Unlock()
	delete(p.lacks.homeless, remote)
}

// lacking is what a device lacks of a snapshot.
type lacking struct{ homeless, partly map[string]bool }

func newLacking(l snapshot.Lacks) lacking {
	set := func(names []string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	return lacking{set(l.Homeless), set(l.Partly)}
}

func (l lacking) list() snapshot.Lacks {
	names := func(m map[string]bool) (all []string) {
		for n := range m {
			all = append(all, n)
		}
		slices.Sort(all)
		return all
	}
	return snapshot.Lacks{Homeless: names(l.homeless), Partly: names(l.partly)}
}

// stageOther makes what is no file in the staging folder, or notes that it cannot be here.
func (p *Plan) stageOther(w *write) error {
	var err error
	r := p.o.Root
	switch e := w.entry; e.Type {
	case snapshot.Symlink:
		err = r.Symlink(string(e.Target), w.stage)
	case snapshot.Fifo:
		err = r.Mknod(w.stage, fs.ModeNamedPipe, 0)
	case snapshot.CharDevice:
		err = r.Mknod(w.stage, fs.ModeDevice|fs.ModeCharDevice, e.Device)
	case snapshot.BlockDevice:
		err = r.Mknod(w.stage, fs.ModeDevice, e.Device)
	default:
		err = errors.ErrUnsupported
	}
	if cannotHold(err) {
		w.skip = true
		p.homeless(w.remote, w.local, fmt.Sprintf("is a %v, which cannot be made here: %v", w.entry.Type, reason(err)), w.known)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w.local, err)
	}
	return p.finish(w)
}

// reason is an error without the path, which is told beside it.
func reason(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	if e := (*os.LinkError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// group joins the files that are one file, so that it is fetched once: FORMAT.md §5, link.
func (p *Plan) group() {
	type key struct {
		link, size uint64
		ids        string
	}
	first := map[key]*write{}
	for _, w := range p.writes {
		if e := w.entry; e.Type == snapshot.File && e.Link != 0 {
			k := key{e.Link, e.Size, string(e.IDs)}
			if w.same = first[k]; w.same == nil {
				first[k] = w
			} else {
				p.Bytes -= int64(e.Size)
				w.left.Store(0)
			}
		}
	}
}

// stageLink makes another name of a staged file, or a copy where there are no links.
func (p *Plan) stageLink(w *write) error {
	err := p.o.Root.Link(w.same.stage, w.stage)
	if cannotHold(err) {
		p.Unheld = append(p.Unheld, Conflict{w.local, "cannot be linked with " + w.same.local + " here, and is a file of its own"})
		if err = p.copyStaged(w.same.stage, w.stage); err == nil {
			return p.finish(w)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w.local, err)
	}
	return nil
}

func (p *Plan) copyStaged(from, to string) error {
	in, err := p.o.Root.OpenFile(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := p.o.Root.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// punched calls write with the parts of b, which stands at off, that are not a hole of e.
func punched(e *snapshot.Entry, b []byte, off int64, write func(b []byte, off int64) error) error {
	for _, h := range e.Holes {
		from, to := max(int64(h.Offset), off)-off, min(int64(h.Offset+h.Length), off+int64(len(b)))-off
		if from >= to || !zeros(b[from:to]) {
			continue
		}
		if from > 0 {
			if err := write(b[:from], off); err != nil {
				return err
			}
		}
		b, off = b[to:], off+to
	}
	if len(b) == 0 {
		return nil
	}
	return write(b, off)
}

func zeros(b []byte) bool {
	for ; len(b) > len(zero); b = b[len(zero):] {
		if !bytes.Equal(b[:len(zero)], zero[:]) {
			return false
		}
	}
	return bytes.Equal(b, zero[:len(b)])
}

var zero [32 << 10]byte

func sameBeside(a, b *snapshot.Entry) bool { return a.SameProperties(b) && a.Mtime == b.Mtime }

// beside returns what was noted of a path that was not touched since, the -wal of a database aside.
func (k known) beside(name []byte, info fs.FileInfo) *snapshot.Entry {
	i := slices.IndexFunc(k.entries, func(e snapshot.Entry) bool { return string(e.Name) == string(name) })
	if i < 0 {
		return nil
	}
	return k.content(name, info, k.stats[i].Beside)
}

// touch plans to give a file whose bytes are right what it is beside them.
func (p *Plan) touch(f *folder, w *write, known known, base *snapshot.Entry) error {
	name := string(w.entry.Name)
	info, err := p.o.Root.Lstat(w.local)
	if err != nil {
		return err
	}
	if e := known.beside(w.entry.Name, info); e != nil && sameBeside(e, w.entry) {
		return nil
	}
	partly := p.lacks.partly[w.remote]
	here, err := p.holder.Look(p.o.Root, w.local, info, w.entry, partly)
	if err != nil {
		return fmt.Errorf("%s: %w", w.local, err)
	}
	if sameBeside(&here, w.entry) {
		return nil
	}
	if p.o.Follow && base != nil && sameBeside(base, w.entry) {
		f.differs[name] = true // changed here
		return nil
	}
	was, err := p.propsHere(w.local, info)
	if err != nil {
		return fmt.Errorf("%s: %w", w.local, err)
	}
	m, lacks := propsOf(p.holder, w.entry)
	p.partly(w.remote, w.local, lacks)
	p.touches = append(p.touches, journalProps{Path: w.local, props: m, Was: &was})
	return nil
}
