package access

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/seal"
)

// join opens the repository with a person's secret and enrols this device. me is the
// device's identity if an earlier enrolment did not finish. Where the store lets nobody
// write, the device stays a reader.
func (c Config) join(ctx context.Context, pin Pin, me *seal.Identity) (*Access, error) {
	if c.Secret == nil {
		return nil, ErrNoSecret
	}
	secret, err := c.Secret(ctx)
	if err != nil {
		return nil, err
	}
	rings, people, err := c.listKeys(ctx)
	if err != nil {
		return nil, err
	}
	var o opened
	person, err := c.person(ctx, pin, people, secret, func(who *seal.Identity) (err error) {
		o, err = c.inForce(ctx, pin, who, rings)
		return err
	})
	if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
		if len(rings) > 1 {
			err = fmt.Errorf("%w: this passphrase or recovery code was removed: %w", ErrSecret, err)
		}
	}
	if err != nil {
		return nil, err
	}
	if me == nil {
		if me, err = seal.NewIdentity(pin.Repository, seal.Device, c.Device, seal.Push|seal.Prune, c.Rand); err != nil {
			return nil, err
		}
		me.Genesis = pin.Genesis
	}
	a, err := c.open(pin, o, me)
	if err != nil {
		return nil, err
	}
	if err = a.Log.Sync(ctx); err == nil {
		err = confirmed(a.Log.State(), o)
	}
	if err == nil {
		err = c.Place.savePin(pin)
	}
	if err == nil {
		if err = c.enrol(ctx, a, person, o); errors.Is(err, store.ErrDenied) {
			a.Me, err = nil, nil
		}
	}
	if err != nil {
		a.Log.Close()
		return nil, err
	}
	a.Joined = a.Me != nil
	return a, nil
}

// person finds the passphrase or recovery code that the secret is, and that use takes. What is damaged,
// newer, of another repository or refused does not keep it from the one that fits: a passphrase may have
// been removed and come back.
func (c Config) person(ctx context.Context, pin Pin, people []string, secret string, use func(*seal.Identity) error) (*seal.Identity, error) {
	secret = strings.TrimRight(secret, "\r\n")
	code := seal.LooksLikeRecoveryCode(secret)
	failed := ErrSecret
	if _, err := seal.ParseRecoveryCode(secret); code && err != nil {
		failed = fmt.Errorf("%w: %w", ErrSecret, err)
	}
	try := func(name string, object []byte) *seal.Identity {
		id, err := seal.UnlockPerson(object, secret)
		switch {
		case errors.Is(err, seal.ErrWrongSecret), errors.Is(err, seal.ErrTooNew):
		case err != nil:
			failed = fmt.Errorf("%w: %s, and no other one opens with this passphrase or recovery code", ErrDamaged, name)
		case id.Repo != pin.Repository || ledger.Hash(id.Genesis) != pin.Genesis:
			failed = fmt.Errorf("%w: the passphrase belongs to another repository, somebody put this one in its place", ErrOther)
		default:
			err := use(id)
			if err == nil {
				return id
			}
			failed = err
		}
		return nil
	}
	late := map[string][]byte{} // passphrases, where a code is likelier: each costs a second
	for _, name := range people {
		b, err := c.Store.Get(ctx, name, 0, -1)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		switch kind, err := seal.PersonKind(b); {
		case err == nil && kind == seal.Recovery && !code:
		case err == nil && kind != seal.Recovery && code:
			late[name] = b
		default:
			if id := try(name, b); id != nil {
				return id, nil
			}
		}
	}
	for _, name := range people {
		if b, ok := late[name]; ok {
			if id := try(name, b); id != nil {
				return id, nil
			}
		}
	}
	return nil, failed
}

// enrol makes me a principal of the ledger, sponsored by the person, then gives it a slot
// and keeps everything. The key is kept first, so that nothing is lost in between.
func (c Config) enrol(ctx context.Context, a *Access, person *seal.Identity, o opened) error {
	me := a.Me
	slot, err := me.Principal.WrapKEK(me.Repo, o.generation, o.kek)
	if err != nil {
		return err
	}
	o.slot = slot
	if err := writeIdentity(c.Place, me); err != nil {
		return err
	}
	m, known := a.Log.State().Member(me.Principal.ID)
	if m.Revoked != 0 {
		return fmt.Errorf("%w by entry %d of the ledger", ErrRevoked, m.Revoked)
	}
	if !known {
		_, err := a.Log.Append(ctx, person, ledger.Enrol, func(*ledger.State) (any, error) {
			return ledger.EnrolContent{Principal: me.Principal}, nil
		}, me)
		if err != nil {
			return err
		}
	}
	if err := c.Store.Put(ctx, seal.SlotName(me.Principal.ID, o.generation), slot); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return c.keep(me.Repo, o)
}
