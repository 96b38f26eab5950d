package sqlite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/snapshot/sqlite"
	"satchel/snapshot/sqlite/sqlitetest"
)

// listing is everything that a program could tell of a folder's files, but for when they were read.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range append([]string{"."}, names(t, dir)...) {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprint(info.Mode(), info.Size(), info.ModTime().UnixNano())
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(b))
		}
		found[name] = line
	}
	return found
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// later is a clock that says that everything was written long ago.
func later() time.Time { return time.Now().Add(time.Hour) }

// impatient options never sleep.
func impatient(t *testing.T) sqlite.Options {
	return sqlite.Options{Stage: t.TempDir(), Sleep: func(context.Context, time.Duration) error { return nil }}
}

// Whatever is beside a database and whoever has it open, the image is consistent and its owner
// finds everything as it was.
func TestOpenLeavesEverythingAsItWas(t *testing.T) {
	killed := func(do string) func(*testing.T, string, string) {
		return func(t *testing.T, path, mode string) {
			sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: do}).Kill()
		}
	}
	held := func(do string) func(*testing.T, string, string) {
		return func(t *testing.T, path, mode string) {
			sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: do})
		}
	}
	closed := func(t *testing.T, path, mode string) { sqlitetest.Make(t, path, mode) }
	with := func(f func(*testing.T, string, string), suffixes ...string) func(*testing.T, string, string) {
		return func(t *testing.T, path, mode string) {
			f(t, path, mode)
			for _, suffix := range suffixes {
				if err := os.WriteFile(path+suffix, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	without := func(f func(*testing.T, string, string), suffix string) func(*testing.T, string, string) {
		return func(t *testing.T, path, mode string) {
			f(t, path, mode)
			if err := os.Remove(path + suffix); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name       string
		mode       string
		make       func(t *testing.T, path, mode string)
		beside     []string
		state      sqlite.State
		young, old sqlite.Way // right after the last write, and long after
	}{
		{"closed", "wal", closed, nil, sqlite.AtRest, sqlite.Copy, sqlite.File},
		{"closed", "delete", closed, nil, sqlite.Shared, sqlite.Rollback, sqlite.File},
		{"an empty -wal left", "wal", with(closed, "-wal"), []string{"-wal"}, sqlite.AtRest, sqlite.Copy, sqlite.File},
		{"an empty -wal and a -shm left", "wal", with(closed, "-wal", "-shm"), []string{"-shm", "-wal"}, sqlite.Shared, sqlite.WAL, sqlite.WAL},
		{"a -shm left", "wal", with(closed, "-shm"), []string{"-shm"}, sqlite.AtRest, sqlite.Copy, sqlite.File},
		{"an empty -wal left", "delete", with(closed, "-wal"), []string{"-wal"}, sqlite.AtRest, sqlite.Copy, sqlite.File},
		{"an empty -journal left", "delete", with(closed, "-journal"), []string{"-journal"}, sqlite.Shared, sqlite.Rollback, sqlite.File},
		{"held", "wal", held("sit"), []string{"-shm", "-wal"}, sqlite.Shared, sqlite.WAL, sqlite.WAL},
		{"held", "delete", held("sit"), nil, sqlite.Shared, sqlite.Rollback, sqlite.File},
		{"held", "truncate", held("sit"), []string{"-journal"}, sqlite.Shared, sqlite.Rollback, sqlite.File},
		{"held", "persist", held("sit"), []string{"-journal"}, sqlite.Shared, sqlite.Rollback, sqlite.File},
		{"in a transaction", "wal", held("crash"), []string{"-shm", "-wal"}, sqlite.Shared, sqlite.WAL, sqlite.WAL},
		{"killed", "wal", killed("sit"), []string{"-shm", "-wal"}, sqlite.Shared, sqlite.WAL, sqlite.WAL},
		{"killed in a transaction", "wal", killed("crash"), []string{"-shm", "-wal"}, sqlite.Shared, sqlite.WAL, sqlite.WAL},
		{"killed, without its -shm", "wal", without(killed("crash"), "-shm"), []string{"-wal"}, sqlite.Interrupted, sqlite.Recovered, sqlite.Recovered},
		{"killed in a transaction", "delete", killed("crash"), []string{"-journal"}, sqlite.Shared, sqlite.Recovered, sqlite.Recovered},
		{"killed in a transaction", "truncate", killed("crash"), []string{"-journal"}, sqlite.Shared, sqlite.Recovered, sqlite.Recovered},
		{"killed in a transaction", "persist", killed("crash"), []string{"-journal"}, sqlite.Shared, sqlite.Recovered, sqlite.Recovered},
		{"killed", "persist", killed("sit"), []string{"-journal"}, sqlite.Shared, sqlite.Rollback, sqlite.File},
	}
	for _, tt := range tests {
		t.Run(tt.name+", "+tt.mode, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "bank.db")
			tt.make(t, path, tt.mode)
			want := []string{"bank.db"}
			for _, suffix := range tt.beside {
				want = append(want, "bank.db"+suffix)
			}
			if diff := cmp.Diff(want, names(t, dir)); diff != "" {
				t.Fatalf("not the case that was meant (-want +got):\n%s", diff)
			}
			if state, err := sqlite.Classify(path); state != tt.state || err != nil {
				t.Errorf("Classify: %v, %v; want %v", state, err, tt.state)
			}
			before := listing(t, dir)
			for _, now := range []struct {
				clock func() time.Time
				way   sqlite.Way
			}{{time.Now, tt.young}, {later, tt.old}} {
				o := impatient(t)
				o.Now = now.clock
				kept, way := capture(t, path, o)
				if way != now.way && !(way == sqlite.File && now.way == sqlite.Rollback) && (way != sqlite.Rollback || runtime.GOOS != "windows") {
					t.Errorf("way %s, want %s", way, now.way)
				}
				if err := sqlitetest.Sound(t.Context(), kept); err != nil {
					t.Errorf("%s: %v", way, err)
				}
				if diff := cmp.Diff(before, listing(t, dir)); diff != "" {
					t.Errorf("%s changed the folder (-before +after):\n%s", way, diff)
				}
				if left := names(t, o.Stage); len(left) > 0 {
					t.Errorf("the stage holds %v", left)
				}
			}
		})
	}
}

// What a program wrote last is in the image, not in the file: this is what a -wal is about.
func TestOpenSeesTheWAL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sqlitetest.Open(path, "journal_mode(wal)", "wal_autocheckpoint(0)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2), (3)"); err != nil {
		t.Fatal(err)
	}
	kept, _ := capture(t, path, impatient(t))
	tables, err := sqlite.Tables(t.Context(), kept)
	if diff := cmp.Diff([]sqlite.Table{{Name: "t", Rows: 3}}, tables); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// The bytes of an idle database are those of its file, whatever the way, so that days deduplicate.
func TestImageOfAnIdleDatabaseIsItsFile(t *testing.T) {
	tests := []struct {
		page, mode string
		pad        int // bytes
	}{
		{"512", "wal", 1}, {"512", "delete", 1}, {"65536", "wal", 1}, {"65536", "delete", 1},
		{"4096", "wal", 9e6}, {"4096", "delete", 9e6},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.page, ", ", tt.mode, ", ", tt.pad), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			db, err := sqlitetest.Open(path, "page_size("+tt.page+")", "journal_mode("+tt.mode+")")
			if err != nil {
				t.Fatal(err)
			}
			pad := make([]byte, tt.pad)
			_, _ = rand.Read(pad)
			if _, err := db.Exec("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, ?)", pad); err != nil {
				t.Fatal(err)
			}
			for _, open := range []bool{true, false} {
				if open && tt.mode == "wal" {
					if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
						t.Fatal(err)
					}
				} else if !open {
					if err := db.Close(); err != nil {
						t.Fatal(err)
					}
				}
				for _, clock := range []func() time.Time{time.Now, later} {
					o := impatient(t)
					o.Now = clock
					kept, way := capture(t, path, o)
					got, err := os.ReadFile(kept)
					if err != nil {
						t.Fatal(err)
					}
					want, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, want) {
						t.Errorf("open %t, %s: the image of %d bytes is not the file of %d", open, way, len(got), len(want))
					}
				}
			}
		})
	}
}

