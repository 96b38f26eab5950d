package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

// void is why an entry is skipped: a pure function of its bytes and State(N−1).
type void struct{ reason string }

func (v *void) Error() string { return v.reason }

func voidf(format string, a ...any) error { return &void{fmt.Sprintf(format, a...)} }

// verdict says what the raw bytes at s.position+1 do to s: their effect, or the reason why
// they are void. e is what they opened to, nil if they did not. An error is a stop. s stays
// as it is.
func (s *State) verdict(e *Entry) (effect func(), reason string, err error) {
	if e == nil {
		reason = "it does not open"
	} else if effect, err = s.judge(e); err != nil {
		v := (*void)(nil)
		if !errors.As(err, &v) {
			return nil, "", fmt.Errorf("entry %d: %w", s.position+1, err)
		}
		reason = v.reason
	}
	if reason != "" && s.position == 0 {
		return nil, "", fmt.Errorf("%w: entry 1 is not a genesis: %s", ErrDamaged, reason)
	}
	return effect, reason, nil
}

// advance moves s to the next position; the effect of a void entry is nil.
func (s *State) advance(effect func(), hash Hash) {
	if effect != nil {
		effect()
	}
	s.position++
	s.head = link(s.head, hash)
}

// link is the chain over entries 1 to N, given that over 1 to N−1 and the SHA-256 of the raw
// bytes at N. It runs over void entries too, so an entry vouches for all before it.
func link(prev, hash Hash) Hash {
	return sha256.Sum256(append(prev[:], hash[:]...))
}

// step is verdict and, unless it is a stop, advance.
func (s *State) step(e *Entry, hash Hash) (reason string, err error) {
	effect, reason, err := s.verdict(e)
	if err == nil {
		s.advance(effect, hash)
	}
	return reason, err
}

// judge decides whether e is valid after s, and what it would change.
func (s *State) judge(e *Entry) (func(), error) {
	if e.generation != s.scalars.Generation {
		return nil, voidf("it is sealed under generation %d, and %d is in force", e.generation, s.scalars.Generation)
	}
	if e.newer {
		if m, ok := s.members[e.Author]; s.position > 0 && (!ok || m.Revoked != 0 || !e.signedBy(0, m.Principal)) {
			return nil, voidf("its author is not enrolled")
		}
		return nil, fmt.Errorf("%w: its body has an unknown key", ErrTooNew)
	}
	if e.Repository != s.repo {
		return nil, voidf("it is of another repository")
	}
	if e.Position != s.position+1 || e.Prev != s.head {
		return nil, voidf("it was written after another entry")
	}
	if s.position == 0 {
		return s.genesis(e)
	}
	if e.State != s.Digest() && !(e.Kind == Checkpoint && s.breaks(trustPayload)) {
		return nil, voidf("its author saw another state")
	}
	m, ok := s.members[e.Author]
	switch {
	case !ok:
		return nil, voidf("its author is not enrolled")
	case m.Revoked != 0:
		return nil, voidf("its author %q was revoked", m.Principal.Name)
	case !e.signedBy(0, m.Principal) && !s.breaks(trustAuthor):
		return nil, voidf("its signature does not verify")
	case e.Sequence != m.Sequence+1:
		return nil, voidf("its sequence number %d repeats or jumps", e.Sequence)
	case e.Time <= s.scalars.Time:
		return nil, voidf("its time does not follow")
	case e.Checkpoint != s.scalars.Checkpoint:
		return nil, voidf("it names another checkpoint")
	case !validUser(e.User):
		return nil, voidf("its user's name is not possible")
	}
	var effect func()
	var err error
	sc := s.scalars
	sc.Time = e.Time
	switch known, n := e.signers(); {
	case !known && e.Kind < ignorable:
		return nil, fmt.Errorf("%w: an entry of kind %d", ErrTooNew, e.Kind)
	case known && n != len(e.signatures):
		return nil, voidf("it has %d signatures", len(e.signatures))
	}
	switch e.Kind {
	case Genesis:
		return nil, voidf("it is a second genesis")
	case Commit:
		effect, err = s.commit(e, m.Principal)
	case Register:
		effect, err = s.register(e, m.Principal)
	case Forget:
		effect, err = s.forget(e, m.Principal)
	case Unforget:
		effect, err = s.unforget(e, m.Principal)
	case HoldKind:
		effect, err = s.hold(e, m.Principal)
	case TagKind:
		effect, err = s.label(e, m.Principal)
	case Condemn:
		effect, err = s.condemn(e, m.Principal)
	case Enrol:
		effect, err = s.enrol(e, m.Principal)
	case Checkpoint:
		effect, err = s.checkpoint(e, m.Principal, &sc)
	case Audit:
		effect, err = s.note(e, m.Principal)
	case Revoke:
		effect, err = s.revoke(e, m.Principal)
	case Keyring:
		effect, err = s.rotate(e, m.Principal, &sc)
	case Describe:
		effect, err = s.describe(e, m.Principal)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		if effect != nil {
			effect()
		}
		s.setScalars(sc)
		m := s.members[e.Author]
		m.Sequence = e.Sequence
		put(s, s.members, e.Author, m)
	}, nil
}

