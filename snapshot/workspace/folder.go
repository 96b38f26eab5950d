package workspace

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// A folder is one local folder that is being listed: what its entries have in common,
// worked out once.
type folder struct {
	rules     *Rules
	local     string
	over      []reach
	own       []*rule  // whose local path is an entry
	git       []string // what git ignores in here and below
	secret    bool     // all that is in it is secret
	databases map[string]database
	locks     []string
}

// A reach is a rule that covers the folder.
type reach struct {
	*rule
	rel  string // the folder below the rule's
	here bool   // what it takes belongs into the listing
}

// A database is what was seen of a file that has sidecars.
type database struct {
	suffixes     []string
	sqlite, busy bool
}

// newFolder prepares to list a local folder with these entries for a remote one.
func newFolder(r *Rules, local, remote string, entries []fs.DirEntry) *folder {
	f := &folder{rules: r, local: local}
	for _, rule := range r.rules {
		if dir, _ := splitPath(rule.local); dir == local && rule.local != "" {
			f.own = append(f.own, rule)
		}
		rel, ok := below(rule.local, local)
		if !ok || rule.manifest {
			continue
		}
		f.over = append(f.over, reach{rule, rel, join(rule.remote, rel) == remote})
		if rule.git {
			f.git = under(r.git.paths, local)
		}
	}
	f.secret = local != "" && r.secrets.excluded(local, true) != nil
	for _, e := range entries {
		f.note(e, entries)
	}
	return f
}

// note remembers sidecars and lock files, which say something of their neighbours.
func (f *folder) note(e fs.DirEntry, entries []fs.DirEntry) {
	if e.Type() != 0 {
		return
	}
	if isLock(e.Name()) {
		f.locks = append(f.locks, e.Name())
	}
	name, suffix, ok := databaseOf(e.Name())
	if !ok {
		return
	}
	at, found := slices.BinarySearchFunc(entries, name, func(e fs.DirEntry, name string) int { return cmp.Compare(e.Name(), name) })
	if !found || entries[at].Type() != 0 {
		return
	}
	d, seen := f.databases[name]
	if !seen {
		d.sqlite = isSQLite(f.rules.path(join(f.local, name)))
	}
	d.suffixes = append(d.suffixes, suffix)
	if suffix != "-shm" {
		info, err := e.Info()
		d.busy = d.busy || err == nil && info.Size() > 0
	}
	if f.databases == nil {
		f.databases = make(map[string]database)
	}
	f.databases[name] = d
}

// isSQLite reports whether the file begins as an SQLite database does: see "Magic
// Header String" in https://www.sqlite.org/fileformat2.html.
func isSQLite(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [16]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && string(head[:]) == "SQLite format 3\x00"
}

// rule returns the rule that takes the entry and puts it into the listing. An entry that
// has a rule of its own stands in the listing of that rule's remote name; of a folder,
// others may take what that rule does not.
func (f *folder) rule(e fs.DirEntry, path string) *rule {
	dir := e.IsDir()
	for _, own := range f.own {
		if own.local == path && (own.all() || !dir) && (dir || !own.folder) {
			return nil
		}
	}
	for i := range f.over {
		r := &f.over[i]
		switch {
		case r.git:
			if !contains(f.git, path, dir) {
				continue
			}
		case r.pattern != "" && !r.matches(join(r.rel, e.Name()), dir):
			continue
		}
		if r.here {
			return r.rule
		}
		if !dir || r.all() {
			return nil
		}
	}
	return nil
}

// leftOut says whether an entry that rule takes stays behind. That the folder travels
// is known.
func (f *folder) leftOut(e fs.DirEntry, path string) (LeftOut, bool) {
	r, name := f.rules, e.Name()
	if reason := r.never(name, e.IsDir()); reason != "" {
		return LeftOut{path, alwaysOut, reason}, true
	}
	for _, l := range r.leave {
		if l.Local == path {
			return l, true
		}
	}
	if p := r.exclude.match(path, e.IsDir()); p != nil && !p.negated {
		return excludedBy(path, p), true
	}
	if f.databases != nil {
		if database, _, ok := databaseOf(name); ok && f.databases[database].sqlite {
			return sidecarOut(path, database), true
		}
	}
	return LeftOut{}, false
}

func excludedBy(path string, p *pattern) LeftOut {
	return LeftOut{path, fmt.Sprintf("exclude pattern %q", p.line), "the manifest excludes it"}
}

func sidecarOut(path, database string) LeftOut {
	return LeftOut{path, alwaysOut, "it belongs to the SQLite database " + database + ", which travels with what it holds"}
}

// rebuilt says whether an entry that no rule takes is one that git ignores and a tool
// makes again.
func (f *folder) rebuilt(e fs.DirEntry, path string) (LeftOut, bool) {
	if f.rules.git == nil || len(f.over) == 0 {
		return LeftOut{}, false
	}
	name := path
	if e.IsDir() {
		name += "/"
	}
	reason, ok := f.rules.git.reasons[name]
	return LeftOut{path, canRebuild, reason}, ok
}

// describe adds what the neighbours of a file say of it.
func (f *folder) describe(entry *Entry, name string) {
	entry.Secret = f.secret
	if p := f.rules.secrets.match(entry.Local, false); p != nil && !f.secret {
		entry.Secret = !p.negated
	}
	if d, ok := f.databases[name]; ok {
		entry.Sidecars, entry.SQLite, entry.Busy = d.suffixes, d.sqlite, d.busy
	}
	for _, lock := range f.locks {
		if isLockOf(lock, name) {
			entry.OpenIn = lock
		}
	}
}

// under is the part of sorted paths that lies below the folder.
func under(paths []string, dir string) []string {
	if dir == "" {
		return paths
	}
	begin, _ := slices.BinarySearch(paths, dir+"/")
	n, _ := slices.BinarySearchFunc(paths[begin:], dir+"/", func(path, dir string) int {
		if strings.HasPrefix(path, dir) {
			return -1
		}
		return 1
	})
	return paths[begin : begin+n]
}

// readDir reads a folder, sorted by name, and refuses a link that leads to one.
func readDir(path string, follow bool) ([]fs.DirEntry, error) {
	if follow {
		return os.ReadDir(path)
	}
	f, err := openDir(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return entries, err
}

// errNotFolder: what was a folder is one no longer, or the name of one is a file's.
var errNotFolder = errors.New("is not a folder")
