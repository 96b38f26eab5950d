package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"satchel/index"
	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/azure"
	"satchel/store/dir"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/throttle"
)

// located is a store's place, and who said so.
type located struct {
	store.Location
	from    string // "--store", "SATCHEL_STORE", "the manifest's store", …
	builtin bool   // the embedded default
	tier    string // of new data packs; "" is the account's
}

// locate finds the store: flag, environment, manifest, default. A manifest may refuse it.
func (a *app) locate(m *workspace.Manifest) (_ located, err error) {
	if a.at, err = a.where(m); err == nil {
		err = a.gateSignIn(a.at, m)
	}
	switch {
	case a.Tier != "" && err == nil && a.at.Kind != store.Azure:
		err = usageError{errors.New("--tier: only Azure has tiers")}
	case a.Tier != "":
		a.at.tier = a.Tier
	case m != nil:
		a.at.tier = m.Tier
	}
	return a.at, err
}

func (a *app) where(m *workspace.Manifest) (located, error) {
	parse := func(s, from string) (located, error) {
		l, err := store.ParseLocation(s)
		if err != nil {
			return located{}, usageError{fmt.Errorf("%s: %w", from, err)}
		}
		if l.Kind == store.Dir && !filepath.IsAbs(l.Path) {
			if l.Path, err = filepath.Abs(l.Path); err != nil {
				return located{}, err
			}
		}
		return located{Location: l, from: from}, nil
	}
	switch {
	case a.Store != "":
		return parse(a.Store, "--store")
	case a.getenv("SATCHEL_STORE") != "":
		return parse(a.getenv("SATCHEL_STORE"), "SATCHEL_STORE")
	case m != nil && m.Store != "":
		return parse(m.Store, "the manifest's store")
	case m != nil && m.StorageAccount != "":
		l := store.AzureLocation(m.StorageAccount, m.Container)
		return located{Location: l, from: "the manifest's storage_account"}, l.Validate()
	}
	data, err := a.userDir("XDG_DATA_HOME", ".local/share")
	l, perr := parse(filepath.Join(data, "satchel", "store"), "the embedded default")
	l.builtin = true
	return l, errors.Join(err, perr)
}

// openStore opens the driver of a location; with create it makes container or folder.
func (a *app) openStore(l located, create bool) (store.Store, error) {
	if l.Kind == store.Azure {
		return a.openAzure(l, create)
	}
	if create {
		if name := dir.Synced(l.Path); name != "" {
			return nil, fmt.Errorf("%w: %s is synchronised by %s, which would fork the repository silently", store.ErrUnsafe, l.Path, name)
		}
		if err := dir.Create(l.Path); err != nil {
			return nil, err
		}
	}
	s, err := dir.Open(l.Path)
	if err == nil && create {
		err = s.Probe(a.ctx)
	}
	return s, err
}

func (a *app) openAzure(l located, create bool) (store.Store, error) {
	cred, err := a.signIn(l)
	if err != nil {
		return nil, err
	}
	a.who = cred.Who
	opts := azure.Options{Connections: a.uploadsAtOnce() + 2, Tier: l.tier, AnyHost: a.AnyHost, Upload: throttle.New(int64(a.LimitUpload)), Download: throttle.New(int64(a.LimitDownload))}
	s, err := azure.Open(l.Location, cred, opts)
	switch {
	case err != nil:
		return nil, err
	case create:
		return s, a.awaitRole(func() error { return a.makeContainer(s) })
	case a.Wait:
		return s, a.awaitRole(func() error {
			if _, err := access.Look(a.ctx, s); lacksRole(err) {
				return err
			}
			return nil // whatever else it is shows when it is used
		})
	}
	return s, nil
}

// makeContainer makes sure that there is a container that works.
func (a *app) makeContainer(s *azure.Store) error {
	err := s.CreateContainer(a.ctx)
	if errors.Is(err, store.ErrDenied) {
		// The right to make containers is another than that to fill them: it may be there.
		if _, lerr := access.Look(a.ctx, s); !errors.Is(lerr, store.ErrNoContainer) && !errors.Is(lerr, store.ErrDenied) {
			err = nil
		}
	}
	if err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return s.Probe(a.ctx)
}

