package snapshot

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"satchel/index"
	"satchel/store"
	"satchel/store/durable"
	"satchel/store/pack"
)

// SafetyKept is how long a safety snapshot is kept, here and in the repository.
const SafetyKept = 30 * 24 * time.Hour

// Safety is what a workspace folder was before satchel changed it: a list of steps, each of which
// undo can take back, and on this device the packs of those states that no snapshot had. It is
// a folder in the state directory:
//
//	steps.json       the steps, oldest first
//	store/           packs, as in a repository: sealed, named by their hash
//
// Nothing here is in the repository until the next push sends it.
type Safety struct {
	Steps []Step
	Store store.Store // of the packs; nil until there are any

	dir  string
	open func(dir string) (store.Store, error)
}

// A Step is one thing that was done to the files of a folder, and what was there before.
type Step struct {
	Time   time.Time
	What   string // "pull", "restore" or "undo", and of what
	Before State

	Packs  []index.Pack // in Store: what the repository may not have of Before
	Files  uint64
	Bytes  uint64
	Parent pack.ID // snapshot that Before follows
	Sent   bool    // Before is a snapshot of the repository's
	Done   bool    // it was taken; else it was planned, and perhaps undone by a failure
}

// State is the files of a folder as a snapshot, and where they come from.
type State struct {
	ID   pack.ID // of the manifest
	Root pack.ID // node
	Next         // what the Lineage was; its ID is not used
}

// OpenSafety reads what dir holds. open opens the store in a folder, or makes it.
func OpenSafety(dir string, open func(dir string) (store.Store, error)) (*Safety, error) {
	y := &Safety{dir: dir, open: open}
	b, err := os.ReadFile(filepath.Join(dir, "steps.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return y, nil
	} else if err != nil {
		return nil, err
	}
	var file []stepFile
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("%s: %w; it lists what undo can go back to: move it away if you do not need that", filepath.Join(dir, "steps.json"), err)
	}
	for _, f := range file {
		s, err := f.step()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "steps.json"), err)
		}
		y.Steps = append(y.Steps, s)
	}
	if _, err := os.Stat(y.storePath()); err == nil {
		y.Store, err = open(y.storePath())
		return y, err
	}
	return y, nil
}

func (y *Safety) storePath() string { return filepath.Join(y.dir, "store") }

// Room returns the store for packs, which it makes if there is none.
func (y *Safety) Room() (store.Store, error) {
	if y.Store != nil {
		return y.Store, nil
	}
	if err := durable.MkdirAll(y.storePath(), 0o700); err != nil {
		return nil, err
	}
	s, err := y.open(y.storePath())
	y.Store = s
	return s, err
}

// Add notes a step, durably, and drops what is older than SafetyKept and was sent.
func (y *Safety) Add(ctx context.Context, s Step) error {
	y.Steps = append(y.Steps, s)
	y.Steps = slices.DeleteFunc(y.Steps, func(old Step) bool { return old.Sent && s.Time.Sub(old.Time) > SafetyKept })
	if err := y.Save(); err != nil {
		return err
	}
	return y.sweep(ctx)
}

// Done notes that the last step was taken.
func (y *Safety) Done() error {
	if n := len(y.Steps); n > 0 && !y.Steps[n-1].Done {
		y.Steps[n-1].Done = true
		return y.Save()
	}
	return nil
}

// Taken lists the steps that were taken, the newest first.
func (y *Safety) Taken() (steps []Step) {
	for _, s := range slices.Backward(y.Steps) {
		if s.Done {
			steps = append(steps, s)
		}
	}
	return steps
}

// sweep removes packs that no step names.
func (y *Safety) sweep(ctx context.Context) error {
	if y.Store == nil {
		return nil
	}
	needed := map[string]bool{}
	for _, s := range y.Steps {
		for _, p := range s.Packs {
			needed[p.Key.Name()] = true
		}
	}
	for o, err := range y.Store.List(ctx, "") {
		if err != nil {
			return err
		}
		if !needed[o.Name] {
			if err := y.Store.Delete(ctx, o.Name); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

// Save writes the steps durably.
func (y *Safety) Save() error {
	file := []stepFile{}
	for i := range y.Steps {
		file = append(file, y.Steps[i].file())
	}
	b, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(y.dir, 0o700); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(y.dir, "steps.json"), append(b, '\n'), 0o600)
}

// Unsent lists the steps whose Before the repository does not have.
func (y *Safety) Unsent() (unsent []*Step) {
	for i := range y.Steps {
		if !y.Steps[i].Sent {
			unsent = append(unsent, &y.Steps[i])
		}
	}
	return unsent
}

// stepFile is a Step as it is written.
type stepFile struct {
	Time   time.Time  `json:"time"`
	What   string     `json:"what"`
	ID     string     `json:"snapshot"`
	Root   string     `json:"root"`
	Was    nextFile   `json:"was"`
	Packs  []packFile `json:"packs,omitempty"`
	Files  uint64     `json:"files,omitempty"`
	Bytes  uint64     `json:"bytes,omitempty"`
	Parent string     `json:"parent,omitempty"`
	Sent   bool       `json:"sent,omitempty"`
	Done   bool       `json:"done,omitempty"`
}

type packFile struct {
	Name      string `json:"name"`
	Size      int64  `json:"size"`
	Hash      string `json:"hash"`
	Directory []byte `json:"directory"`
}

func (s *Step) file() stepFile {
	f := stepFile{Time: s.Time, What: s.What, ID: hexOf(s.Before.ID), Root: hexOf(s.Before.Root), Was: s.Before.file(),
		Files: s.Files, Bytes: s.Bytes, Parent: hexOf(s.Parent), Sent: s.Sent, Done: s.Done}
	for _, p := range s.Packs {
		f.Packs = append(f.Packs, packFile{p.Key.Name(), p.Size, hex.EncodeToString(p.Hash[:]), p.Directory})
	}
	return f
}

func (f *stepFile) step() (Step, error) {
	s := Step{Time: f.Time, What: f.What, Before: State{Next: f.Was.next()}, Files: f.Files, Bytes: f.Bytes, Sent: f.Sent, Done: f.Done}
	unhex(s.Before.ID[:], f.ID)
	unhex(s.Before.Root[:], f.Root)
	unhex(s.Parent[:], f.Parent)
	for _, p := range f.Packs {
		k, err := pack.ParseName(p.Name)
		if err != nil {
			return s, err
		}
		in := index.Pack{Key: k, Size: p.Size, Directory: p.Directory}
		unhex(in.Hash[:], p.Hash)
		s.Packs = append(s.Packs, in)
	}
	return s, nil
}

// Over is the repository's store with that of a Safety over it: what is read may be in either,
// and nothing is written to the repository.
func Over(spool, repository store.Store) store.Store {
	if spool == nil {
		return repository
	}
	return over{repository, spool}
}

type over struct {
	store.Store
	spool store.Store
}

func (o over) Put(ctx context.Context, name string, data []byte) error {
	return o.spool.Put(ctx, name, data)
}

func (o over) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	b, err := o.spool.Get(ctx, name, off, n)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return b, err
	}
	return o.Store.Get(ctx, name, off, n)
}
