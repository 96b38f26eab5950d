package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"satchel/snapshot/sqlite"
)

// A database is read as one moment of it, however slowly w takes it, and once more if it is the
// file itself that was read and somebody wrote to it.
func ExampleOpen() {
	push := func(ctx context.Context, path, stage string, w io.Writer) error {
		img, err := sqlite.Open(ctx, path, sqlite.Options{Stage: stage})
		if errors.Is(err, sqlite.ErrNotDatabase) || errors.Is(err, sqlite.ErrDamaged) {
			return fmt.Errorf("travels as a plain file: %w", err)
		} else if err != nil {
			return err
		}
		defer img.Close()
		if _, err := io.Copy(w, img); err != nil {
			return err
		}
		return img.Unchanged() // ErrChanged: once more
	}
	_ = push
}
