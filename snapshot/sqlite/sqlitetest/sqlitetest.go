// Package sqlitetest gives tests other processes that use a database: a bank, in which every
// transaction keeps the sum of the accounts.
//
//	func TestMain(m *testing.M) { sqlitetest.Main(); os.Exit(m.Run()) }
//
//	p := sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: "wal", Do: "write"})
//	… // take images
//	report := p.Stop()
//	err := sqlitetest.Sound(ctx, image)
package sqlitetest

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"satchel/snapshot/sqlite"
)

// The environment variable that makes the test binary another program: a JSON order.
const orderEnv = "SATCHEL_SQLITE_ORDER"

// Main makes the process of a test binary that Start started another program. It returns if it
// is not one.
func Main() {
	s := os.Getenv(orderEnv)
	if s == "" {
		return
	}
	var o Order
	err := json.Unmarshal([]byte(s), &o)
	if err == nil {
		err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// An Order is what another process does with a database.
type Order struct {
	Path   string
	Mode   string // of the journal
	Do     string // write, visit (open, write and close), sit (after a transaction), crash (sit in one half written), exec (SQL, then sit)
	SQL    string
	Seed   uint64
	Gentle bool // no VACUUM, no TRUNCATE, a transaction each millisecond
}

// Report is what a writer says in the end.
type Report struct {
	Transactions int
	Longest      time.Duration // of a transaction
	Busy         int           // transactions that found it locked for a second
}

// Process is such a process.
type Process struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Start runs the order until it says that it is ready. The process ends with the test.
func Start(t testing.TB, o Order) *Process {
	t.Helper()
	p, err := Launch(o)
	if err != nil {
		t.Fatal(err)
	}
	p.t = t
	t.Cleanup(p.Kill)
	return p
}

// Launch is Start for who has no test; Kill is then the caller's.
func Launch(o Order) (*Process, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(os.Args[0], "-test.run=^$")}
	p.cmd.Env = append(os.Environ(), orderEnv+"="+string(b))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if s, err := p.out.ReadString('\n'); err != nil || s != "ready\n" {
		p.Kill()
		return nil, fmt.Errorf("the other process said %q, %v", s, err)
	}
	return p, nil
}

// Pid is its process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Stop ends it in good order, and returns what it reports.
func (p *Process) Stop() Report {
	p.t.Helper()
	r, err := p.End()
	if err != nil {
		p.t.Errorf("the other process: %v", err)
	}
	return r
}

// End is Stop for who has no test.
func (p *Process) End() (r Report, err error) {
	_ = p.in.Close()
	err = json.NewDecoder(p.out).Decode(&r)
	return r, errors.Join(err, p.cmd.Wait())
}

// Kill ends it at once, as a power cut does.
func (p *Process) Kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// Open opens a database as an ordinary program does.
func Open(path string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	path = filepath.ToSlash(path)
	if filepath.Separator != '/' {
		path = "/" + path
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// note is what rows hold beside what matters. SQLite's randomblob is slow under the race detector.
var note = bytes.Repeat([]byte("a note of no importance, "), 200)

const (
	accounts = 2000
	balance  = 1000 // each at first
)

// Make makes a bank that is closed in the mode.
func Make(t testing.TB, path, mode string, pragmas ...string) {
	t.Helper()
	db, err := Open(path, append(pragmas, "journal_mode("+mode+")")...)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Found(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// Found makes a bank of about 4 MB.
func Found(db *sql.DB) error {
	_, err := db.Exec(`
		CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note BLOB);
		CREATE TABLE transfer(id INTEGER PRIMARY KEY, amount INTEGER NOT NULL, note BLOB);
		CREATE INDEX by_amount ON transfer(amount);
		CREATE TABLE total(transfers INTEGER NOT NULL);
		INSERT INTO total VALUES (0);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < `+fmt.Sprint(accounts)+`)
		INSERT INTO account SELECT i, `+fmt.Sprint(balance)+`, ? FROM n;`, note[:1900])
	return err
}

// Sound reports what is wrong with a bank in a private file; its folder is the file's own.
func Sound(ctx context.Context, path string) error {
	if err := sqlite.CheckImage(ctx, path); err != nil {
		return err
	}
	db, err := Open(path)
	if err != nil {
		return err
	}
	return errors.Join(Audit(ctx, db), db.Close())
}

// Audit checks what every transaction keeps.
func Audit(ctx context.Context, db *sql.DB) error {
	var sum, count, transfers, total int
	if err := db.QueryRowContext(ctx, `SELECT (SELECT sum(balance) FROM account), (SELECT count(*) FROM account),
		(SELECT count(*) FROM transfer), (SELECT transfers FROM total)`).Scan(&sum, &count, &transfers, &total); err != nil {
		return err
	}
	if sum != accounts*balance || count != accounts || transfers != total {
		return fmt.Errorf("%d accounts with %d, %d transfers of %d", count, sum, transfers, total)
	}
	return nil
}

func (o Order) open() (*sql.DB, error) {
	return Open(o.Path, "journal_mode("+o.Mode+")", "synchronous(off)", "wal_autocheckpoint(64)", "cache_size(200)")
}

func (o Order) run() error {
	db, err := o.open()
	if err != nil {
		return err
	}
	defer func() { db.Close() }()
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if tables == 0 && o.Do != "exec" {
		if err := Found(db); err != nil {
			return err
		}
	}
	switch o.Do {
	case "crash":
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		// More than the cache holds: the database is half written.
		if _, err := tx.Exec("UPDATE account SET balance = balance + 1, note = ?", note[10:1910]); err != nil {
			return err
		}
	case "exec":
		if _, err := db.Exec(o.SQL); err != nil {
			return err
		}
	case "sit":
		if err := transfer(db, rand.New(rand.NewPCG(o.Seed, 0))); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if o.Do == "sit" || o.Do == "crash" || o.Do == "exec" {
		_, err := io.Copy(io.Discard, os.Stdin)
		return errors.Join(err, json.NewEncoder(os.Stdout).Encode(Report{}))
	}
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	r := rand.New(rand.NewPCG(o.Seed, 1))
	var rep Report
	for {
		select {
		case <-stop:
			return json.NewEncoder(os.Stdout).Encode(rep)
		default:
		}
		begin := time.Now()
		if o.Do == "visit" {
			if err := db.Close(); err != nil {
				return err
			}
			if db, err = o.open(); err != nil {
				return err
			}
		}
		err := o.step(db, r)
		if locked(err) {
			rep.Busy++
		} else if err != nil {
			return err
		}
		rep.Longest = max(rep.Longest, time.Since(begin))
		rep.Transactions++
		if o.Gentle {
			time.Sleep(time.Millisecond)
		} else if r.IntN(4) == 0 {
			time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
		}
	}
}

func locked(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// step is a transaction, or now and then what else programs do.
func (o Order) step(db *sql.DB, r *rand.Rand) error {
	var err error
	switch n := r.IntN(400); {
	case o.Gentle || n > 2:
		return transfer(db, r)
	case n == 0:
		_, err = db.Exec("VACUUM")
	case n == 1 && o.Mode == "wal":
		_, err = db.Exec("PRAGMA wal_checkpoint(" + []string{"PASSIVE", "RESTART", "TRUNCATE"}[r.IntN(3)] + ")")
	case n == 2:
		_, err = db.Exec(`BEGIN IMMEDIATE; UPDATE total SET transfers = transfers - (SELECT count(*) FROM transfer WHERE id % 3 = 0);
			DELETE FROM transfer WHERE id % 3 = 0; COMMIT`)
		if err != nil {
			_, _ = db.Exec("ROLLBACK")
		}
	}
	return err
}

func transfer(db *sql.DB, r *rand.Rand) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for range 1 + r.IntN(8) {
		from, to, amount := 1+r.IntN(accounts), 1+r.IntN(accounts), r.IntN(100)
		for _, s := range []struct {
			text string
			args []any
		}{
			{"UPDATE account SET balance = balance - ? WHERE id = ?", []any{amount, from}},
			{"UPDATE account SET balance = balance + ? WHERE id = ?", []any{amount, to}},
			{"INSERT INTO transfer(amount, note) VALUES (?, ?)", []any{amount, note[:r.IntN(3000)]}},
			{"UPDATE total SET transfers = transfers + 1", nil},
		} {
			if _, err := tx.Exec(s.text, s.args...); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}