// signers is how many signatures an entry of its kind has; known is false if the kind is not.
func (e *Entry) signers() (known bool, n int) {
	switch e.Kind {
	case Enrol:
		return true, 2
	case Genesis, Commit, Register, Forget, Unforget, HoldKind, TagKind, Condemn, Checkpoint, Audit, Revoke, Keyring, Describe:
		return true, 1
	}
	return false, 0
}

func (s *State) genesis(e *Entry) (func(), error) {
	var c GenesisContent
	if e.Kind != Genesis || e.Sequence != 1 || len(e.signatures) != 1 || canon.Unmarshal(e.Content, &c) != nil ||
		len(c.Principals) == 0 || e.Time <= 0 || e.State != (Hash{}) || e.Checkpoint != 0 {
		return nil, voidf("it is not a genesis")
	}
	founder := c.Principals[0]
	if founder.Kind != seal.Device || founder.ID != e.Author || !e.signedBy(0, founder) {
		return nil, voidf("it is not signed by the founding device")
	}
	ids := map[seal.ID]bool{}
	for _, p := range c.Principals {
		if err := p.Check(); err != nil {
			return nil, voidf("its %v", err)
		}
		if ids[p.ID] {
			return nil, voidf("principal %q stands twice", p.Name)
		}
		ids[p.ID] = true
	}
	return func() {
		for i, p := range c.Principals {
			m := Member{Tag: tagMember, Principal: p, Enrolled: 1}
			if i == 0 {
				m.Sequence = 1
			}
			put(s, s.members, p.ID, m)
		}
		sc := s.scalars
		sc.Time = e.Time
		s.setScalars(sc)
	}, nil
}

func need(p seal.Principal, r seal.Rights) error {
	if p.Rights&r == 0 {
		return voidf("%q has not the right", p.Name)
	}
	return nil
}

func content(e *Entry, c any) error {
	switch err := canon.Unmarshal(e.Content, c); {
	case errors.Is(err, canon.ErrUnknownKey):
		return fmt.Errorf("%w: %w", ErrTooNew, err)
	case err != nil:
		return voidf("its content is not canonical: %v", err)
	}
	return nil
}

// commit: FORMAT.md §7, the rule of COMMIT.
func (s *State) commit(e *Entry, p seal.Principal) (func(), error) {
	var c CommitContent
	if err := errors.Join(need(p, seal.Push), content(e, &c)); err != nil {
		return nil, err
	}
	if c.Flags&^(FlagNewHead|FlagSafety) != 0 {
		return nil, fmt.Errorf("%w: a snapshot with flags %#x", ErrTooNew, c.Flags)
	}
	if c.Snapshot == (pack.ID{}) || c.Root == (pack.ID{}) || c.Workspace == (Workspace{}) {
		return nil, voidf("its snapshot, root or workspace is missing")
	}
	if _, dup := s.snapshots[c.Snapshot]; dup {
		return nil, voidf("its snapshot is there already")
	}
	w, known := s.workspaces[c.Workspace]
	if !known {
		if !validName(c.Name) || !utf8.ValidString(c.Remote) || len(c.Remote) > 1024 {
			return nil, voidf("its workspace's name is not possible")
		}
		w = WorkspaceInfo{Tag: tagWorkspace, ID: c.Workspace, Name: c.Name, Remote: c.Remote}
	} else if c.Name != w.Name || c.Remote != w.Remote {
		return nil, voidf("it renames the workspace %q", w.Name)
	}
	for i, parent := range c.Parents {
		v, ok := s.snapshots[parent]
		if !ok || v.Workspace != c.Workspace || slices.Contains(c.Parents[:i], parent) {
			return nil, voidf("its parent %x is not a snapshot of the workspace", parent[:4])
		}
	}
	fastForward := len(c.Parents) > 0 && slices.Contains(w.Heads, c.Parents[0]) || len(c.Parents) == 0 && len(w.Heads) == 0
	switch {
	case c.Flags == FlagSafety && !known || c.Flags == FlagSafety|FlagNewHead:
		return nil, voidf("a safety snapshot is no head")
	case !fastForward && c.Flags == 0:
		return nil, voidf("it is not a fast-forward")
	}
	packs, err := s.registration(c.Packs, c.Segments, e.Position)
	if err != nil {
		return nil, err
	}
	return func() {
		packs()
		if c.Flags&FlagSafety == 0 {
			heads := slices.DeleteFunc(slices.Clone(w.Heads), func(h pack.ID) bool { return slices.Contains(c.Parents, h) })
			heads = append(heads, c.Snapshot)
			slices.SortFunc(heads, func(a, b pack.ID) int { return bytes.Compare(a[:], b[:]) })
			w.Heads = heads
			put(s, s.workspaces, c.Workspace, w)
		}
		put(s, s.snapshots, c.Snapshot, Snapshot{Tag: tagSnapshot, ID: c.Snapshot, Workspace: c.Workspace, Position: e.Position,
			Time: e.Time, Author: e.Author, Parents: c.Parents, Root: c.Root, Files: c.Files, Bytes: c.Bytes,
			NewBytes: c.NewBytes, Problems: c.Problems, Flags: c.Flags})
	}, nil
}

