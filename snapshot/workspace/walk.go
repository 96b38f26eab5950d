package workspace

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// A Tree reads the workspace as the snapshot sees it: by remote names. It is safe for
// concurrent use.
type Tree struct {
	*Rules
	mounts map[string][]mount // by remote folder, sorted by name
}

// An Entry is one name in a remote folder.
type Entry struct {
	Name  string      // base name in the remote tree
	Local string      // path below the root, slash separated; "" if there is none, or it is the root
	Type  fs.FileMode // type bits alone: 0 for a regular file, fs.ModeDir, fs.ModeSymlink, ...
	Info  fs.FileInfo // from one lstat; nil for a folder that exists only remotely

	KeepEmpty bool // a folder that travels even if nothing in it does
	Secret    bool // a file that the manifest's secrets name

	// Sidecars are the suffixes (-wal, -shm, -journal) of the files beside this one that
	// bear its name. Only a file that has some is opened: SQLite says whether it begins
	// as a database, in which case they do not travel (without SQLite, a -wal may mean
	// an encrypted database). Busy: a -wal or -journal is not empty.
	Sidecars     []string
	SQLite, Busy bool

	// OpenIn is the name of the lock file that says that an office program has the
	// document open, or "".
	OpenIn string
}

// IsDir reports whether the entry is a folder, to be read with [Tree.ReadDir].
func (e *Entry) IsDir() bool { return e.Type == fs.ModeDir }

// A Listing is one remote folder.
type Listing struct {
	Entries    []Entry      // sorted by name as bytes
	LeftOut    []LeftOut    // what a rule covers and what does not travel all the same
	Unreadable []Unreadable // what should travel and could not be looked at
}

// LeftOut says why a path does not travel.
type LeftOut struct {
	Local  string // below the root
	Rule   string // what says so
	Reason string
}

// Unreadable is a path that travels, and whose kind or content could not be learnt. Of
// a folder, what was listed may be a part.
type Unreadable struct {
	Local string // below the root
	Err   error
}

// ErrSymlink: a rule's local path leads through a symbolic link.
var ErrSymlink = errors.New("is a symbolic link, which satchel does not follow")

// A ClashError says that two local paths would travel under one remote name.
type ClashError struct {
	Remote string
	Local  [2]string
}

func (e *ClashError) Error() string {
	return fmt.Sprintf("%s and %s would both travel as %s", e.Local[0], e.Local[1], e.Remote)
}

// Open prepares the walk. It fails if the root is not a folder.
func (r *Rules) Open() (*Tree, error) {
	info, err := os.Stat(r.root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", r.root)
	}
	t := &Tree{Rules: r, mounts: make(map[string][]mount)}
	for _, rule := range r.rules {
		if rule.remote == "" {
			continue
		}
		dir, name := splitPath(rule.remote)
		t.mount(dir, mount{name, rule})
		for dir != "" {
			dir, name = splitPath(dir)
			t.mount(dir, mount{name: name})
		}
	}
	return t, nil
}

// mount adds m, unless the folder is there already; a rule comes before none.
func (t *Tree) mount(dir string, m mount) {
	at, found := slices.BinarySearchFunc(t.mounts[dir], m.name, func(m mount, name string) int { return cmp.Compare(m.name, name) })
	switch {
	case !found:
		t.mounts[dir] = slices.Insert(t.mounts[dir], at, m)
	case m.rule != nil:
		t.mounts[dir][at] = m
	}
}

func splitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// ReadDir lists a remote folder, with or without a slash at its end; "" is the root. It
// reads the local folder behind it once and looks at each file in it once, at the time
// of the call; a file that vanishes meanwhile is not listed. What cannot be read is in
// the listing: ReadDir itself fails only for the root, and with a [*ClashError].
//
// The caller recurses into entries that are folders; one that ends up without content
// is to be dropped unless it is marked KeepEmpty.
func (t *Tree) ReadDir(remote string) (*Listing, error) {
	remote = strings.TrimSuffix(remote, "/")
	l := &listing{tree: t, remote: remote}
	behind := t.behind(remote)
	sure := remote != "" && len(behind) == 1 && len(t.mounts[remote]) == 0
	for _, local := range behind {
		if ok, err := l.enter(local, sure); !ok {
			l.unreadable(local, err)
		} else if err := l.read(local); err != nil {
			return nil, err
		}
	}
	for _, m := range t.mounts[remote] {
		if err := l.mount(m); err != nil {
			return nil, err
		}
	}
	if remote == "" && t.git != nil {
		l.Unreadable = append(l.Unreadable, t.git.unreadable...)
	}
	if len(behind) > 1 || len(t.mounts[remote]) > 0 {
		slices.SortStableFunc(l.Entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	}
	if len(behind) > 1 {
		if err := l.clash(); err != nil {
			return nil, err
		}
	}
	return &l.Listing, nil
}

// behind returns the local folders of which something may stand in the remote folder.
// There is more than one only if folders are renamed into each other.
func (t *Tree) behind(remote string) (dirs []string) {
	for _, rule := range t.byRemote {
		rel, ok := below(rule.remote, remote)
		if !ok || rule.manifest {
			continue
		}
		local := join(rule.local, rel)
		if rel == "" || rule.matches(rel, true) && (!rule.git || t.git.has(local, true)) {
			if !slices.Contains(dirs, local) {
				dirs = append(dirs, local)
			}
		}
	}
	return dirs
}

// A listing is a Listing in the making.
type listing struct {
	Listing
	tree   *Tree
	remote string
}

func (l *listing) unreadable(local string, err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.Unreadable = append(l.Unreadable, Unreadable{local, err})
	}
}

// enter reports whether a local folder is to be read. That is sure if the remote folder
// was listed because of it; it may also be there for what rules put into it.
func (l *listing) enter(local string, sure bool) (bool, error) {
	if sure || local == "" {
		return true, nil
	}
	if err := l.tree.reachable(local); err != nil {
		return false, err
	}
	rule := l.tree.govern(local, true)
	if rule == nil {
		return false, nil
	}
	out, ok := l.tree.leftOut(local, true, rule)
	if ok && l.remote == "" {
		l.LeftOut = append(l.LeftOut, out)
	}
	return !ok, nil
}

// read adds what of a local folder belongs into the listing.
func (l *listing) read(local string) error {
	t := l.tree
	entries, err := readDir(t.path(local), local == "")
	if err != nil && local == "" {
		return err
	}
	if err != nil {
		l.unreadable(local, err)
	}
	f := newFolder(t.Rules, local, l.remote, entries)
	l.Entries = slices.Grow(l.Entries, len(entries))
	for _, e := range entries {
		path := join(local, e.Name())
		rule := f.rule(e, path)
		out, ok := LeftOut{}, false
		if rule == nil {
			out, ok = f.rebuilt(e, path)
		} else {
			out, ok = f.leftOut(e, path)
		}
		if ok {
			l.LeftOut = append(l.LeftOut, out)
		}
		if ok || rule == nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			l.unreadable(path, err)
			continue
		}
		entry := Entry{Name: e.Name(), Local: path, Type: info.Mode().Type(), Info: info}
		if info.IsDir() {
			entry.KeepEmpty = rule.all()
		} else {
			f.describe(&entry, e.Name())
		}
		l.Entries = append(l.Entries, entry)
	}
	return nil
}

// clash reports two entries of one name, or one that would come back elsewhere.
func (l *listing) clash() error {
	for i, e := range l.Entries {
		remote := join(l.remote, e.Name)
		if i > 0 && l.Entries[i-1].Name == e.Name {
			return &ClashError{remote, [2]string{l.Entries[i-1].Local, e.Local}}
		}
		if e.IsDir() {
			continue
		}
		if back, ok := l.tree.Local(remote); ok && back != e.Local {
			return &ClashError{remote, [2]string{e.Local, back}}
		}
	}
	return nil
}
