package ledger

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"satchel/store"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// notes appends n entries by turns of two devices and closes both.
func (r *repo) notes(n int) {
	r.t.Helper()
	p := people()
	ids := []*seal.Identity{p.office, p.clinic}
	logs := []*Log{r.device(ids[0]), r.device(ids[1])}
	for i := range n {
		l := logs[i%2]
		check(r.t, l.Sync(ctx))
		note(r.t, l, ids[i%2])
	}
	for _, l := range logs {
		check(r.t, l.Close())
	}
}

// unmoved checks that nothing was taken up, here or there.
func (r *repo) unmoved(l *Log, want error) {
	r.t.Helper()
	position, head := l.State().Position(), r.head()
	digest := l.State().Digest()
	if _, err := l.Append(ctx, people().home, ignored, func(*State) (any, error) { return "note", nil }); !errors.Is(err, want) {
		r.t.Errorf("appended: %v, want %v", err, want)
	}
	for _, run := range []string{"second sync", "next run", "run after that"} {
		wantErr(r.t, run, l.Sync(ctx), want)
		if l.State().Position() != position || l.State().Digest() != digest {
			r.t.Errorf("%s: at %d, was at %d", run, l.State().Position(), position)
		}
		l = r.again(l, l.Store)
	}
	if r.head() != head {
		r.t.Errorf("the store's head went from %d to %d", head, r.head())
	}
}

func TestSyncRequests(t *testing.T) {
	r := found(t)
	c := storetest.NewCounter(r.store)
	home := people().home
	l := r.open(home, filepath.Join(t.TempDir(), "ledger.db"), c)
	expect := func(what string, list, get, put int) {
		t.Helper()
		if n := c.Counts(); n.List != list || n.Get != get || n.Put != put || n.Delete != 0 {
			t.Errorf("%s: %d listings, %d reads, %d writes; want %d, %d, %d", what, n.List, n.Get, n.Put, list, get, put)
		}
		c.Reset()
	}
	expect("open", 0, 0, 0)
	check(t, l.Sync(ctx))
	expect("first sync of one entry", 1, 1, 0)
	check(t, l.Sync(ctx))
	expect("nothing new", 1, 0, 0)
	note(t, l, home)
	expect("append", 0, 0, 1)
	check(t, l.Sync(ctx))
	expect("nothing new after an append", 1, 0, 0)
	check(t, l.Confirm(ctx))
	expect("the append confirmed", 1, 1, 0)
	r.notes(5)
	check(t, l.Sync(ctx))
	expect("five new entries", 1, 5, 0)
	l = r.again(l, c)
	check(t, l.Sync(ctx))
	expect("nothing new in the next run", 1, 0, 0)
	fresh := r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), c)
	check(t, fresh.Sync(ctx))
	expect("seven entries on a new device", 1, 7, 0)
}

func TestGapIsDamage(t *testing.T) {
	base := found(t)
	base.notes(8)
	follower := base.branch()
	l := follower.device(people().home)
	for n := uint64(2); n < 9; n++ {
		r := base.branch()
		r.store.Corrupt(Name(n), func([]byte) []byte { return nil })
		fresh := r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), r.store)
		err := fresh.Sync(ctx)
		wantErr(t, fmt.Sprintf("entry %d", n), err, ErrDamaged)
		if err != nil && !strings.Contains(err.Error(), Name(n)) {
			t.Errorf("entry %d: the object is not named: %v", n, err)
		}
	}
	// Who has read them all notices nothing, and reads nothing.
	follower.store.Corrupt(Name(5), func([]byte) []byte { return nil })
	check(t, l.Sync(ctx))
	follower.store.Corrupt(Name(9), func([]byte) []byte { return nil })
	wantErr(t, "head", l.Sync(ctx), ErrRollback)
}