// 200 MB, copied without a lock and corrected under one, and as it lies.
func TestLargeImageIsItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "large.db")
	size := makeLarge(t, path, "delete", 200)
	want, err := sumOf(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, clock := range []func() time.Time{time.Now, later} {
		o := impatient(t)
		o.Now = clock
		img, err := sqlite.Open(t.Context(), path, o)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		n, err := io.Copy(h, img)
		if err := errors.Join(err, img.Unchanged(), img.Close()); err != nil {
			t.Fatal(err)
		}
		if got := [32]byte(h.Sum(nil)); n != size || got != want {
			t.Errorf("%s: %d bytes, %x; the file has %d, %x", img.Way, n, got, size, want)
		}
	}
}

// SQLite keeps the page at 1 GiB free for its locks. Images have zeros there.
func TestImageAcrossTheLocks(t *testing.T) {
	if os.Getenv("SATCHEL_LONG") == "" {
		t.Skip("1.1 GB: with SATCHEL_LONG")
	}
	for _, mode := range []string{"wal", "delete"} {
		path := filepath.Join(t.TempDir(), "large.db")
		size := makeLarge(t, path, mode, 1040)
		p := sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: "sit"})
		kept, way := capture(t, path, impatient(t))
		p.Stop()
		if info, err := os.Stat(kept); err != nil || info.Size() < size || size < 1<<30 {
			t.Errorf("%d bytes of %d, %v", info.Size(), size, err)
		}
		if err := sqlitetest.Sound(t.Context(), kept); err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
}

