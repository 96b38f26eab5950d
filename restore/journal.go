package restore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"satchel/snapshot"
	"satchel/snapshot/sqlite"
	"satchel/store/durable"
	"satchel/store/pack"
)

// The staging folder of a run, in the root of the workspace:
//
//	.satchel-stage-<random>/0, 1, …        files and links, whole and verified
//	.satchel-stage-<random>/gone-0, …      what was removed, until the swap is over
//	.satchel-stage-<random>/was-0, …       what 0, 1, … replaced
//	.satchel-stage-<random>/was-0-wal, …   what belonged to a database that was replaced
//	.satchel-stage-<random>/journal        from here on the swap is finished, or undone
//
// A staging folder without a journal is what a run left that had changed nothing: it is
// removed. One with a journal is finished by the next run.
const (
	stagePrefix = ".satchel-stage-"
	journalName = "journal"
)

// journal says what a swap does, in this order. Paths are local.
type journal struct {
	Format   int             `json:"format"` // 1
	Snapshot string          `json:"snapshot,omitempty"`
	Unlock   []journalFlags  `json:"unlock,omitempty"`  // what could not be moved otherwise
	Renames  []journalRename `json:"renames,omitempty"` // to another spelling of the same name
	Removes  []string        `json:"removes,omitempty"` // files
	Rmdirs   []journalProps  `json:"rmdirs,omitempty"`  // deepest first; what still holds something stays
	Writes   []step          `json:"writes,omitempty"`
	Touches  []journalProps  `json:"touches,omitempty"` // files whose bytes stay
	Folders  []journalProps  `json:"folders,omitempty"` // made first, properties set last; deepest first
	Lock     []journalFlags  `json:"lock,omitempty"`    // set when all is in place
}

// step puts stage/N at Path. If it replaces a database, or puts one there, what stands beside it goes
// too: the order is that of package sqlite, so that no database is ever beside another's -wal.
type step struct {
	Path     string `json:"path"`
	Stage    int    `json:"stage"`
	Database bool   `json:"database,omitempty"`
}

// journalProps is a path as it is to be, and as it was; Was is nil if it was not there.
type journalProps struct {
	Path string `json:"path"`
	props
	Was *props `json:"was,omitempty"`
}

// journalRename is a name that a file system takes for another, and that other.
type journalRename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// journalFlags are the flags of a path.
type journalFlags struct {
	Path  string        `json:"path"`
	Flags durable.Flags `json:"flags"`
}

// mapped is the journal with other names for all paths.
func (j *journal) mapped(f func(string) string) *journal {
	out := *j
	out.Removes, out.Renames, out.Writes = slices.Clone(j.Removes), slices.Clone(j.Renames), slices.Clone(j.Writes)
	out.Unlock, out.Lock = slices.Clone(j.Unlock), slices.Clone(j.Lock)
	out.Rmdirs, out.Touches, out.Folders = slices.Clone(j.Rmdirs), slices.Clone(j.Touches), slices.Clone(j.Folders)
	for i := range out.Removes {
		out.Removes[i] = f(out.Removes[i])
	}
	for i := range out.Writes {
		out.Writes[i].Path = f(out.Writes[i].Path)
	}
	for i, r := range out.Renames {
		out.Renames[i] = journalRename{f(r.From), f(r.To)}
	}
	for _, flags := range [][]journalFlags{out.Unlock, out.Lock} {
		for i := range flags {
			flags[i].Path = f(flags[i].Path)
		}
	}
	for _, props := range [][]journalProps{out.Rmdirs, out.Touches, out.Folders} {
		for i := range props {
			props[i].Path = f(props[i].Path)
		}
	}
	return &out
}

// write makes the journal durable: what is staged first, then the journal, then its name.
func (j *journal) write(r durable.Root, stage string, staged []string) error {
	if err := syncStaged(r, stage, staged); err != nil {
		return err
	}
	b, err := json.Marshal(j.mapped(asText))
	if err != nil {
		return err
	}
	temp := stage + "/" + journalName + ".new"
	f, err := r.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := r.Rename(temp, stage+"/"+journalName); err != nil {
		return err
	}
	return errors.Join(r.SyncDir(stage), r.SyncDir("."))
}

