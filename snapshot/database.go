package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"satchel/index"
	"satchel/snapshot/sqlite"
)

// errTorn: what was read of a database is of several moments, and is not stored.
var errTorn = fmt.Errorf("the database %w each time", errChanged)

// database reads a database by way of an image of it, or as a plain file if SQLite cannot read it.
// The file state is known only if file, -wal and -journal were the same before and after, and
// at rest for long enough to show the next change.
func (c *capture) database(t fileTask, info fs.FileInfo, read readFunc) (e Entry, st index.Stat, err error) {
	path := filepath.Join(c.root.Name(), filepath.FromSlash(t.local))
	before, written, err := databaseStat(path, time.Now())
	if err != nil {
		return e, st, err
	}
	img, err := c.image(c.ctx, path, sqlite.Options{Stage: c.stage, Sleep: c.sleep})
	switch {
	case errors.Is(err, sqlite.ErrNotDatabase) || errors.Is(err, sqlite.ErrDamaged):
		c.warn(fmt.Sprintf("%s travels as a plain file; it begins as a SQLite database, but SQLite says: %v", t.local, bare(err)))
		t.plain = true
		if e, st, err = c.once(t, read); before.Beside != 0 {
			e.Marks |= MarkJournal
		}
		e.Marks |= MarkPlain
		return e, st, err
	case err != nil:
		return e, st, err
	}
	defer img.Close()
	if !os.SameFile(img.Info, info) {
		return e, st, errTorn
	}
	if e, err = read(img, img.Size()); err == nil {
		err = img.Unchanged()
	}
	if errors.Is(err, errChanged) || errors.Is(err, sqlite.ErrChanged) {
		return e, st, errTorn
	} else if err != nil {
		return e, st, err
	}
	setMeta(&e, img.Info)
	if img.Way != sqlite.File && written.UnixNano() > e.Mtime {
		e.Mtime = written.UnixNano()
	}
	after, _, err := databaseStat(path, time.Now())
	if err == nil && sameStat(before, after) && written.Before(time.Unix(0, before.Read).Add(-index.Resolution)) {
		st = before
	}
	return e, st, nil
}

// ClearImages makes a folder for private images of databases. What is in it, a crash has left: it is
// removed. Without a name there is none, and no image can be made.
func ClearImages(path string) error {
	if path == "" {
		return nil
	}
	return errors.Join(os.RemoveAll(path), os.MkdirAll(path, 0o700))
}

// databaseStat is StatOf with what stands beside the file, and when that was written.
func databaseStat(path string, read time.Time) (st index.Stat, written time.Time, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return st, written, err
	}
	st = StatOf(info, read)
	st.Beside, written, err = sqlite.Beside(path)
	return st, written, err
}

// bare is the last of the errors that err wraps: without the path, which is told beside it.
func bare(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
