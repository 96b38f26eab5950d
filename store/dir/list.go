package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"syscall"

	"satchel/store"
)

// List implements store.Store. A folder's names are read and sorted at once; sizes and
// times are looked up one by one as they are yielded.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		l := lister{s: s, ctx: ctx, prefix: prefix, yield: yield}
		if err := l.run(); err != nil {
			yield(store.Object{}, s.fail("list", prefix, err))
		}
	}
}

type lister struct {
	s      *Store
	ctx    context.Context
	prefix string
	yield  func(store.Object, error) bool
}

// errStop: the consumer wants no more.
var errStop = errors.New("stop")

func (l *lister) run() error {
	if !store.ValidPrefix(l.prefix) {
		return errors.New("is not a valid prefix")
	}
	if err := l.s.present(); err != nil {
		return err
	}
	base := l.prefix[:strings.LastIndexByte(l.prefix, '/')+1] // "" or a folder with its slash
	err := l.folder(base)
	switch {
	case errors.Is(err, errStop):
		return nil
	case err != nil:
		return err
	}
	return l.s.present() // an empty mount point is no empty listing
}

// entry is a file, or a folder that may hold objects. Its key is its name within the
// parent, and a folder's ends in a slash: sorted by key, the objects come sorted by their
// whole names ("a-b" before "a/b" before "a0").
type entry struct {
	key string
	dir fs.DirEntry
}

// folder yields the objects under base, which is "" or ends in a slash.
func (l *lister) folder(base string) error {
	entries, err := l.read(base)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		name := base + e.key
		if sub := strings.HasSuffix(name, "/"); sub {
			if strings.HasPrefix(name, l.prefix) || strings.HasPrefix(l.prefix, name) {
				err = l.folder(name)
			}
		} else if strings.HasPrefix(name, l.prefix) {
			err = l.file(name, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read returns what may be or hold objects, sorted by key. A folder that is not there
// (any more) holds nothing: run looks whether the root is.
func (l *lister) read(base string) ([]entry, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(l.s.file(base))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	entries := make([]entry, 0, len(list))
	for _, d := range list {
		name := base + d.Name()
		if !store.ValidName(name) {
			continue
		}
		isDir := d.IsDir()
		if d.Type()&fs.ModeSymlink != 0 { // somebody moved a part to another disk
			info, err := os.Stat(l.s.file(name))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, explain(err))
			}
			isDir = info.IsDir()
		}
		key := d.Name()
		if isDir {
			key += "/"
		}
		entries = append(entries, entry{key, d})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return entries, nil
}

func (l *lister) file(name string, e entry) error {
	info, err := e.dir.Info()
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		info, err = os.Stat(l.s.file(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, explain(err))
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	if !l.yield(store.Object{Name: name, Size: info.Size(), Time: info.ModTime()}, nil) {
		return errStop
	}
	return nil
}