func TestReplacedEntryIsDamage(t *testing.T) {
	garbage := func(b []byte) []byte { return bytes.Repeat([]byte{7}, len(b)) }
	base := found(t)
	base.notes(3)
	early := base.device(people().home) // has read 4 entries
	check(t, early.Close())
	before := base.branch() // the store as it was then
	base.notes(70)
	late := base.device(people().clinic)
	elsewhere := ok(base.store.Get(ctx, Name(30), 0, -1))
	for name, c := range map[string]struct {
		at      uint64
		replace func([]byte) []byte
	}{
		"garbage":                   {6, garbage},
		"garbage, first new":        {5, garbage},
		"garbage, end of a batch":   {64, garbage},
		"garbage, end of a batch 2": {68, garbage}, // of a reader who begins at 5
		"cut off":                   {20, func(b []byte) []byte { return b[:len(b)/2] }},
		"empty":                     {20, func(b []byte) []byte { return []byte{} }},
		"flipped bit":               {72, func(b []byte) []byte { b[100] ^= 4; return b }},
		"entry of another position": {40, func([]byte) []byte { return elsewhere }},
	} {
		t.Run(name, func(t *testing.T) {
			r := base.branch()
			r.t = t
			r.store.Corrupt(Name(c.at), c.replace)
			fresh := r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), r.store)
			err := fresh.Sync(ctx)
			wantErr(t, "new reader", err, ErrDamaged)
			if err != nil && !strings.Contains(err.Error(), Name(c.at)) {
				t.Errorf("the object is not named: %v", err)
			}
			path := filepath.Join(t.TempDir(), "ledger.db")
			copyFile(t, early.Path, path)
			l := r.open(people().home, path, r.store)
			wantErr(t, "who has read four", l.Sync(ctx), ErrDamaged)
			path = filepath.Join(t.TempDir(), "ledger.db")
			copyFile(t, late.Path, path)
			l = r.open(people().clinic, path, r.store)
			check(t, l.Sync(ctx)) // it has read them all, and reads none again
		})
	}
	// One that did not open while it was the head counts as void, until its successor tells.
	before.t = t
	before.store.Put(ctx, Name(5), []byte("garbage"))
	l := before.open(people().home, early.Path, before.store)
	check(t, l.Sync(ctx))
	if len(l.Voids()) != 1 || l.State().Position() != 5 {
		t.Fatalf("at %d, voids %v", l.State().Position(), l.Voids())
	}
	after := base.branch()
	after.t = t
	after.store.Corrupt(Name(5), func([]byte) []byte { return []byte("garbage") })
	l = after.again(l, after.store)
	wantErr(t, "the successor was written after another", l.Sync(ctx), ErrDamaged)
	after.unmoved(l, ErrDamaged)
}