// session is a repository that is open for one command.
type session struct {
	a      *app
	at     located
	store  *counted
	access *access.Access
	index  *index.Index
	images string // folder for private images of databases: whoever has the index open uses it
	reader *snapshot.Reader
	keys   *seal.Keys // of the reader

	gate    *gate  // before what is read or written in the workspace; nil for commands that do neither
	root    string // the workspace folder; "" for commands without one
	rules   *workspace.Rules
	git     workspace.Git
	lineage *snapshot.Lineage
	known   bool // the repository has this workspace
	told    bool // the journal, of what this command reads
	rebuilt bool // the index, because something was missing or it was torn
	founded bool // by this command
	synced  bool // the ledger is, as joining has to
	offline bool // go on with what is here if the store cannot be reached
	alone   bool // it cannot
}

// close releases what is local.
func (s *session) close() {
	if s.index != nil {
		s.index.Close()
	}
	if s.access != nil {
		if err := s.noteRun(); err != nil {
			s.a.debug("what was asked of the store is not noted: %v", err)
		}
		s.access.Log.Close()
	}
}

// open opens the repository that the folder dir belongs to and brings ledger and index up
// to date. With found, an embedded default that does not exist yet is made.
func (a *app) open(dir string, found bool) (*session, error) {
	return a.openGated(nil, dir, found)
}

// openGated is open for a command that reads or writes the workspace.
func (a *app) openGated(g *gate, dir string, found bool) (*session, error) {
	s := &session{a: a, gate: g}
	err := s.open(dir, found)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) open(dir string, found bool) error {
	if err := s.openUnsynced(dir, found); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return err
	}
	return s.enter()
}

// openUnsynced opens all that is local, and the store.
func (s *session) openUnsynced(dir string, found bool) (err error) {
	a := s.a
	if s.root, err = a.root(dir); err != nil {
		return err
	}
	if s.rules, err = workspace.Load(a.ctx, s.root, nil); err != nil {
		return err
	}
	if err := s.gate.check(a, s.rules.Manifest(), s.root); err != nil {
		return err
	}
	if s.at, err = a.locate(s.rules.Manifest()); err != nil {
		return err
	}
	if err := s.leaveOut(s.rules); err != nil {
		return err
	}
	s.gitInfo()
	return s.openRepository(found)
}

// enter finds out what this folder is to the repository, when ledger and index are up to date.
func (s *session) enter() error {
	place, err := s.a.place()
	if err != nil {
		return err
	}
	if s.lineage, err = snapshot.OpenLineage(place.State, s.access.Repository, s.root); err != nil {
		return err
	}
	if err := s.recover(); err != nil {
		return err
	}
	return s.identify()
}

