package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"satchel/store/seal"
)

// Contents of the entries that say who belongs to the repository, and which key counts.
type (
	RevokeContent struct {
		Principal seal.ID `cbor:"1,keyasint,omitzero"`
		Reason    string  `cbor:"2,keyasint,omitempty"`
	}
	KeyringContent struct {
		Generation uint32    `cbor:"1,keyasint,omitempty"`
		KEK        Hash      `cbor:"2,keyasint,omitzero"`  // SHA-256 of the key-encryption key
		Principals []seal.ID `cbor:"3,keyasint,omitempty"` // that it was wrapped to, ascending
	}
	MemberContent struct {
		Principal seal.ID     `cbor:"1,keyasint,omitzero"`
		Name      string      `cbor:"2,keyasint,omitempty"`
		Rights    seal.Rights `cbor:"3,keyasint,omitempty"`
	}
)

// generation is a keyring that was put in force.
type generation struct {
	_        struct{} `cbor:",toarray"`
	Tag      uint8
	Number   uint32
	KEK      Hash
	Position uint64
}

// MaxReason is how long a reason may be, in bytes.
const MaxReason = 1024

// Generation is that of the keyring in force: what follows is sealed under it.
func (s *State) Generation() uint32 { return s.scalars.Generation }

// KEK is the SHA-256 of the key-encryption key of a generation, and the position of the entry that
// put it in force. The first generation has none: its keyring opens entry 1.
func (s *State) KEK(number uint32) (Hash, uint64) {
	g := s.generations[number]
	return g.KEK, g.Position
}

// Live lists the principals that are not revoked, by id.
func (s *State) Live() (ids []seal.ID) {
	for id, m := range s.members {
		if m.Revoked == 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b seal.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// member looks a live principal up.
func (s *State) member(id seal.ID) (Member, error) {
	m, ok := s.members[id]
	switch {
	case !ok:
		return m, voidf("its principal is not known")
	case m.Revoked != 0:
		return m, voidf("its principal %q was revoked", m.Principal.Name)
	}
	return m, nil
}

// OnlyWay reports whether a principal is the last live passphrase or recovery code: without it no
// new device can join.
func (s *State) OnlyWay(id seal.ID) bool {
	opens := func(m Member) bool {
		return m.Revoked == 0 && (m.Principal.Kind == seal.Passphrase || m.Principal.Kind == seal.Recovery)
	}
	for other, m := range s.members {
		if other != id && opens(m) {
			return false
		}
	}
	return opens(s.members[id])
}

// revoke: FORMAT.md §7, the rule of REVOKE.
func (s *State) revoke(e *Entry, p seal.Principal) (func(), error) {
	var c RevokeContent
	if err := errors.Join(need(p, seal.Admin), content(e, &c)); err != nil {
		return nil, err
	}
	m, err := s.member(c.Principal)
	switch {
	case err != nil:
		return nil, err
	case c.Principal == p.ID:
		return nil, voidf("%q revokes itself", p.Name)
	case len(c.Reason) > MaxReason:
		return nil, voidf("its reason is too long")
	case s.OnlyWay(c.Principal):
		return nil, voidf("%q is the last way in", m.Principal.Name)
	}
	return func() {
		m.Revoked = e.Position
		put(s, s.members, c.Principal, m)
	}, nil
}

// rotate: FORMAT.md §7, the rule of KEYRING.
func (s *State) rotate(e *Entry, p seal.Principal, sc *scalars) (func(), error) {
	var c KeyringContent
	if err := errors.Join(need(p, seal.Admin), content(e, &c)); err != nil {
		return nil, err
	}
	switch {
	case c.Generation <= s.scalars.Generation:
		return nil, voidf("its generation %d is no new one", c.Generation)
	case c.KEK == Hash{}:
		return nil, voidf("it says nothing of its key")
	case !slices.Equal(c.Principals, s.Live()):
		return nil, voidf("its key was not wrapped to those who belong to the repository")
	}
	sc.Generation = c.Generation
	return func() {
		put(s, s.generations, c.Generation, generation{Tag: tagGeneration, Number: c.Generation, KEK: c.KEK, Position: e.Position})
	}, nil
}

// describe: FORMAT.md §7, the rule of MEMBER.
func (s *State) describe(e *Entry, p seal.Principal) (func(), error) {
	var c MemberContent
	if err := content(e, &c); err != nil {
		return nil, err
	}
	m, err := s.member(c.Principal)
	if err != nil {
		return nil, err
	}
	was := m.Principal
	m.Principal.Name, m.Principal.Rights = c.Name, c.Rights
	switch {
	case m.Principal == was:
		return nil, voidf("it changes nothing")
	case p.Rights&seal.Admin == 0 && (p.ID != was.ID || was.Rights != c.Rights):
		return nil, voidf("%q has not the right", p.Name)
	case was.Rights != c.Rights && (was.Kind != seal.Device || p.ID == was.ID):
		return nil, voidf("the rights of %q cannot be changed by %q", was.Name, p.Name)
	}
	if err := m.Principal.Check(); err != nil {
		return nil, voidf("its %v", err)
	}
	return func() {
		m.Sequence = s.members[c.Principal].Sequence
		put(s, s.members, c.Principal, m)
	}, nil
}

// grew reports whether a principal can have become of another one without a right that it did not have:
// it may be called otherwise, and rights may have been taken from it.
func grew(from, to seal.Principal) bool {
	if to.Rights&^from.Rights != 0 {
		return false
	}
	to.Name, to.Rights = from.Name, from.Rights
	return from == to
}

// Generations lists the keyrings that were put in force after the first, oldest first.
func (s *State) Generations() (numbers []uint32) {
	for n := range s.generations {
		numbers = append(numbers, n)
	}
	slices.SortFunc(numbers, cmp.Compare)
	return numbers
}
