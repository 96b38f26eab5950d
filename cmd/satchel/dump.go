package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store/ledger"
)

type dumpCmd struct {
	At     string   `placeholder:"TIME" help:"The newest snapshot at or before this time, such as yesterday."`
	Output string   `short:"o" placeholder:"FILE" help:"Into a new FILE instead of standard output."`
	Args   []string `arg:"" optional:"" name:"snapshot|path" help:"latest, @1 for the one before it, or at least 8 digits of a snapshot's id; then paths; -- before paths that look like one."`
}

func (dumpCmd) Help() string {
	return `Writes a snapshot, or the paths given of it, as a tar archive (PAX): modes, times to the nanosecond, links. Nothing
in it is encrypted.

Example:
  satchel dump -o clinic.tar
  satchel dump --at yesterday data | tar -x -C /tmp/then`
}

func (c dumpCmd) Run(a *app) error {
	if c.Output == "" && isTerminal(a.bytes) {
		return usageError{errors.New("dump: a tar archive is nothing for a terminal: give -o FILE, or a pipe")}
	}
	began, out := a.now(), &firstTry{Writer: a.bytes}
	a.raw = c.Output == ""
	return a.withSelection(c.Args, c.At, func(s *session, sel selection) error {
		if c.Output == "" {
			return out.run(func() error { _, err := s.dump(a.ctx, out, sel); return err })
		}
		d, err := s.dumpFile(c.Output, sel)
		if err != nil {
			return err
		}
		if a.JSON {
			f := s.snapshotFields(sel.snapshot)
			f["files"], f["bytes"], f["output"], f["requests"] = d.files, d.bytes, c.Output, s.store.requests()
			a.json("summary", f)
		}
		a.say("%s, %s of snapshot %s in %s · %s · %s", count(d.files, "file"), size(d.bytes), s.described(sel.snapshot), quoted(c.Output),
			count(s.store.requests(), "request"), seconds(a.now().Sub(began)))
		return nil
	})
}

// dumpFile dumps into a file that is not there yet, and leaves none where that fails.
func (s *session) dumpFile(name string, sel selection) (*dump, error) {
	path, err := s.a.abs(name)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there already: name another file, or remove it", quoted(name))
	} else if err != nil {
		return nil, err
	}
	d, err := s.dump(s.a.ctx, f, sel)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return d, nil
}

// dump is a tar archive in the making.
type dump struct {
	s     *session
	tar   *tar.Writer
	links map[string]string // the first name of files that are one, by what they have in common
	rules *workspace.Rules
	files int
	bytes int64
}

// dump writes what is selected. Where it fails the archive has no end, so that nobody takes it for whole.
func (s *session) dump(ctx context.Context, w io.Writer, sel selection) (*dump, error) {
	rules, _, err := s.rulesOf(sel.snapshot)
	if err != nil {
		return nil, err
	}
	paths := sel.paths
	if len(paths) == 0 {
		paths = []string{everything}
	}
	if err := s.read(rules, ledger.Disclosed, sel.snapshot, paths, ""); err != nil {
		return nil, err
	}
	d := &dump{s: s, tar: tar.NewWriter(w), links: map[string]string{}, rules: rules}
	err = s.eachSelected(ctx, sel, rules, func(remote string, e *snapshot.Entry) error {
		if err := d.entry(ctx, remote, e); err != nil {
			return fmt.Errorf("%s: %w", quoted(remote), err)
		}
		return nil
	})
	if err == nil {
		err = d.tar.Close()
	}
	return d, err
}

func (d *dump) entry(ctx context.Context, remote string, e *snapshot.Entry) error {
	h := header(e)
	h.Name = localOf(d.rules, remote, e)
	switch e.Type {
	case snapshot.File:
		if d.linked(h, e) {
			break
		}
		h.Typeflag, h.Size = tar.TypeReg, int64(e.Size)
		d.files++
		d.bytes += h.Size
	case snapshot.Dir:
		local, ok := d.rules.Local(remote + "/")
		if !ok {
			return nil // only what is in it has a place here
		}
		h.Typeflag, h.Name = tar.TypeDir, local+"/"
	case snapshot.Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, string(e.Target)
	case snapshot.Fifo:
		h.Typeflag = tar.TypeFifo
	default:
		return nil // devices and sockets are nothing without their system
	}
	if err := d.tar.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	return d.s.reader.Content(ctx, e, func(b []byte) error { _, err := d.tar.Write(b); return err })
}

// header is what an archive says of an entry beside its name and kind. Streams and flags have no place there.
func header(e *snapshot.Entry) *tar.Header {
	h := &tar.Header{Mode: int64(e.Mode), ModTime: time.Unix(0, e.Mtime), Format: tar.FormatPAX,
		Uid: int(e.UID), Gid: int(e.GID), Uname: e.Owner, Gname: e.Group}
	for _, x := range e.Xattrs {
		if name := string(x.Name); !strings.Contains(name, "=") { // which ends a name in PAX
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["SCHILY.xattr."+name] = string(x.Value)
		}
	}
	return h
}

// linked makes a link of a file that the archive has under another name.
func (d *dump) linked(h *tar.Header, e *snapshot.Entry) bool {
	if e.Link == 0 {
		return false
	}
	key := fmt.Sprint(e.Link, e.Size, string(e.IDs))
	first, ok := d.links[key]
	if !ok {
		d.links[key] = h.Name
		return false
	}
	h.Typeflag, h.Linkname = tar.TypeLink, first
	return true
}
