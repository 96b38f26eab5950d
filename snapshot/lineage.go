package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Lineage is what a device remembers of one workspace folder: which workspace it is, the
// snapshot that its files were last equal to, and a push that may have ended without an
// answer. It is a small fsynced file in the state directory, apart from every cache.
type Lineage struct {
	Root      string           `json:"root"`
	Workspace ledger.Workspace `json:"-"`
	Base      pack.ID          `json:"-"`
	Pending   pack.ID          `json:"-"` // written to the ledger, perhaps

	// Merged are snapshots that the files here come from beside the base: what this device
	// had before a merge, and lines that it joined. The next push names them as parents too.
	Merged []pack.ID `json:"-"`
	// Lacks is what the files here lack of the base.
	Lacks Lacks `json:"-"`
	// Next is what base and merged become when the swap is over that puts Next.ID in place; nil:
	// none is under way.
	Next *Next `json:"-"`

	path string
}

// Next is a Lineage to come.
type Next struct {
	ID     pack.ID // of what is put in place
	Base   pack.ID
	Merged []pack.ID
	Lacks  Lacks
}

// Lacks are remote paths of a snapshot that this device could not be given: not at all, or
// not with all that they are beside their bytes. They are not missing: a push keeps what its
// parent has of them.
type Lacks struct{ Homeless, Partly []string }

type lineageFile struct {
	Root      string    `json:"root"`
	Workspace string    `json:"workspace"`
	Pending   string    `json:"pending,omitempty"`
	Next      *nextFile `json:"next,omitempty"`
	nextFile
}

type nextFile struct {
	ID     string   `json:"id,omitempty"`
	Base   string   `json:"base,omitempty"`
	Merged []string `json:"merged,omitempty"`

	Homeless [][]byte `json:"homeless,omitempty"` // names may be no text
	Partly   [][]byte `json:"partly,omitempty"`
}

func (f *nextFile) next() Next {
	var n Next
	unhex(n.ID[:], f.ID)
	unhex(n.Base[:], f.Base)
	for _, s := range f.Merged {
		var id pack.ID
		unhex(id[:], s)
		n.Merged = append(n.Merged, id)
	}
	n.Lacks = Lacks{inText(f.Homeless), inText(f.Partly)}
	return n
}

func (n *Next) file() nextFile {
	f := nextFile{ID: hexOf(n.ID), Base: hexOf(n.Base), Homeless: inBytes(n.Lacks.Homeless), Partly: inBytes(n.Lacks.Partly)}
	for _, id := range n.Merged {
		f.Merged = append(f.Merged, hexOf(id))
	}
	return f
}

func inText(bs [][]byte) (out []string) {
	for _, b := range bs {
		out = append(out, string(b))
	}
	return out
}

func inBytes(ss []string) (out [][]byte) {
	for _, s := range ss {
		out = append(out, []byte(s))
	}
	return out
}

func set(ss []string) map[string]bool {
	m := make(map[string]bool, len(ss))
	for _, s := range ss {
		m[s] = true
	}
	return m
}

// hexOf is "" for the zero id.
func hexOf(id pack.ID) string {
	if id == (pack.ID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// OpenLineage reads what dir remembers of the workspace in the folder root of a repository.
// A file that cannot be understood counts as lost: with no base, nothing is ever removed.
func OpenLineage(dir string, repo seal.RepoID, root string) (*Lineage, error) {
	sum := sha256.Sum256([]byte(root))
	l := &Lineage{Root: root, path: filepath.Join(dir, repo.String(), "workspaces", hex.EncodeToString(sum[:8])+".json")}
	b, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	} else if err != nil {
		return nil, err
	}
	var f lineageFile
	if json.Unmarshal(b, &f) != nil || f.Root != root {
		return l, nil
	}
	unhex(l.Workspace[:], f.Workspace)
	unhex(l.Pending[:], f.Pending)
	l.become(f.next())
	if f.Next != nil {
		n := f.Next.next()
		l.Next = &n
	}
	return l, nil
}

func (l *Lineage) become(n Next) { l.Base, l.Merged, l.Lacks = n.Base, n.Merged, n.Lacks }

// Arrive notes that a swap has put the snapshot in place: what Next says of it, else that it
// is the base.
func (l *Lineage) Arrive(id pack.ID) error {
	n := Next{Base: id}
	if l.Next != nil && l.Next.ID == id {
		n = *l.Next
	}
	l.become(n)
	l.Next = nil
	return l.Save()
}

func unhex(dst []byte, s string) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == len(dst) {
		copy(dst, b)
	}
}

