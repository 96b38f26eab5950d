package dir_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"satchel/store/durable"
)

func TestSweepTakesOldTemporaryFilesOnly(t *testing.T) {
	s := open(t)
	put(t, s, "l/7f")
	put(t, s, "d/0123/7f")
	now := time.Now()
	for path, want := range map[string]struct {
		age  time.Duration
		left bool
	}{
		"d/0123/" + durable.TempName(): {25 * time.Hour, false},
		durable.TempName():             {25 * time.Hour, false},
		"l/" + durable.TempName():      {23 * time.Hour, true},
		"d/0123/7f":                    {9999 * time.Hour, true},
		"l/.DS_Store":                  {9999 * time.Hour, true},
		"d/" + durable.TempName():      {-25 * time.Hour, true}, // the clock stepped back since
	} {
		full := filepath.Join(s.Path(), path)
		if _, err := os.Stat(full); err != nil {
			if err := os.WriteFile(full, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(full, now, now.Add(-want.age)); err != nil {
			t.Fatal(err)
		}
		if !want.left {
			defer func() {
				if _, err := os.Lstat(full); err == nil {
					t.Errorf("%s is left", path)
				}
			}()
			continue
		}
		defer func() {
			if _, err := os.Lstat(full); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}()
	}
	if n, err := s.Sweep(t.Context(), 24*time.Hour); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := s.Sweep(t.Context(), 24*time.Hour); n != 0 || err != nil {
		t.Errorf("once more: %d, %v", n, err)
	}
}
