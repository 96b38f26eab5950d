package workspace

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Proposal is a first manifest for a folder that has none.
type Proposal struct {
	Manifest *Manifest // without store and workspace id
	Rows     []Row     // what travels, then what does not, each sorted by path
	Source   string    // "what git ignores" or "the whole folder"
	Warnings []string
}

// A Row is one line of what would travel and what would not.
type Row struct {
	Path   string // below the root, or a .gitignore line if it is left out; a folder ends in a slash
	Files  int
	Size   int64 // bytes
	Taken  bool
	Reason string // what it seems to be; or why it is left out
}

func (r *Row) add(root, file string) {
	r.Files++
	if info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(file))); err == nil && info.Mode().IsRegular() {
		r.Size += info.Size()
	}
}

// usualExcludes stand in every manifest that is proposed.
var usualExcludes = []string{"*.pyc", "__pycache__/", ".venv/", "node_modules/"}

// usualSecrets are proposed where there are such files.
var usualSecrets = []string{".env", ".env.*", "*.pem", "*.key", "*.pfx", "*.p12"}

// Propose looks at the folder, takes no notice of a manifest that may be there, and
// proposes one: a rule for each folder all of whose files travel, and for each file
// elsewhere. What can be rebuilt is left out. It looks at each file once.
func Propose(ctx context.Context, root string) (*Proposal, error) {
	rules, err := New(ctx, root, nil)
	if err != nil {
		return nil, err
	}
	p := &proposer{
		Proposal: Proposal{Manifest: &Manifest{Version: ManifestVersion}, Source: rules.source, Warnings: rules.warnings},
		rules:    rules,
		found:    rules.git,
	}
	if rules.source == sourceWhole {
		p.found = wholeFolder(rules.root)
	}
	p.found.paths = slices.DeleteFunc(p.found.paths, func(file string) bool {
		_, out := rules.outOnDisk(file, false, rules.rules[0])
		return out
	})
	m := p.Manifest
	if rules.source == sourceGit {
		p.children("")
	} else {
		p.topLevel()
		m.SyncPaths = []SyncPath{{Local: "./", Remote: "./", Pattern: "**/*", Description: "The whole folder"}}
	}
	for _, u := range p.found.unreadable {
		p.Warnings = append(p.Warnings, u.Local+": "+u.Err.Error())
	}
	slices.SortFunc(p.Rows, func(a, b Row) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(m.SyncPaths, func(a, b SyncPath) int { return cmp.Compare(a.Local, b.Local) })
	m.SyncPaths = append(m.SyncPaths, SyncPath{Local: ManifestName, Remote: ManifestName, Description: "This manifest"})
	for _, line := range usualSecrets {
		if g := parseIgnore([]string{line}); slices.ContainsFunc(p.found.paths, func(f string) bool { return g.match(f, false) != nil }) {
			m.Secrets = append(m.Secrets, line)
		}
	}
	m.ExcludePatterns = slices.Clone(usualExcludes)
	for _, row := range p.found.rebuiltRows(rules.root) {
		if !slices.Contains(m.ExcludePatterns, row.Path) {
			m.ExcludePatterns = append(m.ExcludePatterns, row.Path)
		}
		p.Rows = append(p.Rows, row)
	}
	return &p.Proposal, nil
}

// wholeFolder finds the files of a folder without git.
func wholeFolder(root string) *gitIgnored {
	var a answer
	a.everything(root, "")
	g := &gitIgnored{reasons: make(map[string]string), unreadable: a.unreadable}
	slices.Sort(a.files)
	b := rebuildables{root: root, reasons: g.reasons}
	b.markers(a.files)
	g.paths, g.rebuilt = b.split(a.files)
	return g
}

// A proposer groups what travels into rules.
type proposer struct {
	Proposal
	rules *Rules
	found *gitIgnored
}

// topLevel adds a row for each name in the root.
func (p *proposer) topLevel() {
	for i := 0; i < len(p.found.paths); {
		name, _, more := strings.Cut(p.found.paths[i], "/")
		files := p.found.paths[i : i+1]
		if more {
			files = under(p.found.paths, name)
			name += "/"
		}
		if name != ManifestName {
			p.row(name, files)
		}
		i += len(files)
	}
}

// row adds a row for these files and returns what they seem to be.
func (p *proposer) row(path string, files []string) string {
	row := Row{Path: path, Taken: true}
	for _, f := range files {
		row.add(p.rules.root, f)
	}
	row.Reason = describe(files)
	p.Rows = append(p.Rows, row)
	return row.Reason
}

// rule adds a row and a rule.
func (p *proposer) rule(local, pattern string, files []string) {
	if clean, _, err := cleanPath(local); err != nil || !utf8.ValidString(local) || clean != strings.TrimSuffix(local, "/") {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%q cannot be written in a manifest; with include_git_ignored it travels", local))
		return
	}
	what := p.row(local+strings.TrimPrefix(pattern, "**/*"), files)
	p.Manifest.SyncPaths = append(p.Manifest.SyncPaths, SyncPath{Local: shownFolder(local), Remote: shownFolder(local), Pattern: pattern, Description: what})
}

// shownFolder writes the root as a folder.
func shownFolder(local string) string {
	if local == "" {
		return "./"
	}
	return local
}

// children makes rules for what is in a folder that does not travel as a whole.
func (p *proposer) children(dir string) {
	entries, _ := os.ReadDir(p.rules.path(dir)) // git has complained, or the walk will
	var loose []string
	var others []string // names of files that stay
	for _, e := range entries {
		file := join(dir, e.Name())
		switch {
		case file == ManifestName:
		case e.IsDir() && !contains(p.found.paths, file, true):
		case e.IsDir() && p.whole(file):
			p.rule(file+"/", "**/*", under(p.found.paths, file))
		case e.IsDir():
			p.children(file)
		case contains(p.found.paths, file, false):
			loose = append(loose, file)
		default:
			others = append(others, e.Name())
		}
	}
	if pattern, rest := gather(loose, others); pattern != "" {
		if dir != "" {
			dir += "/"
		}
		p.rule(dir, pattern, slices.DeleteFunc(slices.Clone(loose), func(f string) bool { return slices.Contains(rest, f) }))
		loose = rest
	}
	for _, file := range loose {
		p.rule(file, "", []string{file})
	}
}

// whole reports whether all files of a folder travel, but for those that never do and
// those that can be rebuilt.
func (p *proposer) whole(dir string) bool {
	entries, err := os.ReadDir(p.rules.path(dir))
	if err != nil {
		return false
	}
	f := newFolder(p.rules, dir, "", entries)
	for _, e := range entries {
		file := join(dir, e.Name())
		_, out := f.leftOut(e, file)
		switch {
		case out:
		case e.IsDir() && (p.found.reasons[file+"/"] != "" || p.whole(file)):
		case !e.IsDir() && (contains(p.found.paths, file, false) || p.found.reasons[file] != ""):
		default:
			return false
		}
	}
	return true
}

// manyFiles is how many single files in one folder are gathered under a pattern.
const manyFiles = 8

// gather finds a pattern for many files of one folder by their extensions, such that
// it takes none of the others; rest is what it does not take either.
func gather(files, others []string) (pattern string, rest []string) {
	if len(files) <= manyFiles {
		return "", files
	}
	count := make(map[string]int)
	for _, f := range files {
		count[path.Ext(f)]++
	}
	var extensions []string
	for ext := range count {
		plain := len(ext) > 1 && strings.IndexFunc(ext[1:], func(c rune) bool { return c > 0x7f || !isDigit(byte(c)) && !isLower(byte(c)|0x20) }) < 0
		if plain && !slices.ContainsFunc(others, func(name string) bool { return path.Ext(name) == ext }) {
			extensions = append(extensions, ext[1:])
		}
	}
	if len(extensions) == 0 {
		return "", files
	}
	slices.Sort(extensions)
	for _, f := range files {
		if ext := path.Ext(f); len(ext) < 2 || !slices.Contains(extensions, ext[1:]) {
			rest = append(rest, f)
		}
	}
	if len(extensions) == 1 {
		return "*." + extensions[0], rest
	}
	return "*.{" + strings.Join(extensions, ",") + "}", rest
}

// describe says in a few words what files seem to be, by the names of most of them.
func describe(files []string) string {
	count := make(map[string]int)
	best := ""
	for _, f := range files {
		kind := kindOf(f)
		if count[kind]++; count[kind] > count[best] || count[kind] == count[best] && kind < best {
			best = kind
		}
	}
	return best
}

func kindOf(file string) string {
	name := strings.ToLower(path.Base(file))
	if name == ".env" || strings.HasPrefix(name, ".env.") {
		return "Environment credentials"
	}
	switch path.Ext(name) {
	case ".log":
		return "Application logs"
	case ".db", ".db3", ".sqlite", ".sqlite3":
		return "Database"
	case ".xls", ".xlsx", ".xlsm", ".xlsb", ".ods", ".csv":
		return "Spreadsheets"
	case ".doc", ".docx", ".odt", ".pdf":
		return "Documents"
	case ".pem", ".key", ".pfx", ".p12":
		return "Keys and certificates"
	}
	return "Files outside git"
}