// Save writes the file durably.
func (l *Lineage) Save() error {
	now := Next{Base: l.Base, Merged: l.Merged, Lacks: l.Lacks}
	f := lineageFile{Root: l.Root, Workspace: hex.EncodeToString(l.Workspace[:]), Pending: hexOf(l.Pending), nextFile: now.file()}
	if l.Next != nil {
		next := l.Next.file()
		f.Next = &next
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	if err := durable.WriteFile(l.path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("workspace state: %w", err)
	}
	return nil
}

// Discard removes the file: the folder was there for a while only.
func (l *Lineage) Discard() error { return os.Remove(l.path) }

// Adopt settles a push whose answer was lost: if its snapshot is in the ledger, it is the
// base; if not, it never will be, as its position went to another entry or is still free
// and nobody else sends it.
func (l *Lineage) Adopt(s *ledger.State) error {
	if l.Pending == (pack.ID{}) {
		return nil
	}
	if _, ok := s.Snapshot(l.Pending); ok {
		l.Base, l.Merged, l.Pending = l.Pending, nil, pack.ID{}
		return l.Save()
	}
	return nil
}

// SpoolPath is the folder for what Safety keeps of this workspace folder.
func (l *Lineage) SpoolPath() string { return strings.TrimSuffix(l.path, ".json") + ".safety" }

// StateKey is the key of the workspace folder's file state in the index.
func (l *Lineage) StateKey() [16]byte {
	sum := sha256.Sum256(append(l.Workspace[:], l.Root...))
	return [16]byte(sum[:16])
}

// Identify finds out which workspace of the repository a folder is: the one remembered, the
// one that the manifest names (id, zero if none), the one with the same git remote, or with the
// same name. It reports false if none matches: a push then begins one.
func (l *Lineage) Identify(s *ledger.State, id ledger.Workspace, name, remote string) bool {
	if id != (ledger.Workspace{}) {
		if l.Workspace != id {
			l.Workspace, l.Pending, l.Next = id, pack.ID{}, nil
			l.become(Next{})
		}
		_, known := s.Workspace(id)
		return known
	}
	if l.Workspace != (ledger.Workspace{}) {
		_, known := s.Workspace(l.Workspace)
		return known
	}
	all := s.Workspaces()
	pick := func(match func(ledger.WorkspaceInfo) bool) bool {
		var found []ledger.WorkspaceInfo
		for _, w := range all {
			if match(w) {
				found = append(found, w)
			}
		}
		if len(found) == 1 {
			l.Workspace = found[0].ID
		}
		return len(found) == 1
	}
	if remote != "" {
		if pick(func(w ledger.WorkspaceInfo) bool { return w.Remote == remote }) {
			return true
		}
	}
	return pick(func(w ledger.WorkspaceInfo) bool {
		return w.Name == name && (w.Remote == "" || remote == "" || w.Remote == remote)
	})
}

// Incoming is the newest head of the workspace that the files here do not come from.
func (l *Lineage) Incoming(s *ledger.State) (best ledger.Snapshot, ok bool) {
	info, _ := s.Workspace(l.Workspace)
	for _, h := range info.Heads {
		v, live := s.Snapshot(h)
		if live && v.Position > best.Position && !l.comesFrom(s, h) {
			best = v
		}
	}
	return best, best.Position > 0
}

// comesFrom reports whether the files here come from a snapshot.
func (l *Lineage) comesFrom(s *ledger.State, id pack.ID) bool {
	return slices.ContainsFunc(append(slices.Clone(l.Merged), l.Base), func(from pack.ID) bool { return Ancestor(s, id, from) })
}

// Newest is the newest snapshot of a workspace that is a head.
func Newest(s *ledger.State, w ledger.Workspace) (ledger.Snapshot, bool) {
	info, ok := s.Workspace(w)
	if !ok {
		return ledger.Snapshot{}, false
	}
	var best ledger.Snapshot
	for _, h := range info.Heads {
		if v, ok := s.Snapshot(h); ok && v.Position > best.Position {
			best = v
		}
	}
	return best, best.Position > 0
}
