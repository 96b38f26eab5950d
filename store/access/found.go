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
}

// Found makes a repository in an empty store, founded by this device, and returns its
// recovery code, which is nowhere else. It reports ErrExists, ErrNotEmpty and
// seal.WeakPassphraseError. The object "satchel" comes last: without it there is no repository.
func Found(ctx context.Context, c Config, f Founding) (*Access, string, error) {
	if f.Passphrase != "" {
		if err := seal.CheckPassphrase(f.Passphrase); err != nil {
			return nil, "", err
		}
	}
	if err := c.empty(ctx); err != nil {
		return nil, "", err
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
	genesis, err := ledger.Create(ctx, c.Store, ring.Keys(repo), repo, me, principals, c.Rand, func(genesis ledger.Hash) error {
		return c.writeKeys(ctx, genesis, kek, sealed, me, people)
	})
	if errors.Is(err, store.ErrExists) {
		err = fmt.Errorf("%w: %w", ErrNotEmpty, err)
	}
	if err != nil {
		return nil, "", err
	}
	pin := Pin{c.Location, repo, genesis}
	b := pin.Bootstrap()
	if err := c.Store.Put(ctx, bootstrapName, b); err != nil {
		if there, rerr := c.Store.Get(ctx, bootstrapName, 0, -1); rerr != nil || !bytes.Equal(there, b) {
			return nil, "", err
		}
	}
	if err := c.Place.savePin(pin); err != nil {
		return nil, "", err
	}
	a, err := c.open(pin, ring, me)
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

// writeKeys puts ring, slots and people into the store, and this device's own where it
// keeps it. The slots hold the KEK, the people the genesis hash.
func (c Config) writeKeys(ctx context.Context, genesis ledger.Hash, kek [32]byte, ring []byte, me *seal.Identity, people []person) error {
	if err := c.Store.Put(ctx, ringName(1), ring); err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	me.Genesis = genesis
	mySlot, err := c.putSlot(ctx, me.Principal, me.Repo, kek)
	if err != nil {
		return err
	}
	for _, p := range people {
		p.Genesis = genesis
		if _, err := c.putSlot(ctx, p.Principal, p.Repo, kek); err != nil {
			return err
		}
		object, err := p.Lock(p.secret, p.logN)
		if err != nil {
			return err
		}
		if err := c.Store.Put(ctx, seal.PersonName(c.Rand), object); err != nil {
			return fmt.Errorf("%s: %w", p.Principal.Name, err)
		}
	}
	if err := writeIdentity(c.Place, me); err != nil {
		return err
	}
	return c.keep(me.Repo, 1, mySlot, ring)
}

func (c Config) putSlot(ctx context.Context, p seal.Principal, repo seal.RepoID, kek [32]byte) ([]byte, error) {
	slot, err := p.WrapKEK(repo, 1, kek)
	if err != nil {
		return nil, err
	}
	if err := c.Store.Put(ctx, seal.SlotName(p.ID, 1), slot); err != nil {
		return nil, fmt.Errorf("slot of %s: %w", p.Name, err)
	}
	return slot, nil
}

func writeIdentity(p Place, me *seal.Identity) error {
	path := p.KeyPath(me.Repo)
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return seal.SaveIdentity(path, me)
}
