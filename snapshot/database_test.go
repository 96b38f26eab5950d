package snapshot_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/snapshot/sqlite"
	"satchel/snapshot/sqlite/sqlitetest"
	"satchel/store/pack"
	"satchel/store/storetest"
)

func asleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kept writes what a snapshot has of a database to a private file.
func kept(t *testing.T, d *snapshottest.Device, id pack.ID, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "kept.db")
	if err := os.WriteFile(to, []byte(content(t, d, id)[path]), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// pushes pushes a bank that another process writes to, ten times at the most, and calls f with what
// each snapshot has of it until f returns false or the time is over.
func pushes(t *testing.T, mode string, seed uint64, end time.Time, image func(context.Context, string, sqlite.Options) (*sqlite.Image, error), f func(string) bool) (more bool) {
	t.Helper()
	d := snapshottest.Found(t, storetest.NewMemory())
	path := filepath.Join(d.Root, "bank.db")
	w := sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: "write", Seed: seed})
	more = true
	for n := 0; more && n < 10 && time.Now().Before(end); n++ {
		if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
		p := d.Push()
		p.SetImage(image)
		if image == nil {
			p.Sleep = asleep
		}
		out, err := p.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if image == nil && len(out.Problems) > 0 {
			t.Fatalf("problems %v", out.Problems)
		}
		if out.Snapshot != (pack.ID{}) {
			more = f(kept(t, d, out.Snapshot, "bank.db"))
		}
		for path := range content(t, d, d.Lineage.Base) {
			if path != "bank.db" {
				t.Fatalf("%s travelled", path)
			}
		}
	}
	t.Logf("%+v", w.Stop())
	d.Close()
	return more
}

// stressTime is how long writers of each mode run: SATCHEL_LONG seconds, or five.
func stressTime(t *testing.T) time.Duration {
	s := os.Getenv("SATCHEL_LONG")
	if s == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(s + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every snapshot of a database that another process writes to is one moment of it; what plain
// copying pushes is not, which shows that the test can tell.
func TestPushesOfADatabaseInUseAreConsistent(t *testing.T) {
	for _, mode := range []string{"wal", "delete", "truncate", "persist"} {
		t.Run(mode, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			end, whole := time.Now().Add(stressTime(t)), 0
			for time.Now().Before(end) {
				pushes(t, mode, seed, end, nil, func(path string) bool {
					whole++
					if err := sqlitetest.Sound(t.Context(), path); err != nil {
						t.Fatalf("snapshot %d: %v", whole, err)
					}
					return true
				})
			}
			t.Logf("%d snapshots", whole)
			if whole < 2 {
				t.Errorf("only %d snapshots", whole)
			}
			plainly := func(context.Context, string, sqlite.Options) (*sqlite.Image, error) {
				return nil, sqlite.ErrNotDatabase
			}
			plain, torn := 0, false
			for n := uint64(0); n < 20 && !torn; n++ {
				pushes(t, mode, seed+n, time.Now().Add(time.Minute), plainly, func(path string) bool {
					plain++
					torn = sqlitetest.Sound(t.Context(), path) != nil
					return !torn
				})
			}
			t.Logf("plain copy %d was torn: %t", plain, torn)
			if !torn {
				t.Error("no plain copy was torn: the writer is too tame for this test")
			}
		})
	}
}

// What stands in the -wal alone travels. A database that nobody touched since is not read again, though
// its program has it open; when it is written to, status says so and a push takes it.
func TestOpenDatabaseIsReadWhenItChanges(t *testing.T) {
	for _, mode := range []string{"wal", "persist"} {
		t.Run(mode, func(t *testing.T) {
			d := snapshottest.Found(t, storetest.NewMemory())
			path := filepath.Join(d.Root, "bank.db")
			db, err := sqlitetest.Open(path, "journal_mode("+mode+")")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			exec := func(query string) {
				t.Helper()
				if _, err := db.Exec(query); err != nil {
					t.Fatal(err)
				}
				for _, suffix := range []string{"", "-wal", "-journal"} {
					if _, err := os.Lstat(path + suffix); err == nil {
						d.Age("bank.db" + suffix)
					}
				}
			}
			if err := sqlitetest.Found(db); err != nil {
				t.Fatal(err)
			}
			exec("INSERT INTO total VALUES (1)")
			first := d.MustPush()
			if tables, err := sqlite.Tables(t.Context(), kept(t, d, first.Snapshot, "bank.db")); err != nil || !slices.Contains(tables, sqlite.Table{Name: "total", Rows: 2}) {
				t.Errorf("%v, %v", tables, err)
			}
			if out := d.MustPush(); out.Read != 0 || out.Snapshot != (pack.ID{}) {
				t.Errorf("untouched: %d bytes read, snapshot %x", out.Read, out.Snapshot)
			}
			status := func() *snapshot.Compared {
				t.Helper()
				base, _ := d.State().Snapshot(d.Lineage.Base)
				r, err := d.Push().Compare(ctx, base)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			if r := status(); len(r.Changes) > 0 || r.Read != 0 {
				t.Errorf("untouched: %d changes, %d bytes read", len(r.Changes), r.Read)
			}
			exec("INSERT INTO total VALUES (2)")
			if r := status(); len(r.Changes) != 1 || r.Changes[0].Remote != "bank.db" {
				t.Errorf("written to: changes %v", r.Changes)
			}
			second := d.MustPush()
			if tables, err := sqlite.Tables(t.Context(), kept(t, d, second.Snapshot, "bank.db")); err != nil || !slices.Contains(tables, sqlite.Table{Name: "total", Rows: 3}) {
				t.Errorf("%v, %v", tables, err)
			}
			if _, err := os.Lstat(d.Images()); err == nil {
				t.Error("the stage is still there")
			}
		})
	}
}

// The file state of a database that changed a moment ago is not believed.
func TestYoungWALIsReadAgain(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	sqlitetest.Start(t, sqlitetest.Order{Path: filepath.Join(d.Root, "bank.db"), Mode: "wal", Do: "sit"})
	d.Age("bank.db")
	d.MustPush()
	if out := d.MustPush(); out.Read == 0 || out.Snapshot != (pack.ID{}) {
		t.Errorf("%d bytes read, snapshot %x", out.Read, out.Snapshot)
	}
}

// A database whose program keeps it to itself is listed, and no other device takes it for gone or old.
func TestBusyDatabaseKeepsItsOldContent(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	path := filepath.Join(d.Root, "bank.db")
	sqlitetest.Make(t, path, "delete")
	first := d.MustPush()
	before := content(t, d, first.Snapshot)["bank.db"]
	p := sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: "delete", Do: "crash"})
	out := d.MustPush()
	if len(out.Problems) != 1 || out.Problems[0].Mark != snapshot.MarkUnread || !strings.Contains(out.Problems[0].Text, "busy") {
		t.Errorf("problems %v", out.Problems)
	}
	if content(t, d, out.Snapshot)["bank.db"] != before {
		t.Error("it is not as it was")
	}
	p.Kill() // its journal is hot now: the image is recovered, in private
	out = d.MustPush()
	if err := sqlitetest.Sound(t.Context(), kept(t, d, d.Lineage.Base, "bank.db")); err != nil || len(out.Problems) > 0 {
		t.Errorf("after the crash: %v, %v", err, out.Problems)
	}
	if _, err := os.Lstat(path + "-journal"); err != nil {
		t.Error("the push rolled the owner's journal back: ", err)
	}
}

