package ledger

import (
	"errors"
	"testing"
)

func TestEventsTellEverything(t *testing.T) {
	r, p := peopled(t), people()
	l := r.device(p.home) // which begins with the checkpoint
	l.User = "kim"
	check(t, l.Note(ctx, p.home, Pulled, 3, Detail{Where: "/home/kim"}))
	r.put([]byte("garbage"))
	check(t, l.Sync(ctx))
	r.put(draftOf(l.State(), p.stranger, Commit, next()).seal())
	check(t, l.Sync(ctx))
	var kinds []Kind
	voids, last := 0, int64(0)
	check(t, l.Events(ctx, func(e Event) error {
		if e.Void != "" {
			if voids++; e.Content != nil || e.User != "" {
				t.Errorf("of a void entry: %+v", e)
			}
			return nil
		}
		kinds = append(kinds, e.Kind)
		if e.Time <= last || e.Author.Principal.Name == "" || e.Content == nil {
			t.Errorf("%+v", e)
		}
		last = e.Time
		if c, ok := e.Content.(*AuditContent); ok && (c.What != Pulled || c.Count != 3 || e.User != "kim" || e.Author.Principal.ID != p.home.Principal.ID) {
			t.Errorf("%+v by %s", c, e.User)
		}
		return nil
	}))
	want := []Kind{Genesis, Commit, Commit, Commit, Commit, Register, Checkpoint, Audit}
	if len(kinds) != len(want) || voids != 2 {
		t.Fatalf("%v and %d voids", kinds, voids)
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Errorf("%v, want %v", kinds, want)
		}
	}
}

// An entry that is exchanged in the store, where this device has no copy of it, breaks the chain.
func TestEventsAreAChain(t *testing.T) {
	r, p := peopled(t), people()
	office := r.device(p.office)
	check(t, office.MoveHorizon(ctx, p.office, office.State().Horizon(), nil))
	l := r.device(p.home) // which begins there, and has no copy of what was before
	check(t, l.Events(ctx, func(Event) error { return nil }))
	raw := draftOf(r.state(), p.office, ignored, "another one").seal()
	check(t, r.store.Delete(ctx, Name(5)))
	check(t, r.store.Put(ctx, Name(5), raw))
	if err := l.Events(ctx, func(Event) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}
