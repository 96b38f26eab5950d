package sqlite_test

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"satchel/snapshot/sqlite"
	"satchel/snapshot/sqlite/sqlitetest"
)

// What an image of 200 MB costs, and its check.
func BenchmarkImage(b *testing.B) {
	for _, mode := range []string{"wal", "delete"} {
		path := filepath.Join(b.TempDir(), "bank.db")
		size := makeLarge(b, path, mode, 200)
		for _, open := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s, open %t", mode, open), func(b *testing.B) {
				o := sqlite.Options{Stage: b.TempDir()}
				if open {
					db, err := sqlitetest.Open(path)
					if err != nil {
						b.Fatal(err)
					}
					defer db.Close()
					if _, err := db.Exec("UPDATE total SET transfers = transfers"); err != nil {
						b.Fatal(err)
					}
				} else {
					o.Now = later
				}
				b.SetBytes(size)
				for b.Loop() {
					img, err := sqlite.Open(b.Context(), path, o)
					if err != nil {
						b.Fatal(err)
					}
					_, err = io.Copy(io.Discard, struct{ io.Reader }{img})
					if err := errors.Join(err, img.Unchanged(), img.Close()); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(0, string(img.Way))
				}
			})
		}
		b.Run("check, "+mode, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if err := sqlite.CheckImage(b.Context(), path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What it costs beside the bytes.
func BenchmarkSmallImage(b *testing.B) {
	for _, mode := range []string{"wal", "delete"} {
		path := filepath.Join(b.TempDir(), "small.db")
		db, err := sqlitetest.Open(path, "journal_mode("+mode+")")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := db.Exec("CREATE TABLE t(a)"); err != nil {
			b.Fatal(err)
		}
		for _, open := range []bool{true, false} {
			o := sqlite.Options{Stage: b.TempDir()}
			if !open {
				o.Now = later
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(fmt.Sprintf("%s, open %t", mode, open), func(b *testing.B) {
				for b.Loop() {
					img, err := sqlite.Open(b.Context(), path, o)
					if err != nil {
						b.Fatal(err)
					}
					if err := img.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// How long a writer waits at the worst, with images of 200 MB taken all the time and without any.
func BenchmarkWriter(b *testing.B) {
	for _, mode := range []string{"wal", "delete", "truncate", "persist"} {
		for _, taking := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s, images %t", mode, taking), func(b *testing.B) {
				path := filepath.Join(b.TempDir(), "bank.db")
				makeLarge(b, path, mode, 200)
				o := sqlite.Options{Stage: b.TempDir()}
				w := sqlitetest.Start(b, sqlitetest.Order{Path: path, Mode: mode, Do: "write", Gentle: true})
				images := 0
				for b.Loop() {
					for end := time.Now().Add(5 * time.Second); time.Now().Before(end); images++ {
						if !taking {
							time.Sleep(time.Until(end))
							break
						}
						img, err := sqlite.Open(b.Context(), path, o)
						if err != nil {
							b.Fatal(err)
						}
						if err := img.Close(); err != nil {
							b.Fatal(err)
						}
					}
				}
				r := w.Stop()
				b.ReportMetric(float64(r.Longest.Milliseconds()), "ms-longest")
				b.ReportMetric(float64(r.Transactions), "transactions")
				b.ReportMetric(float64(images), "images")
				b.ReportMetric(float64(r.Busy), "refused")
			})
		}
	}
}
