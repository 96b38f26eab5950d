package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// What a caller tries again, or reports.
var (
	// ErrBusy: programs kept the database to themselves, or changed it, for all of Options.Wait.
	ErrBusy = errors.New("the database is busy")
	// ErrChanged: the database changed while it was read. Open it again.
	ErrChanged = errors.New("the database changed while it was read")
)

// Options are the surroundings of an Open.
type Options struct {
	// Stage is a folder of the caller's for private copies: 0700, on a disk that is encrypted as
	// the database's is, with room for it. What a crash leaves there is the caller's to remove.
	Stage string
	// Wait is how long to sleep, in all, while the database is busy; 0 is ten seconds.
	Wait  time.Duration
	Sleep func(context.Context, time.Duration) error // nil: by the clock
	Now   func() time.Time                           // nil: time.Now
}

// A Way is how an image came about.
type Way string

// The ways.
const (
	File      Way = "file"      // the database itself
	Copy      Way = "copy"      // copied and compared: it was closed a moment ago
	WAL       Way = "wal"       // the pages of a read transaction
	Rollback  Way = "rollback"  // copied, and corrected under a lock
	Recovered Way = "recovered" // copied with its -wal or -journal, and recovered in private
)

// An Image is one consistent state of a database. Reading holds no lock, and may take its time.
type Image struct {
	*io.SectionReader
	Way    Way
	Remote bool        // on a network file system, where locks cannot be trusted
	Info   fs.FileInfo // the database's at that moment

	file    *os.File
	remove  func() error // what the stage still holds; nil: nothing
	compare func() error // nil: it is private
}

func newImage(f *os.File, way Way, info fs.FileInfo) (*Image, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	return &Image{SectionReader: io.NewSectionReader(f, 0, size), Way: way, Info: info, file: f}, nil
}

// Unchanged is asked after the last byte: ErrChanged says that what was read is not one
// consistent state.
func (m *Image) Unchanged() error {
	if m.compare == nil {
		return nil
	}
	return m.compare()
}

// Close removes what is private of the image.
func (m *Image) Close() error {
	err := m.file.Close()
	if m.remove != nil {
		err = errors.Join(err, m.remove())
	}
	return err
}

// Open takes an image of the database. It changes nothing beside path, and reports
// ErrNotDatabase or ErrDamaged, which travel as plain files, or ErrBusy.
func Open(ctx context.Context, path string, o Options) (*Image, error) {
	if o.Stage == "" {
		return nil, errors.New("sqlite: no stage folder")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Wait == 0 {
		o.Wait = 10 * time.Second
	}
	a := attempt{Options: o, path: path, remote: remote(path)}
	for {
		m, err := a.once(ctx)
		if err == nil {
			m.Remote = a.remote
			return m, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := a.again(ctx, err); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
}

// An attempt is one Open: what it knows of the database, and how often it failed.
type attempt struct {
	Options
	path    string
	remote  bool
	slept   time.Duration
	locked  int  // times somebody had the lock, or took or dropped it just then
	refused int  // times SQLite could not open it
	damaged int  // times SQLite could not read it
	changed int  // times it was not what it had been
	recover bool // take a private copy and recover it
}

// once looks at the database, and takes an image as that tells.
func (a *attempt) once(ctx context.Context) (*Image, error) {
	l, err := inspect(a.path)
	if err != nil {
		return nil, err
	}
	recover := a.recover
	a.recover = false
	switch {
	case l.state == NotDatabase || l.state == MaybeEncrypted:
		return nil, ErrNotDatabase
	case l.state == AtRest && a.settled(l.info):
		return a.file(l)
	case l.state == AtRest || l.state == Interrupted || recover:
		return a.copy(ctx, l)
	}
	return a.shared(ctx, l)
}

// believed is how often SQLite has to say what may be a moment's confusion.
const believed = 3

// again waits before the next try. It returns the error if there is to be none.
func (a *attempt) again(ctx context.Context, err error) error {
	wait := 25 * time.Millisecond
	switch {
	case errors.Is(err, ErrBusy):
		return err
	case errors.Is(err, errHot):
		a.recover = true
		return nil
	case errors.Is(err, errLocked) || errors.Is(err, errMoved):
		wait = min(wait, time.Millisecond<<min(a.locked, 10)) // a busy writer lets go briefly
		a.locked++
	case errors.Is(err, errRefused):
		a.refused++
		a.recover = a.refused%believed == 0
	case err != ErrNotDatabase && (errors.Is(err, ErrNotDatabase) || errors.Is(err, ErrDamaged)): // SQLite says so
		if a.damaged++; a.damaged == believed {
			return err
		}
	case errors.Is(err, ErrChanged):
		wait = min(2*time.Second, 100*time.Millisecond<<min(a.changed, 10)) // a copy costs
		a.changed++
	default:
		return err
	}
	if a.slept += wait; a.slept > a.Wait {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return a.Sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
