package ledger_test

import (
	"context"
	"errors"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
)

var within = flag.Int("within", 0, "schedules that a mutant may live; 0: as many as stand beside it")

type builder = func(*ledger.State) (any, error)

// A mutant is a client that breaks a rule. Its seeds begin at 1.
type mutant struct {
	name   string
	within int // schedules until it is caught, at most
	fold   ledger.Breach
	model  ledger.Breach // of the model too: all readers are alike
	append func(l *ledger.Log, k ledger.Kind, build builder) builder
	store  func(store.Store) store.Store
}

var mutants = []mutant{
	{name: "no re-validation at commit", within: 60, append: stale(ledger.Commit)},
	{name: "condemned set not computed anew after a conflict", within: 60, append: stale(ledger.Condemn)},
	{name: "delete before condemn", within: 60, append: hasty},
	{name: "blind retry at the next position", within: 60, store: func(s store.Store) store.Store { return blind{s} }},
	{name: "own packs not checked against the dead", within: 60, fold: ledger.NeverLapsed, model: ledger.NeverLapsed},
	{name: "names that can be revived", within: 60, fold: ledger.LeaveEarly, model: ledger.LeaveEarly, append: leave},
	{name: "a checkpoint that is wrong", within: 60, fold: ledger.TrustPayload, model: ledger.TrustPayload, append: falsify},
	{name: "a reader that honours what another skips", within: 60, fold: ledger.TrustAuthor},

	{name: "whoever came first is taken for oneself", within: 60, store: func(s store.Store) store.Store { return vain{s} }},
	{name: "the entry comes before its packs", within: 60, store: func(s store.Store) store.Store { return &early{Store: s} }},
	{name: "a pack that may have failed is taken for stored", within: 60, store: func(s store.Store) store.Store { return hopeful{s} }},
	{name: "what no entry registers is deleted by its age", within: 60, append: byAge},
	{name: "repacked chunks are not registered with the condemning of the old", within: 60, append: apart},
}

// stale is a client that goes on with what it made for an older state.
func stale(kind ledger.Kind) func(*ledger.Log, ledger.Kind, builder) builder {
	return func(_ *ledger.Log, k ledger.Kind, build builder) builder {
		if k != kind {
			return build
		}
		var first any
		return func(s *ledger.State) (any, error) {
			if first != nil {
				return first, nil
			}
			c, err := build(s)
			first = c
			return c, err
		}
	}
}

// hasty deletes what it is about to condemn.
func hasty(l *ledger.Log, k ledger.Kind, build builder) builder {
	return func(s *ledger.State) (any, error) {
		c, err := build(s)
		if cc, is := c.(ledger.CondemnContent); is && err == nil {
			for _, name := range cc.Names {
				l.Store.Delete(ctx, name)
			}
		}
		return c, err
	}
}

// byAge deletes packs that nobody has registered in the time that they were given.
func byAge(l *ledger.Log, k ledger.Kind, build builder) builder {
	return func(s *ledger.State) (any, error) {
		c, err := build(s)
		cc, is := c.(ledger.CondemnContent)
		if !is || err != nil {
			return c, err
		}
		cc.Names = slices.DeleteFunc(slices.Clone(cc.Names), func(name string) bool {
			k, err := pack.ParseName(name)
			if _, live := s.Pack(k); err != nil || live {
				return false
			}
			l.Store.Delete(ctx, name)
			return true
		})
		if len(cc.Names) == 0 {
			return nil, errors.New("nothing is left")
		}
		return cc, nil
	}
}

// apart forgets to register what takes the place of what it condemns.
func apart(_ *ledger.Log, _ ledger.Kind, build builder) builder {
	return func(s *ledger.State) (any, error) {
		c, err := build(s)
		if cc, is := c.(ledger.CondemnContent); is {
			cc.Packs = nil
			c = cc
		}
		return c, err
	}
}

