package main

import (
	"archive/tar"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/snapshot"
)

// Of files that are one the archive has the bytes once, and links for the other names.
func TestDumpLinksFilesThatAreOne(t *testing.T) {
	d := &dump{links: map[string]string{}}
	file := func(link uint64, size uint64) *snapshot.Entry {
		return &snapshot.Entry{Link: link, Size: size, IDs: make([]byte, 32)}
	}
	got := map[string]string{}
	for _, f := range []struct {
		name  string
		entry *snapshot.Entry
	}{{"a", file(7, 1)}, {"b", file(7, 1)}, {"c", file(7, 2)}, {"d", file(8, 1)}, {"e", file(0, 1)}, {"f", file(0, 1)}, {"g", file(8, 1)}} {
		h := &tar.Header{Name: f.name}
		if d.linked(h, f.entry) {
			got[f.name] = h.Linkname
		}
	}
	if diff := cmp.Diff(map[string]string{"b": "a", "g": "d"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDumpKeepsWhatAHeaderHasPlaceFor(t *testing.T) {
	h := header(&snapshot.Entry{Mode: 0o4755, Mtime: 1_000_000_001, Owner: "kim", UID: 501, Group: "staff", GID: 20,
		Xattrs: []snapshot.Xattr{{Name: []byte("user.a"), Value: []byte("b\x01")}, {Name: []byte("user.a=b"), Value: []byte("no")}}})
	if h.Mode != 0o4755 || h.ModTime.UnixNano() != 1_000_000_001 || h.Uname != "kim" || h.Uid != 501 || h.Gname != "staff" || h.Gid != 20 {
		t.Errorf("%+v", h)
	}
	if diff := cmp.Diff(map[string]string{"SCHILY.xattr.user.a": "b\x01"}, h.PAXRecords); diff != "" {
		t.Error(diff)
	}
}
