package sqlite_test

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
)

// The environment variable that makes the test binary another program: a JSON order.
const orderEnv = "SATCHEL_SQLITE_ORDER"

func TestMain(m *testing.M) {
	if s := os.Getenv(orderEnv); s != "" {
		var o order
		err := json.Unmarshal([]byte(s), &o)
		if err == nil {
			err = o.run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// An order is what another process does with a database.
type order struct {
	Path   string
	Mode   string // of the journal
	Do     string // write, visit (open, write and close), sit (after a transaction), crash (sit in one half written)
	Seed   uint64
	Gentle bool // no VACUUM, no TRUNCATE, a transaction each millisecond
}

// report is what a writer says in the end.
type report struct {
	Transactions int
	Longest      time.Duration // of a transaction
	Busy         int           // transactions that found it locked for a second
}

// other is such a process.
type other struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs the order until it says that it is ready.
func start(t testing.TB, o order) *other {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &other{t: t, cmd: exec.Command(os.Args[0], "-test.run=^$")}
	p.cmd.Env = append(os.Environ(), orderEnv+"="+string(b))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if s, err := p.out.ReadString('\n'); err != nil || s != "ready\n" {
		t.Fatalf("the other process said %q, %v", s, err)
	}
	return p
}

// stop ends it in good order, and returns what it reports.
func (p *other) stop() (r report) {
	p.t.Helper()
	_ = p.in.Close()
	if err := json.NewDecoder(p.out).Decode(&r); err != nil {
		p.t.Errorf("the other process reports: %v", err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the other process: %v", err)
	}
	return r
}

// kill ends it at once, as a power cut does.
func (p *other) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// database opens a database as an ordinary program does.
func database(path string, pragmas ...string) (*sql.DB, error) {
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

// found makes a bank of about 4 MB.
func found(db *sql.DB) error {
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

// audit checks what every transaction keeps.
func audit(ctx context.Context, db *sql.DB) error {
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

func (o order) open() (*sql.DB, error) {
	return database(o.Path, "journal_mode("+o.Mode+")", "synchronous(off)", "wal_autocheckpoint(64)", "cache_size(200)")
}

func (o order) run() error {
	db, err := o.open()
	if err != nil {
		return err
	}
	defer func() { db.Close() }()
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		if err := found(db); err != nil {
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
	case "sit":
		if err := transfer(db, rand.New(rand.NewPCG(o.Seed, 0))); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if o.Do == "sit" || o.Do == "crash" {
		_, err := io.Copy(io.Discard, os.Stdin)
		return errors.Join(err, json.NewEncoder(os.Stdout).Encode(report{}))
	}
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	r := rand.New(rand.NewPCG(o.Seed, 1))
	var rep report
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
func (o order) step(db *sql.DB, r *rand.Rand) error {
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