// Garbage that was written after an entry does not hide that the entry was changed since.
func TestDamageBehindGarbageIsFound(t *testing.T) {
	r := found(t)
	r.notes(3)
	target := r.head()
	r.put([]byte("garbage"))
	l := r.device(people().home)
	note(t, l, people().home)
	r.store.Corrupt(Name(target), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	err := r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), r.store).Sync(ctx)
	wantErr(t, "new reader", err, ErrDamaged)
	if err != nil && !strings.Contains(err.Error(), Name(target)) {
		t.Errorf("the object is not named: %v", err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	check(t, os.WriteFile(to, ok(os.ReadFile(from)), 0o600))
}

func TestVoidHeadIsAppendedAfter(t *testing.T) {
	r := found(t)
	home := people().home
	l := r.device(home)
	r.put([]byte("garbage"))
	r.put(nil)
	r.put(bytes.Repeat([]byte("long"), 1<<20)) // above the limit of an entry
	check(t, l.Sync(ctx))
	if e := note(t, l, home); e.Position != 5 {
		t.Errorf("appended at %d", e.Position)
	}
	fresh := r.device(nil)
	if len(fresh.Voids()) != 3 || fresh.State().Digest() != l.State().Digest() {
		t.Errorf("voids %v", fresh.Voids())
	}
	if l.m.entry(4) != nil || l.m.entry(3) == nil {
		t.Error("what is too long is kept, or what is not is not")
	}
	l = r.again(l, r.store)
	check(t, l.Sync(ctx))
	note(t, l, home)
}

func TestRollbackIsAnAlarm(t *testing.T) {
	base := found(t)
	base.notes(3)
	l := base.device(people().home)
	base.notes(3)
	check(t, l.Sync(ctx))
	for name, n := range map[string]uint64{"by one": 6, "by three": 4, "to the beginning": 1} {
		t.Run(name, func(t *testing.T) {
			r := base.branch()
			r.t = t
			path := filepath.Join(t.TempDir(), "ledger.db")
			copyFile(t, l.Path, path)
			for i := n + 1; i <= 7; i++ {
				r.store.Corrupt(Name(i), func([]byte) []byte { return nil })
			}
			mine := r.open(people().home, path, r.store)
			wantErr(t, "sync", mine.Sync(ctx), ErrRollback)
			r.unmoved(mine, ErrRollback)
		})
	}
	t.Run("to nothing", func(t *testing.T) {
		r := base.branch()
		r.t, r.store = t, storetest.NewMemory()
		mine := r.open(people().home, l.Path+"2", r.store)
		wantErr(t, "a new device", mine.Sync(ctx), store.ErrNotFound)
		check(t, mine.Close())
		copyFile(t, l.Path, l.Path+"2")
		mine = r.open(people().home, l.Path+"2", r.store)
		wantErr(t, "who has seen it", mine.Sync(ctx), ErrRollback, store.ErrNotFound)
		r.unmoved(mine, ErrRollback)
	})
}

func TestForkIsAnAlarm(t *testing.T) {
	p := people()
	for name, c := range map[string]struct {
		ours, theirs int // entries after the branch
		push         int // entries that this device adds to theirs
	}{
		"theirs is as long":         {1, 1, 0},
		"both are longer":           {3, 3, 0},
		"theirs is longer":          {1, 2, 0},
		"theirs is longer by a lot": {2, 80, 0},
		"theirs is shorter":         {2, 1, 0},
		"ours is appended to it":    {1, 1, 1},
		"ours goes on with it":      {1, 1, 20},
	} {
		t.Run(name, func(t *testing.T) {
			r := found(t)
			l := r.device(p.home)
			other := r.branch()
			for range c.ours {
				note(t, l, p.home)
			}
			// A geo failover loses what was written last, and another device goes on before.
			r.clock.add(time.Hour)
			rival := other.device(p.clinic)
			for range c.theirs {
				note(t, rival, p.clinic)
			}
			moved := r.again(l, other.store)
			other.t = t
			if c.push == 0 {
				wantErr(t, "sync", moved.Sync(ctx), ErrRollback)
				other.unmoved(moved, ErrRollback)
				return
			}
			// A provider that forges the time can have this device append to the other branch. Nobody
			// takes that entry for valid, and what is written after it tells.
			moved.seen = sight{moved.seen.size, moved.seen.time + int64(time.Hour)}
			check(t, moved.Sync(ctx))
			for range c.push {
				note(t, moved, p.home)
			}
			check(t, rival.Sync(ctx))
			if len(rival.Voids()) != c.push {
				t.Fatalf("voids %v", rival.Voids())
			}
			note(t, rival, p.clinic)
			wantErr(t, "sync", moved.Sync(ctx), ErrRollback)
			other.unmoved(moved, ErrRollback)
		})
	}
}

// A listing that shows this device's newest entry in size and time is believed by Sync, not by Confirm.
func TestConfirmReadsTheNewestEntryAgain(t *testing.T) {
	p, r := people(), found(t)
	l := r.device(p.home)
	other := r.branch()
	note(t, l, p.home)
	check(t, l.Confirm(ctx))
	r.clock.add(time.Hour)
	note(t, other.device(p.clinic), p.clinic)
	moved := r.again(l, other.store)
	moved.seen = sight{moved.seen.size, moved.seen.time + int64(time.Hour)}
	check(t, moved.Sync(ctx))
	wantErr(t, "confirm", moved.Confirm(ctx), ErrRollback)
	wantErr(t, "after it", moved.Sync(ctx), ErrRollback)
}

func TestAnotherRepositoryInItsPlace(t *testing.T) {
	r := found(t)
	r.notes(2)
	l := r.device(people().home)
	foreign := found(t) // the same people, another first entry
	foreign.notes(9)
	wantErr(t, "longer, same keys", r.again(l, foreign.store).Sync(ctx), ErrRollback)
	strange := storetest.NewMemory()
	ring := ok(seal.NewKeyring(fixed(7)))
	_, err := Create(ctx, strange, ring.Keys(seal.RepoID{9}), seal.RepoID{9}, people().office, []seal.Principal{people().office.Principal}, chance, func(Hash) error { return nil })
	check(t, err)
	for n := uint64(2); n < 9; n++ {
		check(t, strange.Put(ctx, Name(n), noise(rand.New(rand.NewPCG(n, 0)), 500)))
	}
	l = r.open(people().home, l.Path+"2", strange)
	wantErr(t, "a new device, other keys", l.Sync(ctx), ErrRollback)
	l = r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), foreign.store)
	wantErr(t, "a new device, same keys", l.Sync(ctx), ErrRollback)
	if l.State() != nil {
		t.Error("a state all the same")
	}
	mine := r.device(people().clinic)
	mine = r.again(mine, strange)
	wantErr(t, "longer, other keys", mine.Sync(ctx), ErrRollback)
	if len(mine.Voids()) != 0 {
		t.Errorf("its entries are void: %v", mine.Voids())
	}
}

