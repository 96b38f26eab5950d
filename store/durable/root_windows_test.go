package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWindowsProperties(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "d"), 0o755), os.WriteFile(filepath.Join(dir, "d", "f"), []byte("x"), 0o644))
	old, born := time.Unix(1_000_000_000, 123_456_700), time.Unix(900_000_000, 0)
	must(r.SetBirth("d/f", born), r.Lchtimes("d/f", old), r.SetFlags("d/f", ReadOnly|Hidden))
	info, err := r.Lstat("d/f")
	must(err)
	i := InfoOf(info)
	if !info.ModTime().Equal(old) || i.Flags&^Archive != ReadOnly|Hidden || i.Birth != born.UnixNano() && i.Birth != old.UnixNano() { // Wine has no time of creation

		t.Errorf("mtime %v, %+v", info.ModTime(), i)
	}
	must(r.SetFlags("d/f", 0), r.Link("d/f", "d/g"))
	f, err := os.Open(filepath.Join(dir, "d", "g"))
	must(err)
	defer f.Close()
	if i, err = InfoOfFile(f, info); err != nil || i.Links != 2 || i.ID == (FileID{}) {
		t.Errorf("%+v, %v", i, err)
	}
	if err := r.SetFlags("../x", Hidden); err == nil {
		t.Error("it left the root")
	}
	long := strings.Repeat("a-name-of-some-length/", 20) + "file"
	must(r.MkdirAll(filepath.ToSlash(filepath.Dir(long)), 0o755))
	w, err := r.OpenFile(long, os.O_WRONLY|os.O_CREATE, 0o644)
	must(err)
	must(w.Close(), r.Lchtimes(long, old), r.SetFlags(long, Hidden), f.Close(), r.SetFlags("d/f", ReadOnly))
	must(r.RemoveAll("a-name-of-some-length"), r.RemoveAll("d"))
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestWindowsStreams(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("main"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := r.OpenStream("f", "note", true)
	if err != nil {
		t.Skipf("no streams here: %v", err) // Wine
	}
	_, err = io.WriteString(w, "beside")
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Join(dir, "f:note")) // Wine makes a file of a stream
	defer r.Remove("f")
	defer f.Close()
	all, err := FileStreams(f)
	if err != nil || len(all) == 0 {
		t.Skipf("streams are not listed here: %v, %v", all, err) // Wine
	}
	if len(all) != 1 || all[0] != (Stream{"note", 6}) {
		t.Errorf("%v", all)
	}
}

// A chain of FILE_STREAM_INFO is read as far as it goes, and no further.
func TestWindowsParsesStreams(t *testing.T) {
	one := func(next uint32, name string) []byte {
		b := []byte{byte(next), byte(next >> 8), 0, 0, byte(2 * len(name)), 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		for _, c := range name {
			b = append(b, byte(c), 0)
		}
		return b
	}
	first := one(40, "::$DATA")
	first = append(first, make([]byte, 40-len(first))...)
	all := parseStreams(append(first, one(0, ":note:$DATA")...))
	if len(all) != 1 || all[0] != (Stream{"note", 5}) {
		t.Errorf("%v", all)
	}
	for n := range first {
		parseStreams(first[:n])
	}
}
