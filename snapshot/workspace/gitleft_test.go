package workspace

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func gitLeft(t *testing.T, root string) GitLeft {
	t.Helper()
	left, err := GitUnsaved(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestGitUnsavedSaysWhatOnlyThisDeviceHas(t *testing.T) {
	for _, kv := range testEnv() {
		if k, v, _ := strings.Cut(kv, "="); k == "GIT_CONFIG_GLOBAL" || k == "GIT_CONFIG_NOSYSTEM" {
			t.Setenv(k, v)
		}
	}
	if left := gitLeft(t, t.TempDir()); !cmp.Equal(left, GitLeft{}) {
		t.Errorf("outside git: %+v", left)
	}
	origin, root := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	repo(t, origin, ".gitignore:*.db\n", "a", "b", "c")
	runGit(t, origin, "clone", "-q", origin, root)
	if left := gitLeft(t, root); !cmp.Equal(left, GitLeft{Remote: true}) {
		t.Errorf("a fresh clone: %+v", left)
	}
	write(t, root, "a:changed", "new file", "x.db:ignored")
	runGit(t, root, "mv", "c", "d")
	if left := gitLeft(t, root); left.Files != 3 || left.Commits != 0 {
		t.Errorf("changed, new and renamed: %+v", left)
	}
	runGit(t, root, "stash", "-q")
	runGit(t, root, "commit", "-q", "--allow-empty", "-m", "1")
	runGit(t, root, "checkout", "-q", "-b", "side")
	runGit(t, root, "commit", "-q", "--allow-empty", "-m", "2")
	runGit(t, root, "checkout", "-q", "--detach")
	runGit(t, root, "commit", "-q", "--allow-empty", "-m", "3")
	if diff := cmp.Diff(GitLeft{Commits: 3, Branches: []string{"main", "side"}, Files: 1, Stashes: 1, Remote: true}, gitLeft(t, root)); diff != "" {
		t.Error(diff)
	}
	runGit(t, root, "push", "-q", "origin", "HEAD:refs/heads/pushed")
	if left := gitLeft(t, root); left.Commits != 0 || left.Branches != nil {
		t.Errorf("pushed: %+v", left)
	}
	empty := t.TempDir()
	runGit(t, empty, "init", "-q")
	write(t, empty, "a")
	if diff := cmp.Diff(GitLeft{Files: 1}, gitLeft(t, empty)); diff != "" {
		t.Error("no commit yet:", diff)
	}
}

func TestGitRelation(t *testing.T) {
	root := t.TempDir()
	repo(t, root, "a")
	one := runGit(t, root, "rev-parse", "HEAD")
	runGit(t, root, "commit", "-q", "--allow-empty", "-m", "2")
	two := runGit(t, root, "rev-parse", "HEAD")
	runGit(t, root, "checkout", "-q", "-b", "side", one)
	runGit(t, root, "commit", "-q", "--allow-empty", "-m", "3")
	three := runGit(t, root, "rev-parse", "HEAD")
	for _, c := range []struct {
		head, commit string
		want         Relation
	}{
		{two, two, Same}, {one, two, Newer}, {two, one, Older}, {two, three, Diverged},
		{two, "0123456789012345678901234567890123456789", Unknown}, {two, "--help", Unknown}, {two, "main", Unknown}, {two, "", Unknown},
	} {
		runGit(t, root, "checkout", "-q", "--detach", c.head)
		if got, err := GitRelation(t.Context(), root, c.commit); got != c.want || err != nil {
			t.Errorf("%.7s beside %.7s: %v, %v", c.commit, c.head, got, err)
		}
	}
}