func sumOf(path string) (sum [32]byte, err error) {
	b, err := os.ReadFile(path)
	return sha256.Sum256(b), err
}

// makeLarge makes a bank with a table of so many MiB beside it, and returns the file's size.
func makeLarge(t testing.TB, path, mode string, mib int) int64 {
	t.Helper()
	db, err := sqlitetest.Open(path, "journal_mode("+mode+")", "synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlitetest.Found(db); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE scan(id INTEGER PRIMARY KEY, image BLOB);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < `+fmt.Sprint(mib)+`)
		INSERT INTO scan SELECT i, ? FROM n`, bytes.Repeat([]byte("an image of something "), 1<<20/22)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestPathsWithOddCharacters(t *testing.T) {
	odd := `d?%20#&= é'"!;` + "\xff"
	if runtime.GOOS != "linux" {
		odd = `d%20#&= é'!;`
	}
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), odd)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, odd)
			o := sqlitetest.Order{Path: filepath.Join(t.TempDir(), "plain"), Mode: mode, Do: "sit"}
			p := sqlitetest.Start(t, o) // JSON knows no such bytes
			p.Stop()
			if err := os.Rename(o.Path, path); err != nil {
				t.Fatal(err)
			}
			db, err := sqlitetest.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := sqlitetest.Audit(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			kept, way := capture(t, path, impatient(t))
			if err := sqlitetest.Sound(t.Context(), kept); err != nil {
				t.Errorf("%s: %v", way, err)
			}
			if by, err := sqlite.InUse(path); len(by) == 0 || err != nil {
				t.Errorf("InUse: %v, %v", by, err)
			}
		})
	}
}

