package workspace

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func propose(t *testing.T, root string) (p *Proposal, rows, rules []string) {
	t.Helper()
	p, err := Propose(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Rows {
		rows = append(rows, fmt.Sprintf("%s %d %d %v %s", r.Path, r.Files, r.Size, r.Taken, r.Reason))
	}
	for _, s := range p.Manifest.SyncPaths {
		rules = append(rules, strings.TrimSuffix(s.Local+"|"+s.Pattern, "|"))
		if s.Local != s.Remote || s.Description == "" {
			t.Errorf("%+v", s)
		}
	}
	return p, rows, rules
}

func TestProposeWhatGitIgnores(t *testing.T) {
	root := t.TempDir()
	repo(t, root, ".gitignore:/data/\n*.db\n.env\n*.log\nnode_modules/\n*.pyc\nvenv/\n*.tmp\n~$*\n*.db-shm\n", "main.go", "src/a.go",
		"data/x.xlsx:12345", "data/deep/y.xlsx:1", "data/z.txt", "data/~$x.xlsx", "data/m.pyc",
		".env:KEY=1", "src/app.db:"+sqliteMagic, "src/app.db-wal:x", "src/app.db-shm:x", "base/b.db:"+sqliteMagic, "base/b.db-wal:x", "logs/a.log:22", "logs/b.log",
		"node_modules/a/b:333", "tools/venv/pyvenv.cfg:4444", "tools/t.go", "src/only/in.db:1")
	for i := range 9 {
		write(t, root, fmt.Sprintf("many/%d.log:x", i))
	}
	write(t, root, "many/code.go", "many/code.tmp:xx", "many/sub/a.tmp", ManifestName+":{broken")
	p, rows, rules := propose(t, root)
	wantRows := []string{
		".env 1 5 true Environment credentials",
		"base/ 1 25 true Database",
		"data/ 3 6 true Spreadsheets",
		"logs/ 2 2 true Application logs",
		"many/*.{log,tmp} 10 11 true Application logs",
		"many/sub/ 1 0 true Files outside git",
		"src/app.db 1 25 true Database",
		"src/only/ 1 1 true Database",
		"*.pyc 1 0 false Python compiles it again",
		"/tools/venv/ 1 4 false a Python environment, to be made again from its requirements",
		"node_modules/ 1 3 false npm, yarn or pnpm installs it again",
	}
	if diff := cmp.Diff(wantRows, rows); diff != "" {
		t.Error(diff)
	}
	wantRules := []string{".env", "base/|**/*", "data/|**/*", "logs/|**/*", "many/|*.{log,tmp}", "many/sub/|**/*", "src/app.db", "src/only/|**/*", ManifestName}
	if diff := cmp.Diff(wantRules, rules); diff != "" {
		t.Error(diff)
	}
	m := p.Manifest
	if diff := cmp.Diff([]string{"*.pyc", "__pycache__/", ".venv/", "node_modules/", "/tools/venv/"}, m.ExcludePatterns); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{".env"}, m.Secrets); diff != "" {
		t.Error(diff)
	}

	// Without and with the manifest, the same travels.
	if err := os.Remove(filepath.Join(root, ManifestName)); err != nil {
		t.Fatal(err)
	}
	before, _ := walk(t, load(t, root))
	write(t, root, ManifestName+":"+string(m.Encode()))
	after, _ := walk(t, load(t, root))
	if diff := cmp.Diff(append([]string{ManifestName}, before...), after, cmp.Transformer("sort", func(s []string) []string {
		return slices.Sorted(slices.Values(s))
	})); diff != "" {
		t.Error(diff)
	}
}

func TestProposeTheWholeFolder(t *testing.T) {
	root := t.TempDir()
	write(t, root, "a.xlsx:123", "data/b.db:1", "data/c/d.db:1", "data-2/e:1", "node_modules/x:12345", "~$a.xlsx", ".satchel-tmp-1")
	p, rows, rules := propose(t, root)
	wantRows := []string{"a.xlsx 1 3 true Spreadsheets", "data-2/ 1 1 true Files outside git", "data/ 2 2 true Database", "node_modules/ 1 5 false npm, yarn or pnpm installs it again"}
	if diff := cmp.Diff(wantRows, rows); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"./|**/*", ManifestName}, rules); diff != "" {
		t.Error(diff)
	}
	write(t, root, ManifestName+":"+string(p.Manifest.Encode()))
	got, _ := walk(t, load(t, root))
	if diff := cmp.Diff([]string{ManifestName, "a.xlsx", "data-2/e", "data/b.db", "data/c/d.db"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestProposeNamesThatCannotBeWritten(t *testing.T) {
	if filepath.Separator == '\\' {
		t.Skip("no such names here")
	}
	root := t.TempDir()
	repo(t, root, ".gitignore:*.db\n", `a\b.db`, "\xff.db", "c.db")
	p, _, rules := propose(t, root)
	if diff := cmp.Diff([]string{"c.db", ManifestName}, rules); diff != "" {
		t.Error(diff)
	}
	if len(p.Warnings) != 2 {
		t.Error(p.Warnings)
	}
}
