package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"satchel/store"
	"satchel/store/durable"
)

// Probe tries on this very file system what several devices rest on: of two creators of
// a name the second fails and the first one's bytes stay, also when they race, and names
// come back as they were given. It reports store.ErrUnsafe with what went wrong, or the
// system's error where it was not allowed to try. It removes what it made; after a crash
// a temporary file may be left.
func (s *Store) Probe(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return s.fail("probe", "", err)
	}
	if err := s.present(); err != nil {
		return s.fail("probe", "", err)
	}
	// As long as the longest names of a repository; never listed as an object.
	name := durable.TempName() + "-" + strings.ToLower(rand.Text()+rand.Text())
	path := filepath.Join(s.root, name)
	err := s.probe(path)
	if rerr := os.Remove(path); rerr != nil && err == nil {
		err = rerr
	}
	if err == nil {
		err = durable.SyncDir(s.root)
	}
	if err != nil {
		return s.fail("probe", "", s.missing(err, store.ErrUnsafe))
	}
	return nil
}

func (s *Store) probe(path string) error {
	first, err := race(path, 4)
	if err != nil {
		return err
	}
	if first < 0 {
		return unsafeBecause("several processes create one file, and each succeeds or all fail")
	}
	if err := durable.CreateExclusive(path, []byte("second"), fileMode); err == nil {
		return unsafeBecause("a file that is there is created once more")
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(data) != racer(first) {
		return unsafeBecause("a file does not keep the bytes of the one that created it")
	}
	list, err := os.ReadDir(s.root)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == filepath.Base(path) }) {
		return unsafeBecause("a file's name does not come back as it was given")
	}
	return nil
}

// race lets n creators loose on one path and returns which one succeeded, or -1 if not
// exactly one did.
func race(path string, n int) (int, error) {
	var wg sync.WaitGroup
	var won atomic.Int64
	winner, errs := -1, make([]error, n)
	for i := range n {
		wg.Go(func() {
			err := durable.CreateExclusive(path, []byte(racer(i)), fileMode)
			switch {
			case err == nil:
				if won.Add(1) == 1 {
					winner = i
				}
			case !errors.Is(err, fs.ErrExist):
				errs[i] = err
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		winner = -1
	}
	return winner, errors.Join(errs...)
}

func racer(i int) string { return fmt.Sprintf("creator %d", i) }

func unsafeBecause(why string) error { return fmt.Errorf("%w: %s", store.ErrUnsafe, why) }
