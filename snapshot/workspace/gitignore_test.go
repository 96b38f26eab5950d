package workspace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestExclude(t *testing.T) {
	tests := []struct {
		patterns string // separated by |
		out, in  string // separated by commas; a folder ends in a slash
	}{
		{"*.pyc", "a.pyc,d/a.pyc,.pyc", "a.py,a.pyc.txt"},
		{"__pycache__/", "__pycache__/,d/__pycache__/,d/__pycache__/a.txt", "__pycache__,my__pycache__/"},
		{".venv/", ".venv/,.venv/bin/python,d/.venv/x", ".venv,.venv2/,venv/"},
		{"node_modules/", "node_modules/a/b.js", "node_modules"},
		{"/build", "build,build/,build/x", "d/build,d/build/"},
		{"data/old", "data/old,data/old/x", "d/data/old"},
		{"*.log|!keep.log", "a.log,d/b.log", "keep.log,d/keep.log"},
		{"logs/|!logs/keep.log", "logs/keep.log,logs/a", ""},
		{"logs/*|!logs/keep.log", "logs/a,logs/d/keep.log", "logs/keep.log,logs/"},
		{"**/cache", "cache,a/cache,a/b/cache/x", "acache"},
		{"a/**", "a/b,a/b/c", "a/,b/a"},
		{"a/**/z", "a/z,a/b/z,a/b/c/z", "az,b/a/z"},
		{"a/b**", "a/bc,a/b/c,a/bc/d/e", "a/c"},
		{"*.db[0-9]", "x.db1,d/x.db9", "x.db,x.dba"},
		{"[!a-c]x", "dx,]x", "ax,bx"},
		{"[[:digit:]]*", "1,2a,d/3", "a1"},
		{`\#note|#comment`, "#note", "#comment,comment"},
		{`\!note`, "!note", "note"},
		{`a\ `, "a ", "a"},
		{"a  ", "a", "a  ,a "},
		{"a?c", "abc,a-c", "a/c,ac"},
		{"/*|!/data", "x,.env", "data,data/x"},
		{"doc/*.txt", "doc/a.txt", "doc/d/a.txt,d/doc/a.txt"},
		{"|  |/|//", "", "a,a/,a/b"},
		{"[", "", "[,a"},
		{`a\`, "", `a,a\`},
		{"Case", "Case", "case,CASE"},
	}
	for _, tt := range tests {
		g := parseIgnore(strings.Split(tt.patterns, "|"))
		check := func(paths string, want bool) {
			for p := range strings.SplitSeq(paths, ",") {
				p, dir := strings.CutSuffix(p, "/")
				if got := g.excluded(p, dir) != nil; got != want && p != "" {
					t.Errorf("%q: excluded(%q, %v) = %v", tt.patterns, p, dir, got)
				}
			}
		}
		check(tt.out, true)
		check(tt.in, false)
	}
}

// TestExcludeAgreesWithGit asks git check-ignore, about every path of one tree, which
// of a random list of patterns decides.
func TestExcludeAgreesWithGit(t *testing.T) {
	needGit(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	root := t.TempDir()
	runGit(t, root, "init", "-q")
	runGit(t, root, "config", "core.ignorecase", "false")
	paths := randomTree(t, rnd, root)
	sets := 400
	if testing.Short() {
		sets = 50
	}
	for range sets {
		lines := randomPatterns(rnd)
		compareWithGit(t, root, lines, paths)
		if t.Failed() {
			return
		}
	}
}

// TestExcludeAgreesWithGitOnQuirks does the same for patterns that are known to be
// hard.
func TestExcludeAgreesWithGitOnQuirks(t *testing.T) {
	needGit(t)
	root := t.TempDir()
	runGit(t, root, "init", "-q")
	runGit(t, root, "config", "core.ignorecase", "false")
	paths := randomTree(t, rand.New(rand.NewPCG(1, 2)), root)
	for _, set := range []string{
		"a/b**", "a**", "**a", "**/a**/b", "a/**b", "/**", "/**/", "**/", "***", "***/a", "a/***", "a/***/b", `a/**\/b`,
		"[a-]", "[]-a]", "[]a]", "[^]a]", "[!]a]", "[a-c-e]", `[\]a]`, `[\\a]`, `[a\-c]`, `[a-\c]`, "[[:alpha:]]", "[[:alpha:]", "[[:alpha]",
		"[[:nope:]]", "[[:upper:][:digit:]]", "[[a]", "[[:]", "[[:]]", "[[::]]", "[a/b]", "a[/]b", "a[!x]b", "[", "a[", "[a", "[!", "[]", "[!]", "[]]",
		`\`, `\a`, `a\`, `\\`, `a\/b`, `\/a`, `/\a`, `!\a`, "!", "!!a", "! a", "/", "//", "a//b", "//a", "a//", "!/", "*/", "*/*", "/*/*", "*/*/",
		`a\ `, `a\  `, "a ", " a", "  ", `\ `, "#a", `\#a`, "a#", "?", "??", "/?", "?/?", "*?", "?*", "a*b*c", "*a*a*a*a*b", "**/**/**/a",
		"*|!*/", "*|!*/|!*.b", "/*|!/a|/a/*|!/a/b", "a/|!a/b", "a/*|!a/b", "**/a/**", "**/a/*|!**/a/b", "a/**/|!b", "./a", "../a", "a/.", "a/./b", "a/..",
		"a\tb", "a\r", "\xff", "é", "[é]", "?é", "é*", `\é`, "-", "[--a]", "[a--]", "[+--]", "[!-a]", "[^-a]", "[^^]", "[!!]",
	} {
		compareWithGit(t, root, strings.Split(set, "|"), paths)
	}
}

func compareWithGit(t *testing.T, root string, lines, paths []string) {
	t.Helper()
	text := strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(root, ".git", "info", "exclude"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("git", "check-ignore", "--stdin", "-z", "--no-index", "-v", "-n")
	cmd.Dir = root
	cmd.Env = testEnv()
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(strings.Join(paths, "\x00"), "/\x00", "\x00") + "\x00")
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("git check-ignore: %v", err)
	}
	fields := bytes.Split(out, []byte{0})
	if len(fields) != 4*len(paths)+1 {
		t.Fatalf("git answered %d fields for %d paths", len(fields), len(paths))
	}
	g := parseIgnore(lines)
	for i, path := range paths {
		path, dir := strings.CutSuffix(path, "/")
		source, line := string(fields[4*i]), string(fields[4*i+1])
		want := ""
		if source != "" {
			want = line + " " + string(fields[4*i+2])
		}
		if got := decision(g, lines, path, dir); got != want {
			t.Errorf("patterns %q\npath %q dir %v\n got %q\nwant %q", lines, path, dir, got, want)
			return
		}
	}
}

