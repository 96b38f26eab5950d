package workspace

import (
	"context"
	"regexp"
	"strconv"
	"strings"
)

// GitLeft is what of the code only this device has. The zero value is nothing.
type GitLeft struct {
	Commits  int      // that no remote has, as far as git knows without asking it
	Branches []string // local ones that have some of them
	Files    int      // changed, new or removed, and not committed; none that git ignores
	Stashes  int
	Remote   bool // there is one to push to
}

// leftBranches is how many branches are named.
const leftBranches = 8

// GitUnsaved asks git what in the folder's work tree neither a commit nor a remote has.
func GitUnsaved(ctx context.Context, root string) (left GitLeft, err error) {
	top, _, err := workTree(ctx, root)
	if err != nil || top == "" {
		return left, err
	}
	lines := func(args ...string) []string {
		out := ""
		if err == nil {
			out, err = git(ctx, root, args...)
		}
		return strings.FieldsFunc(out, func(c rune) bool { return c == '\n' })
	}
	left.Remote = len(lines("remote")) > 0
	left.Stashes = len(lines("stash", "list", "--format=%h"))
	left.Files = len(lines("status", "--porcelain=v1")) // one line each, whatever the names are
	branches := lines("for-each-ref", "--format=%(refname)", "refs/heads")
	if left.Commits = count(lines("rev-list", "--count", "--branches", "HEAD", "--not", "--remotes")); left.Commits == 0 {
		return left, noCommits(err)
	}
	for _, b := range branches[:min(leftBranches, len(branches))] {
		if count(lines("rev-list", "--count", b, "--not", "--remotes")) > 0 {
			left.Branches = append(left.Branches, strings.TrimPrefix(b, "refs/heads/"))
		}
	}
	return left, err
}

func count(lines []string) int {
	n, _ := strconv.Atoi(strings.Join(lines, ""))
	return n
}

// noCommits takes the error away that git gives for a head that has no commit yet.
func noCommits(err error) error {
	if exited(err, 128) && (strings.Contains(err.Error(), "bad revision") || strings.Contains(err.Error(), "unknown revision")) {
		return nil
	}
	return err
}

// A Relation is how a commit stands to the work tree's head.
type Relation int

// The relations.
const (
	Unknown  Relation = iota // git does not have the commit here
	Same                     // it is the head
	Newer                    // the head is among its ancestors
	Older                    // it is among the head's
	Diverged                 // neither
)

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// GitRelation tells how a commit, named by its full id, stands to the head.
func GitRelation(ctx context.Context, root, commit string) (Relation, error) {
	if !commitID.MatchString(commit) {
		return Unknown, nil
	}
	head, err := git(ctx, root, "rev-parse", "--verify", "HEAD^{commit}")
	if err != nil {
		return Unknown, err
	}
	if head = strings.TrimSpace(head); head == commit {
		return Same, nil
	}
	if _, err := git(ctx, root, "cat-file", "-e", commit+"^{commit}"); err != nil {
		if exited(err, 1) || exited(err, 128) {
			err = nil
		}
		return Unknown, err
	}
	for _, c := range []struct {
		old, young string
		relation   Relation
	}{{head, commit, Newer}, {commit, head, Older}} {
		_, err := git(ctx, root, "merge-base", "--is-ancestor", c.old, c.young)
		if err == nil {
			return c.relation, nil
		} else if !exited(err, 1) {
			return Unknown, err
		}
	}
	return Diverged, nil
}
