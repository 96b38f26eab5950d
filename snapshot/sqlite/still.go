package sqlite

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// young is how long after a write the time of the next one may be the same, on the coarsest
// file systems.
const young = 2 * time.Second

// settled reports whether whatever changes the file from now on will show in its times.
func (a *attempt) settled(info fs.FileInfo) bool {
	before := a.Now().Add(-young)
	return info.ModTime().Before(before) && changeTime(info).Before(before)
}

// compareTimes reports ErrChanged if the open file, or what stands at its path, is not as info says.
func compareTimes(f *os.File, path string, info fs.FileInfo) error {
	now, err := f.Stat()
	if err != nil {
		return err
	}
	at, err := os.Lstat(path)
	if err != nil {
		return err
	}
	for _, i := range []fs.FileInfo{now, at} {
		if !os.SameFile(i, info) || i.Size() != info.Size() || !i.ModTime().Equal(info.ModTime()) || !changeTime(i).Equal(changeTime(info)) {
			return ErrChanged
		}
	}
	return nil
}

// file is the image of a database at rest: the file, as long as it stays so.
func (a *attempt) file(l look) (*Image, error) {
	f, err := openFile(a.path)
	if err != nil {
		return nil, err
	}
	m, err := newImage(f, File, l.info)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	m.compare = func() error {
		if now, err := inspect(a.path); err != nil {
			return err
		} else if now.state != AtRest {
			return ErrChanged
		}
		return compareTimes(f, a.path, l.info)
	}
	if compareTimes(f, a.path, l.info) != nil {
		return nil, errors.Join(errMoved, f.Close())
	}
	return m, nil
}

// copy is the image of a database that nobody serves: copied with its -wal and -journal, and compared
// with them again. If all are equal, all stood still together at one moment, between the last
// copy and the first comparison. SQLite then recovers the copy as it would after a crash.
func (a *attempt) copy(ctx context.Context, l look) (_ *Image, err error) {
	dir, err := os.MkdirTemp(a.Stage, "image-*")
	if err != nil {
		return nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	to := filepath.Join(dir, "database")
	for _, suffix := range []string{"", walSuffix, journalSuffix} {
		if err := copyFile(ctx, to+suffix, a.path+suffix); err != nil {
			return nil, err
		}
	}
	for _, suffix := range []string{"", walSuffix, journalSuffix} {
		if err := compareFiles(ctx, to+suffix, a.path+suffix); err != nil {
			return nil, err
		}
	}
	way := Copy
	if l.state != AtRest {
		way = Recovered
		if err := heal(ctx, to); err != nil {
			return nil, err
		}
	} else if now, err := inspect(a.path); err != nil {
		return nil, err
	} else if now.state != AtRest {
		return nil, ErrChanged
	}
	f, err := os.Open(to)
	if err != nil {
		return nil, err
	}
	m, err := newImage(f, way, l.info)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if remove() != nil { // Windows: not while it is open
		m.remove = remove
	}
	return m, nil
}

// copyFile copies what there is; a file that is not there is none there either.
func copyFile(ctx context.Context, to, from string) error {
	src, err := openFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(copyLoose(ctx, dst, src, info.Size(), 0), dst.Close())
}

// compareFiles reports ErrChanged if one file is there and the other is not, or they differ.
func compareFiles(ctx context.Context, copied, path string) error {
	was, err := os.Open(copied)
	if missing := errors.Is(err, fs.ErrNotExist); missing {
		if _, err := os.Lstat(path); err == nil {
			return ErrChanged
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	} else if err != nil {
		return err
	}
	defer was.Close()
	is, err := openFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrChanged
	} else if err != nil {
		return err
	}
	defer is.Close()
	a, b := make([]byte, piece), make([]byte, piece)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(was, a)
		m, err2 := io.ReadFull(is, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return ErrChanged
		}
		for _, err := range []error{err, err2} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
		}
		if n < len(a) {
			return nil
		}
	}
}

// heal has SQLite roll back the journal, or bring in the -wal, of a private copy.
func heal(ctx context.Context, path string) error {
	c, err := connect(ctx, path, "mode=rw&_pragma=synchronous(off)")
	if err != nil {
		return err
	}
	wal, err := c.begin(ctx)
	if err == nil {
		c.end()
	}
	if err == nil && wal {
		_, err = c.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	if err := errors.Join(fault(err), c.Close()); err != nil {
		return err
	}
	for _, suffix := range []string{walSuffix, journalSuffix} {
		if left, err := beginsNonzero(path + suffix); err != nil {
			return err
		} else if left {
			return ErrDamaged
		}
	}
	return nil
}
