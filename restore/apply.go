package restore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"satchel/index"
	"satchel/snapshot"
)

// stagePrefix begins the name of the folder in which files are staged; the walk of a push
// leaves it out.
const stagePrefix = ".satchel-stage-"

// Run carries the plan out. Until every file is staged and verified nothing is changed; an
// error before that leaves the folder as it was. Damage is a *DamageError.
func (p *Plan) Run(ctx context.Context) (err error) {
	if p.o.Progress != nil {
		p.o.Progress.AllFiles.Store(int64(len(p.writes)))
		p.o.Progress.AllBytes.Store(p.Bytes)
		p.o.Progress.Done.Store(true)
	}
	stage := stagePrefix + strings.ToLower(rand.Text())
	if len(p.writes) > 0 {
		if err := p.o.Root.Mkdir(stage, 0o700); err != nil {
			return fmt.Errorf("staging: %w", err)
		}
		defer func() { err = errors.Join(err, p.o.Root.RemoveAll(stage)) }()
	}
	for i, w := range p.writes {
		w.order, w.stage = i, stage+"/"+strconv.Itoa(i)
	}
	if err := p.stageAll(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.swap()
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
		if w.entry.Type == snapshot.File && w.entry.Size == 0 {
			f, err := p.o.Root.OpenFile(w.stage, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("%s: %w", w.local, err)
			}
			if err := errors.Join(f.Close(), p.fileMeta(w)); err != nil {
				return err
			}
		}
		if left := w.left.Load(); w.entry.Type == snapshot.File && left != 0 {
			return fmt.Errorf("%s: %d bytes are missing", w.local, left)
		}
	}
	return nil
}

// fileMeta sets mode and time of a staged file, which the rename keeps.
func (p *Plan) fileMeta(w *write) error {
	err := p.o.Root.Chmod(w.stage, fileMode(w.entry.Mode))
	mtime := time.Unix(0, w.entry.Mtime)
	if err := errors.Join(err, p.o.Root.Chtimes(w.stage, mtime, mtime)); err != nil {
		return fmt.Errorf("%s: %w", w.local, err)
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

// swap removes what goes, renames what was staged into place, makes links last of all,
// and then sets the folders' metadata, deepest first.
func (p *Plan) swap() error {
	for _, local := range p.removes {
		if err := p.o.Root.Remove(local); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", local, err)
		}
	}
	for _, local := range p.rmdirs { // deepest first; what still holds something stays
		if err := p.o.Root.Remove(local); err != nil && !errors.Is(err, fs.ErrNotExist) && !notEmpty(err) {
			return fmt.Errorf("remove %s: %w", local, err)
		}
	}
	for _, f := range p.folders {
		if f.local != "" && f.local != "." && !f.partial {
			if err := p.o.Root.MkdirAll(f.local, 0o755); err != nil {
				return fmt.Errorf("%s: %w", f.local, err)
			}
		}
	}
	made := map[string]bool{".": true}
	for _, links := range []bool{false, true} {
		for _, w := range p.writes {
			if (w.entry.Type == snapshot.Symlink) != links {
				continue
			}
			if dir := path.Dir(w.local); !made[dir] {
				if err := p.o.Root.MkdirAll(dir, 0o755); err != nil {
					return fmt.Errorf("%s: %w", dir, err)
				}
				made[dir] = true
			}
			if err := p.place(w); err != nil {
				return fmt.Errorf("%s: %w", w.local, err)
			}
		}
	}
	for _, f := range p.folders { // in post-order: deepest first
		if f.entry == nil || f.local == "" || f.partial {
			continue
		}
		mtime := time.Unix(0, f.entry.Mtime)
		if err := errors.Join(p.o.Root.Chmod(f.local, fileMode(f.entry.Mode)), p.o.Root.Chtimes(f.local, mtime, mtime)); err != nil {
			return fmt.Errorf("%s: %w", f.local, err)
		}
	}
	return p.keepState()
}

func notEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) || strings.Contains(err.Error(), "not empty")
}

// place puts one entry under its name.
func (p *Plan) place(w *write) error {
	switch w.entry.Type {
	case snapshot.File:
		return p.o.Root.Rename(w.stage, w.local)
	case snapshot.Symlink:
		if err := p.o.Root.Symlink(string(w.entry.Target), w.stage); err != nil {
			return err
		}
		return p.o.Root.Rename(w.stage, w.local)
	default:
		p.Homeless = append(p.Homeless, w.local) // FIFOs are not made
		return nil
	}
}

// keepState notes what is here now, so that the next push opens none of it.
func (p *Plan) keepState() error {
	if p.o.State == ([16]byte{}) {
		return nil
	}
	states := map[string]index.Dir{}
	now := time.Now()
	for _, f := range p.folders {
		stats := make([]index.Stat, len(f.children))
		for i := range f.children {
			e := &f.children[i]
			if e.Type != snapshot.File || f.differs[string(e.Name)] {
				continue
			}
			local, ok := p.o.Local(join(f.remote, string(e.Name)))
			if !ok {
				continue
			}
			if info, err := p.o.Root.Lstat(local); err == nil && uint64(info.Size()) == e.Size {
				stats[i] = snapshot.StatOf(info, now)
			}
		}
		states[f.remote] = snapshot.EncodeState(f.children, stats)
	}
	return p.o.Index.PutDirs(p.o.State, maps.All(states), nil)
}
