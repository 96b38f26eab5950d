package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// gitIgnored is git's answer for one workspace. Paths are below its root.
type gitIgnored struct {
	paths    []string          // files that travel, sorted
	rebuilt  []string          // files that a tool makes again, sorted
	reasons  map[string]string // why: by folder, with a slash, or by file
	repos    []nested          // the outer one first
	warnings []string

	unreadable []Unreadable // folders that git could not look into
}

// nested is a repository inside the work tree.
type nested struct {
	path  string // "" is the workspace itself
	whole bool   // it is taken whole, but for .git; until it is asked: the outer one ignores it
}

// askIgnored asks git in root, and in each repository below it.
func askIgnored(ctx context.Context, root string) (*gitIgnored, error) {
	g := &gitIgnored{reasons: make(map[string]string)}
	b := rebuildables{root: root, reasons: g.reasons}
	todo := []nested{{}}
	for len(todo) > 0 {
		repo := todo[0]
		todo = todo[1:]
		whole, err := isWhole(ctx, root, repo)
		var a answer
		if err == nil {
			repo.whole = whole
			a, err = askRepo(ctx, root, repo)
		}
		if err != nil && repo.path == "" || ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			g.warnings = append(g.warnings, fmt.Sprintf("%s: git cannot say what it ignores there, so all of it travels: %v", repo.path, err))
			repo.whole = true
			a = answer{}
			a.everything(root, repo.path)
		}
		g.repos = append(g.repos, repo)
		g.paths = append(g.paths, a.files...)
		g.unreadable = append(g.unreadable, a.unreadable...)
		for _, n := range a.inner {
			if hasGit(filepath.Join(root, filepath.FromSlash(n.path))) && !b.has(n.path+"/") {
				todo = append(todo, n)
			}
		}
	}
	slices.Sort(g.paths)
	g.paths = slices.Compact(g.paths)
	b.markers(g.paths)
	g.paths, g.rebuilt = b.split(g.paths)
	return g, nil
}

// isWhole reports whether nothing but satchel carries what is tracked in a repository:
// the outer one ignores it, and it has no remote of its own.
func isWhole(ctx context.Context, root string, repo nested) (bool, error) {
	if !repo.whole {
		return false, nil
	}
	out, err := git(ctx, filepath.Join(root, filepath.FromSlash(repo.path)), "remote")
	return strings.TrimSpace(out) == "", err
}

// An answer is what one repository has that travels.
type answer struct {
	files      []string
	inner      []nested // repositories inside, which git does not enter
	unreadable []Unreadable
}

// askRepo asks one repository for the files that git ignores in it, or for all if it is
// taken whole.
func askRepo(ctx context.Context, root string, repo nested) (a answer, err error) {
	dir := filepath.Join(root, filepath.FromSlash(repo.path))
	questions := [][]string{
		{"ls-files", "-z", "--stage"},
		{"ls-files", "-z", "--others", "--ignored", "--exclude-standard"},
		{"ls-files", "-z", "--cached", "--ignored", "--exclude-standard"},
		{"ls-files", "-z", "--others", "--exclude-standard"},
	}
	outs, complaints, errs := make([]string, len(questions)), make([]string, len(questions)), make([]error, len(questions))
	var wait sync.WaitGroup
	for i, q := range questions {
		wait.Go(func() { outs[i], complaints[i], errs[i] = gitWith(ctx, dir, "", q...) })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return a, err
		}
	}
	submodules := make(map[string]bool)
	for entry := range strings.SplitSeq(outs[0], "\x00") {
		head, path, _ := strings.Cut(entry, "\t")
		if strings.HasPrefix(head, "160000 ") {
			submodules[path] = true
		} else if repo.whole && path != "" {
			a.files = append(a.files, join(repo.path, path))
		}
	}
	for i, out := range outs[1:] {
		take := repo.whole || i < 2
		for path := range strings.SplitSeq(out, "\x00") {
			path, isRepo := strings.CutSuffix(path, "/")
			switch {
			case path == "":
			case isRepo:
				a.inner = append(a.inner, nested{join(repo.path, path), take})
			case take && !submodules[path]:
				a.files = append(a.files, join(repo.path, path))
			}
		}
	}
	for path := range submodules {
		a.inner = append(a.inner, nested{path: join(repo.path, path)})
	}
	slices.SortFunc(a.inner, func(a, b nested) int { return strings.Compare(a.path, b.path) })
	a.unreadable = complained(complaints[1]+"\n"+complaints[3], repo.path)
	return a, nil
}

// complained finds the folders that git left out of its answer.
func complained(text, repo string) (list []Unreadable) {
	for line := range strings.SplitSeq(text, "\n") {
		_, line, ok := strings.Cut(line, "could not open directory '")
		path, reason, _ := strings.Cut(line, "': ")
		path = join(repo, strings.TrimSuffix(path, "/"))
		if ok && !slices.ContainsFunc(list, func(u Unreadable) bool { return u.Local == path }) {
			list = append(list, Unreadable{path, errors.New("git could not look into it: " + reason)})
		}
	}
	return list
}

// everything adds all files below a folder, but for .git.
func (a *answer) everything(root, dir string) {
	entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
	if err != nil {
		a.unreadable = append(a.unreadable, Unreadable{dir, err})
	}
	for _, e := range entries {
		path := join(dir, e.Name())
		switch {
		case never(e.Name(), e.IsDir()) != "":
		case e.IsDir():
			a.everything(root, path)
		default:
			a.files = append(a.files, path)
		}
	}
}

// repo is the innermost repository that holds the path.
func (g *gitIgnored) repo(path string) nested {
	found := nested{}
	for _, n := range g.repos {
		if _, ok := below(n.path, path); ok && len(n.path) >= len(found.path) {
			found = n
		}
	}
	return found
}

// has reports whether git ignores the file, and for a folder whether it holds one such.
func (g *gitIgnored) has(path string, dir bool) bool {
	return contains(g.paths, path, dir)
}

func contains(sorted []string, path string, dir bool) bool {
	if dir {
		path += "/"
	}
	i, found := slices.BinarySearch(sorted, path)
	return found || dir && i < len(sorted) && strings.HasPrefix(sorted[i], path)
}

// leftOut says that a path can be rebuilt, by its name or by what was found.
func (g *gitIgnored) leftOut(local string, dir bool) (LeftOut, bool) {
	for i := range len(local) + 1 {
		if i < len(local) && local[i] != '/' {
			continue
		}
		name := local[:i]
		if dir || i < len(local) {
			name += "/"
		}
		reason, ok := g.reasons[name]
		if !ok {
			reason, ok = rebuildableName(name)
		}
		if ok {
			return LeftOut{local, canRebuild, reason}, true
		}
	}
	return LeftOut{}, false
}
