package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What SQLite's answers mean here.
var (
	errLocked  = errors.New("somebody has it locked")
	errMoved   = errors.New("it was opened or closed just now")
	errRefused = errors.New("it could not be opened as it stands")
	errHot     = errors.New("a hot journal")
)

// fault translates an error of the library.
func fault(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	kind := err
	switch primary := e.Code() & 0xff; {
	case e.Code() == sqlite3.SQLITE_READONLY_ROLLBACK:
		kind = errHot
	case primary == sqlite3.SQLITE_BUSY || primary == sqlite3.SQLITE_LOCKED || primary == sqlite3.SQLITE_PROTOCOL:
		kind = errLocked
	case primary == sqlite3.SQLITE_CANTOPEN || primary == sqlite3.SQLITE_READONLY:
		kind = errRefused
	case primary == sqlite3.SQLITE_NOTADB:
		kind = ErrNotDatabase
	case primary == sqlite3.SQLITE_CORRUPT:
		kind = ErrDamaged
	case e.Code() == sqlite3.SQLITE_IOERR_SHORT_READ:
		kind = ErrChanged
	default:
		return err
	}
	return fmt.Errorf("%w (%w)", kind, err)
}

// chooseLocks asks for open file description locks, where there are any: they are not lost
// when some other descriptor of the file is closed in this process.
var chooseLocks = sync.OnceFunc(func() { _, _ = driver.OFDLocking(true) })

// conn is one connection of the library's, to one database.
type conn struct {
	db *sql.DB
	*sql.Conn
}

// connect opens the database with parameters of SQLite's URIs. Nothing is read yet.
func connect(ctx context.Context, path, params string) (*conn, error) {
	chooseLocks()
	uri, err := uriOf(path, params)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", uri)
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fault(err), db.Close())
	}
	return &conn{db, c}, nil
}

func (c *conn) Close() error { return errors.Join(c.Conn.Close(), c.db.Close()) }

// uriOf is the name of a file for SQLite: https://sqlite.org/uri.html.
func uriOf(path, params string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if path = filepath.ToSlash(path); !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: params}).String(), nil
}

// begin starts a read transaction, and reports whether it is one on a WAL. The schema is not
// read: an image needs none.
func (c *conn) begin(ctx context.Context) (wal bool, err error) {
	if _, err = c.ExecContext(ctx, "BEGIN"); err != nil {
		return false, fault(err)
	}
	var version int64
	var mode string
	err = c.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&version)
	if err == nil {
		err = c.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
	}
	if err != nil {
		c.end()
		return false, fault(err)
	}
	return mode == "wal", nil
}

// end ends the transaction, which has changed nothing.
func (c *conn) end() { _, _ = c.ExecContext(context.Background(), "ROLLBACK") }
