//go:build !windows

package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

var exclusiveWays = map[string]func(from, to string) error{"link": linkExclusive}

func TestLinkThatLostItsAnswer(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(from, to); err != nil { // landed; the answer was lost and NFS asks again
		t.Fatal(err)
	}
	if err := linkExclusive(from, to); err != nil {
		t.Errorf("own success reads as %v", err)
	}
	wantFiles(t, dir, "to")
	if err := os.WriteFile(from, []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := linkExclusive(from, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another's file: %v, want fs.ErrExist", err)
	}
}
