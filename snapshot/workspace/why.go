package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// A Verdict says whether a path travels and which rule decides it.
type Verdict struct {
	Path   string // below the root
	Taken  bool
	Remote string // its name in the snapshot, if taken
	Rule   string // as a person would look it up: `rule 3, logs/ (*.log)`, `exclude pattern "*.pyc"`
	Reason string // a sentence without a full stop
}

// Why explains what the walk does with a local path, absolute or below the root. It
// looks at the disk and may ask git. Of a path that is not there it says what would
// happen to a file of that name, or to a folder if it ends in a slash.
func (r *Rules) Why(ctx context.Context, path string) (Verdict, error) {
	local, dir, err := r.relative(path)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Path: local}
	if err := r.reachable(local); err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.Reason = err.Error()
		return v, nil
	}
	info, err := r.lstat(local)
	if err == nil {
		dir = info.IsDir()
	}
	rule := r.govern(local, dir)
	if rule == nil {
		v.Rule, v.Reason = r.whyNone(local, dir)
		return v, nil
	}
	if out, ok := r.outOnDisk(local, dir, rule); ok {
		v.Rule, v.Reason = out.Rule, out.Reason
		return v, nil
	}
	v.Taken, v.Rule, v.Reason = true, rule.text, "the rule names it"
	switch {
	case rule.git:
		if err := r.whyGit(ctx, &v, dir); err != nil {
			return v, err
		}
	case rule.manifest:
		v.Reason = "the manifest always travels"
	case rule.local != local:
		v.Reason = "the rule takes what is in " + shown(rule.local)
	}
	if v.Taken {
		v.Remote = rule.toRemote(local)
	}
	if err != nil {
		v.Reason += "; there is none at present"
	}
	return v, nil
}

// whyNone explains why no rule takes a path.
func (r *Rules) whyNone(local string, dir bool) (text, reason string) {
	for _, rule := range r.rules {
		if rel, ok := below(local, rule.local); ok && rel != "" && dir {
			return rule.text, "no rule takes the folder itself, but this one takes something in it"
		}
		if rel, ok := below(rule.local, local); ok && rule.pattern != "" {
			return rule.text, fmt.Sprintf("it lies in the rule's folder, but the pattern does not match %q", rel)
		}
	}
	return "", "no rule takes it"
}

// whyGit asks git which line of which file ignores a path, or how it carries it.
func (r *Rules) whyGit(ctx context.Context, v *Verdict, dir bool) error {
	repo := r.git.repo(v.Path)
	if repo.whole {
		v.Reason = repo.path + " is a repository without a remote in a place that git ignores: nothing else carries it"
		return nil
	}
	if dir {
		if v.Taken = r.git.has(v.Path, true); v.Taken {
			v.Reason = "git ignores something in it"
		} else {
			v.Reason = "git ignores nothing in it"
		}
		return nil
	}
	if len(r.git.repos) == 0 {
		v.Taken, v.Reason = false, "this is not a git work tree"
		return nil
	}
	rel, _ := below(repo.path, v.Path)
	folder := filepath.Join(r.root, filepath.FromSlash(repo.path))
	out, _, err := gitWith(ctx, folder, rel+"\x00", "check-ignore", "--stdin", "-z", "-v", "-n", "--no-index")
	if err != nil && !exited(err, 1) {
		return err
	}
	fields := strings.Split(out, "\x00")
	if len(fields) >= 3 && fields[0] != "" && !strings.HasPrefix(fields[2], "!") {
		source := filepath.ToSlash(fields[0])
		if !filepath.IsAbs(fields[0]) {
			source = join(repo.path, source)
		}
		v.Rule = fmt.Sprintf("%s, line %s: %s", source, fields[1], fields[2])
		v.Reason = "git ignores it"
		return nil
	}
	v.Taken = false
	if out, err = git(ctx, folder, "--literal-pathspecs", "ls-files", "-z", "--", rel); err != nil {
		return err
	}
	if v.Reason = "git does not ignore it; `git add` makes git carry it"; out != "" {
		v.Reason = "git carries it"
	}
	return nil
}