// recover finishes a pull or restore that was interrupted in this folder. The index is
// open, and with it the lock on this device's share of the repository: nobody else is at it.
func (s *session) recover() error {
	root, err := durable.OpenRoot(s.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer root.Close()
	done, err := restore.Recover(root)
	for _, r := range done {
		s.a.note("Finished what was interrupted here: %s put in place.", count(r.Files, "file"))
		if r.Snapshot != (pack.ID{}) {
			err = errors.Join(err, s.lineage.Arrive(r.Snapshot))
		}
	}
	if err != nil || len(done) == 0 {
		return err
	}
	y, err := s.safety()
	if err == nil {
		err = y.Done()
	}
	if err != nil {
		return err
	}
	if err := restore.Finish(root); err != nil {
		return err
	}
	if s.rules, err = workspace.Load(s.a.ctx, s.root, nil); err != nil {
		return err
	}
	return s.leaveOut(s.rules)
}

// gitInfo notes the state of the code beside the data; nothing that travels depends on it.
func (s *session) gitInfo() {
	var err error
	if s.git, err = workspace.GitInfo(s.a.ctx, s.root); err != nil {
		s.a.debug("git: %v", err)
	}
	if !has(s.root, ".git") {
		s.git.Remote = "" // a part of a work tree is not the workspace that the whole is
	}
}

// leaveOut keeps what is satchel's own, the store and the keys above all, out of the
// workspace, should it lie there.
func (s *session) leaveOut(rules *workspace.Rules) error {
	if s.at.Kind == store.Dir {
		rules.LeaveOut(s.at.Path, "it is the store")
	}
	place, err := s.a.place()
	if err != nil {
		return err
	}
	rules.LeaveOut(place.Config, "the keys of this computer stay on it")
	rules.LeaveOut(place.State, "it is what this computer has seen of the repository")
	if cache, err := os.UserCacheDir(); err == nil {
		rules.LeaveOut(filepath.Join(cache, "satchel"), "it is a cache")
	}
	return nil
}

// openRepository opens store, keys, ledger and index.
func (s *session) openRepository(found bool) error {
	a := s.a
	place, err := a.place()
	if err != nil {
		return err
	}
	c := access.Config{Location: s.at.String(), Place: place, Device: a.device(), User: a.user(), Secret: a.joinSecret, Rand: a.rand}
	raw, err := a.openStore(s.at, false)
	if err != nil && s.offline && !errors.Is(err, store.ErrDenied) {
		raw, err = unreachable{err}, nil
	}
	missing := errors.Is(err, store.ErrNoContainer)
	if err == nil {
		s.store = a.counted(raw)
		c.Store = s.store
		s.access, err = access.Open(a.ctx, c)
		missing = errors.Is(err, access.ErrNoRepository)
	}
	_, known, perr := place.Pinned(c.Location)
	if perr != nil {
		return perr
	}
	if missing && known {
		err = place.Vanished(c.Location)
	} else if missing && found && s.at.builtin {
		err = s.found(c)
	} else if missing && !errors.Is(err, access.ErrNoRepository) {
		err = fmt.Errorf("%w: %w", access.ErrNoRepository, err)
	}
	if err != nil {
		return err
	}
	s.joined()
	return s.openIndex()
}

// joined says what became of this computer's right to enter.
func (s *session) joined() {
	s.synced = s.access.Joined || s.access.Me == nil
	if s.access.Joined {
		s.a.note("This computer has joined the repository as %q.", s.a.device())
	}
	if s.access.Me == nil {
		s.a.note("The store lets this computer only read, so it has not joined: the passphrase is asked for each time.")
	}
}

func (s *session) indexPath() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "satchel", s.access.Repository.String(), "index.db"), err
}

func (s *session) openIndex() error {
	path, err := s.indexPath()
	if err != nil {
		return err
	}
	if s.index, err = index.Open(path, s.access.Repository); err != nil {
		return err
	}
	s.images = filepath.Join(filepath.Dir(path), "images")
	if why := s.index.Rebuilt(); why != "" {
		s.a.debug("index made anew: %s", why)
	}
	s.keys = nil
	return s.newKeys()
}

// sync brings ledger and index up to what the store holds.
func (s *session) sync() error {
	if s.synced {
		s.synced = false // once
	} else if err := s.syncLog(); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			if _, lerr := access.Look(s.a.ctx, s.store); errors.Is(lerr, access.ErrNoRepository) {
				place, err := s.a.place()
				if err != nil {
					return err
				}
				return place.Vanished(s.at.String())
			}
		}
		return err
	}
	for _, v := range s.access.Log.Voids() {
		s.a.note("ledger entry %d is void and skipped: %s", v.Position, v.Reason)
	}
	if who := s.a.account(); who != "" {
		s.access.Log.User = who
	}
	if err := s.newKeys(); err != nil {
		return err
	}
	return snapshot.SyncIndex(s.a.ctx, s.access.Log, s.index)
}

// newKeys reads on with the keys that a sync has found in force.
func (s *session) newKeys() (err error) {
	if s.index == nil || s.keys == s.access.Keys {
		return nil
	}
	s.keys = s.access.Keys
	s.reader, err = snapshot.NewReader(s.store, s.keys, s.index)
	return err
}

// offlineWait is how long a command that can do without the store waits for it.
const offlineWait = 10 * time.Second

