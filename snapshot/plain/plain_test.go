package plain

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/store"
)

// left is a container in memory. On one that keeps versions, deleting makes one.
type left struct {
	blobs    []store.Foreign
	bytes    map[string]string
	versions bool
	soft     bool
}

func (l *left) add(name, text string) {
	l.blobs = append(l.blobs, store.Foreign{Name: name, Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text))), Time: time.Unix(1e9, 0)})
	if l.bytes == nil {
		l.bytes = map[string]string{}
	}
	l.bytes[name] = text
}

func (l *left) Foreign(_ context.Context, every bool) iter.Seq2[store.Foreign, error] {
	return func(yield func(store.Foreign, error) bool) {
		for _, f := range slices.Clone(l.blobs) {
			if (every || f.Version == "" && !f.Deleted) && !yield(f, nil) {
				return
			}
		}
	}
}

func (l *left) ReadForeign(_ context.Context, f store.Foreign, w io.Writer) error {
	_, err := io.WriteString(w, l.bytes[f.Name])
	return err
}

func (l *left) DeleteForeign(_ context.Context, f store.Foreign) error {
	i := slices.Index(l.blobs, f)
	switch {
	case i < 0:
		return store.ErrNotFound
	case l.versions && f.Version == "":
		l.blobs[i].Version = "2026"
	case l.soft:
		l.blobs[i].Deleted, l.blobs[i].Days = true, 7
	default:
		l.blobs = slices.Delete(l.blobs, i, i+1)
	}
	return nil
}

func (l *left) names() (names []string) {
	for _, f := range l.blobs {
		names = append(names, f.Name+f.Version)
	}
	return names
}

// same is a manifest under which local names are remote ones.
type same struct{}

func (same) Local(remote string) (string, bool) { return remote, true }

func TestNamesStayInside(t *testing.T) {
	l := new(left)
	hostile := []string{"../a", "a/../../b", "/etc/passwd", "", ".", "a//b", "a/", "./a"}
	if filepath.Separator == '\\' {
		hostile = append(hostile, `a\..\..\b`, "C:x", "NUL")
	}
	for _, name := range append(hostile, "a/b") {
		l.add(name, "x")
	}
	found, err := List(t.Context(), l, same{})
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Files) != 1 || found.Files[0].Local != "a/b" || len(found.Other) != len(hostile) {
		t.Errorf("%d files and %d others: %v", len(found.Files), len(found.Other), found)
	}
}

func TestFetchChecks(t *testing.T) {
	l := new(left)
	l.add("a", "one")
	l.add("d/b", "two")
	l.bytes["d/b"] = "2wo"
	found, err := List(t.Context(), l, same{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	bad, err := Fetch(t.Context(), l, found.Files, root)
	if err != nil || len(bad) != 1 || bad[0].Name != "d/b" {
		t.Fatalf("bad: %v, %v", bad, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(b) != "one" {
		t.Errorf("a is %q, %v", b, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || !info.ModTime().Equal(time.Unix(1e9, 0)) {
		t.Errorf("a has the time %v, %v", info.ModTime(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "d", "b")); err == nil {
		t.Error("a damaged file was written")
	}
	if _, err := Fetch(t.Context(), l, found.Files, root); err == nil {
		t.Error("a file was written over")
	}
}

func TestRemove(t *testing.T) {
	for _, tt := range []struct {
		name           string
		versions, soft bool
		want           Removed
		stay           []string
	}{
		{"plain", false, false, Removed{Blobs: 2, Bytes: 6}, []string{"b"}},
		{"versions", true, false, Removed{Blobs: 3, Bytes: 9}, []string{"b"}},
		{"soft delete", false, true, Removed{Blobs: 2, Bytes: 6, Kept: 2, Days: 7}, []string{"a", "a2025", "b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &left{versions: tt.versions, soft: tt.soft}
			l.add("a", "one")
			l.add("a", "old")
			l.blobs[1].Version = "2025"
			l.add("b", "two")
			got, err := Remove(t.Context(), l, []File{{Foreign: l.blobs[0], Local: "a"}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.stay, l.names()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRemoveLeavesWhatChanged(t *testing.T) {
	l := new(left)
	l.add("a", "one")
	files := []File{{Foreign: l.blobs[0], Local: "a"}}
	l.blobs[0].SHA256 = strings.Repeat("0", 64)
	if _, err := Remove(t.Context(), l, files); !errors.Is(err, ErrChanged) || len(l.blobs) != 1 {
		t.Errorf("%v, and %d are left", err, len(l.blobs))
	}
}
