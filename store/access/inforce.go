package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"satchel/store"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/seal"
)

// inForce reads, through the identity's slot, the keyring that counts. The newest one in the store need
// not be it: a rotation may have been cut off, or somebody who may create objects made one up. The
// ledger decides, read from its first entry. It reports store.ErrNotFound if the identity has no slot.
func (c Config) inForce(ctx context.Context, pin Pin, who *seal.Identity, rings []uint32) (opened, error) {
	return c.inForceOf(ctx, pin, rings, func(g uint32) (opened, error) { return c.fetch(ctx, who, g) })
}

func (c Config) inForceOf(ctx context.Context, pin Pin, rings []uint32, fetch func(g uint32) (opened, error)) (opened, error) {
	var first error
	for _, g := range rings {
		o, err := fetch(g)
		o.doubtful = len(rings) > 1
		if err == nil && o.doubtful {
			err = c.confirm(ctx, pin, o)
		}
		switch {
		case err == nil:
			return o, nil
		case !passing(err):
			return o, err
		case first == nil || errors.Is(first, store.ErrNotFound) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, errOutdated):
			first = err
		}
	}
	return opened{}, first
}

// passing reports whether an error is about one keyring, and another one may do.
func passing(err error) bool {
	return errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) || errors.Is(err, ErrDamaged) || errors.Is(err, seal.ErrCorrupt) ||
		errors.Is(err, seal.ErrNoKey) || errors.Is(err, ledger.ErrDamaged) || errors.Is(err, seal.ErrTooNew)
}

// confirm reads the whole ledger with a keyring, in a copy of its own, and reports ErrDamaged unless the
// ledger has put that one in force.
func (c Config) confirm(ctx context.Context, pin Pin, o opened) error {
	if err := durable.MkdirAll(c.Place.State, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Place.State, "joining-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c.Place.State = dir
	a, err := c.open(pin, o, nil)
	if err != nil {
		return err
	}
	defer a.Log.Close()
	if err := a.Log.Sync(ctx); err != nil {
		return err
	}
	return confirmed(a.Log.State(), o)
}

// errOutdated: another keyring has taken this one's place.
var errOutdated = fmt.Errorf("%w: a newer keyring is in force", ErrDamaged)

// confirmed compares a keyring with what the ledger says is in force.
func confirmed(s *ledger.State, o opened) error {
	if o.generation < s.Generation() {
		return errOutdated
	}
	want, at := s.KEK(o.generation)
	if o.generation != s.Generation() || at > 0 && want != sha256.Sum256(o.kek[:]) {
		return fmt.Errorf("%w: %s is not the keyring that the ledger has put in force", ErrDamaged, seal.RingName(o.generation))
	}
	return nil
}

// Renew takes up the keyring that the ledger has come to, if it is another one than that of the keys here.
// Call it after a Sync, also one that reported a seal.GenerationError, which then succeeds. It reports ErrRevoked.
func (a *Access) Renew(ctx context.Context) error {
	s := a.Log.State()
	if s == nil {
		return nil
	}
	if a.Me != nil {
		if m, known := s.Member(a.Me.Principal.ID); known && m.Revoked != 0 {
			return fmt.Errorf("%w by entry %d of the ledger", ErrRevoked, m.Revoked)
		}
	}
	if s.Generation() == a.Keyring.Generation() {
		return nil
	}
	if a.Me == nil {
		return &seal.GenerationError{Generation: s.Generation()}
	}
	o, err := a.config.fetch(ctx, a.Me, s.Generation())
	if err == nil {
		err = confirmed(s, o)
	}
	if err == nil && !continues(a.Keyring, o.Keyring) {
		err = fmt.Errorf("%w: %s does not go on from the keyring that this device has", ErrDamaged, seal.RingName(o.generation))
	}
	if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	return a.adopt(o)
}

// continues reports whether a keyring repeats all that an older one has.
func continues(old, next *seal.Keyring) bool {
	if old.Chunker != next.Chunker || old.Balance != next.Balance || len(next.Masters) <= len(old.Masters) {
		return false
	}
	for i, m := range old.Masters {
		if next.Masters[i] != m {
			return false
		}
	}
	return true
}

// adopt keeps a keyring and uses it from here on.
func (a *Access) adopt(o opened) error {
	if err := a.config.keep(a.Repository, o); err != nil {
		return err
	}
	a.Keyring, a.Keys, a.kek = o.Keyring, o.Keys(a.Repository), o.kek
	a.Log.Keyring, a.Log.Keys = a.Keyring, a.Keys
	return nil
}
