package ledger

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

func journalCases() map[string]ruleCase {
	p := people()
	told := func(change func(c *AuditContent)) AuditContent {
		c := AuditContent{What: Restored, Count: 3, Detail: Hash{5}, Session: ok(pack.NewSession(7, fixed(5)))}
		change(&c)
		return c
	}
	as := func(user string) func(d *entryDraft, s *State) {
		return func(d *entryDraft, _ *State) { d.User = user }
	}
	none := func(*AuditContent) {}
	kill := func(s *State) {
		name := told(none).DetailName()
		put(s, s.dead, name, DeadName{Tag: tagDead, Name: name, Position: 5})
	}
	return map[string]ruleCase{
		"audit":                         {kind: Audit, content: told(none)},
		"audit without a detail":        {kind: Audit, content: AuditContent{What: Pulled}},
		"audit of a deed to come":       {kind: Audit, content: told(func(c *AuditContent) { c.What = 200 })},
		"audit of nothing":              {kind: Audit, content: AuditContent{}, void: "nothing"},
		"audit without the right":       {author: p.passphrase, kind: Audit, content: told(none), void: "right"},
		"audit by a stranger":           {author: p.stranger, kind: Audit, content: told(none), void: "not enrolled"},
		"audit with two signatures":     {kind: Audit, content: told(none), change: func(d *entryDraft, _ *State) { d.signers = append(d.signers, p.home) }, void: "2 signatures"},
		"audit, detail of no session":   {kind: Audit, content: told(func(c *AuditContent) { c.Session = pack.Session{} }), void: "half a name"},
		"audit, session of no detail":   {kind: Audit, content: told(func(c *AuditContent) { c.Detail = Hash{} }), void: "half a name"},
		"audit, session here":           {kind: Audit, content: told(func(c *AuditContent) { c.Session[7] = 8 }), void: "to come"},
		"audit, detail is dead":         {kind: Audit, content: told(none), inject: kill, void: "dead"},
		"audit of another kind":         {kind: Audit, content: HoldContent{Snapshot: pack.ID{0xcc, 1}, Reason: "r"}, void: "content"},
		"condemn a journal detail":      {kind: Condemn, content: CondemnContent{Names: []string{told(none).DetailName()}}},
		"condemn half a journal detail": {kind: Condemn, content: CondemnContent{Names: []string{told(none).DetailName()[:99]}}, void: "not the name"},

		"by a user":                       {change: as("kim@clinic.example")},
		"by the longest user":             {change: as(strings.Repeat("é", MaxUser/2))},
		"by a user too long":              {change: as(strings.Repeat("u", MaxUser+1)), void: "user"},
		"by a user with control":          {change: as("kim\x1b[2J"), void: "user"},
		"by a user with a line of C1":     {change: as("kim\u0085root"), void: "user"},
		"audit by a user with a new line": {kind: Audit, content: told(none), change: as("a\nb"), void: "user"},
	}
}

func TestNoteIsReadBack(t *testing.T) {
	r, p := found(t), people()
	l := r.device(p.home)
	l.User = "kim@clinic.example"
	want := Detail{Snapshot: pack.ID{1}, Workspace: clinicWork, Paths: [][]byte{[]byte("data/a"), []byte("\xff")}, Where: "/home/kim", Reason: "the disk encrypts itself", Gate: "device encryption"}
	check(t, l.Note(ctx, p.home, Overrode, 2, want))
	for _, reader := range []*Log{l, r.device(p.clinic)} {
		raw := ok(r.store.Get(ctx, Name(2), 0, -1))
		e := ok(openEntry(raw, 2, testKeys))
		var c AuditContent
		check(t, canon.Unmarshal(e.Content, &c))
		got, err := reader.ReadDetail(ctx, c)
		check(t, err)
		if diff := cmp.Diff(want, got); diff != "" || e.User != l.User || c.What != Overrode || c.Count != 2 {
			t.Errorf("%s by %q: %s", c.What, e.User, diff)
		}
		if len(reader.Voids()) > 0 {
			t.Error(reader.Voids())
		}
	}
	a := ok(l.Audit(ctx))
	if len(a.Details) != 1 {
		t.Errorf("the audit knows of %q", a.Details)
	}
	name := a.Details[0]
	object := ok(r.store.Get(ctx, name, 0, -1))
	check(t, r.store.Delete(ctx, name))
	var c AuditContent
	check(t, canon.Unmarshal(ok(openEntry(ok(r.store.Get(ctx, Name(2), 0, -1)), 2, testKeys)).Content, &c))
	if _, err := l.ReadDetail(ctx, c); !errors.Is(err, store.ErrNotFound) {
		t.Error("a detail that is gone:", err)
	}
	object[90] ^= 1
	check(t, r.store.Put(ctx, name, object))
	if _, err := l.ReadDetail(ctx, c); !errors.Is(err, ErrDamaged) {
		t.Error("a detail that was changed:", err)
	}
}

// What is too much for an object is cut, and the entry says how much there was.
func TestNoteOfManyPaths(t *testing.T) {
	r, p := found(t), people()
	l := r.device(p.home)
	d := Detail{Reason: "because"}
	for range 3000 {
		d.Paths = append(d.Paths, make([]byte, 1000))
	}
	check(t, l.Note(ctx, p.home, Pulled, uint64(len(d.Paths)), d))
	var c AuditContent
	check(t, canon.Unmarshal(ok(openEntry(ok(r.store.Get(ctx, Name(2), 0, -1)), 2, testKeys)).Content, &c))
	got := ok(l.ReadDetail(ctx, c))
	if n := len(got.Paths); c.Count != 3000 || n < 900 || n >= 3000 || got.Reason != d.Reason {
		t.Errorf("%d paths of %d, %q", n, c.Count, got.Reason)
	}
}

func FuzzParseDetail(f *testing.F) {
	f.Add(canon.Marshal(Detail{}))
	f.Add(canon.Marshal(Detail{Snapshot: pack.ID{1}, Paths: [][]byte{{}, {0xff}}, Reason: "r"}))
	f.Add([]byte{0xa1, 7, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseDetail(b); err == nil && string(canon.Marshal(d)) != string(b) {
			t.Errorf("%x is encoded again as %x", b, canon.Marshal(d))
		}
	})
}

// A detail that the journal holds opens as nothing else.
func TestDetailIsOfItsKind(t *testing.T) {
	object := ok(testKeys.SealObject(seal.Segment, 0, canon.Marshal(Detail{}), chance))
	if _, err := testKeys.OpenObject(seal.Journal, 0, object); err == nil {
		t.Error("a segment is a detail")
	}
}