// What SQLite cannot read travels as it is, marked, and is said.
func TestUnreadableDatabaseIsAPlainFile(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	fake := "SQLite format 3\x00" + noise(1, 300<<10)
	d.Write("encrypted.db", fake)
	d.Write("other.db", noise(2, 5000))
	d.Write("other.db-wal", noise(3, 100))
	out := d.MustPush()
	if len(out.Problems) > 0 || len(out.Warnings) != 2 {
		t.Errorf("problems %v, warnings %q", out.Problems, out.Warnings)
	}
	got := content(t, d, out.Snapshot)
	if got["encrypted.db"] != fake || len(got) != 3 {
		t.Errorf("travelled: %d files", len(got))
	}
	v, _ := d.State().Snapshot(out.Snapshot)
	e, err := d.Reader.Find(ctx, v.Root, "encrypted.db")
	if err != nil || e.Marks != snapshot.MarkPlain {
		t.Errorf("%+v, %v", e, err)
	}
	if out := d.MustPush(); out.Read != 0 {
		t.Errorf("untouched: %d bytes read", out.Read)
	}
}

// A database that changes under each reading is not stored torn.
func TestDatabaseThatKeepsChangingIsUnread(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	path := filepath.Join(d.Root, "bank.db")
	sqlitetest.Make(t, path, "wal")
	d.Age("bank.db")
	p := d.Push()
	p.SetImage(func(ctx context.Context, path string, o sqlite.Options) (*sqlite.Image, error) {
		o.Now = func() time.Time { return time.Now().Add(time.Hour) } // at rest, it believes
		img, err := sqlite.Open(ctx, path, o)
		return img, errors.Join(err, os.Chtimes(path, time.Now(), time.Now()))
	})
	d.Write("a", "a")
	out := pushWith(t, d, p)
	if len(out.Problems) != 1 || out.Problems[0].Mark != snapshot.MarkUnread {
		t.Errorf("problems %v", out.Problems)
	}
	if got := content(t, d, out.Snapshot); len(got) != 1 {
		t.Errorf("the snapshot has %d files", len(got))
	}
}

// Pages keep their places: a few changed rows cost a few pieces, however the image comes about.
func TestFewChangedRowsCostLittle(t *testing.T) {
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			d := snapshottest.Found(t, storetest.NewMemory())
			path := filepath.Join(d.Root, "large.db")
			db, err := sqlitetest.Open(path, "journal_mode("+mode+")")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec("CREATE TABLE patient(id INTEGER PRIMARY KEY, note BLOB); BEGIN"); err != nil {
				t.Fatal(err)
			}
			for i := range 5000 {
				if _, err := db.Exec("INSERT INTO patient VALUES (?, ?)", i, noise(uint64(i), 3000)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := db.Exec("COMMIT"); err != nil {
				t.Fatal(err)
			}
			first := d.MustPush()
			for i := range 3 {
				if _, err := db.Exec("UPDATE patient SET note = ? WHERE id = ?", noise(uint64(9000+i), 3000), 100+2000*i); err != nil {
					t.Fatal(err)
				}
			}
			second := d.MustPush()
			t.Logf("first %d bytes stored, then %d of %d new", first.Stored, second.Stored, second.NewBytes)
			if second.Snapshot == (pack.ID{}) || second.NewBytes > 5*256<<10 || first.NewBytes < 10<<20 {
				t.Errorf("%d new bytes at first, then %d", first.NewBytes, second.NewBytes)
			}
		})
	}
}

// What a crash left of private images is removed by the next push.
func TestImagesAreSwept(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	left := filepath.Join(d.Images(), "image-1")
	if err := errors.Join(os.MkdirAll(left, 0o700), os.WriteFile(filepath.Join(left, "database"), []byte("a patient"), 0o600)); err != nil {
		t.Fatal(err)
	}
	d.Write("a", "a")
	d.MustPush()
	if _, err := os.Lstat(d.Images()); err == nil {
		t.Error("the stage is still there")
	}
}
