package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/seal"
)

var (
	// ErrNoRepository: nothing at this location says that it is one.
	ErrNoRepository = errors.New("no repository there")
	// ErrExists: there is a repository already.
	ErrExists = errors.New("there is a repository already")
	// ErrNotEmpty: no repository, but objects that could be parts of one.
	ErrNotEmpty = errors.New("it is not empty: an earlier init did not finish, or something else lies there")
	// ErrVanished: there was one when this device last looked. It is ErrNoRepository too.
	ErrVanished = fmt.Errorf("%w any more", ErrNoRepository)
	// ErrOther: the location held another repository when this device last looked.
	ErrOther = errors.New("another repository lies there than the one this device knows")
	// ErrDamaged: a key object is not as it was written, or is gone.
	ErrDamaged = errors.New("a key of the repository is damaged")
	// ErrSecret: no passphrase or recovery code of the repository's.
	ErrSecret = errors.New("wrong passphrase or recovery code")
	// ErrRevoked: this device belonged to the repository once.
	ErrRevoked = errors.New("this device was revoked")
	// ErrNoSecret: one is needed, and there is nobody to ask.
	ErrNoSecret = errors.New("a passphrase or recovery code is needed to join")
)

// Config is what opening or founding a repository needs.
type Config struct {
	Store    store.Store
	Location string // by which the store is known to the user; never a secret
	Place    Place
	Device   string                                    // this computer's name
	User     string                                    // who sits here, for the journal; "" if that is not known
	Secret   func(ctx context.Context) (string, error) // asks for passphrase or recovery code, to join
	Rand     io.Reader
}

// Access is a repository that is open to this device.
type Access struct {
	Pin
	Keyring *seal.Keyring
	Keys    *seal.Keys
	Me      *seal.Identity // nil: read only, this device is not enrolled
	Log     *ledger.Log    // to be synced, and closed
	Joined  bool           // by this call

	config Config
	kek    [32]byte // that the keyring was opened with
}

// bootstrap is the object named "satchel".
type bootstrap struct {
	Satchel    string `json:"satchel"`
	Format     int    `json:"format"`
	Repository string `json:"repository"`
	Genesis    string `json:"genesis"`
}

const bootstrapName = "satchel"

// maxBootstrap is its size in bytes.
const maxBootstrap = 4 << 10

// Look reads which repository lies in a store. It reports ErrNoRepository.
func Look(ctx context.Context, s store.Store) (Pin, error) {
	b, err := s.Get(ctx, bootstrapName, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return Pin{}, fmt.Errorf("%w: %w", ErrNoRepository, err)
	} else if err != nil {
		return Pin{}, err
	}
	var f bootstrap
	if len(b) > maxBootstrap || json.Unmarshal(b, &f) != nil || f.Satchel != "repository" {
		return Pin{}, fmt.Errorf("%w: the object %q is not what satchel writes there", ledger.ErrDamaged, bootstrapName)
	}
	if f.Format < 1 {
		return Pin{}, fmt.Errorf("%w: the object %q has no format", ledger.ErrDamaged, bootstrapName)
	} else if f.Format != 1 {
		return Pin{}, fmt.Errorf("%w: format %d", ledger.ErrTooNew, f.Format)
	}
	pin, _, err := parsePin(pinFile{"", f.Repository, f.Genesis})
	if err != nil {
		return Pin{}, fmt.Errorf("%w: the object %q: %w", ledger.ErrDamaged, bootstrapName, err)
	}
	return pin, nil
}

// Open opens the repository for this device: with its own key and no request at all where
// it has been here before, else it joins. It reports ErrNoRepository, ErrOther, ErrSecret,
// ErrNoSecret.
func Open(ctx context.Context, c Config) (*Access, error) {
	pin, pinned, err := c.Place.Pinned(c.Location)
	if err != nil {
		return nil, err
	}
	if !pinned {
		if pin, err = Look(ctx, c.Store); err != nil {
			return nil, err
		}
		pin.Location = c.Location
	}
	me, err := seal.LoadIdentity(c.Place.KeyPath(pin.Repository))
	if errors.Is(err, fs.ErrNotExist) {
		return c.join(ctx, pin, nil)
	} else if err != nil {
		return nil, err
	}
	if me.Repo != pin.Repository || ledger.Hash(me.Genesis) != pin.Genesis {
		return nil, fmt.Errorf("%w: %s", ErrOther, c.Location)
	}
	o, err := c.kept(me)
	if err != nil {
		rings, _, err := c.listKeys(ctx)
		if err != nil {
			return nil, err
		}
		o, err = c.inForce(ctx, pin, me, rings)
		if errors.Is(err, store.ErrNotFound) {
			return c.join(ctx, pin, me) // its slot is missing: an enrolment did not finish
		} else if err != nil {
			return nil, err
		}
		if err := c.keep(me.Repo, o); err != nil {
			return nil, err
		}
	}
	if !pinned {
		if err := c.Place.savePin(pin); err != nil {
			return nil, err
		}
	}
	return c.open(pin, o, me)
}

