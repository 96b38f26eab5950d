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
	err = p.stageAll(ctx)
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
		switch w.entry.Type {
		case snapshot.File:
		case snapshot.Symlink:
			if err := p.o.Root.Symlink(string(w.entry.Target), w.stage); err != nil {
				return fmt.Errorf("%s: %w", w.local, err)
			}
		default: // FIFOs are not made
			w.skip = true
			p.Homeless = append(p.Homeless, w.local)
		}
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
			info, err := p.o.Root.Lstat(local)
			if err != nil || uint64(info.Size()) != e.Size {
				continue
			}
			if beside, err := p.beside(local, info); err == nil && beside == 0 {
				stats[i] = snapshot.StatOf(info, now)
			}
		}
		states[f.remote] = snapshot.EncodeState(f.children, stats)
	}
	return p.o.Index.PutDirs(p.o.State, maps.All(states), nil)
}
