package workspace

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// A rule takes a file, or a folder with what is below it.
type rule struct {
	text          string // for a person
	local, remote string // "" is the root
	folder        bool   // it takes folders only; otherwise the disk decides
	pattern       string // of paths below the folder; "" is all
	git           bool   // of what is below, what git ignores
	manifest      bool   // the rule of the manifest itself
}

func gitRule() *rule { return &rule{text: sourceGit, folder: true, git: true} }

// all reports whether the rule takes everything below its folder.
func (r *rule) all() bool { return r.pattern == "" && !r.git }

// covers reports whether the rule takes the path, or for a folder whether something
// in it may be taken. What git ignores counts as everything.
func (r *rule) covers(local string, dir bool) bool {
	rel, ok := below(r.local, local)
	if !ok || rel == "" {
		return ok
	}
	return !r.manifest && r.matches(rel, dir)
}

// matches is covers for a path below the rule's folder.
func (r *rule) matches(rel string, dir bool) bool {
	switch {
	case r.pattern == "":
		return true
	case dir:
		return reaches(r.pattern, rel)
	}
	return doublestar.MatchUnvalidated(r.pattern, rel)
}

func (r *rule) toRemote(local string) string {
	rel, _ := below(r.local, local)
	return join(r.remote, rel)
}

// reaches reports whether the pattern may match something below the folder.
func reaches(pattern, dir string) bool {
	for name := range strings.SplitSeq(dir, "/") {
		first, rest, more := strings.Cut(pattern, "/")
		switch {
		case first == "**", strings.ContainsAny(first, "{["): // these may hold slashes
			return true
		case !more, !doublestar.MatchUnvalidated(first, name):
			return false
		}
		pattern = rest
	}
	return true
}

// A problem is what is wrong with a rule of the manifest.
type problem struct {
	index int    // from 0
	field string // local, remote or pattern
	text  string
}

func (p *problem) Error() string { return p.text }

// compile checks the rules of a manifest, alone and against each other, and adds one
// for the manifest itself if no rule names it.
func compile(paths []SyncPath) ([]*rule, *problem) {
	var rules []*rule
	var manifest *rule
	remotes := make(map[string]*rule)
	for i, p := range paths {
		bad := func(field, format string, args ...any) *problem {
			return &problem{i, field, fmt.Sprintf("rule %d (%s): ", i+1, p.Local) + fmt.Sprintf(format, args...)}
		}
		local, folder, err := cleanPath(p.Local)
		if err != nil {
			return nil, bad("local", "local %q %v", p.Local, err)
		}
		remote := local
		if p.Remote != "" {
			if remote, _, err = cleanPath(p.Remote); err != nil {
				return nil, bad("remote", "remote %q %v", p.Remote, err)
			}
		}
		pattern := strings.TrimPrefix(p.Pattern, "./")
		if pattern == "**" || pattern == "**/*" {
			pattern = ""
		}
		if !doublestar.ValidatePattern(pattern) {
			return nil, bad("pattern", "the pattern %q is malformed", p.Pattern)
		}
		if strings.HasPrefix(pattern, "/") || slices.Contains(strings.Split(pattern, "/"), "..") {
			return nil, bad("pattern", "the pattern %q can match nothing: it is compared with paths below the folder", p.Pattern)
		}
		r := &rule{text: ruleText(i, p), local: local, remote: remote, folder: folder, pattern: pattern}
		if local == ManifestName {
			r.manifest, r.folder, r.pattern = true, false, ""
			manifest = r
		}
		if other := remotes[remote]; other != nil {
			return nil, bad("remote", "%q is already the remote name of %s", shown(remote), other.text)
		}
		for _, other := range rules {
			if other.local == local && (!folder || !other.folder || other.pattern == pattern) {
				return nil, bad("local", "%s is for the same path; it can travel under one name only", other.text)
			}
		}
		remotes[remote] = r
		rules = append(rules, r)
	}
	if manifest == nil {
		manifest = &rule{text: "the manifest itself", local: ManifestName, remote: ManifestName, manifest: true}
		for _, r := range rules {
			if r.local == "" {
				manifest.remote = join(r.remote, ManifestName)
				break
			}
		}
		rules = append(rules, manifest)
	}
	for i, r := range rules {
		if _, inside := below(manifest.remote, r.remote); inside && r != manifest {
			return nil, &problem{i, "remote", fmt.Sprintf("%s: the remote name %q is that of the manifest, which always travels", r.text, manifest.remote)}
		}
	}
	return rules, nil
}

func ruleText(i int, p SyncPath) string {
	text := fmt.Sprintf("rule %d, %s", i+1, shown(p.Local))
	if p.Pattern != "" && p.Pattern != "**/*" {
		text += " (" + p.Pattern + ")"
	}
	return text
}

func shown(path string) string {
	if path == "" {
		return "."
	}
	return path
}

// cleanPath brings a path of the manifest into its one form: slashes, no "." and no
// empty elements. It reports whether it was written as a folder.
func cleanPath(s string) (path string, folder bool, err error) {
	s = strings.ReplaceAll(s, `\`, "/")
	switch {
	case strings.HasPrefix(s, "/"):
		return "", false, errors.New("is absolute; it must lie below the workspace")
	case len(s) >= 2 && s[1] == ':' && isLower(s[0]|0x20):
		return "", false, errors.New("begins with a drive; it must lie below the workspace")
	case strings.Contains(s, "\x00"):
		return "", false, errors.New("holds a zero byte")
	}
	folder = true
	var elems []string
	for elem := range strings.SplitSeq(s, "/") {
		folder = elem == "" || elem == "."
		switch {
		case elem == "..":
			return "", false, errors.New(`leaves the workspace with ".."`)
		case strings.EqualFold(elem, ".git"):
			return "", false, errors.New("names .git, which never travels")
		case !folder:
			elems = append(elems, elem)
		}
	}
	return strings.Join(elems, "/"), folder, nil
}

// below returns what is left of path below the folder; "" if it is the folder.
func below(folder, path string) (rel string, ok bool) {
	if folder == "" || folder == path {
		return path[len(folder):], true
	}
	if len(path) > len(folder) && path[len(folder)] == '/' && path[:len(folder)] == folder {
		return path[len(folder)+1:], true
	}
	return "", false
}

// join puts two slash-separated paths together, either of which may be "".
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "/" + b
}