func (c Config) open(pin Pin, o opened, me *seal.Identity) (*Access, error) {
	a := &Access{Pin: pin, Keyring: o.Keyring, Keys: o.Keys(pin.Repository), Me: me, config: c, kek: o.kek}
	lc := ledger.Config{Store: c.Store, Keys: a.Keys, Keyring: o.Keyring, Repository: pin.Repository, Genesis: pin.Genesis,
		Path: c.Place.LedgerPath(pin.Repository), Whole: o.generation > 1 || o.doubtful, User: c.User, Rand: c.Rand}
	if me != nil {
		lc.Me = me.Principal.ID
	}
	var err error
	if a.Log, err = ledger.Open(lc); err != nil {
		return nil, err
	}
	return a, nil
}

// opened is a keyring together with what it was opened from.
type opened struct {
	*seal.Keyring
	generation uint32
	slot, ring []byte
	kek        [32]byte
	doubtful   bool // there are others: somebody may have been revoked
}

// kept opens the slot and the ring that this device has kept.
func (c Config) kept(me *seal.Identity) (o opened, err error) {
	slot, err := os.ReadFile(c.Place.keptPath(me.Repo, "slot"))
	if err != nil {
		return o, err
	}
	ring, err := os.ReadFile(c.Place.keptPath(me.Repo, "ring"))
	if err != nil {
		return o, err
	}
	generation, sealed, ok := strings.Cut(string(slot), "\n")
	g, err := strconv.ParseUint(generation, 10, 32)
	if !ok || err != nil {
		return o, errors.New("kept slot")
	}
	o = opened{generation: uint32(g), slot: []byte(sealed), ring: ring}
	if o.kek, err = me.UnwrapKEK(o.generation, o.slot); err != nil {
		return o, fmt.Errorf("slot of generation %d: %w", g, err)
	}
	return o, o.open(me.Repo)
}

// open opens the ring with the KEK.
func (o *opened) open(repo seal.RepoID) error {
	payload, err := seal.KEK(repo, o.generation, o.kek).OpenObject(seal.Ring, 0, o.ring)
	if err != nil {
		return fmt.Errorf("keyring %d: %w", o.generation, err)
	}
	if o.Keyring, err = seal.ParseKeyring(payload); err == nil && o.Generation() != o.generation {
		err = fmt.Errorf("keyring %d: %w: its newest generation is %d", o.generation, seal.ErrCorrupt, o.Generation())
	}
	return err
}

// fetch reads the keyring of a generation, through the identity's slot.
func (c Config) fetch(ctx context.Context, me *seal.Identity, g uint32) (o opened, err error) {
	return c.fetchWith(ctx, me.Repo, me.Principal.ID, g, func(slot []byte) ([32]byte, error) { return me.UnwrapKEK(g, slot) })
}

// fetchWith is fetch for a principal whose slot is opened by unwrap.
func (c Config) fetchWith(ctx context.Context, repo seal.RepoID, id seal.ID, g uint32, unwrap func(slot []byte) ([32]byte, error)) (o opened, err error) {
	o.generation = g
	if o.slot, err = c.Store.Get(ctx, seal.SlotName(id, g), 0, -1); err != nil {
		return o, fmt.Errorf("slot of generation %d: %w", g, err)
	}
	if o.ring, err = c.Store.Get(ctx, seal.RingName(g), 0, -1); err != nil {
		return o, fmt.Errorf("keyring %d: %w", g, err)
	}
	if o.kek, err = unwrap(o.slot); err == nil {
		err = o.open(repo)
	}
	if errors.Is(err, seal.ErrCorrupt) {
		err = fmt.Errorf("%w: %s or %s: %w", ErrDamaged, seal.SlotName(id, g), seal.RingName(g), seal.ErrCorrupt)
	}
	return o, err
}

func (c Config) keep(repo seal.RepoID, o opened) error {
	err := writePrivate(c.Place.keptPath(repo, "ring"), o.ring)
	return errors.Join(err, writePrivate(c.Place.keptPath(repo, "slot"), append([]byte(fmt.Sprintf("%d\n", o.generation)), o.slot...)))
}

// listKeys returns the generations that have a keyring, the newest first, and the names of the people.
func (c Config) listKeys(ctx context.Context) (rings []uint32, people []string, err error) {
	for o, err := range c.Store.List(ctx, "k/") {
		if err != nil {
			return nil, nil, fmt.Errorf("keys: %w", err)
		}
		if strings.HasPrefix(o.Name, "k/p/") {
			people = append(people, o.Name)
			continue
		}
		mid, ok := strings.CutSuffix(strings.TrimPrefix(o.Name, "k/"), "/ring")
		if g, err := strconv.ParseUint(mid, 10, 32); ok && err == nil && seal.RingName(uint32(g)) == o.Name {
			rings = append(rings, uint32(g))
		}
	}
	if len(rings) == 0 {
		return nil, nil, fmt.Errorf("%w: it has no keyring", ledger.ErrDamaged)
	}
	slices.Sort(rings)
	slices.Reverse(rings)
	return rings, people, nil
}
