package workspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Rules decide which paths of one workspace travel, and under which names.
type Rules struct {
	root     string // absolute
	source   string
	manifest *Manifest
	warnings []string

	rules    []*rule // the most specific local path first
	byRemote []*rule // the most specific remote path first
	exclude  *ignore
	secrets  *ignore
	leave    []LeftOut // by LeaveOut

	conflicts bool        // conflict copies are taken like other files
	git       *gitIgnored // nil unless a rule asks for it
}

const (
	sourceManifest = "manifest " + ManifestName
	sourceSnapshot = "the snapshot's manifest"
	sourceGit      = "what git ignores"
	sourceWhole    = "the whole folder"
)

// Load finds the rules in force in the folder root: its manifest, else fallback (the
// bytes of the snapshot's manifest; nil if there is none), else what git ignores, else
// the whole folder. A root that does not exist has no manifest and no git. A manifest
// that cannot be understood is a [SyntaxError].
func Load(ctx context.Context, root string, fallback []byte) (*Rules, error) {
	data, err := readManifest(root)
	source := sourceManifest
	if errors.Is(err, fs.ErrNotExist) && fallback != nil {
		data, source, err = fallback, sourceSnapshot, nil
	}
	var m *Manifest
	switch {
	case err == nil:
		if m, err = ParseManifest(data); err != nil && source == sourceSnapshot {
			return nil, fmt.Errorf("%s: %w", source, err)
		} else if err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	r, err := New(ctx, root, m)
	if err == nil && m != nil {
		r.source = source
	}
	return r, err
}

// DefaultSecrets are the secrets of a manifest that says nothing of them, and of a folder without one. An
// empty list in the manifest is none at all.
var DefaultSecrets = []string{".env*", "*.pem", "*.key"}

// Secret reports whether the file at a local path, slash-separated, is one of the secrets: its content is
// sealed apart, it is written for its owner alone, and shown only to who asks for that.
func (r *Rules) Secret(local string) bool {
	for i := range len(local) {
		if local[i] == '/' && r.secrets.excluded(local[:i], true) != nil {
			return true
		}
	}
	p := r.secrets.match(local, false)
	return p != nil && !p.negated
}

// readManifest refuses links, as the walk would carry the link and not what it names.
func readManifest(root string) ([]byte, error) {
	path := filepath.Join(root, ManifestName)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.ReadFile(path)
}

// New returns the rules of the manifest for the folder root, or with a nil manifest
// those of a folder without one.
func New(ctx context.Context, root string, m *Manifest) (*Rules, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	r := &Rules{root: abs, manifest: m, exclude: new(ignore), secrets: parseIgnore(DefaultSecrets)}
	if m == nil {
		return r, r.withoutManifest(ctx)
	}
	r.source = sourceManifest
	r.exclude = parseIgnore(m.ExcludePatterns)
	if m.Secrets != nil {
		r.secrets = parseIgnore(m.Secrets)
	}
	rules, problem := compile(m.SyncPaths)
	if problem != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, problem)
	}
	for _, name := range m.Unknown {
		r.warnings = append(r.warnings, fmt.Sprintf("%s: the field %s is not known and has no effect", ManifestName, name))
	}
	if len(rules) == 1 && len(m.SyncPaths) == 0 && !m.IncludeGitIgnored {
		r.warnings = append(r.warnings, ManifestName+": no sync_paths: nothing but the manifest travels")
	}
	if m.IncludeGitIgnored {
		ok, err := r.askGit(ctx)
		if err != nil {
			return nil, err
		}
		rules = append(rules, gitRule())
		if !ok {
			r.warnings = append(r.warnings, ManifestName+": include_git_ignored has no effect: this is not a git work tree")
		}
	}
	r.set(rules)
	return r, nil
}

func (r *Rules) withoutManifest(ctx context.Context) error {
	ok, err := r.askGit(ctx)
	if err != nil {
		return err
	}
	if ok {
		r.source = sourceGit
		r.set([]*rule{gitRule()})
		if len(r.git.paths) == 0 {
			r.warnings = append(r.warnings, "git ignores nothing here, so nothing travels; `satchel init` writes a manifest that names what should")
		}
		return nil
	}
	r.source = sourceWhole
	r.set([]*rule{{text: sourceWhole, folder: true}})
	return nil
}

func (r *Rules) askGit(ctx context.Context) (ok bool, err error) {
	top, warning, err := workTree(ctx, r.root)
	if warning != "" {
		r.warnings = append(r.warnings, warning)
	}
	r.git = new(gitIgnored)
	if err != nil || top == "" {
		return false, err
	}
	if r.git, err = askIgnored(ctx, r.root); err != nil {
		return false, err
	}
	r.warnings = append(r.warnings, r.git.warnings...)
	return true, nil
}

func (r *Rules) set(rules []*rule) {
	r.rules, r.byRemote = slices.Clone(rules), slices.Clone(rules)
	slices.SortStableFunc(r.rules, func(a, b *rule) int { return cmp.Compare(len(b.local), len(a.local)) })
	slices.SortStableFunc(r.byRemote, func(a, b *rule) int { return cmp.Compare(len(b.remote), len(a.remote)) })
}

