package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/seal"
)

var (
	// ErrLastWay: without this passphrase or recovery code no new device could join.
	ErrLastWay = errors.New("it is the last way in: no new device could join without it")
	// ErrNotAllowed: this device lacks a right, and nobody who has it was asked.
	ErrNotAllowed = errors.New("this device may not do that")
)

// Unlock opens the private halves of a person who belongs to the repository, and proves that the keys in
// force open with them. It reports ErrSecret.
func (a *Access) Unlock(ctx context.Context, secret string) (*seal.Identity, error) {
	_, people, err := a.config.listKeys(ctx)
	if err != nil {
		return nil, err
	}
	s := a.Log.State()
	return a.config.person(ctx, a.Pin, people, secret, func(who *seal.Identity) error {
		m, known := s.Member(who.Principal.ID)
		switch {
		case !known:
			return fmt.Errorf("%w: the ledger does not know it", ErrSecret)
		case m.Revoked != 0:
			return fmt.Errorf("%w: it was removed", ErrSecret)
		}
		o, err := a.config.fetch(ctx, who, s.Generation())
		if err == nil {
			err = confirmed(s, o)
		}
		if err == nil && !bytes.Equal(o.Encode(), a.Keyring.Encode()) {
			err = fmt.Errorf("%w: %s opens to other keys than those of this device", ErrDamaged, seal.RingName(o.generation))
		}
		if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return err
	})
}

// Author returns an identity that has the rights, all of them: this device, else the person whose secret ask
// returns. It reports ErrNotAllowed.
func (a *Access) Author(ctx context.Context, rights seal.Rights) (*seal.Identity, error) {
	has := func(id seal.ID) bool {
		m, ok := a.Log.State().Member(id)
		return ok && m.Revoked == 0 && m.Principal.Rights&rights == rights
	}
	if a.Me == nil {
		return nil, fmt.Errorf("the store lets this computer only read: %w", store.ErrDenied)
	}
	if has(a.Me.Principal.ID) {
		return a.Me, nil
	}
	if a.config.Secret == nil {
		return nil, ErrNotAllowed
	}
	secret, err := a.config.Secret(ctx)
	if errors.Is(err, ErrNoSecret) {
		return nil, fmt.Errorf("%w: %w", ErrNotAllowed, err)
	} else if err != nil {
		return nil, err
	}
	who, err := a.Unlock(ctx, secret)
	if err == nil && !has(who.Principal.ID) {
		err = ErrNotAllowed
	}
	return who, err
}

// A Lock is what opens a new person's private halves.
type Lock struct {
	Secret string
	LogN   int // scrypt's; 0: seal's own
}

// AddPerson makes a passphrase or a recovery code another way in. author may enrol and is an admin.
func (a *Access) AddPerson(ctx context.Context, author *seal.Identity, kind seal.PrincipalKind, name string, l Lock) (*seal.Identity, error) {
	if kind == seal.Passphrase {
		if err := seal.CheckPassphrase(l.Secret); err != nil {
			return nil, err
		}
	}
	id, err := seal.NewIdentity(a.Repository, kind, name, seal.Enrol|seal.Admin, a.config.Rand)
	if err != nil {
		return nil, err
	}
	id.Genesis = a.Genesis
	switch {
	case l.LogN == 0 && kind == seal.Recovery:
		l.LogN = seal.RecoveryLogN
	case l.LogN == 0:
		l.LogN = seal.PassphraseLogN
	}
	object, err := id.Lock(l.Secret, l.LogN)
	if err != nil {
		return nil, err
	}
	if err := a.enlist(ctx, author, id); err != nil {
		return nil, err
	}
	if err := a.config.put(ctx, seal.PersonName(a.config.Rand), object); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return id, nil
}

// AddEscrow gives the keys to whoever has a private key that lies elsewhere: an age identity, or a key in
// Key Vault (seal.NewEscrow). It reads everything from then on, and has no right.
func (a *Access) AddEscrow(ctx context.Context, author, escrow *seal.Identity) error {
	return a.enlist(ctx, author, escrow)
}

// enlist enrols a principal, then gives it its slot.
func (a *Access) enlist(ctx context.Context, author, id *seal.Identity) error {
	if err := a.current(ctx); err != nil {
		return err
	}
	_, err := a.Log.Append(ctx, author, ledger.Enrol, func(*ledger.State) (any, error) {
		return ledger.EnrolContent{Principal: id.Principal}, nil
	}, id)
	if err != nil {
		return err
	}
	return a.wrap(ctx, id.Principal, opened{generation: a.Keyring.Generation(), kek: a.kek})
}

// Slot reports whether a principal has its slot of the generation in force: without it, its enrolment did
// not come to its end.
func (a *Access) Slot(ctx context.Context, id seal.ID) (bool, error) {
	_, err := a.config.Store.Get(ctx, seal.SlotName(id, a.Log.State().Generation()), 0, 1)
	if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer) {
		return false, nil
	}
	return err == nil, err
}