func (s *session) syncLog() error {
	log := s.access.Log
	if !s.offline || log.State() == nil {
		return s.access.Sync(s.a.ctx)
	}
	ctx, cancel := context.WithTimeout(s.a.ctx, offlineWait)
	defer cancel()
	err := s.access.Sync(ctx)
	if err == nil || s.a.ctx.Err() != nil || errors.Is(err, access.ErrRevoked) || errors.Is(err, access.ErrDamaged) || errors.Is(err, ledger.ErrDamaged) || errors.Is(err, ledger.ErrRollback) || errors.Is(err, ledger.ErrTooNew) {
		return err
	}
	if s.alone {
		return nil // it has been said
	}
	s.alone = true
	s.a.note("%s cannot be reached, so this works with what is on this computer: %v", s.at, err)
	return nil
}

// unreachable is a store that could not be opened.
type unreachable struct{ err error }

func (u unreachable) Put(context.Context, string, []byte) error { return u.err }
func (u unreachable) Get(context.Context, string, int64, int64) ([]byte, error) {
	return nil, u.err
}
func (u unreachable) List(context.Context, string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) { yield(store.Object{}, u.err) }
}
func (u unreachable) Delete(context.Context, string) error { return u.err }
func (u unreachable) Now() time.Time                       { return time.Now() }

// state is the repository as of the last sync.
func (s *session) state() *ledger.State { return s.access.Log.State() }

// identify finds out which workspace the folder is.
func (s *session) identify() error {
	if err := s.lineage.Adopt(s.state()); err != nil {
		return err
	}
	if s.a.Workspace != "" {
		w, err := findWorkspace(s.state(), s.a.Workspace)
		if err != nil {
			return err
		}
		s.known = s.lineage.Identify(s.state(), w.ID, "", "")
		return nil
	}
	var id ledger.Workspace
	if m := s.rules.Manifest(); m != nil && m.Workspace != "" {
		if err := parseWorkspace(m.Workspace, &id); err != nil {
			return err
		}
	}
	s.known = s.lineage.Identify(s.state(), id, s.name(), s.git.Remote)
	return nil
}

// name is what a new workspace would be called.
func (s *session) name() string {
	name := filepath.Base(s.root)
	if name == "/" || name == "." || name == `\` {
		name = ""
	}
	return printable(name, "workspace")
}

// theOnly takes the repository's only workspace for a command that changes nothing here.
func (s *session) theOnly() error {
	if s.known {
		return nil
	}
	all := s.state().Workspaces()
	switch len(all) {
	case 0:
		return noSnapshot(s.name())
	case 1:
		s.lineage.Workspace, s.known = all[0].ID, true
		return nil
	}
	return &ambiguous{s.root, all}
}

// retry runs f, and again as long as what it missed may be there by now.
func (s *session) retry(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() { err = s.noteDamage(err) }()
	for {
		err = f(ctx)
		if again, rerr := s.again(err); rerr != nil {
			return rerr
		} else if !again {
			return err
		}
	}
}

// again brings what this computer knows up to date, and reports whether an error may have come of
// that: a pack that was moved since the ledger was read (R6), an index that is torn.
func (s *session) again(err error) (bool, error) {
	var rotated *seal.GenerationError
	switch {
	case errors.As(err, &rotated): // meanwhile: what is sealed from now on is sealed under the new keys
		before := s.access.Keyring.Generation()
		serr := s.sync()
		return serr == nil && s.access.Keyring.Generation() != before, serr
	case errors.Is(err, index.ErrTorn) && !s.rebuilt:
		s.index.Close()
	case errors.Is(err, snapshot.ErrMissing), errors.Is(err, store.ErrNotFound):
		before := s.state().Position()
		if s.sync() != nil {
			return false, nil
		}
		if s.state().Position() != before {
			return true, nil
		}
		if s.rebuilt || !errors.Is(err, snapshot.ErrMissing) {
			return false, nil
		}
		// The index may be at fault: it is made anew once before anything is called damaged.
		path, err := s.indexPath()
		if err != nil {
			return false, nil
		}
		s.index.Close()
		if err := index.Remove(path); err != nil {
			return false, err
		}
	default:
		return false, nil
	}
	s.rebuilt = true
	if err := s.openIndex(); err != nil {
		return false, err
	}
	return true, s.sync()
}