// syncStaged makes the staged files durable.
func syncStaged(r durable.Root, stage string, staged []string) error {
	if ok, err := r.SyncAll(); ok || err != nil {
		return err
	}
	for _, name := range staged {
		f, err := r.OpenFile(name, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrPermission) { // read-only by its own mode
			f, err = r.OpenFile(name, os.O_RDONLY, 0)
		}
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return r.SyncDir(stage)
}

// run carries the journal out, and makes it durable if sync is set, from wherever an
// earlier run stopped: every step is harmless twice.
func (j *journal) run(r durable.Root, stage string, sync bool) error {
	if err := j.open(r); err != nil {
		return err
	}
	for _, n := range j.Renames {
		if err := r.Rename(n.From, n.To); err != nil && !absent(err) {
			return fmt.Errorf("%s: %w", n.To, err)
		}
	}
	for i, p := range j.Removes {
		if err := moveAway(r, p, fmt.Sprintf("%s/gone-%d", stage, i)); err != nil {
			return fmt.Errorf("remove %s: %w", p, err)
		}
	}
	for _, d := range j.Rmdirs {
		if err := removeDir(r, d.Path); err != nil {
			return fmt.Errorf("remove %s: %w", d.Path, err)
		}
	}
	made := map[string]bool{".": true}
	for _, d := range slices.Backward(j.Folders) {
		if err := r.MkdirAll(d.Path, 0o700); err != nil {
			return fmt.Errorf("%s: %w", d.Path, err)
		}
		made[d.Path] = true
	}
	for i, s := range j.Writes {
		if err := j.place(r, stage, i, made, sync); err != nil {
			return fmt.Errorf("%s: %w", s.Path, err)
		}
	}
	for _, d := range append(slices.Clone(j.Touches), j.Folders...) {
		if _, err := d.set(r, d.Path, false); err != nil && !absent(err) {
			return fmt.Errorf("%s: %w", d.Path, err)
		}
	}
	for _, l := range j.Lock {
		if err := l.set(r, l.Flags); err != nil {
			return err
		}
	}
	if !sync {
		return nil
	}
	return j.sync(r)
}

// open makes way: it takes the flags away that lock a path, and gives the owner the right to
// write in folders.
func (j *journal) open(r durable.Root) error {
	for _, u := range j.Unlock {
		if err := u.set(r, u.Flags&^durable.Locked); err != nil {
			return err
		}
	}
	for _, d := range slices.Backward(append(slices.Clone(j.Rmdirs), j.Folders...)) {
		if d.Was == nil || d.Was.Mode&0o700 == 0o700 {
			continue
		}
		if err := r.Chmod(d.Path, fileMode(d.Was.Mode|0o700)); err != nil && !absent(err) && !cannotHold(err) {
			return err
		}
	}
	return nil
}

// set sets flags of a path, if there is one and it can have them.
func (l journalFlags) set(r durable.Root, flags durable.Flags) error {
	if err := r.SetFlags(l.Path, flags); err != nil && !absent(err) && !cannotHold(err) {
		return err
	}
	return nil
}

func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// removeDir removes a folder that holds nothing. A file in its place stays.
func removeDir(r durable.Root, path string) error {
	info, err := r.Lstat(path)
	if err == nil && info.IsDir() {
		err = r.Remove(path)
	}
	if absent(err) || err != nil && notEmpty(err) {
		return nil
	}
	return err
}

// moveAway moves a file out of the way, once. A folder that has come in its place stays.
func moveAway(r durable.Root, path, to string) error {
	if _, err := r.Lstat(to); err == nil {
		return nil
	} else if !absent(err) {
		return err
	}
	switch info, err := r.Lstat(path); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return r.Rename(path, to)
	case absent(err):
		return nil
	default:
		return err
	}
}

