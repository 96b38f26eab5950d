package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/seal"
)

var (
	errWho     = errors.New("somebody came or went")
	errRotated = errors.New("another rotation came first")
)

// Rotate makes a new generation of keys, for those alone who belong to the repository now, and puts it in
// force. What was sealed before stays as it is: who had the old keys and can read the store reads it. author
// has the admin right. Cut off anywhere, it leaves the old generation in force, or the new one.
func (a *Access) Rotate(ctx context.Context, author *seal.Identity) error {
	err := errRotated
	for try := 0; try < rotations && (errors.Is(err, errRotated) || errors.Is(err, store.ErrExists)); try++ {
		err = a.rotate(ctx, author)
	}
	return err
}

// rotations is how often a rotation begins anew: another one came first, or somebody put
// objects where this one's belong.
const rotations = 8

func (a *Access) rotate(ctx context.Context, author *seal.Identity) error {
	if err := a.current(ctx); err != nil {
		return err
	}
	o, err := a.nextKeyring(ctx)
	if err != nil {
		return err
	}
	if err := a.putInForce(ctx, author, o); err != nil {
		return fmt.Errorf("rotation: %w", err)
	}
	if o.slot, err = a.config.Store.Get(ctx, seal.SlotName(a.Me.Principal.ID, o.generation), 0, -1); err != nil {
		return err
	}
	return a.adopt(o)
}

// current is Sync for who is about to write.
func (a *Access) current(ctx context.Context) error {
	if a.Me == nil {
		return fmt.Errorf("the store lets this computer only read: %w", store.ErrDenied)
	}
	return a.Sync(ctx)
}

// Sync brings the ledger up to date, and the keys to those in force. It reports ErrRevoked.
func (a *Access) Sync(ctx context.Context) error {
	err := a.Log.Sync(ctx)
	var missing *seal.GenerationError
	if err == nil || errors.As(err, &missing) {
		if rerr := a.Renew(ctx); rerr != nil || err == nil {
			return rerr
		}
		err = a.Log.Sync(ctx)
	}
	return err
}

// nextKeyring puts a keyring of a generation above all others into the store.
func (a *Access) nextKeyring(ctx context.Context) (o opened, err error) {
	rings, _, err := a.config.listKeys(ctx)
	if err != nil {
		return o, err
	}
	g := uint64(max(rings[0], a.Log.State().Generation())) + 1
	if o.Keyring, err = a.Keyring.NextAt(g, a.config.Rand); err != nil {
		return o, err
	}
	if _, err = io.ReadFull(a.config.Rand, o.kek[:]); err != nil {
		return o, err
	}
	o.generation = o.Keyring.Generation()
	if o.ring, err = seal.KEK(a.Repository, o.generation, o.kek).SealObject(seal.Ring, 0, o.Encode(), a.config.Rand); err != nil {
		return o, err
	}
	if err = a.config.put(ctx, seal.RingName(o.generation), o.ring); err != nil {
		return o, fmt.Errorf("keyring %d: %w", o.generation, err)
	}
	return o, nil
}

// putInForce wraps the KEK to whoever belongs to the repository, and says so in the ledger.
func (a *Access) putInForce(ctx context.Context, author *seal.Identity, o opened) error {
	before := a.Log.State().Generation()
	wrapped := map[seal.ID]bool{}
	for {
		for _, id := range a.Log.State().Live() {
			m, _ := a.Log.State().Member(id)
			if wrapped[id] {
				continue
			}
			if err := a.wrap(ctx, m.Principal, o); err != nil {
				return err
			}
			wrapped[id] = true
		}
		_, err := a.Log.Append(ctx, author, ledger.Keyring, func(s *ledger.State) (any, error) {
			switch {
			case s.Generation() != before:
				return nil, errRotated
			case slices.ContainsFunc(s.Live(), func(id seal.ID) bool { return !wrapped[id] }):
				return nil, errWho
			}
			return ledger.KeyringContent{Generation: o.generation, KEK: sha256.Sum256(o.kek[:]), Principals: s.Live()}, nil
		})
		var missing *seal.GenerationError
		switch {
		case errors.As(err, &missing):
			return errRotated
		case !errors.Is(err, errWho):
			return err
		}
	}
}

// wrap gives a principal its slot of a generation.
func (a *Access) wrap(ctx context.Context, p seal.Principal, o opened) error {
	slot, err := p.WrapKEK(a.Repository, o.generation, o.kek)
	if err != nil {
		return err
	}
	if err := a.config.put(ctx, seal.SlotName(p.ID, o.generation), slot); err != nil {
		return fmt.Errorf("slot of %q: %w", p.Name, err)
	}
	return nil
}

// Revoke takes a principal out of the repository: what it signs from there on is void, and it gets none of
// the keys that come. A Rotate follows at once; where that was cut off, Unfinished says so.
func (a *Access) Revoke(ctx context.Context, author *seal.Identity, id seal.ID, reason string) error {
	if err := a.current(ctx); err != nil {
		return err
	}
	m, _ := a.Log.State().Member(id)
	if m.Revoked == 0 {
		_, err := a.Log.Append(ctx, author, ledger.Revoke, func(s *ledger.State) (any, error) {
			if s.OnlyWay(id) {
				return nil, ErrLastWay
			}
			return ledger.RevokeContent{Principal: id, Reason: reason}, nil
		})
		if err != nil {
			return err
		}
	}
	return a.Rotate(ctx, author)
}

// Unfinished reports whether somebody was revoked whose keys are still in force.
func Unfinished(s *ledger.State) bool {
	_, at := s.KEK(s.Generation())
	return slices.ContainsFunc(s.Members(), func(m ledger.Member) bool { return m.Revoked > at })
}
