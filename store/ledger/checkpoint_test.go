package ledger

import (
	"bytes"
	"crypto/sha256"
	"path/filepath"
	"testing"

	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// aged is a repository with n entries more, small pushes of two devices, and the log of
// the one that wrote last; it has joined by entry 2.
func aged(t testing.TB, n int) (*repo, *Log) {
	t.Helper()
	r, p := found(t), people()
	l := r.device(p.late)
	_, err := l.Append(ctx, p.passphrase, Enrol, func(*State) (any, error) { return EnrolContent{p.late.Principal}, nil }, p.late)
	check(t, err)
	r.push(l, n)
	return r, l
}

// push appends n commits, each with a real pack whose directory is in the entry.
func (r *repo) push(l *Log, n int) {
	r.t.Helper()
	for range n {
		_, err := l.Append(ctx, people().late, Commit, func(s *State) (any, error) {
			ref, _ := r.realPack(s.Position(), byte(s.Position()))
			c := commitOf(byte(s.Position()), clinicWork)
			if w, known := s.Workspace(clinicWork); known {
				c.Parents = w.Heads
			}
			c.Packs = []PackRef{ref}
			return c, nil
		})
		check(r.t, err)
	}
}

func TestCheckpointComesAfterManyEntries(t *testing.T) {
	r, l := aged(t, CheckpointEvery-3)
	c := storetest.NewCounter(r.store)
	l.Store = c
	check(t, l.Checkpoint(ctx, people().late))
	if c.Total() != 0 {
		t.Errorf("%d calls after %d entries", c.Total(), l.State().SinceCheckpoint())
	}
	r.push(l, 1)
	c.Reset()
	check(t, l.Checkpoint(ctx, people().late))
	if n := c.Counts(); n.Put != 3 || c.Total() != 3 {
		t.Errorf("a checkpoint costs %+v", n)
	}
	if s := l.State(); s.SinceCheckpoint() != 0 || s.Position() != CheckpointEvery+1 || len(s.Segments()) != 1 {
		t.Errorf("at %d, %d since, %d segments", s.Position(), s.SinceCheckpoint(), len(s.Segments()))
	}
	c.Reset()
	check(t, l.Checkpoint(ctx, people().late))
	if c.Total() != 0 {
		t.Error("another one at once")
	}
}

// A device that is new reads from the newest checkpoint on, and comes to the same state as one that
// has folded everything.
func TestNewDeviceBeginsAtACheckpoint(t *testing.T) {
	r, l := aged(t, CheckpointEvery)
	check(t, l.Checkpoint(ctx, people().late))
	r.push(l, 3)
	c := storetest.NewCounter(r.store)
	fresh := r.open(people().home, filepath.Join(t.TempDir(), "ledger.db"), c)
	check(t, fresh.Sync(ctx))
	// The listing; entry 1, the head, the checkpoint, its state, the ENROLL of its author; two more entries.
	if n := c.Counts(); n.List != 1 || n.Get != 7 {
		t.Errorf("%d listings, %d reads: %v", n.List, n.Get, c.Names(storetest.Get))
	}
	if fresh.State().Digest() != l.State().Digest() || fresh.State().Head() != l.State().Head() || !bytes.Equal(fresh.State().Payload(), l.State().Payload()) {
		t.Error("another state")
	}
	if r.state().Digest() != l.State().Digest() {
		t.Error("another state by the fold of all entries")
	}
	note(t, fresh, people().home)
	check(t, l.Sync(ctx))
	if l.State().Digest() != fresh.State().Digest() || len(l.Voids()) != 0 {
		t.Errorf("voids %v", l.Voids())
	}
	c.Reset()
	check(t, r.again(fresh, c).Sync(ctx))
	if c.Total() != 1 {
		t.Errorf("the next run: %d calls", c.Total())
	}
}

// With random histories, readers that begin anywhere agree.
func TestReadersAgreeWhereverTheyBegin(t *testing.T) {
	rnd := random(t)
	r := found(t)
	s := r.state()
	var early, late *Log
	for i := range 120 {
		raw := randomEntry(rnd, s)
		if e, err := openEntry(raw, s.position+1, testKeys); err == nil && e.Kind == Checkpoint {
			payload := s.Payload()
			object := ok(testKeys.SealObject(seal.State, 0, payload, chance))
			c := CheckpointContent{Covers: s.position, Object: sumOf(object), Payload: sumOf(payload), Horizon: s.scalars.Horizon}
			if rnd.IntN(4) > 0 {
				check(t, r.store.Put(ctx, StateName(c.Object), object))
			}
			raw = draftOf(s, people().office, Checkpoint, c).seal()
		}
		r.put(raw)
		e, err := openEntry(raw, s.position+1, testKeys)
		if err != nil {
			e = nil
		}
		_, err = s.step(e, sumOf(raw))
		check(t, err)
		switch i {
		case 0:
			early = r.device(nil)
		case 60:
			late = r.device(nil)
		}
	}
	for who, l := range map[string]*Log{"from the first on": early, "from the middle": late, "at the end": r.device(nil)} {
		check(t, l.Sync(ctx))
		if l.State().Digest() != s.Digest() || l.State().Head() != s.Head() {
			t.Errorf("who begins %s: another state", who)
		}
	}
}

func TestCheckpointThatCannotBeReadIsPassedOver(t *testing.T) {
	base, l := aged(t, CheckpointEvery)
	check(t, l.Checkpoint(ctx, people().late)) // entry 67
	first := l.State().Position()
	base.push(l, CheckpointEvery)
	check(t, l.Checkpoint(ctx, people().late))
	second := l.State().Position()
	base.push(l, 1)
	want := l.State().Digest()
	name := func(r *repo, n uint64) string {
		e := ok(openEntry(ok(r.store.Get(ctx, Name(n), 0, -1)), n, testKeys))
		var c CheckpointContent
		if err := canon.Unmarshal(e.Content, &c); err != nil {
			t.Fatal(err)
		}
		return StateName(c.Object)
	}
	drop := func([]byte) []byte { return nil }
	other := ok(base.store.Get(ctx, name(base, first), 0, -1))
	for what, c := range map[string]struct {
		first, second func([]byte) []byte
		reads         int // entries
	}{
		"both are there":           {nil, nil, 3},
		"the second is gone":       {nil, drop, 3 + CheckpointEvery},
		"the second is cut off":    {nil, func(b []byte) []byte { return b[:len(b)-1] }, 3 + CheckpointEvery},
		"the second is flipped":    {nil, func(b []byte) []byte { b[500] ^= 1; return b }, 3 + CheckpointEvery},
		"the second is the first":  {nil, func([]byte) []byte { return other }, 3 + CheckpointEvery},
		"the second is of a newer": {nil, func(b []byte) []byte { b[8] = 2; return b }, 3 + CheckpointEvery},
		"the second is empty":      {nil, func([]byte) []byte { return []byte{} }, 3 + CheckpointEvery},
		"the first is gone":        {drop, nil, 3},
		"both are gone":            {drop, drop, 3 + 2*CheckpointEvery},
		"both are gone or flipped": {func(b []byte) []byte { b[90] ^= 1; return b }, drop, 3 + 2*CheckpointEvery},
	} {
		t.Run(what, func(t *testing.T) {
			r := base.branch()
			r.t = t
			for n, change := range map[uint64]func([]byte) []byte{first: c.first, second: c.second} {
				if change != nil {
					r.store.Corrupt(name(base, n), change)
				}
			}
			counter := storetest.NewCounter(r.store)
			fresh := r.open(nil, filepath.Join(t.TempDir(), "ledger.db"), counter)
			check(t, fresh.Sync(ctx))
			if fresh.State().Digest() != want || len(fresh.Voids()) != 0 {
				t.Errorf("another state, voids %v", fresh.Voids())
			}
			if n := counter.Counts().Get; n < c.reads || n > c.reads+4 {
				t.Errorf("%d reads, want about %d", n, c.reads)
			}
		})
	}
}

// forge writes an entry that makes a new device believe in a state of the forger's own, if it
// believes who merely holds the keys.
func forge(r *repo, s *State, author *seal.Identity, change func(s *State)) {
	lie := ok(parseState(s.Payload(), s.position, s.repo, s.secret))
	lie.head = s.head
	change(lie)
	lie = ok(parseState(lie.Payload(), s.position, s.repo, s.secret))
	lie.head = s.head
	payload := lie.Payload()
	object := ok(testKeys.SealObject(seal.State, 0, payload, chance))
	check(r.t, r.store.Put(ctx, StateName(sumOf(object)), object))
	r.put(draftOf(lie, author, Checkpoint, CheckpointContent{Covers: lie.position, Object: sumOf(object), Payload: sumOf(payload)}).seal())
}

// Knowing the keys authorises nothing: a checkpoint whose author was never enrolled is not
// believed, whatever the state that it brings along says of its author.
func TestForgedCheckpointIsNotBelieved(t *testing.T) {
	p := people()
	member := func(enrolled uint64) func(s *State) {
		return func(s *State) {
			s.members[p.stranger.Principal.ID] = Member{Tag: tagMember, Principal: p.stranger.Principal, Enrolled: enrolled}
			delete(s.snapshots, pack.ID{0xcc, 3})
		}
	}
	stranger := EnrolContent{p.stranger.Principal}
	for name, c := range map[string]struct {
		before func(s *State) *entryDraft // a void entry to lean on, at position 6
		author *seal.Identity
		change func(s *State)
	}{
		"enrolled by the first entry":    {nil, p.stranger, member(1)},
		"enrolled by another's ENROLL":   {nil, p.stranger, member(2)},
		"enrolled by a COMMIT":           {nil, p.stranger, member(3)},
		"enrolled by itself":             {nil, p.stranger, member(6)},
		"enrolled in the future":         {nil, p.stranger, member(1 << 40)},
		"enrolled never":                 {nil, p.stranger, member(0)},
		"with a member's id, other keys": {nil, nil, nil},
		"a device that is admin now": {nil, p.late, func(s *State) {
			m := s.members[p.late.Principal.ID]
			m.Principal.Rights = 15
			s.members[m.Principal.ID] = m
			delete(s.snapshots, pack.ID{0xcc, 3})
		}},
		"enrolled in the founder's name": {func(s *State) *entryDraft {
			d := draftOf(s, p.office, Enrol, stranger)
			d.signers = []*seal.Identity{p.stranger, p.stranger}
			d.env = func(e *envelope) { e.Signatures[0].Signer = p.office.Principal.ID }
			return d
		}, p.stranger, member(6)},
		"enrolled by who may not": {func(s *State) *entryDraft {
			d := draftOf(s, p.home, Enrol, stranger)
			d.signers = append(d.signers, p.stranger)
			return d
		}, p.stranger, member(6)},
		"enrolled without its consent": {func(s *State) *entryDraft {
			d := draftOf(s, p.office, Enrol, stranger)
			d.signers = append(d.signers, p.other)
			return d
		}, p.stranger, member(6)},
	} {
		t.Run(name, func(t *testing.T) {
			r, l := aged(t, 3)
			voids := 1
			if c.change == nil { // home's id, and the stranger's key under it
				imposter := *p.stranger
				imposter.Principal.ID = p.home.Principal.ID
				c.author = &imposter
				c.change = func(s *State) {
					m := s.members[imposter.Principal.ID]
					m.Principal = imposter.Principal
					s.members[imposter.Principal.ID] = m
				}
			}
			if c.before != nil {
				voids++
				if n := r.put(c.before(l.State()).seal()); n != 6 {
					t.Fatalf("the void entry is at %d", n)
				}
				check(t, l.Sync(ctx))
			}
			forge(r, l.State(), c.author, c.change)
			fresh := r.device(nil)
			check(t, l.Sync(ctx))
			if fresh.State().Digest() != l.State().Digest() || len(fresh.Voids()) != voids {
				t.Errorf("a forged state is believed; voids %v", fresh.Voids())
			}
			if _, there := fresh.State().Snapshot(pack.ID{0xcc, 3}); !there {
				t.Error("a snapshot is hidden")
			}
			note(t, l, p.late)
			if again := r.device(nil); again.State().Digest() != l.State().Digest() {
				t.Error("a forged state is believed later")
			}
		})
	}
}

// What a head says of checkpoints is not to be believed before it is looked at.
func TestHeadThatLiesAboutTheCheckpoint(t *testing.T) {
	for name, at := range map[string]uint64{"ahead": 1 << 40, "itself": 4, "an entry that is none": 3, "the first entry": 1, "none at all": 0} {
		r, l := aged(t, 1)
		d := draftOf(l.State(), people().stranger, ignored, "note")
		d.Checkpoint = at
		r.put(d.seal())
		fresh := r.device(nil)
		check(t, l.Sync(ctx))
		if fresh.State().Digest() != l.State().Digest() {
			t.Errorf("%s: another state", name)
		}
	}
}

// Two entries that name each other as the checkpoint are no reason to go round for ever.
func TestCheckpointsInACircle(t *testing.T) {
	r, l := aged(t, 1)
	for n := uint64(4); n <= 5; n++ {
		d := draftOf(r.state(), people().stranger, ignored, "note")
		d.Checkpoint = 9 - n
		if r.put(d.seal()) != n {
			t.Fatal("it does not name the other")
		}
	}
	fresh := r.device(nil)
	check(t, l.Sync(ctx))
	if fresh.State().Digest() != l.State().Digest() || len(fresh.Voids()) != 2 {
		t.Errorf("another state, voids %v", fresh.Voids())
	}
}

func TestCheckpointThatLosesTheRace(t *testing.T) {
	r, l := aged(t, CheckpointEvery)
	l.Store = rivalry(r, 3) // object, segment, entry
	check(t, l.Checkpoint(ctx, people().late))
	if l.State().SinceCheckpoint() < CheckpointEvery {
		t.Error("it won")
	}
	l.Store = r.store
	check(t, l.Sync(ctx))
	check(t, l.Checkpoint(ctx, people().late))
	if l.State().SinceCheckpoint() != 0 || len(l.Voids()) != 0 {
		t.Errorf("%d since, voids %v", l.State().SinceCheckpoint(), l.Voids())
	}
}

func TestCheckpointFailsAtEveryCall(t *testing.T) {
	base, l := aged(t, CheckpointEvery)
	check(t, l.Close())
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		for k := 0; ; k++ {
			r := base.branch()
			path := filepath.Join(t.TempDir(), "ledger.db")
			copyFile(t, l.Path, path)
			f := storetest.NewFaults(r.store)
			mine := r.open(people().late, path, f)
			check(t, mine.Sync(ctx))
			f.FailAt(k, mode)
			err := mine.Checkpoint(ctx, people().late)
			injected := f.Injected()
			f.Heal()
			if err != nil {
				check(t, mine.Sync(ctx))
				check(t, mine.Checkpoint(ctx, people().late))
			}
			fresh := r.device(nil)
			if fresh.State().SinceCheckpoint() != 0 || len(fresh.Voids()) != 0 || fresh.State().Digest() != mine.State().Digest() {
				t.Errorf("call %d %v: %d since, voids %v", k, mode, fresh.State().SinceCheckpoint(), fresh.Voids())
			}
			if !injected {
				break
			}
		}
	}
}

func TestPutSealed(t *testing.T) {
	r := found(t)
	f := storetest.NewFaults(r.store)
	h, err := PutSealed(ctx, f, testKeys, seal.Segment, []byte("payload"), chance)
	check(t, err)
	object := ok(r.store.Get(ctx, SegmentName(h), 0, -1))
	if sha256.Sum256(object) != h || string(ok(testKeys.OpenObject(seal.Segment, 0, object))) != "payload" {
		t.Error("not what its name says")
	}
	f.FailAt(0, storetest.Lost)
	if _, err := PutSealed(ctx, f, testKeys, seal.State, []byte("payload"), chance); err == nil {
		t.Error("a lost request is a success")
	}
	if _, err := PutSealed(ctx, f, testKeys, seal.Segment, make([]byte, 5<<20), chance); err == nil {
		t.Error("a segment of 5 MiB")
	}
}