// place renames staged file i into place.
func (j *journal) place(r durable.Root, stage string, i int, made map[string]bool, sync bool) error {
	s := j.Writes[i]
	from, was := s.names(stage, i)
	if dir := path.Dir(s.Path); !made[dir] {
		if err := r.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		made[dir] = true
	}
	if _, err := r.Lstat(s.Path); absent(err) && !s.Database { // nothing is in the way
		if err := r.Rename(from, s.Path); !absent(err) {
			return err
		}
		return nil // it was in place already
	}
	if _, err := r.Lstat(from); absent(err) {
		return nil // it is in place already
	} else if err != nil {
		return err
	}
	if err := moveAway(r, s.Path, was); err != nil {
		return err
	}
	if s.Database {
		if err := moveSidecars(r, s.Path, was, sync); err != nil {
			return err
		}
	}
	return r.Rename(from, s.Path)
}

// names are those of step i in the staging folder: of what it puts in place, and of what was there.
func (s step) names(stage string, i int) (staged, was string) {
	return fmt.Sprintf("%s/%d", stage, s.Stage), fmt.Sprintf("%s/was-%d", stage, i)
}

// moveSidecars moves what stands beside a database that is gone, and makes that durable
// before another comes in its place.
func moveSidecars(r durable.Root, database, to string, sync bool) error {
	moved := false
	for _, suffix := range sqlite.Suffixes {
		if _, err := r.Lstat(database + suffix); absent(err) {
			continue
		} else if err != nil {
			return err
		}
		if err := moveAway(r, database+suffix, to+suffix); err != nil {
			return err
		}
		if info, err := r.Lstat(database + suffix); err == nil && !info.IsDir() { // a second one, since a crash
			if err := r.Remove(database + suffix); err != nil {
				return err
			}
		}
		moved = true
	}
	if !moved || !sync {
		return nil
	}
	return errors.Join(r.SyncDir(path.Dir(database)), r.SyncDir(path.Dir(to)))
}

