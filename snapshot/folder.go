package snapshot

import (
	"os"
	"strings"
)

// folders opens files below a root. It keeps the folders open that lead to the last one, as the
// next mostly lies in the same or near it: os.Root opens every folder of a path each time. It
// is for one goroutine.
type folders struct {
	root *os.Root
	path []folder // from the root down
}

// folder is one that is open, of this name in the one before.
type folder struct {
	name string
	root *os.Root
}

// open opens a file for reading, by its slash separated path. Where that fails the folders may have
// been moved or replaced meanwhile, and it goes by the whole path.
func (f *folders) open(local string) (*os.File, error) {
	dir, base := "", local
	if i := strings.LastIndexByte(local, '/'); i >= 0 {
		dir, base = local[:i], local[i+1:]
	}
	if here, err := f.enter(dir); err == nil {
		if file, err := here.OpenFile(base, os.O_RDONLY|nonblock, 0); err == nil {
			return file, nil
		}
	}
	f.leave(0)
	return f.root.OpenFile(local, os.O_RDONLY|nonblock, 0)
}

// enter opens a folder; "" is the root.
func (f *folders) enter(dir string) (*os.Root, error) {
	here, depth := f.root, 0
	for dir != "" {
		name, rest, _ := strings.Cut(dir, "/")
		if depth == len(f.path) || f.path[depth].name != name {
			f.leave(depth)
			r, err := here.OpenRoot(name)
			if err != nil {
				return nil, err
			}
			f.path = append(f.path, folder{name, r})
		}
		here, dir = f.path[depth].root, rest
		depth++
	}
	return here, nil
}

// leave closes all but the first folders.
func (f *folders) leave(stay int) {
	for _, d := range f.path[stay:] {
		d.root.Close()
	}
	f.path = f.path[:stay]
}
