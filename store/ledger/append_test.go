package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"satchel/store"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// Eight devices push at once: nothing is lost, nothing doubled, and all see the same.
func TestConcurrentAppends(t *testing.T) {
	const devices, each = 8, 20
	r, p := found(t), people()
	var ids []*seal.Identity
	first := r.device(p.office)
	for i := range devices {
		id := ok(seal.NewIdentity(testRepo, seal.Device, fmt.Sprintf("device %d", i), seal.Push, chance))
		_, err := first.Append(ctx, p.office, Enrol, func(*State) (any, error) { return EnrolContent{id.Principal}, nil }, id)
		check(t, err)
		ids = append(ids, id)
	}
	appended := make([][]uint64, devices)
	var wg sync.WaitGroup
	for i, id := range ids {
		l := r.device(id)
		wg.Go(func() {
			for j := range each {
				e, err := l.Append(ctx, id, ignored, func(*State) (any, error) { return fmt.Sprint(i, j), nil })
				if err != nil {
					t.Errorf("device %d, entry %d: %v", i, j, err)
					return
				}
				appended[i] = append(appended[i], e.Position)
			}
		})
	}
	wg.Wait()
	at := map[uint64]bool{}
	for _, list := range appended {
		for _, n := range list {
			if at[n] {
				t.Errorf("two devices were told that theirs is entry %d", n)
			}
			at[n] = true
		}
	}
	if head := r.head(); len(at) != devices*each || head != 1+devices+devices*each {
		t.Errorf("%d entries acknowledged, the head is %d", len(at), head)
	}
	fresh := r.device(nil)
	if len(fresh.Voids()) != 0 {
		t.Errorf("voids %v", fresh.Voids())
	}
	for _, id := range ids {
		if m, _ := fresh.State().Member(id.Principal.ID); m.Sequence != each {
			t.Errorf("%s has written %d", id.Principal.Name, m.Sequence)
		}
	}
	time := int64(0)
	for n := uint64(1); n <= r.head(); n++ {
		e := ok(openEntry(ok(r.store.Get(ctx, Name(n), 0, -1)), n, testKeys))
		if e.Time <= time {
			t.Errorf("entry %d: its time does not follow", n)
		}
		time = e.Time
	}
}

// noteWith appends and counts how often it was asked what.
func noteWith(l *Log, asked *[]uint64) error {
	_, err := l.Append(ctx, people().home, ignored, func(s *State) (any, error) {
		*asked = append(*asked, s.Position())
		return "note", nil
	})
	return err
}

func TestAppendWhenTheAnswerIsLost(t *testing.T) {
	r := found(t)
	f := storetest.NewFaults(r.store)
	l := r.open(people().home, filepath.Join(t.TempDir(), "ledger.db"), f)
	check(t, l.Sync(ctx))
	var asked []uint64
	f.FailAt(0, storetest.Landed)
	check(t, noteWith(l, &asked))
	if len(asked) != 1 || r.head() != 2 || l.State().Position() != 2 {
		t.Errorf("asked at %v, head %d, at %d", asked, r.head(), l.State().Position())
	}
	// And nobody can be asked whether it landed.
	f.CrashAt(0, storetest.Landed)
	wantErr(t, "append", noteWith(l, &asked), storetest.ErrInjected)
	if r.head() != 3 || l.State().Position() != 2 {
		t.Errorf("head %d, at %d", r.head(), l.State().Position())
	}
	f.Heal()
	for range 2 { // in this run, and in one that finds the entry as its own
		check(t, l.Sync(ctx))
		if l.State().Position() != 3 || len(l.Voids()) != 0 {
			t.Errorf("at %d, voids %v", l.State().Position(), l.Voids())
		}
		l = r.again(l, f)
	}
	// Without a Sync in between, the next append finds it in its way and goes after it.
	f.CrashAt(0, storetest.Landed)
	wantErr(t, "append", noteWith(l, &asked), storetest.ErrInjected)
	f.Heal()
	asked = nil
	check(t, noteWith(l, &asked))
	if len(asked) != 2 || asked[1] != 4 || r.head() != 5 {
		t.Errorf("asked at %v, head %d", asked, r.head())
	}
	if fresh := r.device(nil); len(fresh.Voids()) != 0 || fresh.State().Digest() != l.State().Digest() {
		t.Errorf("voids %v", fresh.Voids())
	}
}

