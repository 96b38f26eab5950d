package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store/durable"
)

func attrs(names ...string) (xs []Xattr) {
	for _, n := range names {
		xs = append(xs, Xattr{Name: []byte(n), Value: []byte("value of " + n)})
	}
	return xs
}

// What a system or user cannot hold is taken over from the parent snapshot; what it can is
// as it is here.
func TestPushKeepsWhatIsNotHeldHere(t *testing.T) {
	linux := func() *Holder { return &Holder{System: "linux", UID: 1000, GID: 1000} }
	root := func() *Holder { return &Holder{System: "linux", Root: true} }
	windows := func() *Holder { return &Holder{System: "windows", UID: -1, GID: -1} }
	darwin := func() *Holder { return &Holder{System: "darwin", UID: 501, GID: 20} }
	streams := []Stream{{Name: []byte("s"), Content: Entry{Size: 1, IDs: make([]byte, 32)}}}
	const acl = "system.posix_acl_access"
	for _, c := range []struct {
		what       string
		h          *Holder
		bare       bool
		prev, here Entry
		want       Entry
	}{
		{what: "a user changes no owner", h: linux(),
			prev: Entry{Owner: "nobody-there", UID: 7, GID: 8}, here: Entry{Owner: "me", UID: 1000, GID: 1000},
			want: Entry{Owner: "nobody-there", UID: 7, GID: 8}},
		{what: "root does", h: root(),
			prev: Entry{Owner: "root", GID: 8}, here: Entry{Owner: "me", UID: 1000, GID: 1000},
			want: Entry{Owner: "me", UID: 1000, GID: 1000}},
		{what: "of root's own, name and number are the recorded ones", h: root(),
			prev: Entry{Owner: "root", UID: 77}, here: Entry{Owner: "root", Group: "root"},
			want: Entry{Owner: "root", Group: "root", UID: 77}},
		{what: "Windows knows no owner", h: windows(), prev: Entry{Owner: "anna", UID: 7}, want: Entry{Owner: "anna", UID: 7}},
		{what: "setuid of somebody else's is not lost", h: linux(),
			prev: Entry{Mode: 0o6755, UID: 7, GID: 8}, here: Entry{Mode: 0o755, UID: 1000, GID: 1000}, want: Entry{Mode: 0o6755, UID: 7, GID: 8}},
		{what: "setuid of one's own is", h: linux(),
			prev: Entry{Mode: 0o4755, UID: 1000, GID: 8}, here: Entry{Mode: 0o755, UID: 1000, GID: 8}, want: Entry{Mode: 0o755, UID: 1000, GID: 8}},
		{what: "a changed mode counts", h: linux(),
			prev: Entry{Mode: 0o4755, UID: 7}, here: Entry{Mode: 0o700, UID: 1000}, want: Entry{Mode: 0o700, UID: 7}},
		{what: "Windows knows one bit of a mode", h: windows(), prev: Entry{Mode: 0o640}, here: Entry{Mode: 0o666}, want: Entry{Mode: 0o640}},
		{what: "and that one counts", h: windows(), prev: Entry{Mode: 0o640}, here: Entry{Mode: 0o444, Flags: durable.ReadOnly}, want: Entry{Mode: 0o440, Flags: durable.ReadOnly}},
		{what: "read-only by mode alone", h: windows(), prev: Entry{Mode: 0o440}, here: Entry{Mode: 0o444, Flags: durable.ReadOnly}, want: Entry{Mode: 0o440}},
		{what: "a new file of Windows is not everybody's to write", h: windows(), prev: Entry{Type: Fifo}, here: Entry{Mode: 0o666}, want: Entry{Mode: 0o644}},
		{what: "Windows has no attributes", h: windows(), prev: Entry{Xattrs: attrs(acl, "user.a")}, want: Entry{Xattrs: attrs(acl, "user.a")}},
		{what: "Linux does, but no other's", h: linux(),
			prev: Entry{Xattrs: attrs("com.apple.FinderInfo", "trusted.a", "user.a", "user.gone")}, here: Entry{Xattrs: attrs("user.a", "user.b")},
			want: Entry{Xattrs: attrs("com.apple.FinderInfo", "trusted.a", "user.a", "user.b")}},
		{what: "root has those of root", h: root(), prev: Entry{Xattrs: attrs("security.capability", "trusted.a")}, want: Entry{}},
		{what: "labels are nobody's", h: root(), prev: Entry{Xattrs: attrs("security.selinux")}, want: Entry{Xattrs: attrs("security.selinux")}},
		{what: "a file system without them", h: root(), bare: true, prev: Entry{Xattrs: attrs("user.a")}, want: Entry{Xattrs: attrs("user.a")}},
		{what: "macOS has its own", h: darwin(),
			prev: Entry{Xattrs: attrs("com.apple.FinderInfo", "com.apple.provenance", acl)}, want: Entry{Xattrs: attrs("com.apple.provenance", acl)}},
		{what: "Linux has no flags", h: linux(), prev: Entry{Mode: 0o644, Flags: durable.Hidden | durable.Immutable}, here: Entry{Mode: 0o644},
			want: Entry{Mode: 0o644, Flags: durable.Hidden | durable.Immutable}},
		{what: "who makes a file writable takes the flag away", h: linux(), prev: Entry{Mode: 0o444, Flags: durable.ReadOnly | durable.System}, here: Entry{Mode: 0o644},
			want: Entry{Mode: 0o644, Flags: durable.System}},
		{what: "Windows has some", h: windows(), prev: Entry{Mode: 0o644, Flags: durable.Hidden | durable.System | durable.Immutable}, here: Entry{Mode: 0o666, Flags: durable.System},
			want: Entry{Mode: 0o644, Flags: durable.System | durable.Immutable}},
		{what: "macOS others", h: darwin(), prev: Entry{Mode: 0o644, Flags: durable.Hidden | durable.System}, here: Entry{Mode: 0o644, Flags: durable.NoDump},
			want: Entry{Mode: 0o644, Flags: durable.System | durable.NoDump}},
		{what: "only Windows has streams", h: linux(), prev: Entry{Streams: streams}, want: Entry{Streams: streams}},
		{what: "and may lose them", h: windows(), prev: Entry{Mode: 0o644, Streams: streams}, here: Entry{Mode: 0o666}, want: Entry{Mode: 0o644}},
		{what: "a file is born once", h: linux(), prev: Entry{Btime: 5}, want: Entry{Btime: 5}},
		{what: "and its birth is not made up", h: darwin(), here: Entry{Btime: 5}, want: Entry{}},
		{what: "a coarser time is the same", h: windows(), prev: Entry{Mtime: 1234567, Btime: 1234567}, here: Entry{Mtime: 1234500, Btime: 1234500},
			want: Entry{Mtime: 1234567, Btime: 1234567}},
		{what: "another is not", h: windows(), prev: Entry{Mtime: 1234567}, here: Entry{Mtime: 1234600}, want: Entry{Mtime: 1234600}},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := c.here
			c.h.keep(&got, &c.prev, c.bare)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error("(-want +got):", diff)
			}
			if !got.SameProperties(&c.want) {
				t.Error("the same are not")
			}
		})
	}
}

func TestAttributesTooLargeForAnEntryAreNamed(t *testing.T) {
	var e Entry
	xs := []durable.Xattr{{Name: "user.a", Value: make([]byte, 10)}, {Name: "user.big", Value: make([]byte, maxAttr+1)}, {Name: "user.c"}}
	if tooLarge := e.attrs(xs); len(tooLarge) != 1 || tooLarge[0] != "user.big" || len(e.Xattrs) != 2 || e.checkXattrs() != nil {
		t.Errorf("left out %v, kept %d", tooLarge, len(e.Xattrs))
	}
}
