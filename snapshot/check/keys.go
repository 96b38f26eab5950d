package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"strconv"
	"strings"

	"satchel/store/access"
	"satchel/store/seal"
)

// bootstrap compares the object that says which repository this is.
func (c *checker) bootstrap() {
	const name = "satchel"
	if !c.there(name, "the object that says that this is a repository is missing: no new device can join") {
		return
	}
	c.add(name, func(ctx context.Context, w *worker) error {
		data, ok, err := c.read(ctx, name, false)
		want := access.Pin{Repository: c.Log.Repository, Genesis: c.Log.Genesis}
		if err == nil && ok && !bytes.Equal(data, want.Bootstrap()) {
			c.problem(name, Damage, "it does not say what it said when this device first read it: no new device can join")
		}
		return err
	})
}

// keyring asks for the keys: this generation's ring, a slot for each member, a locked key for
// each person.
func (c *checker) keyring() {
	g := c.Log.Keyring.Generation()
	ring := seal.RingName(g)
	c.there(ring, "the keyring is missing: no new device can join")
	_, since := c.state.KEK(g)
	persons := 0
	for _, m := range c.state.Members() {
		if m.Revoked == 0 && (m.Principal.Kind == seal.Passphrase || m.Principal.Kind == seal.Recovery) {
			persons++
		}
		for older := uint32(1); older < g; older++ {
			c.asked[seal.SlotName(m.Principal.ID, older)] = true
			c.asked[seal.RingName(older)] = true
		}
		slot := seal.SlotName(m.Principal.ID, g)
		c.asked[slot] = true
		if _, there := c.objects[slot]; there || m.Revoked != 0 {
			continue
		}
		if c.Note.keys[slot] != "" || m.Principal.ID == c.Log.Me || m.Enrolled == 1 || m.Enrolled < since {
			c.problem(slot, Damage, "the slot of %q is missing: it gives that principal the keys", m.Principal.Name)
		} else {
			c.problem(slot, Notice, "%q has no slot: its enrolment did not come to its end", m.Principal.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		if !keyName(name) {
			continue
		}
		if strings.HasPrefix(name, "k/p/") {
			persons--
			c.asked[name] = true
		} else if !c.asked[name] {
			c.asked[name] = true
			what := "a slot that the ledger does not know: somebody was given the keys, or an enrolment did not come to its end"
			if strings.HasSuffix(name, "/ring") {
				what = "a keyring that the ledger has not put in force: a rotation did not come to its end, or somebody made it up"
			}
			c.problem(name, Notice, "%s", what)
		}
		c.add(name, func(ctx context.Context, w *worker) error { return c.key(ctx, name) })
	}
	if persons > 0 {
		c.missingPersons(persons)
	}
}

// missingPersons names the locked keys that are gone.
func (c *checker) missingPersons(n int) {
	const what = "the private key of a passphrase or recovery code is missing: it opens nothing any more"
	named := false
	for _, name := range slices.Sorted(maps.Keys(c.Note.keys)) {
		if _, there := c.objects[name]; strings.HasPrefix(name, "k/p/") && !there {
			c.problem(name, Damage, what)
			named = true
		}
	}
	if !named {
		c.problem("k/p/", Damage, "%d times: %s", n, what)
	}
}

// keyName reports whether a name is one of a key object's.
func keyName(name string) bool {
	part := strings.Split(name, "/")
	if len(part) != 3 || part[0] != "k" {
		return false
	}
	if part[1] == "p" {
		return isHex(part[2], 16)
	}
	g, err := strconv.ParseUint(part[1], 10, 32)
	return err == nil && g > 0 && strconv.FormatUint(g, 10) == part[1] && (part[2] == "ring" || isHex(part[2], 16))
}

// key looks at one key object: as far as it opens here, and whether it is as it was when
// this device first saw it.
func (c *checker) key(ctx context.Context, name string) error {
	data, ok, err := c.read(ctx, name, false)
	if err != nil || !ok {
		return err
	}
	g := c.Log.Keyring.Generation()
	switch {
	case strings.HasPrefix(name, "k/p/"):
		if _, err := seal.PersonKind(data); err != nil {
			c.problem(name, Damage, "%v", err)
			return nil
		}
	case c.Me == nil:
	case name == seal.SlotName(c.Me.Principal.ID, g):
		if _, err := c.Me.UnwrapKEK(g, data); err != nil {
			c.problem(name, Damage, "this device's own slot: %v", err)
			return nil
		}
	case name == seal.RingName(g):
		if ok, err := c.opensRing(ctx, data); err != nil {
			return err
		} else if !ok {
			c.problem(name, Damage, "the keyring does not open to the keys that this device has")
			return nil
		}
	}
	c.mu.Lock()
	same := c.Note.sawKey(name, sha256.Sum256(data))
	c.mu.Unlock()
	if !same {
		c.problem(name, Damage, "it was changed since this device first saw it")
	}
	return nil
}

// opensRing reports whether a keyring opens through this device's slot, and to the keys that
// it has. It is true as well if the slot does not open: that is told of the slot.
func (c *checker) opensRing(ctx context.Context, ring []byte) (bool, error) {
	g := c.Log.Keyring.Generation()
	slot, err := c.store.Get(ctx, seal.SlotName(c.Me.Principal.ID, g), 0, -1)
	if err != nil {
		return true, nil
	}
	kek, err := c.Me.UnwrapKEK(g, slot)
	if err != nil {
		return true, nil
	}
	payload, err := seal.KEK(c.Log.Repository, g, kek).OpenObject(seal.Ring, 0, ring)
	return err == nil && bytes.Equal(payload, c.Log.Keyring.Encode()), nil
}
