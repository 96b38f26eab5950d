package snapshot

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"satchel/store/durable"
	"satchel/store/pack"
)

// A Holder says what this system, for whoever runs it, can hold of a file beside its bytes.
// What it cannot hold is not to be taken for missing: a push keeps what the last snapshot
// says of it. It is safe for concurrent use.
type Holder struct {
	System string // as in runtime.GOOS
	Root   bool   // may give files away, and make devices
	UID    int    // who runs it; -1 on Windows
	GID    int

	mu     sync.Mutex // guards what follows
	owners map[string]string
}

// Here is the Holder for this process.
func Here() *Holder {
	return &Holder{System: runtime.GOOS, Root: os.Geteuid() == 0, UID: os.Geteuid(), GID: os.Getegid()}
}

// lookup asks for a user or group, once.
func (h *Holder) lookup(key string, ask func() (string, error)) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := h.owners[key]
	if !ok {
		if h.owners == nil {
			h.owners = map[string]string{}
		}
		v, _ = ask() // who has no name has a number
		h.owners[key] = v
	}
	return v
}

// nameOf is the name of a user or group; the number 0 always has one, as an entry without
// name and number says nothing.
func (h *Holder) nameOf(kind string, id uint32, ask func(string) (string, error)) string {
	name := h.lookup(kind+strconv.FormatUint(uint64(id), 10), func() (string, error) { return ask(strconv.FormatUint(uint64(id), 10)) })
	if name == "" || len(name) > maxOwner || !utf8.ValidString(name) {
		name = ""
		if id == 0 {
			name = "root"
		}
	}
	return name
}