func TestAppendWhenTheRequestIsLost(t *testing.T) {
	r := found(t)
	f := storetest.NewFaults(r.store)
	l := r.open(people().home, filepath.Join(t.TempDir(), "ledger.db"), f)
	check(t, l.Sync(ctx))
	for name, plan := range map[string]func(){
		"once":      func() { f.FailAt(0, storetest.Lost) },
		"for good":  func() { f.CrashAt(0, storetest.Lost) },
		"cancelled": nil,
	} {
		var asked []uint64
		var err error
		want := storetest.ErrInjected
		if plan != nil {
			plan()
			err = noteWith(l, &asked)
		} else {
			f.Heal()
			done, cancel := context.WithCancel(ctx)
			cancel()
			want = context.Canceled
			_, err = l.Append(done, people().home, ignored, func(*State) (any, error) { return "note", nil })
		}
		wantErr(t, name, err, want)
		if r.head() != 1 || l.State().Position() != 1 || len(asked) > 1 {
			t.Errorf("%s: head %d, at %d, asked at %v", name, r.head(), l.State().Position(), asked)
		}
	}
	f.Heal()
	var asked []uint64
	check(t, noteWith(l, &asked))
	if r.head() != 2 {
		t.Errorf("head %d", r.head())
	}
}

// rivalry lets a rival append just before each of the first n attempts.
func rivalry(r *repo, n int) *storetest.Faults {
	p := people()
	rival := r.device(p.clinic)
	f := storetest.NewFaults(r.store)
	f.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put && n > 0 {
			n--
			c := commitOf(byte(100+n), Workspace{0xee, byte(n)})
			_, err := rival.Append(ctx, p.clinic, Commit, func(*State) (any, error) { return c, nil })
			return err
		}
		return nil
	}
	return f
}

func TestLostRaceBuildsAgain(t *testing.T) {
	r := found(t)
	l := r.open(people().home, filepath.Join(t.TempDir(), "ledger.db"), rivalry(r, 3))
	check(t, l.Sync(ctx))
	var known []int
	e, err := l.Append(ctx, people().home, Commit, func(s *State) (any, error) {
		known = append(known, len(s.Workspaces()))
		return commitOf(1, clinicWork), nil
	})
	check(t, err)
	if fmt.Sprint(known) != "[0 1 2 3]" || e.Position != 5 {
		t.Errorf("built upon %v workspaces, at %d", known, e.Position)
	}
	if len(r.device(nil).Voids()) != 0 {
		t.Error("an entry is void")
	}
}

func TestBuildsErrorEndsTheAttempts(t *testing.T) {
	r := found(t)
	l := r.open(people().home, filepath.Join(t.TempDir(), "ledger.db"), rivalry(r, 1))
	check(t, l.Sync(ctx))
	behind := errors.New("behind")
	asked := 0
	_, err := l.Append(ctx, people().home, Commit, func(s *State) (any, error) {
		if asked++; len(s.Workspaces()) > 0 {
			return nil, behind
		}
		return commitOf(1, clinicWork), nil
	})
	if err != behind || asked != 2 || r.head() != 2 {
		t.Errorf("%v, asked %d times, head %d", err, asked, r.head())
	}
}

func TestWhatTheFoldWouldNotTakeIsNotSent(t *testing.T) {
	r, p := peopled(t), people()
	l := r.device(p.office)
	for name, c := range map[string]struct {
		author  *seal.Identity
		kind    Kind
		content any
		co      []*seal.Identity
	}{
		"not a fast-forward":     {p.office, Commit, commitOf(9, clinicWork), nil},
		"without the right":      {p.passphrase, Commit, next(), nil},
		"by a stranger":          {p.stranger, Commit, next(), nil},
		"a kind that is unknown": {p.office, 0x20, "content", nil},
		"a co-signer too many":   {p.office, Commit, next(), []*seal.Identity{p.home}},
		"a co-signer too few":    {p.office, Enrol, EnrolContent{p.late.Principal}, nil},
		"too large":              {p.office, ignored, make([]byte, maxEntry), nil},
		"a pack that lies":       {p.office, Register, registers(func(r *PackRef) { r.Hash[0]++ }), nil},
		"an old session":         {p.office, Register, registers(func(r *PackRef) { r.Key[8] = 1 }), nil},
	} {
		_, err := l.Append(ctx, c.author, c.kind, func(*State) (any, error) { return c.content, nil }, c.co...)
		wantErr(t, name, err, ErrRefused)
		if r.head() != 7 || l.State().Position() != 7 {
			t.Fatalf("%s: head %d, at %d", name, r.head(), l.State().Position())
		}
	}
	m := l.state.members[p.office.Principal.ID]
	m.Revoked = 3
	put(l.state, l.state.members, m.Principal.ID, m)
	_, err := l.Append(ctx, p.office, Commit, func(*State) (any, error) { return next(), nil })
	wantErr(t, "revoked", err, ErrRefused)
}

