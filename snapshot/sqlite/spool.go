package sqlite

import (
	"errors"
	"io/fs"
	"os"
)

// A spool is a private file on its way to become an image.
type spool struct {
	f      *os.File
	remove func() error // nil: it has no name any more
}

func newSpool(stage string) (*spool, error) {
	f, err := os.CreateTemp(stage, "image-*")
	if err != nil {
		return nil, err
	}
	s := &spool{f: f}
	if err := os.Remove(f.Name()); err != nil { // Windows: not while it is open
		s.remove = func() error { return os.Remove(f.Name()) }
	}
	return s, nil
}

func (s *spool) image(way Way, info fs.FileInfo) (*Image, error) {
	m, err := newImage(s.f, way, info)
	if err != nil {
		return nil, errors.Join(err, s.discard())
	}
	m.remove = s.remove
	return m, nil
}

func (s *spool) discard() error {
	err := s.f.Close()
	if s.remove != nil {
		err = errors.Join(err, s.remove())
	}
	return err
}
