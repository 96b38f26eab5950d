package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"satchel/snapshot"
	"satchel/snapshot/sqlite"
)

// countedImage is the size of the largest database whose tables diff fetches and counts.
const countedImage = 256 << 20

// Instead of a number of rows.
const (
	notCounted = -1 // by SQLite here
	noTable    = -2 // on that side
)

// tableChange is a table with its rows on both sides.
type tableChange struct {
	name     string
	old, now int64
}

func (t tableChange) String() string {
	switch {
	case t.old == t.now:
		return fmt.Sprintf("%s: %s", quoted(t.name), rowWords(t.old))
	case t.old == noTable:
		return fmt.Sprintf("%s: new, %s", quoted(t.name), rowWords(t.now))
	case t.now == noTable:
		return fmt.Sprintf("%s: gone, %s", quoted(t.name), rowWords(t.old))
	}
	return fmt.Sprintf("%s: %s -> %s", quoted(t.name), thousands(t.old), rowWords(t.now))
}

func rowWords(n int64) string {
	if n == notCounted {
		return "rows not counted"
	}
	return count(n, "row")
}

func tableFields(ts []tableChange) []map[string]any {
	out := []map[string]any{}
	for _, t := range ts {
		f := map[string]any{"table": t.name, "rows_old": nil, "rows_new": nil}
		if t.old >= 0 {
			f["rows_old"] = t.old
		}
		if t.now >= 0 {
			f["rows_new"] = t.now
		}
		out = append(out, f)
	}
	return out
}

// readTables counts the rows of the databases that differ.
func (d *differ) readTables(ctx context.Context) error {
	d.tables, d.problems = map[string][]tableChange{}, map[string]string{}
	for _, c := range d.changes {
		if c.Letter() != snapshot.Modified || !mayBeDatabase(c.Old) || !mayBeDatabase(c.New) || !d.secrets && secret(d.rules, c.Remote) {
			continue
		}
		err := snapshot.ClearImages(d.s.images)
		if err == nil {
			err = errors.Join(d.tablesOf(ctx, c, d.s.images), os.RemoveAll(d.s.images))
		}
		why := sentinel(err, sqlite.ErrNotDatabase, sqlite.ErrDamaged, sqlite.ErrBusy, sqlite.ErrChanged)
		switch {
		case err != nil && why == nil:
			return fmt.Errorf("%s: %w", quoted(d.local(c.Remote)), err)
		case err != nil && why != sqlite.ErrNotDatabase:
			d.problems[c.Remote] = why.Error()
		}
	}
	return nil
}

// sentinel is the first of the errors that err wraps, nil if it wraps none.
func sentinel(err error, all ...error) error {
	for _, e := range all {
		if errors.Is(err, e) {
			return e
		}
	}
	return nil
}

// mayBeDatabase says no of most files without asking the store: a database is whole pages.
func mayBeDatabase(e *snapshot.Entry) bool {
	return e.Type == snapshot.File && e.Size > 0 && e.Size%512 == 0 && e.Size <= countedImage
}

func (d *differ) tablesOf(ctx context.Context, c snapshot.Change, stage string) error {
	var sides [2][]sqlite.Table
	for i, v := range []side{d.a, d.b} {
		e := c.Old
		if i == 1 {
			e = c.New
		}
		image := filepath.Join(stage, fmt.Sprint(i))
		var err error
		if v.here {
			err = d.imageHere(ctx, filepath.Join(d.s.root, filepath.FromSlash(d.local(c.Remote))), stage, image)
		} else {
			err = d.image(ctx, e, image)
		}
		if err == nil {
			sides[i], err = sqlite.Tables(ctx, image)
		}
		if err != nil {
			return err
		}
	}
	d.tables[c.Remote] = pairTables(sides[0], sides[1])
	return nil
}

// image puts a snapshot's database into the file path; of what is none only the first chunk is fetched.
func (d *differ) image(ctx context.Context, e *snapshot.Entry, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	first := true
	return d.s.reader.Content(ctx, e, func(b []byte) error {
		if first && !bytes.HasPrefix(b, []byte("SQLite format 3\x00")) {
			return sqlite.ErrNotDatabase
		}
		first = false
		_, err := f.Write(b)
		return err
	})
}

// imageHere takes one consistent image of a database here.
func (d *differ) imageHere(ctx context.Context, from, stage, to string) error {
	img, err := sqlite.Open(ctx, from, sqlite.Options{Stage: stage, Sleep: d.s.a.sleep, Now: d.s.a.now})
	if err != nil {
		return err
	}
	defer img.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, img)
	return errors.Join(err, f.Close(), img.Unchanged())
}

// pairTables brings the tables of two sides together, by name.
func pairTables(old, now []sqlite.Table) []tableChange {
	var out []tableChange
	for len(old) > 0 || len(now) > 0 {
		t := tableChange{old: noTable, now: noTable}
		if len(now) == 0 || len(old) > 0 && old[0].Name <= now[0].Name {
			t.name, t.old, old = old[0].Name, old[0].Rows, old[1:]
		}
		if len(now) > 0 && (t.old == noTable || now[0].Name == t.name) {
			t.name, t.now, now = now[0].Name, now[0].Rows, now[1:]
		}
		out = append(out, t)
	}
	return out
}
