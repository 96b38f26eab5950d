package workspace

import (
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const canRebuild = "can be rebuilt"

// rebuildable is a name whose bearers a tool makes again. It is a short list on
// purpose: it holds no name under which people keep what is theirs.
type rebuildable struct {
	name   string // a folder ends in a slash; "*" may stand at the beginning
	beside string // a file that must stand in the same folder, if not ""
	inside string // a file that must stand in this one, if not ""
	reason string
}

var rebuildableNames = []rebuildable{
	{name: "node_modules/", reason: "npm, yarn or pnpm installs it again"},
	{name: "bower_components/", beside: "bower.json", reason: "bower installs it again"},
	{name: ".venv/", reason: "a Python environment, to be made again from its requirements"},
	{name: "venv/", inside: "pyvenv.cfg", reason: "a Python environment, to be made again from its requirements"},
	{name: "env/", inside: "pyvenv.cfg", reason: "a Python environment, to be made again from its requirements"},
	{name: "__pycache__/", reason: "Python compiles it again"},
	{name: "*.pyc", reason: "Python compiles it again"},
	{name: "*.pyo", reason: "Python compiles it again"},
	{name: ".mypy_cache/", reason: "mypy makes it again"},
	{name: ".pytest_cache/", reason: "pytest makes it again"},
	{name: ".ruff_cache/", reason: "ruff makes it again"},
	{name: ".tox/", reason: "tox makes it again"},
	{name: ".nox/", reason: "nox makes it again"},
	{name: "target/", beside: "Cargo.toml", reason: "cargo builds it again"},
	{name: ".gradle/", reason: "gradle makes it again"},
	{name: ".terraform/", reason: "terraform init makes it again"},
	{name: ".next/", reason: "next builds it again"},
	{name: ".nuxt/", reason: "nuxt builds it again"},
	{name: ".svelte-kit/", reason: "vite builds it again"},
	{name: ".parcel-cache/", reason: "parcel makes it again"},
	{name: ".turbo/", reason: "turbo makes it again"},
	{name: ".cache/", reason: "a cache by its name"},
	{name: ".DS_Store", reason: "macOS makes it again"},
	{name: "Thumbs.db", reason: "Windows makes it again"},
}

// A cacheTag marks a folder as a cache: https://bford.info/cachedir/
const (
	cacheTag       = "CACHEDIR.TAG"
	cacheSignature = "Signature: 8a477f597d28d172789f06886806bc55"
)

func (b *rebuildable) matches(name string) bool {
	if suffix, ok := strings.CutPrefix(b.name, "*"); ok {
		return strings.HasSuffix(name, suffix)
	}
	return name == b.name
}

// rebuiltRows adds up what can be rebuilt: what its name tells by the name, the rest by
// path. Either is a line for a .gitignore.
func (g *gitIgnored) rebuiltRows(root string) []Row {
	byPath := make(map[string]*Row)
	for _, f := range g.rebuilt {
		key, reason := g.rebuiltAs(f)
		row := byPath[key]
		if row == nil {
			row = &Row{Path: key, Reason: reason}
			byPath[key] = row
		}
		row.add(root, f)
	}
	rows := make([]Row, 0, len(byPath))
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		rows = append(rows, *byPath[path])
	}
	return rows
}

// rebuiltAs returns the name or the path under which a file of g.rebuilt is counted.
func (g *gitIgnored) rebuiltAs(file string) (key, reason string) {
	for i := range len(file) + 1 {
		at := file[:i]
		if i < len(file) {
			if file[i] != '/' {
				continue
			}
			at = file[:i+1]
		}
		if reason, ok := g.reasons[at]; ok {
			name := lastName(at)
			for _, b := range rebuildableNames {
				if b.beside == "" && b.inside == "" && b.matches(name) {
					return b.name, reason
				}
			}
			return "/" + escape(at), reason
		}
	}
	return "/" + escape(file), ""
}

// escape makes a line for a .gitignore that means this path alone.
func escape(path string) string {
	path = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
	if rest, ok := strings.CutSuffix(path, " "); ok {
		path = rest + `\ `
	}
	return path
}

// rebuildableName says why the path can be rebuilt, if its name alone tells. A folder
// ends in a slash.
func rebuildableName(p string) (reason string, ok bool) {
	name := lastName(p)
	for i := range rebuildableNames {
		if b := &rebuildableNames[i]; b.beside == "" && b.inside == "" && b.matches(name) {
			return b.reason, true
		}
	}
	return "", false
}

// lastName is the last element of a path, with its slash if it has one.
func lastName(p string) string {
	return p[strings.LastIndexByte(strings.TrimSuffix(p, "/"), '/')+1:]
}

// rebuildables finds what can be rebuilt below root. It looks at the disk only where a
// name alone does not tell.
type rebuildables struct {
	root    string
	reasons map[string]string // found so far, by path; folders end in a slash
	known   map[string]string // the outermost such folder above or at each folder asked; "" if none
}

// markers finds the folders that hold a file which says what they are.
func (b *rebuildables) markers(paths []string) {
	for _, p := range paths {
		dir, name := path.Split(p)
		switch {
		case dir == "":
		case name == "pyvenv.cfg":
			b.reasons[dir] = "a Python environment, to be made again from its requirements"
		case name == cacheTag && isCacheTag(b.path(p)):
			b.reasons[dir] = "a cache, as its " + cacheTag + " says"
		}
	}
	b.known = nil
}

func isCacheTag(path string) bool {
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(cacheSignature))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == cacheSignature
}

// has reports whether the folder, which ends in a slash, or one above it can be rebuilt.
func (b *rebuildables) has(dir string) bool { return b.folder(dir) != "" }

// folder returns the outermost folder at or above dir that can be rebuilt, or "".
func (b *rebuildables) folder(dir string) string {
	if dir == "" {
		return ""
	}
	if found, ok := b.known[dir]; ok {
		return found
	}
	parent := dir[:strings.LastIndexByte(dir[:len(dir)-1], '/')+1]
	found := b.folder(parent)
	if found == "" && b.test(dir) {
		found = dir
	}
	if b.known == nil {
		b.known = make(map[string]string)
	}
	b.known[dir] = found
	return found
}

// test looks at one path, a folder ending in a slash, and notes why it can be rebuilt.
func (b *rebuildables) test(p string) bool {
	if _, ok := b.reasons[p]; ok {
		return true
	}
	name := lastName(p)
	for i := range rebuildableNames {
		r := &rebuildableNames[i]
		if r.matches(name) &&
			(r.inside == "" || b.exists(p+r.inside)) &&
			(r.beside == "" || b.exists(strings.TrimSuffix(p, name)+r.beside)) {
			b.reasons[p] = r.reason
			return true
		}
	}
	return false
}

func (b *rebuildables) exists(p string) bool {
	_, err := os.Lstat(b.path(p))
	return err == nil
}

func (b *rebuildables) path(p string) string {
	return filepath.Join(b.root, filepath.FromSlash(p))
}

// split divides files into those that travel and those that can be rebuilt.
func (b *rebuildables) split(files []string) (travel, rebuilt []string) {
	travel = files[:0]
	for _, f := range files {
		dir := f[:strings.LastIndexByte(f, '/')+1]
		if b.folder(dir) != "" || b.test(f) {
			rebuilt = append(rebuilt, f)
		} else {
			travel = append(travel, f)
		}
	}
	return travel, rebuilt
}