// sync makes the swap durable.
func (j *journal) sync(r durable.Root) error {
	if ok, err := r.SyncAll(); ok || err != nil {
		return err
	}
	dirs := map[string]bool{".": true}
	for _, s := range j.Writes {
		dirs[path.Dir(s.Path)] = true
	}
	for _, p := range j.Removes {
		dirs[path.Dir(p)] = true
	}
	for _, n := range j.Renames {
		dirs[path.Dir(n.To)] = true
	}
	for _, d := range j.Folders {
		dirs[path.Dir(d.Path)] = true
	}
	for d := range dirs {
		if err := r.SyncDir(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// undo puts everything back as it was before run. It goes on after an error.
func (j *journal) undo(r durable.Root, stage string) error {
	var all error
	fail := func(err error) { all = errors.Join(all, err) }
	back := func(d journalProps) {
		if d.Was == nil {
			return
		}
		if _, err := d.Was.set(r, d.Path, false); !absent(err) {
			fail(err)
		}
		if d.Was.Flags&durable.Locked != 0 {
			fail(journalFlags{d.Path, d.Was.Flags}.set(r, d.Was.Flags))
		}
	}
	for _, l := range j.Lock {
		fail(l.set(r, l.Flags&^durable.Locked))
	}
	fail(j.open(r))
	for _, t := range j.Touches {
		back(t)
	}
	for i, s := range slices.Backward(j.Writes) {
		staged, was := s.names(stage, i)
		if _, err := r.Lstat(staged); absent(err) {
			fail(r.Rename(s.Path, staged))
			if s.Database {
				fail(moveSidecars(r, s.Path, staged, false))
			}
		}
		for _, suffix := range slices.Backward(sqlite.Suffixes) {
			if _, err := r.Lstat(was + suffix); err == nil {
				fail(r.Rename(was+suffix, s.Path+suffix))
			}
		}
		if _, err := r.Lstat(was); err == nil {
			fail(r.Rename(was, s.Path))
		}
	}
	for _, d := range j.Folders { // deepest first
		if d.Was != nil {
			continue
		}
		fail(removeDir(r, d.Path))
	}
	for _, d := range slices.Backward(j.Rmdirs) {
		fail(r.MkdirAll(d.Path, 0o700))
	}
	for i, p := range slices.Backward(j.Removes) {
		gone := fmt.Sprintf("%s/gone-%d", stage, i)
		if _, err := r.Lstat(gone); err == nil {
			fail(r.Rename(gone, p))
		}
	}
	for _, n := range slices.Backward(j.Renames) {
		if err := r.Rename(n.To, n.From); !absent(err) {
			fail(err)
		}
	}
	for _, d := range append(slices.Clone(j.Rmdirs), j.Folders...) {
		back(d)
	}
	for _, u := range j.Unlock {
		fail(u.set(r, u.Flags))
	}
	return errors.Join(all, j.sync(r))
}

// inUse reports databases at the paths of a swap that is not finished which programs have open.
func (j *journal) inUse(r durable.Root, stage string) error {
	var locals []string
	for i, s := range j.Writes {
		staged, _ := s.names(stage, i)
		if _, err := r.Lstat(staged); s.Database && err == nil {
			locals = append(locals, s.Path)
		}
	}
	return inUse(r, locals)
}

// Recovered is what Recover finished.
type Recovered struct {
	Snapshot pack.ID // whose files are here now; zero if the run was not a pull
	Files    int
}

// Recover looks for what an interrupted run left in the folder: it finishes a swap that had
// begun, and removes what was only staged. It is for the one who holds this device's
// index, so that no run under way is taken for a dead one.
func Recover(r durable.Root) ([]Recovered, error) {
	entries, err := r.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var out []Recovered
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), stagePrefix) {
			continue
		}
		j, err := readJournal(r, e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			if err := r.RemoveAll(e.Name()); err != nil {
				return out, err
			}
			continue
		} else if err != nil {
			return out, fmt.Errorf("%s: %w", e.Name(), err)
		}
		if err := j.inUse(r, e.Name()); err != nil {
			return out, err
		}
		if err := j.run(r, e.Name(), true); err != nil {
			err = fmt.Errorf("what was interrupted (%s) cannot be finished: %w", e.Name(), err)
			if uerr := j.undo(r, e.Name()); uerr != nil {
				return out, fmt.Errorf("%w; nor undone: %w", err, uerr)
			}
			return out, errors.Join(fmt.Errorf("%w; it was undone", err), discard(r, e.Name()))
		}
		rec := Recovered{Files: len(j.Writes) + len(j.Removes)}
		if b, err := hex.DecodeString(j.Snapshot); err == nil && len(b) == len(rec.Snapshot) {
			copy(rec.Snapshot[:], b)
		}
		out = append(out, rec)
	}
	return out, nil
}

// Finish removes the staging folders whose swap Recover has finished. It is called when the
// caller has noted what it has to note.
func Finish(r durable.Root) error {
	entries, err := r.ReadDir(".")
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), stagePrefix) {
			err = errors.Join(err, discard(r, e.Name()))
		}
	}
	return err
}

// discard removes a staging folder, the journal first: without it the rest is nothing.
func discard(r durable.Root, stage string) error {
	if err := r.Remove(stage + "/" + journalName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.RemoveAll(stage)
}

// maxJournal is how large a journal may be in bytes.
const maxJournal = 1 << 30

func readJournal(r durable.Root, stage string) (*journal, error) {
	f, err := r.OpenFile(stage+"/"+journalName, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJournal))
	if err != nil {
		return nil, err
	}
	return parseJournal(b)
}