// decision is the line that decides, as git check-ignore -v names it.
func decision(g *ignore, lines []string, path string, dir bool) string {
	var p *pattern
	for i := range len(path) + 1 {
		if i == len(path) {
			p = g.match(path, dir)
		} else if path[i] == '/' {
			p = g.match(path[:i], true)
		}
		if p != nil && !p.negated {
			break
		}
		if i < len(path) {
			p = nil
		}
	}
	if p == nil {
		return ""
	}
	at := 0
	for i := range g.patterns {
		for ; ; at++ {
			if _, ok := parsePattern(lines[at]); ok {
				break
			}
		}
		if p == &g.patterns[i] {
			break
		}
		at++
	}
	return fmt.Sprintf("%d %s", at+1, trimSpaces(strings.TrimSuffix(lines[at], "\r")))
}

// randomTree makes files and folders of short names, so that short patterns hit them,
// and returns their paths, those of folders with a slash.
func randomTree(t *testing.T, rnd *rand.Rand, root string) []string {
	t.Helper()
	names := []string{"a", "b", "c", "ab", "abc", "a.b", ".a", "A", "aa", "b-c", "1", "]", "#a", "!a", "é", "a b"}
	if runtime.GOOS != "linux" { // case may not tell files apart
		names = slices.DeleteFunc(names, func(s string) bool { return s == "A" })
	}
	var paths []string
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for _, name := range names {
			path := dir + name
			switch {
			case depth > 0 && rnd.IntN(3+depth) > 2, rnd.IntN(8) == 0:
				continue
			case depth < 3 && rnd.IntN(4) == 0:
				if err := os.Mkdir(filepath.Join(root, path), 0o777); err != nil {
					t.Fatal(err)
				}
				paths = append(paths, path+"/")
				fill(path+"/", depth+1)
			default:
				if err := os.WriteFile(filepath.Join(root, path), nil, 0o666); err != nil {
					t.Fatal(err)
				}
				paths = append(paths, path)
			}
		}
	}
	fill("", 0)
	return paths
}

func randomPatterns(rnd *rand.Rand) []string {
	atoms := []string{"a", "b", "c", "ab", "A", "1", ".", "*", "*", "**", "?", "/", "/", "/", "**/", "/**", "/**/", "[ab]", "[!a]", "[a-c]",
		"[[:alpha:]]", "[]]", "[^a]", "[", "]", "\\", "\\a", "\\*", "\\/", " ", "\\ ", "#", "!", "-", "é"}
	lines := make([]string, 1+rnd.IntN(6))
	for i := range lines {
		var b strings.Builder
		if rnd.IntN(4) == 0 {
			b.WriteByte('!')
		}
		for range 1 + rnd.IntN(5) {
			b.WriteString(atoms[rnd.IntN(len(atoms))])
		}
		if rnd.IntN(4) == 0 {
			b.WriteByte('/')
		}
		lines[i] = b.String()
	}
	return lines
}

func FuzzGitignore(f *testing.F) {
	f.Add("*.pyc\n!a.pyc", "d/a.pyc")
	f.Add("a/b**", "a/bc/d")
	f.Add("**/**/**/*a*a*a*b", "a/a/a/aaaaaaaa")
	f.Add("[]-a[:alpha:]\\]]", "]")
	f.Add("\\", "\\")
	f.Fuzz(func(t *testing.T, patterns, path string) {
		g := parseIgnore(strings.Split(patterns, "\n"))
		if p := g.excluded(path, true); p == nil && g.excluded(path, false) != nil {
			t.Errorf("%q leaves the file %q out and not the folder", patterns, path)
		}
	})
}
