package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/snapshot/sqlite"
	"satchel/snapshot/sqlite/sqlitetest"
)

func TestCheckImage(t *testing.T) {
	bank := filepath.Join(t.TempDir(), "bank.db")
	sqlitetest.Make(t, bank, "wal")
	whole, err := os.ReadFile(bank)
	if err != nil {
		t.Fatal(err)
	}
	zeroed := bytes.Clone(whole)
	clear(zeroed[len(zeroed)/2:][:8192])
	tests := []struct {
		name    string
		content []byte
		err     error
	}{
		{"whole", whole, nil},
		{"empty", nil, sqlite.ErrNotDatabase},
		{"text", bytes.Repeat([]byte("text "), 1000), sqlite.ErrNotDatabase},
		{"cut off", whole[:len(whole)-4096], sqlite.ErrDamaged},
		{"with zeros in it", zeroed, sqlite.ErrDamaged},
		{"its header only", append(bytes.Clone(whole[:100]), make([]byte, len(whole)-100)...), sqlite.ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			if err := os.WriteFile(path, tt.content, 0o400); err != nil {
				t.Fatal(err)
			}
			if err := sqlite.CheckImage(t.Context(), path); !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
			if diff := cmp.Diff([]string{"a.db"}, names(t, filepath.Dir(path))); diff != "" {
				t.Errorf("it left (-want +got):\n%s", diff)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sqlite.CheckImage(ctx, bank); !errors.Is(err, context.Canceled) {
		t.Errorf("out of time: %v", err)
	}
}

// What only the owner's program knows (a collation, a function, a kind of table) is no damage, and
// damage beside it is found.
func TestCheckImageWithoutTheOwnersExtensions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sqlitetest.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE person(name TEXT, age INTEGER CHECK (age < 150));
		CREATE INDEX by_name ON person(name);
		INSERT INTO person SELECT hex(randomblob(50)), 7 FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) SELECT i FROM n);
		PRAGMA ignore_check_constraints = on; INSERT INTO person VALUES ('Methuselah', 969);
		CREATE TABLE other(a); INSERT INTO other VALUES (1);
		PRAGMA writable_schema = on;
		UPDATE sqlite_schema SET sql = 'CREATE INDEX by_name ON person(name COLLATE icu_german)' WHERE name = 'by_name';
		INSERT INTO sqlite_schema VALUES ('table', 'found', 'found', 0, 'CREATE VIRTUAL TABLE found USING somebodys(text)');`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	err = sqlite.CheckImage(t.Context(), path)
	if !errors.Is(err, sqlite.ErrUnchecked) || errors.Is(err, sqlite.ErrDamaged) {
		t.Errorf("%v, want ErrUnchecked alone", err)
	}
	tables, err := sqlite.Tables(t.Context(), path)
	if diff := cmp.Diff([]sqlite.Table{{Name: "found", Rows: -1}, {Name: "other", Rows: 1}, {Name: "person", Rows: 2001}}, tables); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[20*4096:][:8*4096])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.CheckImage(t.Context(), path); !errors.Is(err, sqlite.ErrDamaged) {
		t.Errorf("%v, want ErrDamaged", err)
	}
}

func TestTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := sqlitetest.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE "b""c"(a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO "b""c" VALUES (1), (2);
		CREATE TABLE sqliteish(a); CREATE VIEW v AS SELECT 1;
		CREATE VIRTUAL TABLE notes USING fts5(text); INSERT INTO notes VALUES ('x')`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := sqlite.Tables(t.Context(), path)
	if diff := cmp.Diff([]sqlite.Table{{Name: `b"c`, Rows: 2}, {Name: "notes", Rows: 1}, {Name: "sqliteish"}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("text", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Tables(t.Context(), path); !errors.Is(err, sqlite.ErrNotDatabase) {
		t.Errorf("%v, want ErrNotDatabase", err)
	}
}