func TestStrangersAmongTheEntries(t *testing.T) {
	for _, name := range []string{"l/0", "l/0123456789abcde", "l/a/b", "l/7fffffffffffff00-1"} {
		r := found(t)
		r.notes(1)
		check(t, r.store.Put(ctx, name, nil))
		l := r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), r.store)
		err := l.Sync(ctx)
		if name < Name(2) {
			wantErr(t, name, err, ErrDamaged)
		} else {
			check(t, err)
		}
	}
	// A name far ahead would be a long way to go.
	r := found(t)
	check(t, r.store.Put(ctx, Name(1<<62), []byte("x")))
	fresh := r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), r.store)
	wantErr(t, "entry 2^62", fresh.Sync(ctx), ErrDamaged)
}

func TestErrorsOfTheStoreAreNoDamage(t *testing.T) {
	r := found(t)
	r.notes(3)
	for k := 0; ; k++ {
		f := storetest.NewFaults(r.store)
		f.FailAt(k, storetest.Lost)
		l := r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), f)
		err := l.Sync(ctx)
		if !f.Injected() {
			check(t, err)
			if k != 5 {
				t.Errorf("%d calls", k)
			}
			return
		}
		if !errors.Is(err, storetest.ErrInjected) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrRollback) {
			t.Errorf("call %d: %v", k, err)
		}
		check(t, l.Sync(ctx))
		if l.State().Position() != 4 {
			t.Errorf("call %d: at %d", k, l.State().Position())
		}
	}
}

func TestCancelledSync(t *testing.T) {
	r := found(t)
	l := r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), r.store)
	done, cancel := context.WithCancel(ctx)
	cancel()
	wantErr(t, "sync", l.Sync(done), context.Canceled)
}

func TestClonedDevice(t *testing.T) {
	r, home := found(t), people().home
	office := r.device(home)
	note(t, office, home)
	check(t, office.Close())
	path := filepath.Join(t.TempDir(), "ledger.db")
	copyFile(t, office.Path, path) // a disk image, a restored virtual machine
	one, two := r.again(office, r.store), r.open(home, path, r.store)
	check(t, one.Sync(ctx))
	check(t, two.Sync(ctx))
	note(t, one, home)
	wantErr(t, "the second's sync", two.Sync(ctx), ErrCloned)
	r.unmoved(two, ErrCloned)
	check(t, one.Sync(ctx))
	note(t, one, home)

	// A lost race tells as well.
	third := r.open(people().clinic, filepath.Join(t.TempDir(), "ledger.db"), r.store)
	check(t, third.Sync(ctx))
	note(t, third, people().clinic)
	path = filepath.Join(t.TempDir(), "ledger.db")
	copyFile(t, third.Path, path)
	clone := r.open(people().clinic, path, r.store)
	check(t, clone.Sync(ctx))
	note(t, third, people().clinic)
	_, err := clone.Append(ctx, people().clinic, ignored, func(*State) (any, error) { return "note", nil })
	wantErr(t, "append", err, ErrCloned)

	// Whose copy is lost cannot know its own entries; those to come it knows.
	fresh := r.device(people().clinic)
	note(t, fresh, people().clinic)
	note(t, fresh, people().clinic)
	check(t, fresh.Sync(ctx))
}

