package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"satchel/snapshot"
	"satchel/snapshot/sqlite"
	"satchel/store/durable"
)

// InUseError names the databases that programs have open, which can be neither replaced nor
// removed. Nothing was touched.
type InUseError struct{ Databases []Conflict }

func (e *InUseError) Error() string {
	return fmt.Sprintf("databases in use: %d; nothing was touched", len(e.Databases))
}

// inUse reports the databases among these local paths that programs have open.
func inUse(r durable.Root, locals []string) error {
	var e InUseError
	for _, local := range locals {
		if is, err := isDatabase(r, local); err != nil {
			return err
		} else if !is {
			continue
		}
		by, err := sqlite.InUse(pathOf(r, local))
		if err != nil {
			return fmt.Errorf("%s: %w", local, err)
		}
		if len(by) > 0 {
			e.Databases = append(e.Databases, Conflict{local, "is a database that " + strings.Join(by, ", ") + " has open"})
		}
	}
	if len(e.Databases) > 0 {
		return &e
	}
	return nil
}

// inUse asks for all that the plan replaces or removes.
func (p *Plan) inUse() error {
	if p.o.Empty {
		return nil
	}
	locals := slices.Clone(p.removes)
	for _, w := range p.writes {
		locals = append(locals, w.local)
	}
	return inUse(p.o.Root, locals)
}

// pathOf is where SQLite finds a local path.
func pathOf(r durable.Root, local string) string {
	return filepath.Join(r.Name(), filepath.FromSlash(local))
}

// leastDatabase is the smallest size of a database in bytes, and divides every other:
// https://sqlite.org/fileformat.html, 1.3.2.
const leastDatabase = 512

// isDatabase reports whether a file begins as a database does.
func isDatabase(r durable.Root, local string) (bool, error) {
	info, err := r.Lstat(local)
	if absent(err) || err == nil && (!info.Mode().IsRegular() || info.Size() < leastDatabase) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	f, err := r.OpenFile(local, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrPermission) || absent(err) {
		return false, nil // nor can SQLite read it
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	return sqlite.Begins(f), nil
}

// beside is what the -wal and -journal of a database hold that is not in its file; zero if
// nothing does, or it is no database.
func (p *Plan) beside(local string, info fs.FileInfo) (uint64, error) {
	if info.Size()%leastDatabase != 0 {
		return 0, nil
	}
	some := false
	for _, suffix := range sqlite.Suffixes {
		beside, err := p.o.Root.Lstat(local + suffix)
		if err != nil && !absent(err) {
			return 0, err
		}
		some = some || err == nil && beside.Size() > 0
	}
	if !some {
		return 0, nil
	}
	if is, err := isDatabase(p.o.Root, local); !is || err != nil {
		return 0, err
	}
	sum, _, err := sqlite.Beside(pathOf(p.o.Root, local))
	return sum, err
}

// imageHolds reports whether a database that a -wal or -journal belongs to is what the entry
// says. Of one that cannot be read, now or at all, nobody knows: then it is not.
func (p *Plan) imageHolds(ctx context.Context, local string, e *snapshot.Entry) (bool, error) {
	if p.o.Images == "" {
		return false, nil
	}
	if err := snapshot.ClearImages(p.o.Images); err != nil {
		return false, err
	}
	defer os.RemoveAll(p.o.Images)
	img, err := sqlite.Open(ctx, pathOf(p.o.Root, local), sqlite.Options{Stage: p.o.Images})
	switch {
	case errors.Is(err, sqlite.ErrNotDatabase) || errors.Is(err, sqlite.ErrDamaged) || errors.Is(err, sqlite.ErrBusy):
		return false, nil
	case err != nil:
		return false, err
	}
	defer img.Close()
	if uint64(img.Size()) != e.Size {
		return false, nil
	}
	same, err := p.matches(ctx, struct{ io.Reader }{img}, e)
	if err == nil && same && img.Unchanged() != nil {
		same = false
	}
	return same, err
}

// checkDatabases has SQLite look through every database that was staged, before it replaces
// anything. One that it finds damaged is what was saved, as the hashes say: it takes nothing's
// place unless it was known to be so, or Force says it, and all else goes on.
func (p *Plan) checkDatabases(ctx context.Context) error {
	for _, w := range p.writes {
		if w.skip || w.entry.Type != snapshot.File || w.entry.Size%leastDatabase != 0 {
			continue
		}
		var err error
		if w.database, err = isDatabase(p.o.Root, w.stage); err != nil {
			return fmt.Errorf("%s: %w", w.local, err)
		}
		if !w.database {
			continue
		}
		err = sqlite.CheckImage(ctx, pathOf(p.o.Root, w.stage))
		switch {
		case err == nil || errors.Is(err, sqlite.ErrUnchecked) && !errors.Is(err, sqlite.ErrDamaged):
		case !errors.Is(err, sqlite.ErrDamaged) && !errors.Is(err, sqlite.ErrNotDatabase):
			return fmt.Errorf("%s: %w", w.local, err)
		default:
			if err := p.unsound(w, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// unsound decides what becomes of a damaged database.
func (p *Plan) unsound(w *write, fault error) error {
	said := Conflict{w.local, unstaged(fault, w)}
	if w.entry.Marks&(snapshot.MarkPlain|snapshot.MarkChanged) == 0 && !p.o.Force {
		_, err := p.o.Root.Lstat(w.local)
		if err == nil {
			p.Spared = append(p.Spared, said)
			p.Writes--
			w.skip, w.in.differs[string(w.entry.Name)] = true, true
			return nil
		} else if !absent(err) {
			return err
		}
	}
	p.Unsound = append(p.Unsound, said)
	return nil
}

// unstaged is what SQLite says, without the path of the staged file.
func unstaged(err error, w *write) string {
	_, text, _ := strings.Cut(err.Error(), w.stage+": ")
	return text
}
