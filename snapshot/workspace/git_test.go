package workspace

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// repo makes a repository of these files, all that are not ignored being committed.
func repo(t testing.TB, dir string, files ...string) {
	t.Helper()
	needGit(t)
	write(t, dir, files...)
	runGit(t, dir, "init", "-q", "-b", "main")
	runGit(t, dir, "add", ".")
	runGit(t, dir, "commit", "-q", "--allow-empty", "-m", "x")
}

func load(t testing.TB, root string) *Rules {
	t.Helper()
	for k, v := range map[string]string{"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1"} {
		t.Setenv(k, v)
	}
	r, err := Load(t.Context(), root, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGitIgnoredTravels(t *testing.T) {
	root := t.TempDir()
	repo(t, root, ".gitignore:*.db\n/data/\n.env\n!keep.db", "main.go", "keep.db", "app.db", "d/x.db", "d/x.db-wal", "data/a/b", "data/.hidden", ".env", "src/ä b.db")
	write(t, root, "untracked.txt", "d/untracked.txt", "data/empty/")
	r := load(t, root)
	if r.Source() != "what git ignores" {
		t.Fatal(r.Source())
	}
	got, all := walk(t, r)
	want := []string{".env", "app.db", "d/x.db", "data/.hidden", "data/a/b", "src/ä b.db"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(all.LeftOut)+len(all.Unreadable)+len(r.Warnings()) > 0 {
		t.Errorf("%v %v %v", all.LeftOut, all.Unreadable, r.Warnings())
	}
	for _, e := range all.Entries {
		if e.Local == "d/x.db" && len(e.Sidecars) != 1 {
			t.Error("the -wal beside, which git does not ignore, was not seen")
		}
	}
}

func TestGitIgnoredInASubfolderAndThroughALink(t *testing.T) {
	root := t.TempDir()
	repo(t, root, ".gitignore:*.db\n", "a.db", "sub/b.db", "sub/c", "sub/deep/d.db")
	want := []string{"b.db", "deep/d.db"}
	if got, _ := walk(t, load(t, filepath.Join(root, "sub"))); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(root, "sub"), link); err != nil {
		t.Skip(err)
	}
	if got, _ := walk(t, load(t, link)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestGitIgnoredThoughTracked(t *testing.T) {
	root := t.TempDir()
	repo(t, root, "a.db", "d/b.db", "gone.db", "c")
	write(t, root, ".gitignore:*.db\n", "new.db")
	if err := os.Remove(filepath.Join(root, "gone.db")); err != nil {
		t.Fatal(err)
	}
	if got, _ := walk(t, load(t, root)); !slices.Equal(got, []string{"a.db", "d/b.db", "new.db"}) {
		t.Errorf("got %q", got)
	}
}

func TestGitIgnoredInNestedRepositories(t *testing.T) {
	root := t.TempDir()
	repo(t, root, ".gitignore:/ignored/\n/cloned/\nnode_modules/\n*.db\n", "main.go")
	files := []string{".gitignore:*.log\n", "code.go", "a.log", "d/b.log"}
	repo(t, filepath.Join(root, "plain"), files...)               // not ignored: its own answer
	repo(t, filepath.Join(root, "deep/er"), files...)             //
	repo(t, filepath.Join(root, "ignored/repo"), files...)        // ignored, nothing else carries it
	repo(t, filepath.Join(root, "ignored/repo/inner"), files...)  // and what is in it
	repo(t, filepath.Join(root, "cloned"), files...)              // ignored, and carried by its remote
	repo(t, filepath.Join(root, "node_modules/dep"), files...)    // can be rebuilt
	repo(t, filepath.Join(root, "plain/node_modules/x"), "x.log") //
	runGit(t, filepath.Join(root, "cloned"), "remote", "add", "origin", "https://example.org/x.git")
	runGit(t, filepath.Join(root, "plain"), "rm", "-q", "--cached", ".gitignore")
	write(t, root, "plain/untracked", "cloned/untracked", "ignored/repo/untracked", "ignored/plain", "plain/x.db")
	runGit(t, root, "init", "-q", "empty")
	write(t, root, "empty/.gitignore:*\n", "empty/x")
	r := load(t, root)
	got, all := walk(t, r)
	want := []string{
		"cloned/a.log", "cloned/d/b.log",
		"deep/er/a.log", "deep/er/d/b.log",
		"empty/.gitignore", "empty/x",
		"ignored/plain",
		"ignored/repo/.gitignore", "ignored/repo/a.log", "ignored/repo/code.go", "ignored/repo/d/b.log",
		"ignored/repo/inner/.gitignore", "ignored/repo/inner/a.log", "ignored/repo/inner/code.go", "ignored/repo/inner/d/b.log",
		"ignored/repo/untracked",
		"plain/a.log", "plain/d/b.log",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"node_modules", "plain/node_modules"}, left(all)); diff != "" {
		t.Error(diff)
	}
	if len(r.Warnings()) > 0 {
		t.Error(r.Warnings())
	}
}

func TestGitIgnoredInSubmodules(t *testing.T) {
	lib, root := t.TempDir(), t.TempDir()
	repo(t, lib, ".gitignore:*.log\n", "code.go")
	repo(t, root, ".gitignore:lib2\n", "main.go")
	for _, name := range []string{"lib", "lib2", "absent"} {
		runGit(t, root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "-f", lib, name)
	}
	runGit(t, root, "submodule", "--quiet", "deinit", "-f", "absent")
	write(t, root, "lib/a.log", "lib2/b.log", "lib/untracked")
	if got, _ := walk(t, load(t, root)); !slices.Equal(got, []string{"lib/a.log", "lib2/b.log"}) {
		t.Errorf("got %q", got)
	}
}

func TestGitCannotReadANestedRepository(t *testing.T) {
	root := t.TempDir()
	repo(t, root, "main.go")
	sub := filepath.Join(root, "sub")
	repo(t, sub, ".gitignore:*.log\n", "a.log", "b")
	if err := os.WriteFile(filepath.Join(sub, ".git", "config"), []byte("[core\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	r := load(t, root)
	if got, _ := walk(t, r); !slices.Equal(got, []string{"sub/.gitignore", "sub/a.log", "sub/b"}) {
		t.Errorf("got %q", got)
	}
	if len(r.Warnings()) != 1 || !strings.HasPrefix(r.Warnings()[0], "sub: git cannot say") {
		t.Error(r.Warnings())
	}
}

func TestGitIgnoredThatCanBeRebuilt(t *testing.T) {
	root := t.TempDir()
	repo(t, root, ".gitignore:*\n!.gitignore\n")
	tag := "CACHEDIR.TAG:" + cacheSignature + "\n"
	write(t, root,
		"node_modules/a/b.js:123", "web/node_modules/c:45", "a.pyc", "__pycache__/a.cpython.pyc", ".venv/bin/python", ".DS_Store", "d/Thumbs.db",
		"venv/pyvenv.cfg", "venv/lib/x", "other-name/pyvenv.cfg", "other-name/y", "mail/venv/letter.doc",
		"crate/Cargo.toml", "crate/target/debug/x", "study/target/results.xlsx",
		"cache/"+tag, "cache/d/x", "notcache/CACHEDIR.TAG:hello", "notcache/x", tag,
		"build/app.db", "dist/x", "env/.env", "odd [1]/venv/pyvenv.cfg")
	r := load(t, root)
	got, all := walk(t, r)
	want := []string{"CACHEDIR.TAG", "build/app.db", "crate/Cargo.toml", "dist/x", "env/.env", "mail/venv/letter.doc", "notcache/CACHEDIR.TAG", "notcache/x", "study/target/results.xlsx"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{"node_modules", "web/node_modules", "a.pyc", "__pycache__", ".venv", ".DS_Store", "d/Thumbs.db", "venv", "other-name", "crate/target", "cache", "odd [1]/venv"} {
		v, err := r.Why(t.Context(), path)
		if err != nil || v.Taken || v.Rule != "can be rebuilt" || v.Reason == "" {
			t.Errorf("Why(%q) = %+v, %v", path, v, err)
		}
		if info, err := os.Lstat(filepath.Join(root, path)); err != nil {
			t.Error(err)
		} else if info.IsDir() {
			path += "/x"
		}
		if _, ok := r.Local(path); ok {
			t.Errorf("%s may be written", path)
		}
	}
	if n := len(all.LeftOut); n != 9 { // the rest lies in folders of which nothing travels
		t.Errorf("%d left out: %q", n, left(all))
	}
	var rows []string
	for _, row := range r.Rebuildable() {
		rows = append(rows, fmt.Sprintf("%s %d %d", row.Path, row.Files, row.Size))
	}
	wantRows := []string{"*.pyc 1 0", ".DS_Store 1 0", ".venv/ 1 0", fmt.Sprintf("/cache/ 2 %d", len(cacheSignature)+1), "/crate/target/ 1 0", `/odd \[1]/venv/ 1 0`, "/other-name/ 2 0", "/venv/ 2 0",
		"Thumbs.db 1 0", "__pycache__/ 1 0", "node_modules/ 2 5"}
	slices.Sort(wantRows)
	slices.Sort(rows)
	if diff := cmp.Diff(wantRows, rows); diff != "" {
		t.Error(diff)
	}
}

func TestManifestWithWhatGitIgnores(t *testing.T) {
	root := t.TempDir()
	repo(t, root, ".gitignore:*.db\n.env\n.venv/\n*.tmp\n", "main.go", "a.db", "x.tmp", ".env", "notes/n.txt", "notes/.venv/x", ".venv/y",
		ManifestName+`:{"version": "1.0", "sync_paths": [{"local": "notes/"}, {"local": ".env", "remote": "config/.env"}], "exclude_patterns": ["*.tmp"], "include_git_ignored": true}`)
	r := load(t, root)
	got, all := walk(t, r)
	want := []string{ManifestName, "a.db", "config/.env < .env", "notes/.venv/x", "notes/n.txt"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{".venv", "x.tmp"}, left(all)); diff != "" {
		t.Error(diff)
	}
	if local, ok := r.Local("from/another/device"); !ok || local != "from/another/device" {
		t.Errorf("Local = %q, %v", local, ok)
	}

	plain := t.TempDir()
	write(t, plain, ManifestName+`:{"version": "1.0", "include_git_ignored": true}`, "a")
	r = load(t, plain)
	if got, _ := walk(t, r); !slices.Equal(got, []string{ManifestName}) || len(r.Warnings()) != 1 {
		t.Errorf("outside git: %q, %q", got, r.Warnings())
	}
	if v, err := r.Why(t.Context(), "a"); err != nil || v.Taken {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestGitSaysWhy(t *testing.T) {
	root := t.TempDir()
	repo(t, root, ".gitignore:# mine\n*.db\n/lonely/\n", "main.go", "a.db", "d/.gitignore:secret\n", "d/secret")
	repo(t, filepath.Join(root, "sub"), ".gitignore:*.log\n", "a.log", "b.go")
	repo(t, filepath.Join(root, "lonely"), "code.go")
	write(t, root, "untracked", "-x*")
	r := load(t, root)
	tests := []struct {
		path   string
		taken  bool
		rule   string
		reason string
	}{
		{"a.db", true, ".gitignore, line 2: *.db", "git ignores it"},
		{"new/b.db", true, ".gitignore, line 2: *.db", "git ignores it; there is none at present"},
		{"d/secret", true, "d/.gitignore, line 1: secret", "git ignores it"},
		{"d", true, "what git ignores", "git ignores something in it"},
		{"sub/a.log", true, "sub/.gitignore, line 1: *.log", "git ignores it"},
		{"sub/b.go", false, "what git ignores", "git carries it"},
		{"lonely/code.go", true, "what git ignores", "lonely is a repository without a remote in a place that git ignores: nothing else carries it"},
		{"main.go", false, "what git ignores", "git carries it"},
		{"untracked", false, "what git ignores", "git does not ignore it; `git add` makes git carry it"},
		{"-x*", false, "what git ignores", "git does not ignore it; `git add` makes git carry it"},
	}
	for _, tt := range tests {
		if strings.Contains(tt.path, "*") && runtime.GOOS == "windows" {
			continue
		}
		v, err := r.Why(t.Context(), tt.path)
		if err != nil || v.Taken != tt.taken || v.Rule != tt.rule || v.Reason != tt.reason {
			t.Errorf("Why(%q) = %+v, %v", tt.path, v, err)
		}
	}
	r = load(t, filepath.Join(root, "d"))
	if v, err := r.Why(t.Context(), "secret"); err != nil || !v.Taken || !strings.HasSuffix(v.Rule, ".gitignore, line 1: secret") {
		t.Errorf("in a subfolder: %+v, %v", v, err)
	}
}

func TestGitIgnoresNothing(t *testing.T) {
	root := t.TempDir()
	repo(t, root, "main.go")
	r := load(t, root)
	if got, _ := walk(t, r); len(got) > 0 || len(r.Warnings()) != 1 {
		t.Errorf("got %q, warnings %q", got, r.Warnings())
	}
}

func TestGitDoesNotAnswer(t *testing.T) {
	root := t.TempDir()
	repo(t, root, "main.go", "sub/x")

	t.Run("no program", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if _, err := Load(t.Context(), filepath.Join(root, "sub"), nil); err == nil || !strings.Contains(err.Error(), "install git") {
			t.Error(err)
		}
		if r, err := Load(t.Context(), t.TempDir(), nil); err != nil || r.Source() != sourceWhole {
			t.Errorf("a folder outside git needs none: %v", err)
		}
		if _, err := New(t.Context(), root, parse(t, string(fixture(t)))); err != nil {
			t.Errorf("a manifest needs none: %v", err)
		}
	})
	t.Run("another owner", func(t *testing.T) {
		fakeGit(t, "echo \"fatal: detected dubious ownership in repository at '/x'\n\tgit config --global --add safe.directory /x\" >&2; exit 128")
		if _, err := Load(t.Context(), root, nil); err == nil || !strings.HasSuffix(err.Error(), "if you trust it: git config --global --add safe.directory /x") {
			t.Error(err)
		}
	})
	t.Run("no repository", func(t *testing.T) {
		stray := t.TempDir()
		write(t, stray, ".git:gitdir: ../nowhere", "a")
		r := load(t, stray)
		if r.Source() != sourceWhole || len(r.Warnings()) != 1 {
			t.Errorf("%s, %q", r.Source(), r.Warnings())
		}
		if got, _ := walk(t, r); !slices.Equal(got, []string{"a"}) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("in its own folder", func(t *testing.T) {
		if _, err := Load(t.Context(), filepath.Join(root, ".git", "objects"), nil); err == nil || !strings.Contains(err.Error(), "git's own") {
			t.Error(err)
		}
	})
	t.Run("a folder it cannot open", func(t *testing.T) {
		fakeGit(t, "[ $3 = rev-parse ] && echo true || echo \"warning: could not open directory 'data/x/': Permission denied\" >&2")
		r := load(t, root)
		_, all := walk(t, r)
		if len(all.Unreadable) != 1 || all.Unreadable[0].Local != "data/x" || !strings.Contains(all.Unreadable[0].Err.Error(), "Permission denied") {
			t.Errorf("unreadable: %v", all.Unreadable)
		}
	})
}

// fakeGit puts a script in the place of git.
func fakeGit(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no shell")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte("#!/bin/sh\n"+script+"\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestGitOfAnotherRepositoryInTheEnvironment(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	repo(t, root, ".gitignore:*.db\n", "a.db")
	repo(t, other, ".gitignore:*\n", "x")
	t.Setenv("GIT_DIR", filepath.Join(other, ".git"))
	t.Setenv("GIT_WORK_TREE", other)
	t.Setenv("GIT_INDEX_FILE", filepath.Join(other, ".git", "index"))
	if got, _ := walk(t, load(t, root)); !slices.Equal(got, []string{"a.db"}) {
		t.Errorf("got %q", got)
	}
}

func TestGitInfo(t *testing.T) {
	root := t.TempDir()
	if g, err := GitInfo(t.Context(), root); err != nil || g != (Git{}) {
		t.Errorf("outside git: %+v, %v", g, err)
	}
	needGit(t)
	runGit(t, root, "init", "-q", "-b", "main")
	if g, err := GitInfo(t.Context(), root); err != nil || g != (Git{Branch: "main"}) {
		t.Errorf("before the first commit: %+v, %v", g, err)
	}
	repo(t, root, "a:1", "sub/b")
	runGit(t, root, "remote", "add", "origin", "git@github.com:Owner/Repo.git")
	commit := runGit(t, root, "rev-parse", "HEAD")
	want := Git{Remote: "github.com/Owner/Repo", Branch: "main", Commit: commit}
	for _, dir := range []string{root, filepath.Join(root, "sub")} {
		if g, err := GitInfo(t.Context(), dir); err != nil || g != want {
			t.Errorf("got %+v, %v", g, err)
		}
	}
	write(t, root, "untracked")
	if g, err := GitInfo(t.Context(), root); err != nil || g.Dirty {
		t.Errorf("an untracked file: %+v, %v", g, err)
	}
	write(t, root, "a:changed")
	runGit(t, root, "checkout", "-q", "--detach")
	want.Branch, want.Dirty = "", true
	if g, err := GitInfo(t.Context(), root); err != nil || g != want {
		t.Errorf("changed and detached: %+v, %v", g, err)
	}
}

func TestRemoteNames(t *testing.T) {
	for address, want := range map[string]string{
		"https://github.com/o/r.git":             "github.com/o/r",
		"https://user:secret@GitHub.com/o/r":     "github.com/o/r",
		"https://github.com/o/r.git/":            "github.com/o/r",
		"https://example.org:8443/a/b/c?t=1":     "example.org/a/b/c",
		"ssh://git@host:2222/o/r.git":            "host/o/r",
		"git://host/r":                           "host/r",
		"git@github.com:o/r.git":                 "github.com/o/r",
		"host:r":                                 "host/r",
		"git@ssh.dev.azure.com:v3/org/p/r":       "ssh.dev.azure.com/v3/org/p/r",
		"https://org@dev.azure.com/org/p/_git/r": "dev.azure.com/org/p/_git/r",
		"file:///srv/r.git":                      "",
		"/srv/r.git":                             "",
		"../r":                                   "",
		`C:\r`:                                   "",
		"C:/r":                                   "",
		"./a:b":                                  "",
		"":                                       "",
	} {
		if got := remoteName(address); got != want {
			t.Errorf("remoteName(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestGitIgnoredFileThatVanished(t *testing.T) {
	root := t.TempDir()
	repo(t, root, ".gitignore:*.db\n", "a.db", "d/b.db")
	r := load(t, root)
	if err := os.RemoveAll(filepath.Join(root, "d")); err != nil {
		t.Fatal(err)
	}
	got, all := walk(t, r)
	if !slices.Equal(got, []string{"a.db"}) || len(all.Unreadable) > 0 {
		t.Errorf("got %q, unreadable %v", got, all.Unreadable)
	}
	for _, e := range all.Entries {
		if e.Type != 0 && e.Type != fs.ModeDir {
			t.Errorf("%s: %v", e.Local, e.Type)
		}
	}
}