// Root is the folder, as an absolute path.
func (r *Rules) Root() string { return r.root }

// Source says in words where the rules come from: "manifest .gitignore-sync.json",
// "the snapshot's manifest", "what git ignores" or "the whole folder".
func (r *Rules) Source() string { return r.source }

// Manifest is the manifest in force, nil if there is none. It is not to be changed.
func (r *Rules) Manifest() *Manifest { return r.manifest }

// Warnings are sentences for a person: fields that are not known, a nested repository
// that git could not read, a git that ignores nothing.
func (r *Rules) Warnings() []string { return r.warnings }

// Rebuildable lists what git ignores and satchel leaves out, because a tool makes it
// again. Adding it up takes one look at each file.
func (r *Rules) Rebuildable() []Row {
	if r.git == nil {
		return nil
	}
	return r.git.rebuiltRows(r.root)
}

// LeaveOut adds a path that never travels, such as a store inside the workspace. It
// may be absolute or below the root; one outside the root, and the root itself, change
// nothing. It is to be called before the rules are used.
func (r *Rules) LeaveOut(path, reason string) {
	if p, _, err := r.relative(path); err == nil && p != "" {
		r.leave = append(r.leave, LeftOut{Local: p, Rule: "satchel's own", Reason: reason})
	}
}

// WithConflicts returns rules that take conflict copies like any other file, for what is to be
// kept of a folder on its own device.
func (r *Rules) WithConflicts() *Rules {
	c := *r
	c.conflicts = true
	return &c
}

func (r *Rules) path(local string) string {
	return filepath.Join(r.root, filepath.FromSlash(local))
}

// relative turns a path, absolute or below the root, into one below the root with
// slashes, and says whether it was written as a folder.
func (r *Rules) relative(path string) (rel string, folder bool, err error) {
	folder = strings.HasSuffix(filepath.ToSlash(path), "/")
	if rel = filepath.Clean(path); filepath.IsAbs(path) {
		rel, err = filepath.Rel(r.root, rel)
		if real, e := filepath.EvalSymlinks(r.root); e == nil && (err != nil || !filepath.IsLocal(rel)) {
			rel, err = filepath.Rel(real, path) // the same root by its other name
		}
	}
	if err != nil || !filepath.IsLocal(rel) {
		return "", false, fmt.Errorf("%s is not below %s", path, r.root)
	}
	if rel = filepath.ToSlash(rel); rel == "." {
		return "", true, nil
	}
	return rel, folder, nil
}

// Remote returns the name under which a local path travels, and whether it does, by
// the names alone: the path need not exist, and what git ignores counts as
// everything. A trailing slash says that the path is a folder; the answer has none.
// A folder travels if something in it may.
func (r *Rules) Remote(local string) (remote string, ok bool) {
	local, dir := strings.CutSuffix(local, "/")
	rule := r.govern(local, dir)
	if rule == nil {
		return "", false
	}
	if _, out := r.leftOut(local, dir, rule); out {
		return "", false
	}
	return rule.toRemote(local), true
}

// Local is the inverse of [Rules.Remote]: where a remote path belongs here. It reports
// false for a path that no rule covers or that is left out by name. Such a path is
// neither to be written here nor to be taken as deleted here.
func (r *Rules) Local(remote string) (local string, ok bool) {
	remote, dir := strings.CutSuffix(remote, "/")
	for _, rule := range r.byRemote {
		rel, ok := below(rule.remote, remote)
		if !ok {
			continue
		}
		local = join(rule.local, rel)
		name := local
		if dir {
			name += "/"
		}
		if back, ok := r.Remote(name); ok && back == remote {
			return local, true
		}
	}
	return "", false
}

// govern returns the rule that takes the path, were it not left out; nil if none does.
func (r *Rules) govern(local string, dir bool) *rule {
	for _, rule := range r.rules {
		if rule.covers(local, dir) && (dir || !rule.folder || rule.local != local) {
			return rule
		}
	}
	for _, rule := range r.rules {
		if rule.local == local && rule.folder { // a folder, though not said to be one
			return rule
		}
	}
	return nil
}

// leftOut says whether a path that rule takes stays behind, by the names alone.
func (r *Rules) leftOut(local string, dir bool, rule *rule) (LeftOut, bool) {
	if rule.manifest || local == "" {
		return LeftOut{}, false
	}
	for i := range len(local) + 1 {
		if i < len(local) && local[i] != '/' {
			continue
		}
		name := local[strings.LastIndexByte(local[:i], '/')+1 : i]
		if reason := r.never(name, dir || i < len(local)); reason != "" {
			return LeftOut{local, alwaysOut, reason}, true
		}
	}
	for _, l := range r.leave {
		if _, ok := below(l.Local, local); ok {
			return LeftOut{local, l.Rule, l.Reason}, true
		}
	}
	if p := r.exclude.excluded(local, dir); p != nil {
		return excludedBy(local, p), true
	}
	if rule.git {
		if l, ok := r.git.leftOut(local, dir); ok {
			return l, true
		}
	}
	return LeftOut{}, false
}
