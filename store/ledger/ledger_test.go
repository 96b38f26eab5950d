package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

var (
	update = flag.Bool("update", false, "write the golden files and the fuzz corpora anew")
	seed   = flag.Uint64("seed", 0, "of the random tests; 0 is another each time")
	ctx    = context.Background()
)

// random returns a source that differs from run to run and says how to repeat it.
func random(t testing.TB) *rand.Rand {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// fixed returns the same bytes in every run, other ones for each seed.
func fixed(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// chance is randomness that several goroutines may draw from.
var chance = &lockedChance{r: fixed(200)}

type lockedChance struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func (l *lockedChance) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

func ok[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func sumOf(b []byte) Hash { return sha256.Sum256(b) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("%s: %v, want %v", what, err, w)
		}
	}
}

var (
	testRepo = seal.RepoID{0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	testRing = ok(seal.NewKeyring(fixed(1)))
	testKeys = testRing.Keys(testRepo)
)

// people are the principals of every test's repository, made once: a hybrid key takes its time.
var people = sync.OnceValue(func() (p struct {
	office, home, clinic  *seal.Identity // devices; office is the founder
	helper                *seal.Identity // a device that may enrol, and is no admin
	passphrase            *seal.Identity
	stranger, other, late *seal.Identity // not enrolled
}) {
	id := func(seed byte, kind seal.PrincipalKind, name string, rights seal.Rights) *seal.Identity {
		return ok(seal.NewIdentity(testRepo, kind, name, rights, fixed(seed)))
	}
	const all = seal.Push | seal.Prune | seal.Enrol | seal.Admin
	p.office = id(11, seal.Device, "OFFICE", all)
	p.home = id(12, seal.Device, "HOME", seal.Push|seal.Prune)
	p.clinic = id(13, seal.Device, "CLINIC", seal.Push|seal.Prune)
	p.helper = id(14, seal.Device, "HELPER", seal.Push|seal.Enrol)
	p.passphrase = id(15, seal.Passphrase, "passphrase", seal.Enrol|seal.Admin)
	p.stranger = id(16, seal.Device, "STRANGER", all)
	p.other = id(17, seal.Device, "OTHER", seal.Push)
	p.late = id(18, seal.Device, "LATE", seal.Push|seal.Prune)
	return p
})

// clock is a store's clock that stands still unless it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// repo is a repository in a memory store: entry 1 and what a test adds.
type repo struct {
	t       testing.TB
	store   *storetest.Memory
	clock   *clock
	genesis Hash
}

// found makes a repository whose first entry lists office, home, clinic, helper and the
// passphrase.
func found(t testing.TB) *repo {
	t.Helper()
	r := &repo{t: t, store: storetest.NewMemory(), clock: &clock{now: time.Date(2026, 1, 2, 8, 0, 0, 0, time.UTC)}}
	r.store.Clock = r.clock.Now
	p := people()
	var list []seal.Principal
	for _, i := range []*seal.Identity{p.office, p.home, p.clinic, p.helper, p.passphrase} {
		list = append(list, i.Principal)
	}
	var err error
	r.genesis, err = Create(ctx, r.store, testKeys, testRepo, p.office, list, chance, func(Hash) error { return nil })
	check(t, err)
	r.clock.add(time.Minute)
	return r
}

// branch is the same repository in a store that goes its own way from here.
func (r *repo) branch() *repo {
	b := *r
	b.store = r.store.Clone()
	return &b
}

func (r *repo) config(me *seal.Identity, path string, s store.Store) Config {
	c := Config{Store: s, Keys: testKeys, Keyring: testRing, Repository: testRepo, Genesis: r.genesis, Path: path, Rand: chance}
	if me != nil {
		c.Me = me.Principal.ID
	}
	return c
}

// open opens a device's copy; what is at path from before is taken up.
func (r *repo) open(me *seal.Identity, path string, s store.Store) *Log {
	r.t.Helper()
	l, err := Open(r.config(me, path, s))
	check(r.t, err)
	r.t.Cleanup(func() { l.Close() })
	return l
}

// device opens a new copy for me and syncs it.
func (r *repo) device(me *seal.Identity) *Log {
	r.t.Helper()
	l := r.open(me, filepath.Join(r.t.TempDir(), "ledger.db"), r.store)
	check(r.t, l.Sync(ctx))
	return l
}

// again closes a device's copy and opens it over another store, as its next run would.
func (r *repo) again(l *Log, s store.Store) *Log {
	r.t.Helper()
	check(r.t, l.Close())
	me := &seal.Identity{Principal: seal.Principal{ID: l.Me}}
	return r.open(me, l.Path, s)
}

// state is the fold of what the store holds, from entry 1 on, with no Log.
func (r *repo) state() *State {
	r.t.Helper()
	s := newState(testRepo, testRing.Balance)
	for {
		raw, err := r.store.Get(ctx, Name(s.position+1), 0, -1)
		if errors.Is(err, store.ErrNotFound) {
			return s
		}
		check(r.t, err)
		e, _ := openEntry(raw, s.position+1, testKeys)
		_, err = s.step(e, sumOf(raw))
		check(r.t, err)
	}
}

// put writes raw bytes as the next entry.
func (r *repo) put(raw []byte) uint64 {
	r.t.Helper()
	n := r.head() + 1
	check(r.t, r.store.Put(ctx, Name(n), raw))
	return n
}

func (r *repo) head() uint64 {
	for o, err := range r.store.List(ctx, Prefix) {
		check(r.t, err)
		n, ok := ParseName(o.Name)
		if !ok {
			r.t.Fatal(o.Name)
		}
		return n
	}
	return 0
}

// ignored is an entry kind that changes nothing but sequence and time.
const ignored Kind = 0x90

// note appends an entry that nobody has to know.
func note(t testing.TB, l *Log, me *seal.Identity) *Entry {
	t.Helper()
	e, err := l.Append(ctx, me, ignored, func(*State) (any, error) { return "note", nil })
	check(t, err)
	return e
}

// An entryDraft is an entry that is written by hand, right or wrong.
type entryDraft struct {
	Body
	signers []*seal.Identity
	keys    *seal.Keys
	at      uint64 // the position that it is sealed for
	body    func([]byte) []byte
	env     func(*envelope)
	payload func([]byte) []byte
}

// draftOf begins an entry that is right in everything, after s.
func draftOf(s *State, author *seal.Identity, kind Kind, content any) *entryDraft {
	d := &entryDraft{Body: Body{Repository: s.repo, Position: s.position + 1, Prev: s.head, State: s.Digest(), Sequence: s.members[author.Principal.ID].Sequence + 1,
		Time: s.scalars.Time + 1, Kind: kind, Checkpoint: s.scalars.Checkpoint}, signers: []*seal.Identity{author}, keys: testKeys, at: s.position + 1}
	if b, raw := content.(rawContent); raw {
		d.Content = b
	} else {
		d.Content = canon.Marshal(content)
	}
	chance.Read(d.Nonce[:])
	return d
}

// rawContent is content that is not encoded any more.
type rawContent []byte

func (d *entryDraft) seal() []byte {
	env := envelope{Body: canon.Marshal(d.Body)}
	if d.body != nil {
		env.Body = d.body(env.Body)
	}
	for _, s := range d.signers {
		env.Signatures = append(env.Signatures, signature{Signer: s.Principal.ID, Bytes: s.Sign(append([]byte(signingContext), env.Body...))})
	}
	if d.env != nil {
		d.env(&env)
	}
	payload := canon.Marshal(env)
	if d.payload != nil {
		payload = d.payload(payload)
	}
	return ok(d.keys.SealObject(seal.Ledger, d.at, payload, chance))
}

// packRef makes a pack that exists as a name only.
func packRef(began uint64, n byte, directory []byte) PackRef {
	s := ok(pack.NewSession(began, fixed(n)))
	return PackRef{Key: pack.MakeKey(seal.Data, s, pack.Sum([]byte{n})), Size: 1024, Hash: sumOf(directory), Directory: directory}
}

// realPack builds a pack around a chunk and puts it into the store.
func (r *repo) realPack(began uint64, n byte) (PackRef, *pack.Directory) {
	r.t.Helper()
	chunk := bytes.Repeat([]byte{n}, 100)
	b := ok(pack.NewBuilder(seal.Data, ok(pack.NewSession(began, fixed(n))), testKeys, chance, nil))
	check(r.t, b.Add(ok(ok(pack.NewEncoder()).Encode(chunk, []pack.Chunk{{ID: pack.Sum(chunk), Size: len(chunk)}}))))
	p := ok(b.Finish())
	check(r.t, r.store.Put(ctx, p.Key.Name(), p.Data))
	return PackRef{Key: p.Key, Size: int64(len(p.Data)), Hash: p.Directory.Hash(), Directory: p.Directory.Encoding()}, p.Directory
}

var (
	clinicWork = Workspace{1, 1}
	homeWork   = Workspace{2, 2}
)

// commitOf is a snapshot that is right in everything, as the first of a workspace.
func commitOf(n byte, w Workspace, parents ...pack.ID) CommitContent {
	return CommitContent{Snapshot: pack.ID{0xcc, n}, Workspace: w, Name: "clinic", Parents: parents, Root: pack.ID{0xdd, n}, Files: 3, Bytes: 1000, NewBytes: 10}
}

// golden compares b with testdata/name, which is hexadecimal.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	if *update {
		var lines strings.Builder
		for rest := b; len(rest) > 0; rest = rest[min(32, len(rest)):] {
			fmt.Fprintf(&lines, "%x\n", rest[:min(32, len(rest))])
		}
		write(t, name, []byte(lines.String()))
	}
	if diff := cmp.Diff(hex.EncodeToString(readGolden(name)), hex.EncodeToString(b)); diff != "" {
		t.Errorf("%s (-file +now):\n%s", name, diff)
	}
}

func readGolden(name string) []byte {
	text := ok(os.ReadFile(filepath.Join("testdata", name)))
	return ok(hex.DecodeString(strings.Join(strings.Fields(string(text)), "")))
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	check(t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)))
}

// corpus keeps a case as a seed of a fuzz target, under the name of its quirk.
func corpus(t testing.TB, target, quirk string, b []byte) {
	t.Helper()
	if *update {
		name := filepath.Join("fuzz", target, strings.NewReplacer(" ", "-", ",", "", "/", "-").Replace(quirk))
		write(t, name, fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", b))
	}
}