// What a device holds of a rollback when its copy is lost: the first entry is pinned, all
// else is gone.
func TestLostMirror(t *testing.T) {
	r, home := found(t), people().home
	r.notes(2)
	l := r.device(home)
	note(t, l, home)
	note(t, l, home)
	check(t, l.Close())
	check(t, os.Remove(l.Path))
	r.store.Corrupt(Name(5), func([]byte) []byte { return nil })
	again := r.open(home, l.Path, r.store)
	check(t, again.Sync(ctx)) // not noticed: entry 5 is forgotten here too
	if again.State().Position() != 4 || len(again.Voids()) != 0 {
		t.Errorf("at %d, voids %v", again.State().Position(), again.Voids())
	}
	note(t, again, home)
	r.store.Corrupt(Name(1), func(b []byte) []byte { b[90] ^= 1; return b })
	wantErr(t, "other genesis", r.open(home, l.Path+"2", r.store).Sync(ctx), ErrRollback)
}

func setAside(t testing.TB, path string) int {
	t.Helper()
	return len(ok(filepath.Glob(path + ".unreadable-*")))
}

func TestMirrorOfAnotherRepositoryIsSetAside(t *testing.T) {
	r := found(t)
	l := r.device(people().home)
	check(t, l.Close())
	c := r.config(people().home, l.Path, r.store)
	c.Repository = seal.RepoID{1}
	other, err := Open(c)
	check(t, err)
	if other.State() != nil || setAside(t, l.Path) != 1 {
		t.Errorf("%v, %d set aside", other.State(), setAside(t, l.Path))
	}
	check(t, other.Close())
	l = r.open(people().home, l.Path, r.store)
	check(t, l.Sync(ctx))
	if setAside(t, l.Path) != 2 {
		t.Error("the other's copy was lost")
	}
}

func TestTruncatedMirrorIsRebuilt(t *testing.T) {
	r := found(t)
	r.notes(20)
	l := r.device(people().home)
	want := l.State().Digest()
	check(t, l.Close())
	whole := ok(os.ReadFile(l.Path))
	for _, n := range []int{0, 1, 64, 4095, 4096, 8192, 16383, 16384, len(whole) / 2, len(whole) - 4096, len(whole) - 1} {
		path := filepath.Join(t.TempDir(), "ledger.db")
		check(t, os.WriteFile(path, whole[:n], 0o600))
		l := r.open(people().home, path, r.store)
		if err := l.Sync(ctx); err != nil || l.State().Digest() != want {
			t.Errorf("%d bytes of %d: %v", n, len(whole), err)
		}
		check(t, l.Close())
	}
}

// A mirror is a plain file on a plain disk: whatever becomes of its bytes, the state is that
// of the store, or there is an error. The seed is fixed, as a page that names itself as its
// own child would end the process.
func TestFlippedMirrorNeverMisleads(t *testing.T) {
	r := found(t)
	r.notes(30)
	l := r.device(people().home)
	check(t, l.Close())
	whole := ok(os.ReadFile(l.Path))
	r.notes(1)
	want := r.device(nil).State().Digest()
	rnd := rand.New(rand.NewPCG(1, 2))
	rebuilt := 0
	for range 80 {
		b := bytes.Clone(whole)
		at := rnd.IntN(len(b))
		b[at] ^= 1 << rnd.IntN(8)
		path := filepath.Join(t.TempDir(), "ledger.db")
		check(t, os.WriteFile(path, b, 0o600))
		l, err := Open(r.config(people().home, path, r.store))
		if err != nil {
			t.Logf("byte %d: %v", at, err)
			continue
		}
		if err := l.Sync(ctx); err != nil {
			t.Logf("byte %d: %v", at, err)
		} else if l.State().Digest() != want || len(l.Voids()) != 0 {
			t.Errorf("byte %d: another state, voids %v", at, l.Voids())
		}
		check(t, l.Close())
		rebuilt += setAside(t, path)
	}
	t.Logf("%d copies were set aside", rebuilt)
}

