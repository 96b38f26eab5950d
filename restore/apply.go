package restore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"satchel/index"
	"satchel/snapshot"
)

// Run carries the plan out. Until every file is staged and verified nothing is changed: an
// error before that leaves the folder as it was. A failure in the swap puts it back as it
// was; a crash in it is finished by Recover. Damage is a *DamageError.
//
// done is called, if it is not nil, when the folder is as the plan says and before the
// journal goes: what it notes is noted if and only if the swap is.
func (p *Plan) Run(ctx context.Context, done func() error) (err error) {
	if p.o.Progress != nil {
		p.o.Progress.AllFiles.Store(int64(len(p.writes)))
		p.o.Progress.AllBytes.Store(p.Bytes)
		p.o.Progress.Done.Store(true)
	}
	r, stage := p.o.Root, stagePrefix+strings.ToLower(rand.Text())
	if err := r.Mkdir(stage, 0o700); err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	for i, w := range p.writes {
		w.order, w.stage = i, stage+"/"+strconv.Itoa(i)
	}
	p.group()
	err = p.inheritNothing(stage)
	if err == nil {
		err = p.stageAll(ctx)
	}
	if err == nil {
		err = p.tryFolders(stage)
	}
	if err == nil {
		err = p.checkDatabases(ctx)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	var j *journal
	if err == nil {
		j, err = p.newJournal()
	}
	if err == nil && p.o.Ready != nil {
		err = p.o.Ready(p.lacks.list())
	}
	if err == nil && !p.o.Empty {
		var staged []string
		for _, w := range p.writes {
			if w.entry.Type == snapshot.File {
				staged = append(staged, w.stage)
			}
		}
		if err = j.write(r, stage, staged); err != nil {
			err = fmt.Errorf("staging: %w", err)
		}
	}
	if err == nil {
		err = p.inUse()
	}
	if err != nil {
		return errors.Join(err, discard(r, stage))
	}
	if err := p.swap(j, stage); err != nil {
		if uerr := j.undo(r, stage); uerr != nil {
			return fmt.Errorf("%w; and not all could be put back, the next satchel command here tries again: %w", err, uerr)
		}
		return errors.Join(err, discard(r, stage))
	}
	if done != nil {
		if err := done(); err != nil {
			return err
		}
	}
	for _, w := range p.writes {
		if w.skip {
			p.Writes--
		}
	}
	return errors.Join(discard(r, stage), p.keepState())
}

// swap runs the journal. In a folder that was empty nothing is at stake, and nothing is synced.
func (p *Plan) swap(j *journal, stage string) error {
	return j.run(p.o.Root, stage, !p.o.Empty)
}

// stageAll makes every file that is to be written, verified, in the staging folder.
func (p *Plan) stageAll(ctx context.Context) error {
	var d damage
	jobs, err := p.locate(ctx, &d)
	if err != nil {
		return err
	}
	if err := p.fetch(ctx, jobs, &d); err != nil {
		return err
	}
	if err := d.error(); err != nil {
		return err
	}
	for _, w := range p.writes {
		var err error
		switch {
		case w.entry.Type != snapshot.File:
			err = p.stageOther(w)
		case w.same != nil:
			err = p.stageLink(w)
		case w.entry.Size == 0:
			err = p.stageEmpty(w)
		}
		if err == nil && len(w.entry.Streams) > 0 && p.holder.Streams() && w.same == nil {
			err = p.stageStreams(ctx, w)
		}
		if err != nil {
			return err
		}
		if left := w.left.Load(); w.entry.Type == snapshot.File && left != 0 {
			return fmt.Errorf("%s: %d bytes are missing", w.local, left)
		}
	}
	return nil
}

// stageStreams writes the alternate streams of a staged file.
func (p *Plan) stageStreams(ctx context.Context, w *write) error {
	if err := p.o.Root.SetFlags(w.stage, 0); err != nil { // it may be read-only
		return fmt.Errorf("%s: %w", w.local, err)
	}
	for i := range w.entry.Streams {
		s := &w.entry.Streams[i]
		f, err := p.o.Root.OpenStream(w.stage, string(s.Name), true)
		if err == nil {
			err = p.o.Reader.Content(ctx, &s.Content, func(b []byte) error { _, err := f.Write(b); return err })
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return fmt.Errorf("%s: stream %s: %w", w.local, s.Name, err)
		}
	}
	return p.finish(w)
}

func (p *Plan) stageEmpty(w *write) error {
	f, err := p.o.Root.OpenFile(w.stage, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w.local, err)
	}
	return p.finish(w)
}

// inheritNothing takes from the staging folder what the files in it would get from it.
func (p *Plan) inheritNothing(stage string) error {
	const inherited = "system.posix_acl_default"
	xs, err := p.o.Root.Xattrs(stage, func(name string) bool { return name == inherited })
	if cannotHold(err) || len(xs) == 0 && err == nil {
		return nil
	}
	return errors.Join(err, p.o.Root.RemoveXattr(stage, inherited))
}

// tryFolders finds out what folders with extended attributes cannot have here.
func (p *Plan) tryFolders(stage string) error {
	for _, f := range p.folders {
		if f.entry == nil || f.local == "" || f.local == "." || f.partial {
			continue
		}
		m, lacks := propsOf(p.holder, f.entry)
		if len(m.Xattrs) > 0 {
			try := stage + "/folder"
			if err := p.o.Root.Mkdir(try, 0o700); err != nil {
				return fmt.Errorf("%s: %w", f.local, err)
			}
			more, err := m.set(p.o.Root, try, true)
			if err := errors.Join(err, p.o.Root.Remove(try)); err != nil {
				return fmt.Errorf("%s: %w", f.local, err)
			}
			lacks = append(lacks, more...)
		}
		p.partly(f.remote, f.local, lacks)
	}
	return nil
}

// fileMode turns 12 bits as chmod takes them into Go's.
func fileMode(bits uint32) fs.FileMode {
	m := fs.FileMode(bits & 0o777)
	if bits&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if bits&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if bits&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// modeBits is the inverse of fileMode.
func modeBits(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

func notEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) || strings.Contains(err.Error(), "not empty")
}

// keepState notes what is here now, so that the next push opens none of it.
func (p *Plan) keepState() error {
	if p.o.State == ([16]byte{}) {
		return nil
	}
	states := map[string]index.Dir{}
	now := time.Now()
	visited := map[string]bool{}
	for _, f := range p.folders {
		visited[f.remote] = f.entry != nil && !f.partial
	}
	for _, f := range p.folders {
		if f.bare {
			continue
		}
		stats := make([]index.Stat, len(f.children))
		for i := range f.children {
			e, remote := &f.children[i], join(f.remote, string(f.children[i].Name))
			if f.differs[string(e.Name)] || p.lacks.homeless[remote] || e.Type == snapshot.Dir && !visited[remote] {
				continue
			}
			slash := ""
			if e.Type == snapshot.Dir {
				slash = "/"
			}
			local, ok := p.o.Local(remote + slash)
			if !ok {
				continue
			}
			info, err := p.o.Root.Lstat(local)
			if err != nil || e.Type == snapshot.File && uint64(info.Size()) != e.Size {
				continue
			}
			beside, err := uint64(0), error(nil)
			if e.Type == snapshot.File {
				beside, err = p.beside(local, info)
			}
			if err == nil && beside == 0 {
				stats[i] = snapshot.StatOf(info, now)
			}
		}
		states[f.remote] = snapshot.EncodeState(f.children, stats)
	}
	return p.o.Index.PutDirs(p.o.State, maps.All(states), nil)
}
