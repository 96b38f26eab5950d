package workspace

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// A mount is a name in a remote folder that a rule puts there. Without a rule it is a
// folder that exists because a rule puts something below it.
type mount struct {
	name string
	rule *rule
}

// mount adds what a rule puts into the listing by its own name.
func (l *listing) mount(m mount) error {
	t, remote := l.tree, join(l.remote, m.name)
	same := slices.IndexFunc(l.Entries, func(e Entry) bool { return e.Name == m.name })
	if m.rule != nil {
		if same >= 0 && l.Entries[same].Local != m.rule.local {
			return &ClashError{remote, [2]string{l.Entries[same].Local, m.rule.local}}
		}
		entry, ok, err := l.lookAt(m)
		switch {
		case err != nil:
			l.unreadable(m.rule.local, err)
		case ok && same >= 0:
			l.Entries[same].KeepEmpty = l.Entries[same].KeepEmpty || entry.KeepEmpty
		case ok:
			same = len(l.Entries)
			l.Entries = append(l.Entries, entry)
		}
	}
	switch {
	case t.mounts[remote] == nil: // no rule puts anything below
	case same < 0:
		l.Entries = append(l.Entries, Entry{Name: m.name, Type: fs.ModeDir})
	case !l.Entries[same].IsDir():
		return &ClashError{remote, [2]string{l.Entries[same].Local, t.firstBelow(remote)}}
	}
	return nil
}

// firstBelow is the local name of a rule whose remote name is below remote.
func (t *Tree) firstBelow(remote string) string {
	for _, rule := range t.rules {
		if rel, ok := below(remote, rule.remote); ok && rel != "" {
			return rule.local
		}
	}
	return ""
}

// lookAt makes the entry of a rule's own local path; ok is false if nothing travels.
func (l *listing) lookAt(m mount) (entry Entry, ok bool, err error) {
	t, local := l.tree, m.rule.local
	if err := t.reachable(local); err != nil {
		return entry, false, err
	}
	info, err := t.lstat(local)
	if err != nil {
		return entry, false, err
	}
	dir := info.IsDir()
	if m.rule.folder && info.Mode().Type() == fs.ModeSymlink {
		return entry, false, fmt.Errorf("%s %w", local, ErrSymlink)
	}
	if m.rule.folder && !dir && t.govern(local, false) != m.rule || m.rule.manifest && dir {
		return entry, false, nil
	}
	if out, ok := t.outOnDisk(local, dir, m.rule); ok {
		l.LeftOut = append(l.LeftOut, out)
		return entry, false, nil
	}
	entry = Entry{Name: m.name, Local: local, Type: info.Mode().Type(), Info: info}
	if dir {
		entry.KeepEmpty = m.rule.all()
	} else {
		parent, name := splitPath(local)
		newFolder(t.Rules, parent, "", t.beside(parent, name)).describe(&entry, name)
	}
	return entry, true, nil
}

// reachable reports an error if a folder above the path is a link or none at all.
func (r *Rules) reachable(local string) error {
	for i := range len(local) {
		if local[i] != '/' {
			continue
		}
		switch info, err := r.lstat(local[:i]); {
		case err != nil:
			return err
		case info.Mode().Type() == fs.ModeSymlink:
			return fmt.Errorf("%s %w", local[:i], ErrSymlink)
		case !info.IsDir():
			return fmt.Errorf("%s: %w", local, fs.ErrNotExist)
		}
	}
	return nil
}

// lstat follows a link only if it is the root.
func (r *Rules) lstat(local string) (fs.FileInfo, error) {
	if local == "" {
		return os.Stat(r.root)
	}
	return os.Lstat(r.path(local))
}

// outOnDisk is leftOut for a path that exists, with what only the disk can tell.
func (r *Rules) outOnDisk(local string, dir bool, rule *rule) (LeftOut, bool) {
	if out, ok := r.leftOut(local, dir, rule); ok {
		return out, true
	}
	if rule.folder && !dir && local == rule.local {
		return LeftOut{local, rule.text, "the rule is for a folder, and this is none"}, true
	}
	parent, name := splitPath(local)
	if database, _, ok := databaseOf(name); ok && !dir {
		f := newFolder(r, parent, "", r.beside(parent, database))
		if f.databases[database].sqlite {
			return sidecarOut(local, database), true
		}
	}
	return LeftOut{}, false
}

// beside finds a file and those which may belong to it, without reading the folder.
func (r *Rules) beside(dir, name string) (entries []fs.DirEntry) {
	names := []string{name, ".~lock." + name + "#", "~$" + name}
	for _, suffix := range sidecars {
		names = append(names, name+suffix)
	}
	for n, runes := 0, []rune(name); n < 2 && n < len(runes); n++ {
		names = append(names, "~$"+string(runes[n+1:]))
	}
	for _, name := range names {
		if info, err := os.Lstat(r.path(join(dir, name))); err == nil {
			entries = append(entries, fs.FileInfoToDirEntry(info))
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return slices.CompactFunc(entries, func(a, b fs.DirEntry) bool { return a.Name() == b.Name() })
}
