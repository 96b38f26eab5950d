package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"satchel/store/durable"
)

// Sweep removes the temporary files of writers that died, and returns how many: those older than age
// by the clock that gives files their times, which may be a server's. age has to be longer than any
// write takes.
func (s *Store) Sweep(ctx context.Context, age time.Duration) (n int, err error) {
	if err := s.present(); err != nil {
		return 0, s.fail("sweep", "", err)
	}
	now, err := s.clock()
	if err != nil {
		return 0, s.fail("sweep", "", s.missing(err, err))
	}
	err = filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || d.IsDir() || !durable.IsTemp(path) {
			return passing(err)
		}
		info, err := d.Info()
		if err != nil || now.Sub(info.ModTime()) <= age {
			return passing(err)
		}
		if err := os.Remove(path); err != nil {
			return passing(err)
		}
		n++
		return nil
	})
	if err != nil {
		return n, s.fail("sweep", "", s.missing(err, err))
	}
	return n, nil
}

// passing is no error where a file or folder went meanwhile.
func passing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// clock is the time that a file made now gets.
func (s *Store) clock() (time.Time, error) {
	path := filepath.Join(s.root, durable.TempName())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return time.Time{}, err
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close(), os.Remove(path)); err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}
