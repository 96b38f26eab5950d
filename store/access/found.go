package access

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"satchel/store"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/seal"
)

// Founding is what a new repository's people open it with.
type Founding struct {
	Passphrase   string // none if empty
	PassphraseLN int    // scrypt's log N; 0: seal.PassphraseLogN
	RecoveryLN   int    // 0: seal.RecoveryLogN

	// Keep notes the recovery code before there is a repository: whoever dies after that still has
	// it. nil: nobody does.
	Keep func(repo seal.RepoID, code string) error
}

// Found makes a repository in an empty store, founded by this device, and returns its
// recovery code, which is nowhere else but where Keep put it. It reports ErrExists, ErrNotEmpty,
// ErrVanished where this device knows a repository that is not there, and
// seal.WeakPassphraseError. The object "satchel" comes last: without it there is no repository.
// An error that leaves open whether there is one comes with the code: keep it, and call Open.
func Found(ctx context.Context, c Config, f Founding) (*Access, string, error) {
	if f.Passphrase != "" {
		if err := seal.CheckPassphrase(f.Passphrase); err != nil {
			return nil, "", err
		}
	}
	if err := c.empty(ctx); err != nil {
		return nil, "", err
	}
	if _, known, err := c.Place.Pinned(c.Location); err != nil {
		return nil, "", err
	} else if known {
		return nil, "", c.Place.Vanished(c.Location)
	}
	var repo seal.RepoID
	var kek [32]byte
	if _, err := io.ReadFull(c.Rand, repo[:]); err != nil {
		return nil, "", err
	}
	if _, err := io.ReadFull(c.Rand, kek[:]); err != nil {
		return nil, "", err
	}
	ring, err := seal.NewKeyring(c.Rand)
	if err != nil {
		return nil, "", err
	}
	code, err := seal.NewRecoveryCode(c.Rand)
	if err != nil {
		return nil, "", err
	}
	me, err := seal.NewIdentity(repo, seal.Device, c.Device, seal.Push|seal.Prune|seal.Enrol|seal.Admin, c.Rand)
	if err != nil {
		return nil, "", err
	}
	people, err := c.people(repo, f, code)
	if err != nil {
		return nil, "", err
	}
	principals := []seal.Principal{me.Principal}
	for _, p := range people {
		principals = append(principals, p.Principal)
	}
	sealed, err := seal.KEK(repo, 1, kek).SealObject(seal.Ring, 0, ring.Encode(), c.Rand)
	if err != nil {
		return nil, "", err
	}
	var o opened
	genesis, err := ledger.Create(ctx, c.Store, ring.Keys(repo), repo, me, principals, c.Rand, func(genesis ledger.Hash) error {
		o, err = c.writeKeys(ctx, genesis, kek, sealed, me, people)
		return err
	})
	if errors.Is(err, store.ErrExists) {
		err = fmt.Errorf("%w: %w", ErrNotEmpty, err)
	}
	if err != nil {
		return nil, "", err
	}
	if f.Keep != nil {
		if err := f.Keep(repo, code); err != nil {
			return nil, "", fmt.Errorf("recovery code: %w", err)
		}
	}
	pin := Pin{c.Location, repo, genesis}
	if err := c.put(ctx, bootstrapName, pin.Bootstrap()); err != nil {
		return nil, code, fmt.Errorf("%s: %w", bootstrapName, err)
	}
	if err := c.Place.savePin(pin); err != nil {
		return nil, code, err
	}
	o.Keyring = ring
	a, err := c.open(pin, o, me)
	return a, code, err
}

// Bootstrap is the bytes of the object "satchel".
func (p Pin) Bootstrap() []byte {
	b, err := json.Marshal(bootstrap{"repository", 1, p.Repository.String(), hex.EncodeToString(p.Genesis[:])})
	if err != nil {
		panic(err) // strings and a number
	}
	return append(b, '\n')
}

// empty reports why a repository cannot begin here.
func (c Config) empty(ctx context.Context) error {
	switch _, err := Look(ctx, c.Store); {
	case err == nil:
		return ErrExists
	case !errors.Is(err, ErrNoRepository) || errors.Is(err, store.ErrNoContainer):
		return err
	}
	for o, err := range c.Store.List(ctx, "") {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w (%s)", ErrNotEmpty, o.Name)
	}
	return nil
}

// A person is an identity that opens with a secret rather than on a device.
type person struct {
	*seal.Identity
	secret string
	logN   int
}

func (c Config) people(repo seal.RepoID, f Founding, code string) ([]person, error) {
	or := func(n, otherwise int) int {
		if n == 0 {
			return otherwise
		}
		return n
	}
	const rights = seal.Enrol | seal.Admin
	id, err := seal.NewIdentity(repo, seal.Recovery, "recovery code", rights, c.Rand)
	if err != nil {
		return nil, err
	}
	out := []person{{id, code, or(f.RecoveryLN, seal.RecoveryLogN)}}
	if f.Passphrase == "" {
		return out, nil
	}
	if id, err = seal.NewIdentity(repo, seal.Passphrase, "passphrase", rights, c.Rand); err != nil {
		return nil, err
	}
	return append(out, person{id, f.Passphrase, or(f.PassphraseLN, seal.PassphraseLogN)}), nil
}

// writeKeys keeps this device's keys where it keeps them, and then puts ring, slots and
// people into the store. The slots hold the KEK, the people the genesis hash.
func (c Config) writeKeys(ctx context.Context, genesis ledger.Hash, kek [32]byte, ring []byte, me *seal.Identity, people []person) (o opened, err error) {
	me.Genesis = genesis
	slot, err := me.Principal.WrapKEK(me.Repo, 1, kek)
	if err != nil {
		return o, err
	}
	o = opened{generation: 1, slot: slot, ring: ring, kek: kek}
	if err := errors.Join(writeIdentity(c.Place, me), c.keep(me.Repo, o)); err != nil {
		return o, err
	}
	if err := c.put(ctx, seal.RingName(1), ring); err != nil {
		return o, fmt.Errorf("keyring: %w", err)
	}
	if err := c.put(ctx, seal.SlotName(me.Principal.ID, 1), slot); err != nil {
		return o, fmt.Errorf("slot of %s: %w", me.Principal.Name, err)
	}
	for _, p := range people {
		p.Genesis = genesis
		if slot, err = p.Principal.WrapKEK(p.Repo, 1, kek); err != nil {
			return o, err
		}
		if err := c.put(ctx, seal.SlotName(p.Principal.ID, 1), slot); err != nil {
			return o, fmt.Errorf("slot of %s: %w", p.Principal.Name, err)
		}
		object, err := p.Lock(p.secret, p.logN)
		if err != nil {
			return o, err
		}
		if err := c.put(ctx, seal.PersonName(c.Rand), object); err != nil {
			return o, fmt.Errorf("%s: %w", p.Principal.Name, err)
		}
	}
	return o, nil
}

// put creates an object. An error may hide a success, and store.ErrExists an attempt of our
// own: it looks.
func (c Config) put(ctx context.Context, name string, b []byte) error {
	err := c.Store.Put(ctx, name, b)
	if err == nil {
		return nil
	}
	if there, rerr := c.Store.Get(ctx, name, 0, -1); rerr == nil && bytes.Equal(there, b) {
		return nil
	}
	return err
}

func writeIdentity(p Place, me *seal.Identity) error {
	path := p.KeyPath(me.Repo)
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return seal.SaveIdentity(path, me)
}
