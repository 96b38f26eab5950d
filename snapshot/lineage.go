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

	path string
}

type lineageFile struct {
	Root      string `json:"root"`
	Workspace string `json:"workspace"`
	Base      string `json:"base,omitempty"`
	Pending   string `json:"pending,omitempty"`
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
	unhex(l.Base[:], f.Base)
	unhex(l.Pending[:], f.Pending)
	return l, nil
}

func unhex(dst []byte, s string) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == len(dst) {
		copy(dst, b)
	}
}

// Save writes the file durably.
func (l *Lineage) Save() error {
	f := lineageFile{Root: l.Root, Workspace: hex.EncodeToString(l.Workspace[:])}
	if l.Base != (pack.ID{}) {
		f.Base = hex.EncodeToString(l.Base[:])
	}
	if l.Pending != (pack.ID{}) {
		f.Pending = hex.EncodeToString(l.Pending[:])
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

// Adopt settles a push whose answer was lost: if its snapshot is in the ledger, it is the
// base; if not, it never will be, as its position went to another entry or is still free
// and nobody else sends it.
func (l *Lineage) Adopt(s *ledger.State) error {
	if l.Pending == (pack.ID{}) {
		return nil
	}
	if _, ok := s.Snapshot(l.Pending); ok {
		l.Base = l.Pending
		l.Pending = pack.ID{}
		return l.Save()
	}
	return nil
}

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
			l.Workspace, l.Base, l.Pending = id, pack.ID{}, pack.ID{}
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

// Newest is the newest snapshot of a workspace that is a head and no safety snapshot.
func Newest(s *ledger.State, w ledger.Workspace) (ledger.Snapshot, bool) {
	info, ok := s.Workspace(w)
	if !ok {
		return ledger.Snapshot{}, false
	}
	var best ledger.Snapshot
	for _, h := range info.Heads {
		if v, ok := s.Snapshot(h); ok && v.Flags&ledger.FlagSafety == 0 && v.Position > best.Position {
			best = v
		}
	}
	return best, best.Position > 0
}
