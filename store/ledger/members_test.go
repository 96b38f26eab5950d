package ledger

import (
	"errors"
	"strings"
	"testing"

	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

// nextKeys are those of a keyring that is rotated in.
var (
	nextRing = ok(testRing.NextAt(3, fixed(9)))
	nextKeys = nextRing.Keys(testRepo)
)

// rotation is what an admin says of it.
func rotation(s *State, change func(c *KeyringContent)) KeyringContent {
	c := KeyringContent{Generation: 3, KEK: Hash{3}, Principals: s.Live()}
	change(&c)
	return c
}

func memberCases() map[string]ruleCase {
	p := people()
	type draftFunc = func(d *entryDraft, s *State)
	revoke := func(i *seal.Identity) RevokeContent { return RevokeContent{i.Principal.ID, "lost"} }
	ring := func(change func(c *KeyringContent)) draftFunc {
		return func(d *entryDraft, s *State) { d.Content = canonOf(rotation(s, change)) }
	}
	none := func(*KeyringContent) {}
	member := func(i *seal.Identity, name string, rights seal.Rights) MemberContent {
		return MemberContent{i.Principal.ID, name, rights}
	}
	gone := func(i *seal.Identity) func(s *State) {
		return func(s *State) {
			m := s.members[i.Principal.ID]
			m.Revoked = 7
			put(s, s.members, i.Principal.ID, m)
		}
	}
	second := func(s *State) {
		q := p.late.Principal
		q.Kind, q.Rights = seal.Recovery, seal.Enrol|seal.Admin
		put(s, s.members, q.ID, Member{Tag: tagMember, Principal: q, Enrolled: 3})
	}
	return map[string]ruleCase{
		"revoke":                         {kind: Revoke, content: revoke(p.clinic)},
		"revoke by the passphrase":       {author: p.passphrase, kind: Revoke, content: revoke(p.office)},
		"revoke without a reason":        {kind: Revoke, content: RevokeContent{p.clinic.Principal.ID, ""}},
		"revoke without the right":       {author: p.home, kind: Revoke, content: revoke(p.clinic), void: "right"},
		"revoke by who may enrol":        {author: p.helper, kind: Revoke, content: revoke(p.clinic), void: "right"},
		"revoke by a stranger":           {author: p.stranger, kind: Revoke, content: revoke(p.clinic), void: "not enrolled"},
		"revoke a stranger":              {kind: Revoke, content: revoke(p.stranger), void: "not known"},
		"revoke nobody":                  {kind: Revoke, content: RevokeContent{}, void: "not known"},
		"revoke oneself":                 {kind: Revoke, content: revoke(p.office), void: "revokes itself"},
		"revoke again, revoked":          {kind: Revoke, content: revoke(p.clinic), inject: gone(p.clinic), void: "was revoked"},
		"revoke the last way in":         {kind: Revoke, content: revoke(p.passphrase), void: "last way in"},
		"revoke one of two ways in":      {kind: Revoke, content: revoke(p.passphrase), inject: second},
		"revoke, the other way is gone":  {kind: Revoke, content: revoke(p.passphrase), inject: func(s *State) { second(s); gone(p.late)(s) }, void: "last way in"},
		"revoke with two signatures":     {kind: Revoke, content: revoke(p.clinic), change: func(d *entryDraft, _ *State) { d.signers = append(d.signers, p.home) }, void: "2 signatures"},
		"revoke for a long reason":       {kind: Revoke, content: RevokeContent{p.clinic.Principal.ID, strings.Repeat("r", MaxReason+1)}, void: "too long"},
		"revoke in the admin's name":     {kind: Revoke, content: revoke(p.clinic), change: forgedBy(p.home), void: "signature"},
		"revoke, content of another":     {kind: Revoke, content: TagContent{Snapshot: pack.ID{1}}, void: "content"},
		"rotate without the right":       {author: p.home, kind: Keyring, content: rawContent{}, change: ring(none), void: "right"},
		"rotate by who may enrol":        {author: p.helper, kind: Keyring, content: rawContent{}, change: ring(none), void: "right"},
		"rotate in the admin's name":     {kind: Keyring, content: rawContent{}, change: func(d *entryDraft, s *State) { ring(none)(d, s); forgedBy(p.clinic)(d, s) }, void: "signature"},
		"rotate to the one in force":     {kind: Keyring, content: rawContent{}, change: ring(func(c *KeyringContent) { c.Generation = 1 }), void: "no new one"},
		"rotate to none":                 {kind: Keyring, content: rawContent{}, change: ring(func(c *KeyringContent) { c.Generation = 0 }), void: "no new one"},
		"rotate to no key":               {kind: Keyring, content: rawContent{}, change: ring(func(c *KeyringContent) { c.KEK = Hash{} }), void: "nothing of its key"},
		"rotate, one is left out":        {kind: Keyring, content: rawContent{}, change: ring(func(c *KeyringContent) { c.Principals = c.Principals[1:] }), void: "wrapped"},
		"rotate for a stranger too":      {kind: Keyring, content: rawContent{}, change: ring(func(c *KeyringContent) { c.Principals = append(c.Principals, p.stranger.Principal.ID) }), void: "wrapped"},
		"rotate for nobody":              {kind: Keyring, content: rawContent{}, change: ring(func(c *KeyringContent) { c.Principals = nil }), void: "wrapped"},
		"rotate, out of order":           {kind: Keyring, content: rawContent{}, change: ring(func(c *KeyringContent) { c.Principals[0], c.Principals[1] = c.Principals[1], c.Principals[0] }), void: "wrapped"},
		"rotate for one who was revoked": {kind: Keyring, content: rawContent{}, inject: gone(p.clinic), change: ring(func(c *KeyringContent) { c.Principals = append(c.Principals, p.clinic.Principal.ID) }), void: "wrapped"},

		"rename a device":               {kind: Describe, content: member(p.clinic, "CLINIC 2", p.clinic.Principal.Rights)},
		"rename oneself":                {author: p.clinic, kind: Describe, content: member(p.clinic, "CLINIC 2", p.clinic.Principal.Rights)},
		"rename a passphrase":           {kind: Describe, content: member(p.passphrase, "words", p.passphrase.Principal.Rights)},
		"rename another":                {author: p.clinic, kind: Describe, content: member(p.home, "mine", p.home.Principal.Rights), void: "right"},
		"rename to nothing":             {kind: Describe, content: member(p.clinic, "", p.clinic.Principal.Rights), void: "name"},
		"rename to what it is called":   {kind: Describe, content: member(p.clinic, "CLINIC", p.clinic.Principal.Rights), void: "nothing"},
		"rename a stranger":             {kind: Describe, content: member(p.stranger, "x", 1), void: "not known"},
		"rename who was revoked":        {kind: Describe, content: member(p.clinic, "x", 1), inject: gone(p.clinic), void: "was revoked"},
		"take the right to prune":       {kind: Describe, content: member(p.clinic, "CLINIC", seal.Push)},
		"grant all":                     {author: p.passphrase, kind: Describe, content: member(p.clinic, "CLINIC", 15)},
		"take admin from the founder":   {author: p.passphrase, kind: Describe, content: member(p.office, "OFFICE", seal.Push)},
		"grant oneself":                 {author: p.clinic, kind: Describe, content: member(p.clinic, "CLINIC", 15), void: "right"},
		"take one's own right":          {kind: Describe, content: member(p.office, "OFFICE", seal.Push|seal.Admin), void: "cannot be changed"},
		"take a right without admin":    {author: p.helper, kind: Describe, content: member(p.clinic, "CLINIC", seal.Push), void: "right"},
		"take a passphrase's rights":    {kind: Describe, content: member(p.passphrase, "passphrase", seal.Enrol), void: "cannot be changed"},
		"grant a right that is none":    {kind: Describe, content: member(p.clinic, "CLINIC", 31), void: "rights"},
		"grant in the admin's name":     {kind: Describe, content: member(p.clinic, "CLINIC", 15), change: forgedBy(p.clinic), void: "signature"},
		"grant, with a second signer":   {kind: Describe, content: member(p.clinic, "CLINIC", 15), change: func(d *entryDraft, _ *State) { d.signers = append(d.signers, p.clinic) }, void: "2 signatures"},
		"describe, content of another":  {kind: Describe, content: TagContent{Snapshot: pack.ID{1}}, void: "content"},
		"describe, content of nothing":  {kind: Describe, content: MemberContent{}, void: "not known"},
		"prune without it, taken early": {author: p.clinic, kind: Condemn, content: CondemnContent{Names: []string{SegmentName(Hash{7})}}, inject: func(s *State) { rights(s, p.clinic, seal.Push) }, void: "right"},
	}
}

func rights(s *State, i *seal.Identity, r seal.Rights) {
	m := s.members[i.Principal.ID]
	m.Principal.Rights = r
	put(s, s.members, i.Principal.ID, m)
}

// forgedBy has another sign in the author's name.
func forgedBy(by *seal.Identity) func(d *entryDraft, s *State) {
	return func(d *entryDraft, _ *State) {
		d.env = func(e *envelope) {
			e.Signatures[0].Bytes = by.Sign(append([]byte(signingContext), e.Body...))
		}
	}
}

// rotated appends a KEYRING by the passphrase.
func rotated(r *repo) uint64 {
	s := r.state()
	return r.put(draftOf(s, people().passphrase, Keyring, rotation(s, func(*KeyringContent) {})).seal())
}

// After a KEYRING the new generation alone counts: a device that lacks it stops there, what is sealed
// under the old one is void for every reader, and so is what is sealed under one to come.
func TestOnlyTheGenerationInForceCounts(t *testing.T) {
	r, p := found(t), people()
	follower := r.device(p.home)
	at := rotated(r)
	check(t, follower.Sync(ctx))
	if hash, position := follower.State().KEK(3); follower.State().Generation() != 3 || hash != (Hash{3}) || position != at {
		t.Errorf("generation %d: %x at %d", follower.State().Generation(), hash, position)
	}
	var missing *seal.GenerationError
	_, err := follower.Append(ctx, p.home, ignored, func(*State) (any, error) { return "note", nil })
	if !errors.As(err, &missing) || missing.Generation != 3 || r.head() != at {
		t.Errorf("appended under the old generation: %v", err)
	}

	s := follower.State()
	thief := draftOf(s, p.clinic, ignored, "under the old one") // with keys that it had
	r.put(thief.seal())
	check(t, follower.Sync(ctx))
	if v := follower.Voids(); len(v) != 1 || !strings.Contains(v[0].Reason, "generation 1, and 3 is in force") {
		t.Errorf("%v", v)
	}
	s = follower.State()
	ahead := draftOf(s, p.clinic, ignored, "under one to come")
	ahead.keys = ok(nextRing.NextAt(9, fixed(3))).Keys(testRepo)
	r.put(ahead.seal())
	check(t, follower.Sync(ctx))
	if v := follower.Voids(); len(v) != 2 {
		t.Errorf("%v", v)
	}
	good := draftOf(follower.State(), p.clinic, ignored, "under the new one")
	good.keys = nextKeys
	r.put(good.seal())
	err = follower.Sync(ctx)
	if !errors.As(err, &missing) || missing.Generation != 3 || follower.State().Position() != at+2 {
		t.Fatalf("at %d: %v", follower.State().Position(), err)
	}
	follower.Keys, follower.Keyring = nextKeys, nextRing
	check(t, follower.Sync(ctx))
	note(t, follower, p.home)

	for who, whole := range map[string]bool{"new reader": false, "reader of all": true} {
		c := r.config(nil, t.TempDir()+"/ledger.db", r.store)
		c.Keys, c.Keyring, c.Whole = nextKeys, nextRing, whole
		l := ok(Open(c))
		defer l.Close()
		check(t, l.Sync(ctx))
		if len(l.Voids()) != 2 || l.State().Digest() != follower.State().Digest() {
			t.Errorf("%s skips %v", who, l.Voids())
		}
		if a := ok(l.Audit(ctx)); len(a.Voids) != 2 || len(a.Findings) != 0 {
			t.Errorf("%s audits %+v", who, a)
		}
	}
}

// Who was revoked is void from there on, and a checkpoint carries it all.
func TestRevokedIsVoidFromThereOn(t *testing.T) {
	r, p := found(t), people()
	office := r.device(p.office)
	clinic := r.device(p.clinic)
	note(t, clinic, p.clinic)
	_, err := office.Append(ctx, p.office, Revoke, func(*State) (any, error) { return RevokeContent{p.clinic.Principal.ID, "stolen"}, nil })
	check(t, err)
	_, err = clinic.Append(ctx, p.clinic, ignored, func(*State) (any, error) { return "after", nil })
	wantErr(t, "the revoked device", err, ErrRefused)
	r.put(draftOf(office.State(), p.clinic, Commit, commitOf(9, clinicWork)).seal())
	check(t, office.Sync(ctx))
	if v := office.Voids(); len(v) != 1 || !strings.Contains(v[0].Reason, "revoked") {
		t.Errorf("%v", v)
	}
	rotated(r)
	office.Keys, office.Keyring = nextKeys, nextRing
	check(t, office.Sync(ctx))
	check(t, office.MoveHorizon(ctx, p.office, 0, nil))
	note(t, office, p.office)
	for _, whole := range []bool{false, true} {
		c := r.config(nil, t.TempDir()+"/ledger.db", r.store)
		c.Keys, c.Keyring, c.Whole = nextKeys, nextRing, whole
		l := ok(Open(c))
		defer l.Close()
		check(t, l.Sync(ctx))
		m, _ := l.State().Member(p.clinic.Principal.ID)
		if hash, _ := l.State().KEK(3); m.Revoked == 0 || l.State().Generation() != 3 || hash != (Hash{3}) || l.State().Digest() != office.State().Digest() {
			t.Errorf("whole %v: %+v", whole, m)
		}
		if begun := len(l.Voids()) == 0; begun == whole {
			t.Errorf("whole %v: it skips %v", whole, l.Voids())
		}
	}
}

// A device that was renamed, or has other rights than it came with, still vouches for its checkpoints.
func TestRenamedDeviceIsRooted(t *testing.T) {
	r, p := found(t), people()
	office := r.device(p.office)
	_, err := office.Append(ctx, p.office, Enrol, func(*State) (any, error) { return EnrolContent{p.late.Principal}, nil }, p.late)
	check(t, err)
	for _, c := range []MemberContent{{p.late.Principal.ID, "NEW NAME", seal.Push}, {p.office.Principal.ID, "HQ", 15}} {
		_, err = office.Append(ctx, p.office, Describe, func(*State) (any, error) { return c, nil })
		check(t, err)
	}
	check(t, office.Sync(ctx))
	late := r.device(p.late)
	first := commitOf(1, clinicWork)
	_, err = late.Append(ctx, p.late, Commit, func(*State) (any, error) { return first, nil })
	check(t, err)
	check(t, late.MoveHorizon(ctx, p.late, 0, nil))
	r.put([]byte("void, and so seen by who begins before the checkpoint"))
	fresh := r.device(nil)
	if m, _ := fresh.State().Member(p.late.Principal.ID); m.Principal.Name != "NEW NAME" || m.Principal.Rights != seal.Push {
		t.Errorf("%+v", m)
	}
	if _, there := fresh.State().Snapshot(pack.ID{0xcc, 1}); !there {
		t.Error("no snapshot")
	}
	raws, err := fresh.m.positions()
	check(t, err)
	if len(raws) == 0 || raws[0] == 1 {
		t.Errorf("it began with entry 1, not with the checkpoint: %v", raws)
	}
}

func FuzzMemberContents(f *testing.F) {
	s, p := newState(testRepo, testRing.Balance), people()
	for _, i := range []*seal.Identity{p.office, p.clinic, p.passphrase} {
		put(s, s.members, i.Principal.ID, Member{Tag: tagMember, Principal: i.Principal, Enrolled: 1})
	}
	s.setScalars(s.scalars)
	s.position = 7
	f.Add(uint8(Revoke), canonOf(RevokeContent{p.clinic.Principal.ID, "lost"}))
	f.Add(uint8(Keyring), canonOf(rotation(s, func(*KeyringContent) {})))
	f.Add(uint8(Describe), canonOf(MemberContent{p.clinic.Principal.ID, "x", 1}))
	f.Add(uint8(Audit), canonOf(AuditContent{What: 1}))
	f.Fuzz(func(t *testing.T, kind uint8, content []byte) {
		if Kind(kind) != Revoke && Kind(kind) != Keyring && Kind(kind) != Describe && Kind(kind) != Audit {
			return
		}
		e := &Entry{Body: Body{Repository: testRepo, Position: 8, Kind: Kind(kind), Content: content, State: s.Digest(), Sequence: 1, Time: 1},
			Author: p.office.Principal.ID, generation: 1, signatures: make([]signature, 1)}
		was := s.broken
		s.broken = trustAuthor
		defer func() { s.broken = was }()
		before := s.Digest()
		effect, err := s.judge(e)
		if s.Digest() != before {
			t.Fatal("judging changed the state")
		}
		if err != nil || effect == nil {
			return
		}
		then := ok(parseState(s.Payload(), s.position, s.repo, s.secret))
		then.broken, then.head = trustAuthor, s.head
		effect2, err := then.judge(e)
		check(t, err)
		effect2()
		compareBalance(t, then)
		if len(then.Live()) == 0 || then.OnlyWay(p.passphrase.Principal.ID) != s.OnlyWay(p.passphrase.Principal.ID) {
			t.Error("the way in is lost")
		}
	})
}

func canonOf(v any) []byte { return canon.Marshal(v) }