func TestPlainFiles(t *testing.T) {
	bank := filepath.Join(t.TempDir(), "bank.db")
	sqlitetest.Make(t, bank, "delete")
	whole, err := os.ReadFile(bank)
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, b byte) []byte {
		c := bytes.Clone(whole)
		c[at] = b
		return c
	}
	tests := []struct {
		name    string
		content []byte
		beside  string // a suffix with something in it
		state   sqlite.State
		err     error
	}{
		{"empty", nil, "", sqlite.NotDatabase, sqlite.ErrNotDatabase},
		{"short", whole[:99], "", sqlite.NotDatabase, sqlite.ErrNotDatabase},
		{"text", []byte("hello"), "", sqlite.NotDatabase, sqlite.ErrNotDatabase},
		{"random with a -wal", bytes.Repeat([]byte{0x5a, 0x17}, 4096), "-wal", sqlite.MaybeEncrypted, sqlite.ErrNotDatabase},
		{"random with a -journal", bytes.Repeat([]byte{0x5a, 0x17}, 4096), "-journal", sqlite.MaybeEncrypted, sqlite.ErrNotDatabase},
		{"a page size of 4097", change(17, 1), "", sqlite.NotDatabase, sqlite.ErrNotDatabase},
		{"encrypted after its first bytes", change(21, 1), "", sqlite.NotDatabase, sqlite.ErrNotDatabase},
		{"a format of tomorrow", change(19, 3), "", sqlite.NotDatabase, sqlite.ErrNotDatabase},
		{"cut off", whole[:len(whole)/2], "", sqlite.Shared, sqlite.ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			if err := os.WriteFile(path, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.beside != "" {
				if err := os.WriteFile(path+tt.beside, []byte("something"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if state, err := sqlite.Classify(path); state != tt.state || err != nil {
				t.Errorf("Classify: %v, %v; want %v", state, err, tt.state)
			}
			if _, err := sqlite.Open(t.Context(), path, impatient(t)); !errors.Is(err, tt.err) {
				t.Errorf("Open: %v, want %v", err, tt.err)
			}
		})
	}
}

func TestOpenOfWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "none"), impatient(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := sqlite.Open(t.Context(), dir, impatient(t)); err == nil {
		t.Error("a folder was opened")
	}
	bank := filepath.Join(dir, "bank.db")
	sqlitetest.Make(t, bank, "delete")
	if err := os.Symlink(bank, filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	if _, err := sqlite.Open(t.Context(), filepath.Join(dir, "link"), impatient(t)); err == nil {
		t.Error("a link was followed")
	}
}

// A database of one page, and nothing in it but the header.
func TestOnePage(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		path := filepath.Join(t.TempDir(), "a.db")
		db, err := sqlitetest.Open(path, "journal_mode("+mode+")")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("PRAGMA user_version = 7"); err != nil {
			t.Fatal(err)
		}
		kept, way := capture(t, path, impatient(t))
		if err := errors.Join(sqlite.CheckImage(t.Context(), kept), db.Close()); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		if info, err := os.Stat(kept); err != nil || info.Size() != 4096 {
			t.Errorf("%s (%s): %d bytes, %v", mode, way, info.Size(), err)
		}
	}
}

// A program that never lets go is waited for as long as Options say, and no longer.
func TestBusyToTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bank.db")
	sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: "delete", Do: "crash"}) // and not killed: it holds the lock
	var slept time.Duration
	o := sqlite.Options{Stage: t.TempDir(), Wait: 3 * time.Second, Sleep: func(_ context.Context, d time.Duration) error {
		slept += d
		return nil
	}}
	if _, err := sqlite.Open(t.Context(), path, o); !errors.Is(err, sqlite.ErrBusy) {
		t.Errorf("Open: %v, want ErrBusy", err)
	}
	if slept < 2900*time.Millisecond || slept > 3*time.Second {
		t.Errorf("slept %v", slept)
	}
	if left := names(t, o.Stage); len(left) > 0 {
		t.Errorf("the stage holds %v", left)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	o.Sleep = func(context.Context, time.Duration) error { cancel(stop); return context.Cause(ctx) }
	if _, err := sqlite.Open(ctx, path, o); !errors.Is(err, stop) {
		t.Errorf("Open: %v, want the cause", err)
	}
}

// The image of a database at rest is the file; who writes to it meanwhile is noticed.
func TestUnchangedNoticesAWriter(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bank.db")
			sqlitetest.Make(t, path, mode)
			o := impatient(t)
			o.Now = later
			img, err := sqlite.Open(t.Context(), path, o)
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			if img.Way != sqlite.File {
				t.Skipf("the image is private (%s)", img.Way)
			}
			if err := img.Unchanged(); err != nil {
				t.Fatal(err)
			}
			sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: "sit"})
			if err := img.Unchanged(); !errors.Is(err, sqlite.ErrChanged) {
				t.Errorf("Unchanged: %v, want ErrChanged", err)
			}
		})
	}
}

// A program that opens, writes and closes all the time meets no error, and an image has what it
// wrote, wherever that is.
func TestImagesUnderAProgramThatComesAndGoes(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "bank.db")
			visitor := sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: "visit"})
			ways := map[sqlite.Way]int{}
			o := sqlite.Options{Stage: t.TempDir()}
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				kept, way := capture(t, path, o)
				if err := sqlitetest.Sound(t.Context(), kept); err != nil {
					t.Fatalf("an image (%s): %v", way, err)
				}
				ways[way]++
			}
			t.Logf("%v; %d visits", ways, visitor.Stop().Transactions)
			sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: "visit"}).Stop()
			if diff := cmp.Diff([]string{"bank.db"}, names(t, dir)); diff != "" {
				t.Errorf("when all have gone (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("SQLite format 3\x00\x10\x00\x02\x02\x00\x40\x20\x20"), []byte("x"))
	f.Fuzz(func(t *testing.T, b, wal []byte) {
		path := filepath.Join(t.TempDir(), "a")
		if err := errors.Join(os.WriteFile(path, b, 0o600), os.WriteFile(path+"-wal", wal, 0o600)); err != nil {
			t.Fatal(err)
		}
		if state, err := sqlite.Classify(path); err != nil || len(b) < 100 && state > sqlite.MaybeEncrypted {
			t.Errorf("%v, %v", state, err)
		}
	})
}
