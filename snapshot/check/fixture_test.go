package check_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/check"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

var ctx = context.Background()

const passphrase = "seven crates of copper wire by the door"

func noise(seed uint64, n int) string {
	b := make([]byte, n)
	mathrand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(b)
	return string(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A repo is a repository with objects of every kind, several of each, that was found whole. office founded
// it and has pushed four snapshots; home has pulled the third.
type repo struct {
	store        *storetest.Memory
	office, home *snapshottest.Device
	note         string // of office, after a check that found nothing
	v            [4]pack.ID
	third        map[string]string // path, content
	newest       map[string]string
	objects      map[string][]string // names by kind: satchel, p, slot, ring, l, s, i, d, t
	others       map[string][]byte   // one more of the kinds of which there is only one, older or another repository's
}

var shared struct {
	once sync.Once
	*repo
}

// whole returns the repository that the tests of this package share, with an office of the
// test's own. They change only clones of the store.
func whole(t *testing.T) *repo {
	t.Helper()
	shared.once.Do(func() { shared.repo = found(t) })
	if shared.repo == nil {
		t.Fatal("the repository could not be made")
	}
	r := *shared.repo
	r.office = again(t, r.office, r.store)
	t.Cleanup(func() { discard(r.office) })
	return &r
}

// outlives is a TB whose folders and devices are there until the process ends.
type outlives struct{ testing.TB }

var temps struct {
	sync.Mutex
	dirs []string
}

func (o outlives) TempDir() string {
	dir, err := os.MkdirTemp(memory, "satchel-check-")
	must(o.TB, err)
	temps.Lock()
	defer temps.Unlock()
	temps.dirs = append(temps.dirs, dir)
	return dir
}

// memory is where a folder costs no disk, if there is such a place: hundreds of devices make
// databases that are synced with each change.
var memory = func() string {
	const shm = "/dev/shm"
	if dir, err := os.MkdirTemp(shm, "satchel-check-"); err == nil && os.Remove(dir) == nil {
		return shm
	}
	return ""
}()

func (o outlives) Cleanup(func()) {}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range temps.dirs {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func found(t *testing.T) *repo {
	tb := outlives{t}
	r := &repo{store: storetest.NewMemory()}
	r.office = &snapshottest.Device{T: tb, Name: "OFFICE", Store: r.store, Root: tb.TempDir(), Home: tb.TempDir(), Lineage: &snapshot.Lineage{}}
	a, _, err := access.Found(ctx, config(r.store, r.office.Home, "OFFICE"), access.Founding{Passphrase: passphrase, PassphraseLN: 1, RecoveryLN: 1})
	must(t, err)
	must(t, a.Log.Close())
	rand.Read(r.office.Lineage.Workspace[:])
	r.office.Reopen(r.store)
	must(t, r.office.Sync())
	r.push(t, 0)
	r.others = others(t, r.office)
	r.push(t, 1)
	r.checkpoint(t)
	r.push(t, 2)
	r.home = fresh(t, tb, r, r.store)
	mustPull(t, r.home, r.v[2])
	r.third = contents(t, r.home.Root)
	r.push(t, 3)
	r.newest = contents(t, r.office.Root)
	r.sort(t)
	r.note = filepath.Join(tb.TempDir(), "health.json")
	note, err := check.OpenNote(r.note)
	must(t, err)
	if rep := r.check(t, r.store, check.Options{Decrypt: true, Note: note}); len(rep.Problems)+len(rep.Unregistered) > 0 {
		t.Fatalf("a whole repository has %+v, %v", rep.Problems, rep.Unregistered)
	}
	must(t, note.Save())
	return r
}

func config(s store.Store, home, name string) access.Config {
	return access.Config{Store: s, Location: "test", Device: name, Rand: rand.Reader,
		Secret: func(context.Context) (string, error) { return passphrase, nil },
		Place:  access.Place{Config: filepath.Join(home, "config"), State: filepath.Join(home, "state")}}
}

// push changes the workspace of office and pushes it: snapshot n.
func (r *repo) push(t *testing.T, n uint64) {
	d := r.office
	d.Write("letter.txt", fmt.Sprintf("version %d of a letter", n))
	d.Write(fmt.Sprintf("only/in/%d.txt", n), noise(n, 700))
	if n < 2 {
		r.dataPack(t, noise(100+n, 3000), noise(300+n, 2000))
		d.Write(fmt.Sprintf("large/%d.bin", n), noise(100+n, 3000))
		d.Write(fmt.Sprintf("large/too/%d.bin", n), noise(300+n, 2000))
	}
	if n == 0 {
		for i := range 20 {
			d.Write(fmt.Sprintf("many/%02d", i), noise(uint64(200+i), 40*i))
		}
		d.Write("cabinet/deep/er/x", "x")
	}
	r.v[n] = d.MustPush().Snapshot
}

// dataPack registers a data pack with these chunks, a frame each: a push makes one from two
// megabytes on, which would make hundreds of checks slow.
func (r *repo) dataPack(t *testing.T, chunks ...string) {
	t.Helper()
	d := r.office
	session, err := pack.NewSession(d.State().Position(), rand.Reader)
	must(t, err)
	b, err := pack.NewBuilder(seal.Data, session, d.Access.Keys, rand.Reader, nil)
	must(t, err)
	enc, err := pack.NewEncoder()
	must(t, err)
	for _, c := range chunks {
		f, err := enc.Encode([]byte(c), []pack.Chunk{{ID: pack.Sum([]byte(c)), Size: len(c)}})
		must(t, err)
		must(t, b.Add(f))
	}
	p, err := b.Finish()
	must(t, err)
	must(t, r.store.Put(ctx, p.Key.Name(), p.Data))
	_, err = d.Access.Log.Append(ctx, d.Access.Me, ledger.Register, func(*ledger.State) (any, error) {
		return ledger.RegisterContent{Packs: []ledger.PackRef{{Key: p.Key, Size: int64(len(p.Data)), Hash: p.Directory.Hash(), Directory: p.Directory.Encoding()}}}, nil
	})
	must(t, err)
	must(t, d.Sync())
}

// others makes a keyring and a bootstrap of another repository, and a state and an index
// segment of the same as it is now.
func others(t *testing.T, d *snapshottest.Device) map[string][]byte {
	m := storetest.NewMemory()
	e := snapshottest.Found(outlives{t}, m)
	defer discard(e)
	out := map[string][]byte{}
	for kind, name := range map[string]string{"satchel": "satchel", "ring": "k/1/ring"} {
		var err error
		out[kind], err = m.Get(ctx, name, 0, -1)
		must(t, err)
	}
	for kind, payload := range map[seal.Kind][]byte{seal.State: d.State().Payload(), seal.Segment: pack.EncodeSegments(directories(t, d))[0]} {
		var err error
		out[string(kind)], err = d.Access.Keys.SealObject(kind, 0, payload, rand.Reader)
		must(t, err)
	}
	return out
}

// checkpoint makes a checkpoint of what is there, long before one is due, so that the ledger
// is short and hundreds of checks are fast.
func (r *repo) checkpoint(t *testing.T) {
	a := r.office.Access
	payload, segment := a.Log.State().Payload(), pack.EncodeSegments(directories(t, r.office))
	object, err := ledger.PutSealed(ctx, r.store, a.Keys, seal.State, payload, rand.Reader)
	must(t, err)
	dirs, err := ledger.PutSealed(ctx, r.store, a.Keys, seal.Segment, segment[0], rand.Reader)
	must(t, err)
	_, err = a.Log.Append(ctx, a.Me, ledger.Checkpoint, func(s *ledger.State) (any, error) {
		return ledger.CheckpointContent{Covers: s.Position(), Object: object, Payload: sha256.Sum256(payload), Segments: []ledger.Hash{dirs}}, nil
	})
	must(t, err)
	must(t, r.office.Sync())
}

func directories(t *testing.T, d *snapshottest.Device) (out []pack.Entry) {
	for _, p := range d.State().Packs() {
		dir, _, err := d.Index.Directory(p.Key)
		must(t, err)
		out = append(out, pack.Entry{Key: p.Key, Size: p.Size, Directory: dir.Encoding()})
	}
	return out
}

// sort tells the objects apart by kind.
func (r *repo) sort(t *testing.T) {
	r.objects = map[string][]string{}
	for o, err := range r.store.List(ctx, "") {
		must(t, err)
		kind, rest, _ := strings.Cut(o.Name, "/")
		switch {
		case strings.HasPrefix(rest, "p/"):
			kind = "p"
		case strings.HasSuffix(rest, "/ring"):
			kind = "ring"
		case kind == "k":
			kind = "slot"
		}
		r.objects[kind] = append(r.objects[kind], o.Name)
	}
	for kind, want := range map[string]int{"satchel": 1, "p": 2, "slot": 4, "ring": 1, "l": 8, "s": 1, "i": 1, "d": 2, "t": 4} {
		if len(r.objects[kind]) < want {
			t.Fatalf("%d objects of kind %s", len(r.objects[kind]), kind)
		}
	}
}

// check checks a store with what the office knows.
func (r *repo) check(t testing.TB, s store.Store, o check.Options) *check.Report {
	t.Helper()
	rep, err := r.tryCheck(s, o)
	must(t, err)
	return rep
}

func (r *repo) tryCheck(s store.Store, o check.Options) (*check.Report, error) {
	log := r.office.Access.Log
	before := log.Store
	log.Store = s
	defer func() { log.Store = before }()
	if o.Note == nil {
		var err error
		if o.Note, err = check.OpenNote(r.note); err != nil {
			return nil, err
		}
	}
	o.Log, o.Index, o.Me, o.Workers = log, r.office.Index, r.office.Access.Me, 2
	return check.Run(ctx, o)
}

// fresh is a device that joins.
func fresh(t testing.TB, tb testing.TB, r *repo, s store.Store) *snapshottest.Device {
	t.Helper()
	d, err := join(tb, r, s)
	must(t, err)
	return d
}

func join(tb testing.TB, r *repo, s store.Store) (*snapshottest.Device, error) {
	d := &snapshottest.Device{T: tb, Name: "HOME", Store: s, Root: tb.TempDir(), Home: tb.TempDir(), Lineage: &snapshot.Lineage{Workspace: r.office.Lineage.Workspace}}
	a, err := access.Open(ctx, config(s, d.Home, "HOME"))
	if err != nil {
		return nil, err
	}
	if err := a.Log.Close(); err != nil {
		return nil, err
	}
	d.Reopen(s)
	return d, nil
}

// again is a device's own copy: its folders as they are, at another view of the store.
func again(t *testing.T, d *snapshottest.Device, s store.Store, without ...string) *snapshottest.Device {
	t.Helper()
	e := &snapshottest.Device{T: outlives{t}, Name: d.Name, Store: s, Root: outlives{t}.TempDir(), Home: outlives{t}.TempDir(), Lineage: &snapshot.Lineage{Workspace: d.Lineage.Workspace}}
	must(t, os.CopyFS(e.Root, os.DirFS(d.Root)))
	must(t, os.CopyFS(e.Home, os.DirFS(d.Home)))
	keys, err := filepath.Glob(filepath.Join(e.Home, "config", "*", "device.key"))
	must(t, err)
	for _, k := range keys {
		must(t, os.Chmod(k, 0o600))
	}
	for _, pattern := range without {
		found, err := filepath.Glob(filepath.Join(e.Home, pattern))
		must(t, err)
		for _, f := range found {
			must(t, os.Remove(f))
		}
	}
	e.Reopen(s)
	e.Lineage.Base = d.Lineage.Base
	return e
}

// pull brings a device to the newest snapshot, as the command does.
func pull(d *snapshottest.Device) error {
	if err := d.Sync(); err != nil {
		return err
	}
	newest, ok := snapshot.Newest(d.State(), d.Lineage.Workspace)
	if !ok {
		return errors.New("no snapshot")
	}
	return pullTo(d, newest)
}

func pullTo(d *snapshottest.Device, to ledger.Snapshot) error {
	root, err := durable.OpenRoot(d.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	base, _ := d.State().Snapshot(d.Lineage.Base)
	plan, err := restore.Make(ctx, restore.Options{Store: d.Store, Keys: d.Access.Keys, Index: d.Index, Reader: d.Reader, Root: root, Target: to.Root,
		Base: base.Root, Local: func(remote string) (string, bool) { return strings.TrimSuffix(remote, "/"), true }, Follow: true})
	if err != nil {
		return err
	}
	if len(plan.Conflicts) > 0 {
		return fmt.Errorf("conflicts: %v", plan.Conflicts)
	}
	if err := plan.Run(ctx, nil); err != nil {
		return err
	}
	d.Lineage.Base = to.ID
	return nil
}

func mustPull(t *testing.T, d *snapshottest.Device, to pack.ID) {
	t.Helper()
	must(t, d.Sync())
	v, ok := d.State().Snapshot(to)
	if !ok {
		t.Fatalf("no snapshot %x", to[:4])
	}
	must(t, pullTo(d, v))
}

// discard ends a device of one test.
func discard(d *snapshottest.Device) {
	d.Close()
	os.RemoveAll(d.Root)
	os.RemoveAll(d.Home)
}

// contents reads a folder.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	}))
	return out
}

// problemOf is what a report says of an object.
func problemOf(rep *check.Report, object string) (check.Problem, bool) {
	i := slices.IndexFunc(rep.Problems, func(p check.Problem) bool { return p.Object == object })
	if i < 0 {
		return check.Problem{}, false
	}
	return rep.Problems[i], true
}