// leave lets all dead names go at a checkpoint, with no horizon.
func leave(_ *ledger.Log, _ ledger.Kind, build builder) builder {
	return func(s *ledger.State) (any, error) {
		c, err := build(s)
		if cc, is := c.(ledger.CheckpointContent); is {
			cc.Horizon, cc.Leave = s.Horizon(), nil
			for _, d := range s.DeadNames() {
				cc.Leave = append(cc.Leave, d.Name)
			}
			slices.Sort(cc.Leave)
			c = cc
		}
		return c, err
	}
}

// falsify writes checkpoints of a state that lacks a pack.
func falsify(l *ledger.Log, _ ledger.Kind, build builder) builder {
	return func(s *ledger.State) (any, error) {
		c, err := build(s)
		if cc, is := c.(ledger.CheckpointContent); is && err == nil {
			return l.Falsify(ctx, cc)
		}
		return c, err
	}
}

// blind puts the same entry at the next position when its own is taken.
type blind struct{ store.Store }

func (b blind) Put(ctx context.Context, name string, data []byte) error {
	for {
		err := b.Store.Put(ctx, name, data)
		n, entry := ledger.ParseName(name)
		if !entry || !errors.Is(err, store.ErrExists) {
			return err
		}
		name = ledger.Name(n + 1)
	}
}

type vain struct{ store.Store }

func (v vain) Put(ctx context.Context, name string, data []byte) error {
	err := v.Store.Put(ctx, name, data)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	return err
}

func isPack(name string) bool { return strings.HasPrefix(name, "t/") || strings.HasPrefix(name, "d/") }

type hopeful struct{ store.Store }

func (h hopeful) Put(ctx context.Context, name string, data []byte) error {
	err := h.Store.Put(ctx, name, data)
	if isPack(name) {
		return nil
	}
	return err
}

// early sends packs when the entry is there that registers them.
type early struct {
	store.Store
	packs map[string][]byte
}

func (e *early) Put(ctx context.Context, name string, data []byte) error {
	if isPack(name) {
		if e.packs == nil {
			e.packs = map[string][]byte{}
		}
		e.packs[name] = slices.Clone(data)
		return nil
	}
	err := e.Store.Put(ctx, name, data)
	for name, data := range e.packs {
		err = errors.Join(err, e.Store.Put(ctx, name, data))
		delete(e.packs, name)
	}
	return err
}

func TestMutantsAreCaught(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			n := m.within
			if *within > 0 {
				n = *within
			}
			for seed := uint64(1); seed <= uint64(n); seed++ {
				if _, err := simulate(t, seed, m); err != nil {
					t.Logf("schedule %d: %v", seed, err)
					return
				}
			}
			t.Errorf("it lives after %d schedules", n)
		})
	}
}

func TestSimulation(t *testing.T) {
	first, n := uint64(1), *schedules
	if ledger.Seed() != 0 {
		first, n = ledger.Seed(), 1
	}
	ends, fates := map[string]int{}, map[string]int{}
	for seed := first; seed < first+uint64(n); seed++ {
		s, err := simulate(t, seed, mutant{})
		if err != nil {
			for _, line := range s.world.Trace() {
				t.Log(line)
			}
			t.Fatalf("-seed %d: %v", seed, err)
		}
		for k, v := range s.ends {
			ends[k] += v
		}
		for k, v := range s.world.Counts() {
			fates[k] += v
		}
	}
	for _, k := range slices.Sorted(maps.Keys(ends)) {
		t.Logf("%5d %s", ends[k], k)
	}
	t.Log(n, "schedules;", fates)
}

// A seed that fails is of use only if it fails again.
func TestScheduleRepeats(t *testing.T) {
	for seed := uint64(1); seed <= 8; seed++ {
		var traces [2]string
		for i := range traces {
			s, err := simulate(t, seed, mutant{})
			ok(t, err)
			traces[i] = strings.Join(s.world.Trace(), "\n")
		}
		if d := cmp.Diff(traces[0], traces[1]); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}