func validName(n string) bool {
	return n != "" && len(n) <= 128 && utf8.ValidString(n) && !slices.ContainsFunc([]rune(n), func(r rune) bool { return r < 0x20 || r == 0x7f })
}

func (s *State) register(e *Entry, p seal.Principal) (func(), error) {
	var c RegisterContent
	if err := errors.Join(need(p, seal.Push), content(e, &c)); err != nil {
		return nil, err
	}
	return s.registration(c.Packs, c.Segments, e.Position)
}

// registration checks the registration of packs and segments.
func (s *State) registration(refs []PackRef, segments []Hash, position uint64) (func(), error) {
	seen := map[pack.Key]bool{}
	for i, r := range refs {
		if seen[r.Key] {
			return nil, voidf("pack %d stands twice", i)
		}
		seen[r.Key] = true
		if !r.Key.Valid() || r.Size <= 0 || r.Size > pack.MaxPack || uint64(r.Size) != seal.Padme(uint64(r.Size)) {
			return nil, voidf("pack %d has an impossible name or size", i)
		}
		if len(r.Directory) > 0 && Hash(sha256.Sum256(r.Directory)) != r.Hash {
			return nil, voidf("pack %d: its directory is not what its hash says", i)
		}
		if began := r.Key.Session().Began(); began < s.scalars.Horizon || began >= position {
			return nil, voidf("pack %d is of a session that began at %d", i, began)
		}
		if s.Dead(r.Key.Name()) && !s.breaks(neverLapsed) {
			return nil, voidf("pack %d is dead", i)
		}
		if old, ok := s.packs[r.Key]; ok && (old.Size != r.Size || old.Hash != r.Hash) {
			return nil, voidf("pack %d is registered otherwise", i)
		}
	}
	for i, h := range segments {
		if s.Dead(SegmentName(h)) {
			return nil, voidf("segment %d is dead", i)
		}
	}
	return func() {
		for _, r := range refs {
			if _, ok := s.packs[r.Key]; !ok {
				put(s, s.packs, r.Key, Pack{Tag: tagPack, Key: r.Key, Size: r.Size, Hash: r.Hash, Position: position})
			}
		}
		for _, h := range segments {
			if _, ok := s.segments[h]; !ok {
				put(s, s.segments, h, segment{Tag: tagSegment, Name: h, Position: position})
			}
		}
	}, nil
}

// SegmentName is the object name of an index segment.
func SegmentName(h Hash) string { return fmt.Sprintf("i/%x", h[:]) }

// StateName is the object name of a checkpoint's state.
func StateName(h Hash) string { return fmt.Sprintf("s/%x", h[:]) }

func (s *State) enrol(e *Entry, p seal.Principal) (func(), error) {
	var c EnrolContent
	if err := errors.Join(need(p, seal.Enrol), content(e, &c)); err != nil {
		return nil, err
	}
	n := c.Principal
	if err := n.Check(); err != nil {
		return nil, voidf("the new principal: %v", err)
	}
	for _, m := range s.members {
		if m.Principal.ID == n.ID || m.Principal.Verify == n.Verify {
			return nil, voidf("the new principal is known already")
		}
	}
	if n.Rights&^(seal.Push|seal.Prune) != 0 && p.Rights&seal.Admin == 0 {
		return nil, voidf("%q may not grant these rights", p.Name)
	}
	if !e.signedBy(1, n) {
		return nil, voidf("the new principal's signature does not verify")
	}
	return func() {
		put(s, s.members, n.ID, Member{Tag: tagMember, Principal: n, Enrolled: e.Position})
	}, nil
}

func (s *State) checkpoint(e *Entry, p seal.Principal, sc *scalars) (func(), error) {
	var c CheckpointContent
	if err := errors.Join(need(p, seal.Push), content(e, &c)); err != nil {
		return nil, err
	}
	if c.Covers != s.position || c.Payload != s.payloadHash() && !s.breaks(trustPayload) {
		return nil, voidf("its state is not the one here")
	}
	if c.Horizon < s.scalars.Horizon || c.Horizon > e.Position {
		return nil, voidf("its horizon is not possible")
	}
	for _, name := range c.Leave {
		d, ok := s.dead[name]
		if !ok || d.Position >= c.Horizon && !s.breaks(leaveEarly) {
			return nil, voidf("a name leaves that may not")
		}
	}
	add, err := s.registration(nil, c.Segments, e.Position)
	if err != nil {
		return nil, err
	}
	sc.Checkpoint, sc.Horizon = e.Position, c.Horizon
	return func() {
		add()
		for _, name := range c.Leave {
			remove(s, s.dead, name)
		}
	}, nil
}
