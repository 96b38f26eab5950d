package sqlite_test

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"satchel/snapshot/sqlite"
	"satchel/snapshot/sqlite/sqlitetest"
)

// stressTime is how long each kind of writer runs: SATCHEL_LONG seconds, or a few.
func stressTime(t *testing.T) time.Duration {
	if s := os.Getenv("SATCHEL_LONG"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(n) * time.Second
	}
	return 4 * time.Second
}

// keep writes an image to a file, as a push and a restore would in the end.
func keep(t *testing.T, img *sqlite.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.db")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, img)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// capture takes an image, again if the file changed under it.
func capture(t *testing.T, path string, o sqlite.Options) (kept string, way sqlite.Way) {
	t.Helper()
	for {
		img, err := sqlite.Open(t.Context(), path, o)
		if err != nil {
			t.Fatal(err)
		}
		kept = keep(t, img)
		err = img.Unchanged()
		if cerr := img.Close(); cerr != nil {
			t.Fatal(cerr)
		}
		if errors.Is(err, sqlite.ErrChanged) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return kept, img.Way
	}
}

// copyPlain copies a database and what stands beside it, as a program would that knows no better.
func copyPlain(t *testing.T, path string, suffixes ...string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "plain.db")
	for _, suffix := range suffixes {
		b, err := os.ReadFile(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// Every image is consistent while another process writes, and plain copies are not: that shows
// that the test can tell.
func TestImagesAreConsistentUnderWriters(t *testing.T) {
	for _, mode := range []string{"wal", "delete", "truncate", "persist"} {
		t.Run(mode, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			path := filepath.Join(t.TempDir(), "bank.db")
			stage := t.TempDir()
			writer := sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: "write", Seed: seed})
			ways := map[sqlite.Way]int{}
			plain, torn := 0, map[string]int{}
			for end := time.Now().Add(stressTime(t)); time.Now().Before(end) || len(torn) == 0 && plain < 200; {
				kept, way := capture(t, path, sqlite.Options{Stage: stage})
				ways[way]++
				if err := sqlitetest.Sound(t.Context(), kept); err != nil {
					t.Fatalf("an image (%s): %v", way, err)
				}
				if torn["database"]+torn["with sidecars"] > 3 {
					continue
				}
				for name, suffixes := range map[string][]string{"database": {""}, "with sidecars": {"", "-wal", "-journal"}} {
					plain++
					if err := sqlitetest.Sound(t.Context(), copyPlain(t, path, suffixes...)); err != nil {
						torn[name]++
					}
				}
			}
			r := writer.Stop()
			t.Logf("images %v; of %d plain copies torn %v; %d transactions, the longest %v, %d refused", ways, plain, torn, r.Transactions, r.Longest, r.Busy)
			if len(torn) == 0 {
				t.Error("no plain copy was torn: the writer is too tame for this test")
			}
			again := sqlitetest.Start(t, sqlitetest.Order{Path: path, Mode: mode, Do: "write", Seed: seed + 1})
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			again.Kill()
			kept, way := capture(t, path, sqlite.Options{Stage: stage})
			if err := sqlitetest.Sound(t.Context(), kept); err != nil {
				t.Errorf("an image (%s) after the writer was killed: %v", way, err)
			}
			if left, err := os.ReadDir(stage); err != nil || len(left) > 0 {
				t.Errorf("the stage holds %v, %v", left, err)
			}
		})
	}
}
