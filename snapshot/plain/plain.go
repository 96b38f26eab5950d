// Package plain takes over what the script that satchel replaces left in a container: each
// file as a blob under its plain name, which is the manifest's remote name, with the SHA-256 of
// its bytes as metadata.
//
//	found, err := plain.List(ctx, source, rules)      // what the manifest names, and the rest
//	bad, err := plain.Fetch(ctx, source, found.Files, root) // each checked, under its local name
//	same, unlike, err := plain.Verify(ctx, reader, snapshot.Root, found.Files)
//	removed, err := plain.Remove(ctx, source, same)         // older versions too
//
// What it promises: a blob whose bytes are not those that its metadata names is told and left
// out, never taken for whole; no name leads out of the folder that Fetch fills; Remove deletes
// nothing where a blob is not what Verify has read back from a snapshot.
package plain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"satchel/snapshot"
	"satchel/store"
	"satchel/store/pack"
)

// Names tells local names of remote ones; *workspace.Rules does.
type Names interface {
	Local(remote string) (local string, ok bool)
}

// A File is a blob that the manifest names.
type File struct {
	store.Foreign
	Local string // slash separated, below the workspace's root
}

// Found is what a container has of the script's.
type Found struct {
	Files []File
	Other []store.Foreign // the manifest does not name them, or not as a file can be called
}

// List looks at the current blobs.
func List(ctx context.Context, source store.Foreigners, names Names) (*Found, error) {
	found := new(Found)
	for f, err := range source.Foreign(ctx, false) {
		if err != nil {
			return nil, err
		}
		local, ok := names.Local(f.Name)
		if !ok || local == "." || !fs.ValidPath(local) || !filepath.IsLocal(filepath.FromSlash(local)) {
			found.Other = append(found.Other, f)
			continue
		}
		found.Files = append(found.Files, File{f, local})
	}
	return found, nil
}

// Fetch writes the files below root, which is empty, with the blobs' times, and returns those
// whose bytes are not what their metadata says: they are not written.
func Fetch(ctx context.Context, source store.Foreigners, files []File, root *os.Root) (bad []File, err error) {
	for _, f := range files {
		ok, err := fetch(ctx, source, f, root)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", f.Name, err)
		}
		if !ok {
			bad = append(bad, f)
		}
	}
	return bad, nil
}

func fetch(ctx context.Context, source store.Foreigners, f File, root *os.Root) (whole bool, err error) {
	name := filepath.FromSlash(f.Local)
	if err := root.MkdirAll(filepath.FromSlash(path.Dir(f.Local)), 0o700); err != nil {
		return false, err
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, err
	}
	sum := sha256.New()
	err = source.ReadForeign(ctx, f.Foreign, io.MultiWriter(file, sum))
	if err = errors.Join(err, file.Close()); err != nil {
		return false, err
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return false, root.Remove(name)
	}
	return true, root.Chtimes(name, time.Time{}, f.Time)
}

// Verify reads each file back from the tree root, and returns those that are there with the bytes of their blobs, and
// those that are not: a database that lay in the container with its -wal is one image in a snapshot.
func Verify(ctx context.Context, reader *snapshot.Reader, root pack.ID, files []File) (same, unlike []File, err error) {
	for _, f := range files {
		ok, err := verify(ctx, reader, root, f)
		if err != nil {
			return nil, nil, fmt.Errorf("%q: %w", f.Name, err)
		}
		if ok {
			same = append(same, f)
		} else {
			unlike = append(unlike, f)
		}
	}
	return same, unlike, nil
}

func verify(ctx context.Context, reader *snapshot.Reader, root pack.ID, f File) (bool, error) {
	e, err := reader.Find(ctx, root, f.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	sum := sha256.New()
	err = reader.Content(ctx, e, func(b []byte) error { sum.Write(b); return nil })
	return hex.EncodeToString(sum.Sum(nil)) == f.SHA256, err
}

// Removed is what became of the originals.
type Removed struct {
	Blobs int
	Bytes int64
	Kept  int // deleted, and kept by soft delete
	Days  int // the longest of them
}

// ErrChanged: a blob has other bytes than it had.
var ErrChanged = errors.New("somebody has written it meanwhile")

// Remove deletes the files' blobs, and with them their older versions: of what the script wrote over
// and over nothing stays but what soft delete keeps. It reports ErrChanged, and has deleted
// nothing, if a blob is no longer what it was.
func Remove(ctx context.Context, source store.Foreigners, files []File) (Removed, error) {
	hashes := make(map[string]string, len(files))
	for _, f := range files {
		hashes[f.Name] = f.SHA256
	}
	var out Removed
	for f, err := range source.Foreign(ctx, false) {
		if err != nil {
			return out, err
		}
		if want, ours := hashes[f.Name]; ours && f.SHA256 != want {
			return out, fmt.Errorf("%q: %w", f.Name, ErrChanged)
		}
	}
	for range 2 { // deleting the current one may make a version of it
		if err := out.pass(ctx, source, hashes); err != nil {
			return out, err
		}
	}
	for f, err := range source.Foreign(ctx, true) {
		if err != nil {
			return out, err
		}
		if _, ours := hashes[f.Name]; ours && f.Deleted {
			out.Kept, out.Days = out.Kept+1, max(out.Days, f.Days)
		}
	}
	return out, nil
}

func (r *Removed) pass(ctx context.Context, source store.Foreigners, hashes map[string]string) error {
	for f, err := range source.Foreign(ctx, true) {
		if err != nil {
			return err
		}
		if _, ours := hashes[f.Name]; !ours || f.Deleted {
			continue
		}
		if err := source.DeleteForeign(ctx, f); errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return err
		}
		r.Blobs, r.Bytes = r.Blobs+1, r.Bytes+f.Size
	}
	return nil
}