func TestDamagedStateInTheMirrorIsRebuilt(t *testing.T) {
	for name, change := range map[string]func(s *State){
		"a time": func(s *State) { s.scalars.Time-- },
		"a sequence": func(s *State) {
			m := s.members[people().clinic.Principal.ID]
			m.Sequence++
			s.members[m.Principal.ID] = m
		},
		"a pack": func(s *State) { k := packRef(1, 1, nil).Key; s.packs[k] = Pack{Tag: tagPack, Key: k} },
	} {
		r := found(t)
		r.notes(2)
		l := r.device(people().home)
		want := l.State().Digest()
		change(l.state) // and not its balance
		check(t, l.save())
		l = r.again(l, r.store)
		if l.State() != nil || setAside(t, l.Path) != 1 {
			t.Errorf("%s: it was taken up", name)
		}
		check(t, l.Sync(ctx))
		if l.State().Digest() != want {
			t.Errorf("%s: another state", name)
		}
	}
}

func TestMirrorInUseIsBusy(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 50 * time.Millisecond
	r := found(t)
	l := r.device(people().home)
	_, err := Open(r.config(people().home, l.Path, r.store))
	wantErr(t, "second", err, ErrBusy)
	if setAside(t, l.Path) != 0 {
		t.Error("the copy in use was set aside")
	}
	check(t, l.Sync(ctx))
}

func TestMirrorThatCannotBeWrittenIsNotSetAside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(dir, nil, 0o600))
	r := found(t)
	if _, err := Open(r.config(nil, filepath.Join(dir, "ledger.db"), r.store)); err == nil {
		t.Error("a copy in a file")
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	check(t, os.Mkdir(path, 0o700))
	if _, err := Open(r.config(nil, path, r.store)); err == nil || setAside(t, path) != 0 {
		t.Errorf("a folder: %v, %d set aside", err, setAside(t, path))
	}
}

// flagged seals an entry with a compatible bit, as a newer satchel would.
func flagged(d *entryDraft) []byte {
	var payload []byte
	d.payload = func(b []byte) []byte { payload = b; return b }
	b := d.seal()
	h := bytes.Clone(b[:seal.HeaderSize])
	h[10] = 1
	prk := ok(hkdf.Extract(sha256.New, testRing.Masters[0].Key[:], append([]byte("satchel/1"), testRepo[:]...)))
	out := ok(hkdf.Expand(sha256.New, prk, "objectl"+string(h[:48]), 64))
	copy(h[48:], out[32:])
	plain := make([]byte, len(b)-seal.HeaderSize-seal.Overhead)
	plain[2], plain[3] = byte(len(payload)>>8), byte(len(payload))
	copy(plain[4:], payload)
	aad := append(append(bytes.Clone(h), 4), u64(d.at)...)
	return ok(cipher.NewGCM(ok(aes.NewCipher(out[:32])))).Seal(h, append([]byte{4, 0, 0, 0}, u64(80)...), plain, aad)
}

func TestCompatibleBitMeansReadOnly(t *testing.T) {
	r, p := found(t), people()
	l := r.device(p.home)
	r.put(flagged(draftOf(l.State(), p.stranger, ignored, "void: it says nothing")))
	check(t, l.Sync(ctx))
	note(t, l, p.home)
	r.put(flagged(draftOf(l.State(), p.office, ignored, "note")))
	check(t, l.Sync(ctx))
	if len(l.Voids()) != 1 || l.State().Position() != 4 {
		t.Fatalf("at %d, voids %v", l.State().Position(), l.Voids())
	}
	for _, l := range []*Log{l, r.again(l, r.store), r.device(p.clinic)} {
		check(t, l.Sync(ctx))
		_, err := l.Append(ctx, p.home, ignored, func(*State) (any, error) { return "note", nil })
		wantErr(t, "append", err, ErrTooNew)
	}
	if r.head() != 4 {
		t.Error("it was written to")
	}
}
