package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	piece  = 1 << 20 // bytes read, compared or written at a time
	direct = 1 << 20 // a database up to this size is copied under the lock at once

	// lockAt is where SQLite's locks lie. The page there holds nothing, and Windows may refuse to
	// read it: images have zeros. https://sqlite.org/fileformat.html, 1.4.
	lockAt = 1 << 30
)

// shared takes an image of a database that may be in use: through SQLite, under its locks.
func (a *attempt) shared(ctx context.Context, l look) (*Image, error) {
	f, err := openFile(a.path)
	if err != nil {
		return nil, err
	}
	keep := false
	defer func() {
		if !keep {
			_ = f.Close()
		}
	}()
	if l.head.wal { // nobody shall close it between our look and SQLite's
		if err := holdShared(f); err != nil {
			return nil, err
		}
		if now, err := inspect(a.path); err != nil {
			return nil, err
		} else if now.state != Shared {
			return nil, errMoved
		}
	}
	c, err := connect(ctx, a.path, "mode=ro&readonly_shm=1")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	wal, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if at, err := os.Lstat(a.path); err != nil {
		return nil, err
	} else if !os.SameFile(at, info) {
		return nil, errMoved
	}
	if !wal && tellsTimes && !a.remote && a.settled(info) {
		m, err := newImage(f, File, info)
		if err != nil {
			return nil, err
		}
		keep = true
		m.compare = func() error { return compareTimes(f, a.path, info) }
		return m, nil
	}
	s, err := newSpool(a.Stage)
	if err != nil {
		return nil, err
	}
	way := Rollback
	if wal {
		way, err = WAL, c.copyPages(ctx, s.f)
	} else {
		info, err = a.copyLocked(ctx, c, f, s.f, l.head.page)
	}
	if err != nil {
		return nil, errors.Join(err, s.discard())
	}
	return s.image(way, info)
}

// copyPages writes what the transaction sees to w. It cannot tear: a reader of a WAL has its own
// moment, and a checkpoint does not pass it.
func (c *conn) copyPages(ctx context.Context, w io.Writer) error {
	rows, err := c.QueryContext(ctx, "SELECT pgno, data FROM sqlite_dbpage")
	if err != nil {
		return fault(err)
	}
	defer rows.Close()
	buf := make([]byte, 0, piece)
	var number, want int64
	var page sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&number, &page); err != nil {
			return err
		}
		if want++; number != want {
			return fmt.Errorf("page %d of the database came as page %d", want, number)
		}
		if len(buf)+len(page) > cap(buf) {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		buf = append(buf, page...)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fault(err)
	}
	_, err = w.Write(buf)
	return err
}

// copyLocked copies a database in rollback mode, of which c has the lock. A large one is let go,
// copied as it comes, locked again, and what differs corrected: a writer waits for the comparison only.
func (a *attempt) copyLocked(ctx context.Context, c *conn, from, to *os.File, page int) (os.FileInfo, error) {
	info, err := from.Stat()
	if err == nil && info.Size() > direct {
		c.end()
		if err = copyLoose(ctx, to, from, info.Size(), page); err == nil {
			err = a.relock(ctx, c)
		}
		if err == nil {
			info, err = from.Stat()
		}
	}
	if err == nil {
		err = correct(ctx, to, from, info.Size(), page)
	}
	if err == nil {
		err = compareTimes(from, a.path, info) // did the lock hold?
	}
	if err == nil {
		err = to.Truncate(info.Size())
	}
	return info, err
}

// relock begins the transaction again, however often that takes.
func (a *attempt) relock(ctx context.Context, c *conn) error {
	for {
		wal, err := c.begin(ctx)
		if err == nil && wal {
			return errMoved
		}
		if !errors.Is(err, errLocked) {
			return err
		}
		if err := a.again(ctx, err); err != nil {
			return err
		}
	}
}

// copyLoose copies without a lock. A file that shrinks meanwhile is no error.
func copyLoose(ctx context.Context, to, from *os.File, size int64, page int) error {
	for _, r := range around(size, page) {
		if _, err := from.Seek(r[0], io.SeekStart); err != nil {
			return err
		}
		if _, err := to.Seek(r[0], io.SeekStart); err != nil {
			return err
		}
		for at := r[0]; at < r[1]; at += 64 * piece {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := io.CopyN(to, from, min(64*piece, r[1]-at)); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// correct makes the copy equal to the file, which nobody may write to meanwhile.
func correct(ctx context.Context, to, from *os.File, size int64, page int) error {
	there, here := make([]byte, piece), make([]byte, piece)
	for _, r := range around(size, page) {
		for at := r[0]; at < r[1]; at += piece {
			if err := ctx.Err(); err != nil {
				return err
			}
			there = there[:min(piece, r[1]-at)]
			if _, err := from.ReadAt(there, at); errors.Is(err, io.EOF) {
				return ErrChanged // shorter, in spite of the lock
			} else if err != nil {
				return err
			}
			n, err := to.ReadAt(here[:len(there)], at)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if bytes.Equal(there, here[:n]) {
				continue
			}
			if _, err := to.WriteAt(there, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// around is the ranges of the file on both sides of the page of the locks.
func around(size int64, page int) [][2]int64 {
	if size <= lockAt {
		return [][2]int64{{0, size}}
	}
	return [][2]int64{{0, lockAt}, {min(lockAt+int64(page), size), size}}
}
