package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Git is what a snapshot notes of the code beside the data. The zero value is a folder
// outside any git work tree.
type Git struct {
	Remote string // origin as host/path, without scheme, user, port and ".git"; "" for a local path
	Branch string // "" if the head is detached
	Commit string // "" before the first commit
	Dirty  bool   // tracked files differ from the commit
}

// GitInfo asks git about the folder's work tree. It fails if there is one and git does
// not answer; nothing that travels depends on it.
func GitInfo(ctx context.Context, root string) (Git, error) {
	top, _, err := workTree(ctx, root)
	if err != nil || top == "" {
		return Git{}, err
	}
	out, err := git(ctx, root, "status", "--porcelain=v2", "--branch", "--untracked-files=no", "-z")
	if err != nil {
		return Git{}, err
	}
	var g Git
	for line := range strings.SplitSeq(out, "\x00") {
		if oid, ok := strings.CutPrefix(line, "# branch.oid "); ok && oid != "(initial)" {
			g.Commit = oid
		}
		if head, ok := strings.CutPrefix(line, "# branch.head "); ok && head != "(detached)" {
			g.Branch = strings.ToValidUTF8(head, "?") // git takes any bytes, a manifest holds text
		}
		g.Dirty = g.Dirty || line != "" && line[0] != '#'
	}
	// It exits with 1 if there is no origin.
	if out, err = git(ctx, root, "config", "--get", "remote.origin.url"); err == nil {
		g.Remote = strings.ToValidUTF8(remoteName(strings.TrimSpace(out)), "?")
	} else if !exited(err, 1) {
		return Git{}, err
	}
	return g, nil
}

// exited reports whether a program ended with this code.
func exited(err error, code int) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	return ok && exit.ExitCode() == code
}

// remoteName is the part of a remote's address that all who use it have in common.
func remoteName(address string) string {
	var host, path string
	if u, err := url.Parse(address); err == nil && u.Host != "" && u.Scheme != "file" {
		host, path = u.Hostname(), u.Path
	} else if before, after, ok := strings.Cut(address, ":"); ok && len(before) > 1 && !strings.Contains(before, "/") && !strings.HasPrefix(after, "//") {
		host, path = before[strings.LastIndexByte(before, '@')+1:], after // user@host:path
	}
	path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	if host == "" || path == "" {
		return ""
	}
	return strings.ToLower(host) + "/" + strings.TrimSuffix(path, "/")
}

// workTree returns the folder that holds the .git to which root belongs, "" if there
// is none. The warning says that there is one, which git does not take for its own.
func workTree(ctx context.Context, root string) (top, warning string, err error) {
	real, err := filepath.EvalSymlinks(root)
	if errors.Is(err, os.ErrNotExist) {
		return "", "", nil
	}
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return "", "", err
	}
	for dir := real; ; dir = filepath.Dir(dir) {
		if hasGit(dir) {
			top = dir
			break
		}
		if dir == filepath.Dir(dir) {
			return "", "", nil
		}
	}
	out, err := git(ctx, real, "rev-parse", "--is-inside-work-tree")
	switch {
	case err != nil && strings.Contains(err.Error(), "not a git repository"):
		return "", fmt.Sprintf("git finds no repository behind %s; it is as if it were not there", filepath.Join(top, ".git")), nil
	case err != nil:
		return "", "", err
	case slices.ContainsFunc(strings.Split(filepath.ToSlash(real), "/"), func(name string) bool { return strings.EqualFold(name, ".git") }):
		return "", "", fmt.Errorf("%s is git's own folder", root)
	case strings.TrimSpace(out) != "true": // a bare repository
		return "", "", nil
	}
	return top, "", nil
}

func hasGit(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ".git"))
	return err == nil
}

// git runs git in the folder and returns what it prints.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	out, _, err := gitWith(ctx, dir, "", args...)
	return out, err
}

// gitWith also gives git something to read, and returns what it complains of though it
// succeeds. Variables that would point it at another repository are taken out of the
// environment, and a repository's own file monitor, which is a program, is not run: the
// work tree may hold repositories that nobody has looked at.
func gitWith(ctx context.Context, dir, stdin string, args ...string) (out, complaint string, err error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.fsmonitor=false"}, args...)...)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(gitEnv(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err = cmd.Run()
	switch said := strings.TrimSpace(stderr.String()); {
	case err == nil:
		return stdout.String(), said, nil
	case ctx.Err() != nil:
		return "", "", ctx.Err()
	case errors.Is(err, exec.ErrNotFound):
		return "", "", fmt.Errorf("%s is in a git work tree, and there is no git program to ask what git ignores: install git, or write a manifest", dir)
	case strings.Contains(said, "dubious ownership"):
		trust := filepath.ToSlash(dir)
		if _, after, ok := strings.Cut(said, "safe.directory "); ok {
			trust, _, _ = strings.Cut(after, "\n")
		}
		return "", "", fmt.Errorf("%s belongs to another user, so git does not answer; if you trust it: git config --global --add safe.directory %s", dir, trust)
	default:
		return stdout.String(), said, fmt.Errorf("%s: git %s: %s: %w", dir, args[0], said, err)
	}
}

// gitEnv is the environment without git's own variables, but for those that say where
// its configuration and its programs are.
func gitEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "GIT_") && name != "GIT_EXEC_PATH" && name != "GIT_CONFIG_PARAMETERS" &&
			!strings.HasPrefix(name, "GIT_CONFIG_") && name != "GIT_CEILING_DIRECTORIES"
	})
}