func (h *Holder) userName(id uint32) string {
	return h.nameOf("u", id, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func (h *Holder) groupName(id uint32) string {
	return h.nameOf("g", id, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

// Owner finds who an entry's owner and group are here: by name, else by number; -1 where
// the entry does not say.
func (h *Holder) Owner(e *Entry) (uid, gid int) {
	return h.number("U", e.Owner, e.UID, func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}), h.number("G", e.Group, e.GID, func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		})
}

func (h *Holder) number(kind, name string, id uint32, ask func(string) (string, error)) int {
	if name == "" && id == 0 {
		return -1
	}
	if name != "" {
		if n, err := strconv.ParseUint(h.lookup(kind+name, func() (string, error) { return ask(name) }), 10, 32); err == nil {
			return int(n)
		}
	}
	return int(id)
}

// setOwner notes who owns a path.
func (h *Holder) setOwner(e *Entry, i durable.Info) {
	if i.Owned {
		e.Owner, e.Group, e.UID, e.GID = h.userName(i.UID), h.groupName(i.GID), i.UID, i.GID
	}
}

// about is what was seen of a path beside its bytes.
type about struct {
	info  durable.Info
	attrs []durable.Xattr
	bare  bool  // the file system has no extended attributes, or they cannot be read
	err   error // why not
}

// look looks at an open file.
func (h *Holder) look(f *os.File, info fs.FileInfo) (a about) {
	a.info, a.err = durable.InfoOfFile(f, info)
	if a.err == nil {
		a.take(durable.FileXattrs(f, h.Holds))
	}
	return a
}

// lookAt looks at what is not to be opened.
func (h *Holder) lookAt(r durable.Root, name string, info fs.FileInfo) about {
	a := about{info: durable.InfoOf(info)}
	a.take(r.Xattrs(name, h.Holds))
	return a
}

func (a *about) take(xs []durable.Xattr, err error) {
	if a.attrs, a.bare = xs, err != nil; !noXattrs(err) {
		a.err = err
	}
}

// Look returns what is at a path beside its bytes and other names, as a push would, with what
// cannot be seen here as want has it. partly: it could not be given all of want.
func (h *Holder) Look(r durable.Root, name string, info fs.FileInfo, want *Entry, partly bool) (Entry, error) {
	e := Entry{Name: want.Name, Type: want.Type, Link: want.Link, Streams: want.Streams}
	setMeta(&e, info)
	if e.Type == Symlink {
		e.Mode = 0o777
	}
	a := h.lookAt(r, name, info)
	h.setOwner(&e, a.info)
	e.attrs(a.attrs)
	content := *want
	content.Size, content.IDs, content.Depth, content.Target, content.Device, content.Node = 0, nil, 0, nil, 0, pack.ID{}
	h.keep(&e, &content, a.bare || partly)
	e.Link, e.Streams = want.Link, want.Streams
	return e, a.err
}

// Setuid returns the bits of a mode (setuid, setgid) that an entry may have here: those whose
// owner it will have.
func (h *Holder) Setuid(e *Entry) uint32 {
	uid, gid := h.Owner(e)
	allowed := uint32(0)
	if uid >= 0 && (h.Root || uid == h.UID) {
		allowed |= 0o4000
	}
	if gid >= 0 && (h.Root || gid == h.GID) {
		allowed |= 0o2000
	}
	return e.Mode & allowed
}

// Holds says whether an extended attribute of this name is read and set here.
func (h *Holder) Holds(attr string) bool {
	space, _, dotted := strings.Cut(attr, ".")
	switch h.System {
	case "linux":
		switch space {
		case "user":
			return dotted
		case "system":
			return attr == "system.posix_acl_access" || attr == "system.posix_acl_default"
		case "security": // labels and signatures are the system's, and made anew
			return h.Root && attr != "security.selinux" && attr != "security.ima" && attr != "security.evm" && !strings.HasPrefix(attr, "security.SMACK64")
		case "trusted":
			return h.Root && !strings.HasPrefix(attr, "trusted.overlay.")
		}
		return false
	case "darwin":
		switch attr { // what the system notes for itself, or does not let others set
		case "com.apple.provenance", "com.apple.macl", "com.apple.lastuseddate#PS", "com.apple.rootless", "com.apple.decmpfs":
			return false
		}
		return space != "system" && space != "security" && space != "trusted" && !strings.HasPrefix(attr, "com.apple.system.")
	}
	return false
}

// Minor says of an attribute or stream that another kind of system cannot hold whether
// nobody there will miss it: where a file was downloaded from, what a program noted.
func Minor(attr string) bool {
	return attr == "Zone.Identifier" || strings.HasPrefix(attr, "com.apple.") && attr != "com.apple.FinderInfo" && attr != "com.apple.ResourceFork"
}

// Streams says whether files have alternate streams here.
func (h *Holder) Streams() bool { return h.System == "windows" }

// Makes says whether a kind of entry can be made here, by type alone.
func (h *Holder) Makes(t Type) bool {
	switch t {
	case Socket:
		return false // it is nothing without the program that made it
	case Fifo:
		return h.System != "windows"
	case CharDevice, BlockDevice:
		return h.System != "windows" && h.Root
	}
	return true
}

// attrs sets the extended attributes of an entry. What is too large for it is named.
func (e *Entry) attrs(xs []durable.Xattr) (tooLarge []string) {
	all := 0
	for _, x := range xs {
		n := len(x.Name) + len(x.Value)
		if len(x.Name) > maxAttrName || len(x.Value) > maxAttr || all+n > maxAllAttrs || len(e.Xattrs) == maxXattrs {
			tooLarge = append(tooLarge, x.Name)
			continue
		}
		all += n
		e.Xattrs = append(e.Xattrs, Xattr{Name: []byte(x.Name), Value: x.Value})
	}
	return tooLarge
}

// HeldTime says whether here, a time that a file system gives, is the time recorded: it may
// keep it in coarser steps.
func HeldTime(here, recorded int64) bool {
	if here == recorded {
		return true
	}
	for _, step := range [...]int64{100, 1000, 1e9, 2e9} { // NTFS; old macOS; ext3, HFS+; FAT
		if here < recorded && recorded-here < step && here%step == 0 {
			return true
		}
	}
	return false
}

// keep takes over from the parent snapshot's entry of the same path what this system and user
// cannot hold, so that it is not taken for removed. bare: the file system has no extended
// attributes.
func (h *Holder) keep(e, prev *Entry, bare bool) {
	if prev == nil || prev.Type != e.Type {
		if h.System == "windows" { // which says that everybody may write
			e.Mode &^= 0o022
		}
		return
	}
	h.keepOwner(e, prev)
	h.keepMode(e, prev)
	h.keepXattrs(e, prev, bare)
	h.keepFlags(e, prev)
	if e.Btime == 0 || prev.Btime == 0 || HeldTime(e.Btime, prev.Btime) {
		e.Btime = prev.Btime // without one: the file was not born here
	}
	if e.SameContent(prev) && HeldTime(e.Mtime, prev.Mtime) {
		e.Mtime = prev.Mtime
	}
	if !h.Streams() {
		e.Streams = prev.Streams
	}
}

// keepOwner: who cannot give files away changes no owner; who can, by name where there are
// names.
func (h *Holder) keepOwner(e, prev *Entry) {
	if !h.Root || e.Owner == "" && e.UID == 0 && e.Group == "" && e.GID == 0 {
		e.Owner, e.Group, e.UID, e.GID = prev.Owner, prev.Group, prev.UID, prev.GID
		return
	}
	uid, gid := h.Owner(prev)
	if uid == int(e.UID) {
		e.Owner, e.UID = prev.Owner, prev.UID
	}
	if gid == int(e.GID) {
		e.Group, e.GID = prev.Group, prev.GID
	}
}

// keepMode: what is lost of a mode here is kept, unless the rest was changed.
func (h *Holder) keepMode(e, prev *Entry) {
	if h.System == "windows" { // which knows one bit
		writable := e.Mode & 0o200
		e.Mode = prev.Mode
		if e.Type == File && writable != prev.Mode&0o200 {
			e.Mode ^= 0o200
		}
		return
	}
	allowed := h.Setuid(prev)
	if e.Mode == prev.Mode&^0o6000|allowed {
		e.Mode = prev.Mode
	}
}

func (h *Holder) keepFlags(e, prev *Entry) {
	held := durable.FlagsOf(h.System) &^ durable.Archive // which every write sets
	e.Flags = e.Flags&held | prev.Flags&^held
	if e.Mode&prev.Mode&0o200 != 0 && held&durable.ReadOnly == 0 || prev.Mode&0o200 == 0 {
		// The mode says it: of a file that became writable here, or was read-only before.
		e.Flags &^= durable.ReadOnly
		e.Flags |= prev.Flags & durable.ReadOnly &^ durable.Flags(e.Mode>>7&1)
	}
}

// keepXattrs merges the attributes that are not held here with those that were found.
func (h *Holder) keepXattrs(e, prev *Entry, bare bool) {
	kept := false
	for _, x := range prev.Xattrs {
		if bare || !h.Holds(string(x.Name)) {
			e.Xattrs = append(e.Xattrs, x)
			kept = true
		}
	}
	if !kept {
		return
	}
	slices.SortStableFunc(e.Xattrs, func(a, b Xattr) int { return bytes.Compare(a.Name, b.Name) })
	e.Xattrs = slices.CompactFunc(e.Xattrs, func(a, b Xattr) bool { return bytes.Equal(a.Name, b.Name) })
	if e.checkXattrs() != nil { // together they are too many: what is here goes
		e.Xattrs = slices.Clone(prev.Xattrs)
	}
}

// noXattrs says that a file system or system has no extended attributes.
func noXattrs(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