func TestTimeIncreasesWhateverTheClockDoes(t *testing.T) {
	r := found(t)
	l := r.device(people().home)
	last := l.State().Time()
	for _, step := range []time.Duration{0, 0, time.Hour, -time.Second, -4 * time.Minute, -5 * time.Minute, 0, 20 * time.Minute} {
		r.clock.add(step)
		e := note(t, l, people().home)
		if e.Time <= last {
			t.Errorf("after %v: %d, and %d before", step, e.Time, last)
		}
		if now := r.clock.Now().UnixNano(); e.Time != max(now, last+1) {
			t.Errorf("after %v: the time is not the store's clock", step)
		}
		last = e.Time
	}
	r.clock.now = time.Unix(0, last).Add(-maxAhead)
	e := note(t, l, people().home)
	r.clock.now = time.Unix(0, e.Time).Add(-maxAhead - 1)
	_, err := l.Append(ctx, people().home, ignored, func(*State) (any, error) { return "note", nil })
	wantErr(t, "more than ten minutes ahead", err, ErrClock)
	check(t, l.Sync(ctx)) // reading is no matter of the clock
	if r.head() != e.Position {
		t.Error("it was appended all the same")
	}
}

func TestEnrolledDeviceAppends(t *testing.T) {
	r, p := found(t), people()
	l := r.device(p.late)
	if _, err := l.Append(ctx, p.late, ignored, func(*State) (any, error) { return "too early", nil }); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	e, err := l.Append(ctx, p.passphrase, Enrol, func(*State) (any, error) { return EnrolContent{p.late.Principal}, nil }, p.late)
	check(t, err)
	note(t, l, p.late)
	for _, l := range []*Log{l, r.device(p.home)} {
		m, there := l.State().Member(p.late.Principal.ID)
		if !there || m.Enrolled != e.Position || m.Sequence != 1 || m.Principal != p.late.Principal {
			t.Errorf("%+v", m)
		}
	}
}

// stale is a store whose listing does not show what is new.
type stale struct {
	store.Store
	newest string
}

func (s stale) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		for o, err := range s.Store.List(ctx, prefix) {
			if o.Name >= s.newest && !yield(o, err) {
				return
			}
		}
	}
}

func TestListingThatLagsIsNoEndlessLoop(t *testing.T) {
	r := found(t)
	l := r.open(people().home, filepath.Join(t.TempDir(), "ledger.db"), stale{r.store, Name(1)})
	check(t, l.Sync(ctx))
	note(t, r.device(people().clinic), people().clinic)
	var asked []uint64
	wantErr(t, "append", noteWith(l, &asked), store.ErrExists)
	if len(asked) != 1 || r.head() != 2 {
		t.Errorf("asked at %v, head %d", asked, r.head())
	}
}

func TestDeniedIsSaid(t *testing.T) {
	r := found(t)
	f := storetest.NewFaults(r.store)
	f.Before = func(op storetest.Op) error {
		if op.Kind == storetest.Put {
			return store.ErrDenied
		}
		return nil
	}
	l := r.open(people().home, filepath.Join(t.TempDir(), "ledger.db"), f)
	check(t, l.Sync(ctx))
	var asked []uint64
	wantErr(t, "append", noteWith(l, &asked), store.ErrDenied)
}

// Every call of an append may fail, lost or landed: afterwards a second run succeeds, and
// the entry is there once or twice as it was told, never void.
func TestAppendFailsAtEveryCall(t *testing.T) {
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		for k := 0; ; k++ {
			r := found(t)
			f := rivalry(r, 1)
			l := r.open(people().home, filepath.Join(t.TempDir(), "ledger.db"), f)
			check(t, l.Sync(ctx))
			f.FailAt(k, mode)
			commit := func(s *State) (any, error) { return commitOf(1, clinicWork), nil }
			_, err := l.Append(ctx, people().home, Commit, commit)
			injected := f.Injected()
			f.Heal()
			if err != nil {
				check(t, l.Sync(ctx))
				_, there := l.State().Snapshot(pack.ID{0xcc, 1})
				if !there {
					_, err = l.Append(ctx, people().home, Commit, commit)
					check(t, err)
				}
			}
			fresh := r.device(nil)
			if _, there := fresh.State().Snapshot(pack.ID{0xcc, 1}); !there || len(fresh.Voids()) != 0 || r.head() != 3 {
				t.Errorf("call %d %v: there %v, voids %v, head %d", k, mode, there, fresh.Voids(), r.head())
			}
			if !injected {
				break
			}
		}
	}
}