// parseJournal decodes a journal; it is strict, as a swap follows it.
func parseJournal(b []byte) (*journal, error) {
	var j journal
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil || j.Format != 1 {
		return nil, fmt.Errorf("journal: not one of this satchel's (%v)", err)
	}
	j = *j.mapped(fromText)
	bad := func(p string) bool { return p == "." || checkLocal(p) != nil }
	if slices.ContainsFunc(j.Removes, bad) ||
		slices.ContainsFunc(j.Renames, func(n journalRename) bool { return bad(n.From) || bad(n.To) }) ||
		slices.ContainsFunc(append(slices.Clone(j.Unlock), j.Lock...), func(l journalFlags) bool { return bad(l.Path) }) ||
		slices.ContainsFunc(j.Writes, func(s step) bool { return bad(s.Path) || s.Stage < 0 }) ||
		slices.ContainsFunc(slices.Concat(j.Rmdirs, j.Touches, j.Folders), func(d journalProps) bool { return bad(d.Path) }) {
		return nil, errors.New("journal: a path that is not in the workspace")
	}
	return &j, nil
}

// newJournal says how the plan is to be carried out.
func (p *Plan) newJournal() (*journal, error) {
	j := &journal{Format: 1, Renames: p.renames, Touches: p.touches}
	for _, local := range p.removes {
		j.Removes = append(j.Removes, local)
		if is, err := isDatabase(p.o.Root, local); err != nil {
			return nil, err
		} else if is {
			for _, suffix := range sqlite.Suffixes {
				j.Removes = append(j.Removes, local+suffix)
			}
		}
	}
	if p.o.Snapshot != (pack.ID{}) {
		j.Snapshot = hex.EncodeToString(p.o.Snapshot[:])
	}
	for _, links := range []bool{false, true} { // links last: nothing goes through them
		for _, w := range p.writes {
			if !w.skip && (w.entry.Type == snapshot.Symlink) == links {
				was, err := isDatabase(p.o.Root, w.local)
				if err != nil {
					return nil, err
				}
				j.Writes = append(j.Writes, step{w.local, w.order, w.database || was})
				if m, _ := propsOf(p.holder, w.entry); m.Flags&durable.Locked != 0 {
					j.Lock = append(j.Lock, journalFlags{w.local, m.Flags})
				}
			}
		}
	}
	for _, local := range p.rmdirs {
		was, err := p.dirHere(local)
		if err != nil {
			return nil, err
		}
		if was != nil {
			j.Rmdirs = append(j.Rmdirs, journalProps{Path: local, props: *was, Was: was})
		}
	}
	for _, f := range p.folders { // in post-order: deepest first
		if f.entry == nil || f.local == "" || f.local == "." || f.partial {
			continue
		}
		was, err := p.dirHere(f.local)
		if err != nil {
			return nil, err
		}
		m, _ := propsOf(p.holder, f.entry)
		j.Folders = append(j.Folders, journalProps{Path: f.local, props: m, Was: was})
	}
	for _, d := range slices.Concat(j.Touches, j.Folders) {
		if d.Flags&durable.Locked != 0 {
			j.Lock = append(j.Lock, journalFlags{d.Path, d.Flags})
		}
	}
	return j, p.unlock(j)
}

// unlock lists what is locked of the paths that the journal changes.
func (p *Plan) unlock(j *journal) error {
	if durable.FlagsOf(p.holder.System)&durable.Locked == 0 {
		return nil
	}
	paths := slices.Clone(j.Removes)
	for _, w := range j.Writes {
		paths = append(paths, w.Path)
	}
	for _, n := range j.Renames {
		paths = append(paths, n.From)
	}
	for _, d := range slices.Concat(j.Rmdirs, j.Touches, j.Folders) {
		paths = append(paths, d.Path)
	}
	for _, path := range paths {
		info, err := p.o.Root.Lstat(path)
		if absent(err) {
			continue
		} else if err != nil {
			return err
		}
		if flags := durable.InfoOf(info).Flags; flags&durable.Locked != 0 {
			j.Unlock = append(j.Unlock, journalFlags{path, flags})
		}
	}
	return nil
}

// dirHere is what a folder is like now; nil if there is none.
func (p *Plan) dirHere(local string) (*props, error) {
	info, err := p.o.Root.Lstat(local)
	if absent(err) || err == nil && !info.IsDir() {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	m, err := p.propsHere(local, info)
	return &m, err
}
