package ledger

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"satchel/store/pack"
)

var (
	firstID, secondID, thirdID, otherID = pack.ID{0xcc, 1}, pack.ID{0xcc, 2}, pack.ID{0xcc, 3}, pack.ID{0xcc, 4}
)

// forgetCases are the rules of FORGET, UNFORGET, HOLD, TAG and CONDEMN. The office may prune, the helper may only push.
func forgetCases() map[string]ruleCase {
	p := people()
	held := func(until int64) func(s *State) {
		return func(s *State) {
			put(s, s.holds, firstID, Hold{Tag: tagHold, Snapshot: firstID, Time: 1, Reason: "a court asks", Until: until})
		}
	}
	tagged := func(word string) func(s *State) {
		return func(s *State) {
			put(s, s.tags, tagKey{firstID, word}, snapshotTag{Tag: tagTag, Snapshot: firstID, Word: word})
		}
	}
	forget := func(ids ...pack.ID) ForgetContent { return ForgetContent{ids} }
	helpers := func(s *State) {
		v := s.snapshots[firstID]
		v.Author = p.helper.Principal.ID
		put(s, s.snapshots, firstID, v)
	}
	kill := func(name string) func(s *State) {
		return func(s *State) { put(s, s.dead, name, DeadName{Tag: tagDead, Name: name, Position: 5}) }
	}
	old := func(change func(v *Snapshot)) UnforgetContent {
		v := Snapshot{Tag: tagSnapshot, ID: pack.ID{0xcc, 7}, Workspace: clinicWork, Position: 3, Time: 5, Author: p.home.Principal.ID, Root: pack.ID{1}}
		change(&v)
		return UnforgetContent{[]Snapshot{v}}
	}
	asIs := func(*Snapshot) {}
	pack1, pack2 := packRef(1, 1, nil).Key.Name(), packRef(5, 2, nil).Key.Name()
	condemn := func(names ...string) CondemnContent { return CondemnContent{Names: names} }
	segment7 := SegmentName(Hash{7})
	return map[string]ruleCase{
		"forget":                        {kind: Forget, content: forget(firstID)},
		"forget by its author":          {author: p.helper, kind: Forget, content: forget(firstID), inject: helpers},
		"forget another's":              {author: p.helper, kind: Forget, content: forget(firstID), void: "right"},
		"forget by who may do neither":  {author: p.passphrase, kind: Forget, content: forget(firstID), void: "right"},
		"forget nothing":                {kind: Forget, content: forget(), void: "nothing"},
		"forget twice":                  {kind: Forget, content: forget(firstID, firstID), void: "twice"},
		"forget what is not there":      {kind: Forget, content: forget(pack.ID{9}), void: "not a snapshot"},
		"forget a head":                 {kind: Forget, content: forget(secondID), void: "head"},
		"forget all but a head":         {kind: Forget, content: forget(firstID, secondID), void: "head"},
		"forget a whole workspace":      {kind: Forget, content: forget(otherID)},
		"forget all of one":             {kind: Forget, content: forget(thirdID, firstID, secondID)},
		"forget what is held":           {kind: Forget, content: forget(firstID), inject: held(0), void: "a court asks"},
		"forget what is held for long":  {kind: Forget, content: forget(firstID), inject: held(1 << 62), void: "a court asks"},
		"forget what was held":          {kind: Forget, content: forget(firstID), inject: held(1)},
		"forget what is tagged":         {kind: Forget, content: forget(firstID), inject: tagged("audit")},
		"unforget":                      {kind: Unforget, content: old(asIs)},
		"unforget by its author":        {author: p.helper, kind: Unforget, content: old(func(v *Snapshot) { v.Author = p.helper.Principal.ID })},
		"unforget another's":            {author: p.helper, kind: Unforget, content: old(func(v *Snapshot) { v.Author = p.office.Principal.ID }), void: "right"},
		"unforget nothing":              {kind: Unforget, content: UnforgetContent{}, void: "nothing"},
		"unforget what is there":        {kind: Unforget, content: old(func(v *Snapshot) { v.ID = firstID }), void: "already"},
		"unforget with a wrong tag":     {kind: Unforget, content: old(func(v *Snapshot) { v.Tag = tagPack }), void: "not possible"},
		"unforget without a root":       {kind: Unforget, content: old(func(v *Snapshot) { v.Root = pack.ID{} }), void: "not possible"},
		"unforget of no workspace":      {kind: Unforget, content: old(func(v *Snapshot) { v.Workspace = Workspace{99} }), void: "not possible"},
		"unforget of the future":        {kind: Unforget, content: old(func(v *Snapshot) { v.Position = 8 }), void: "not possible"},
		"unforget of a later time":      {kind: Unforget, content: old(func(v *Snapshot) { v.Time = 1 << 62 }), void: "not possible"},
		"unforget with a flag":          {kind: Unforget, content: old(func(v *Snapshot) { v.Flags = 4 }), void: "not possible"},
		"hold":                          {kind: HoldKind, content: HoldContent{Snapshot: firstID, Reason: "a court asks"}},
		"hold until":                    {kind: HoldKind, content: HoldContent{Snapshot: firstID, Reason: "a court asks", Until: 1 << 62}},
		"hold anew":                     {kind: HoldKind, content: HoldContent{Snapshot: firstID, Reason: "still"}, inject: held(0)},
		"hold until yesterday":          {kind: HoldKind, content: HoldContent{Snapshot: firstID, Reason: "a court asks", Until: 1}, void: "time"},
		"hold without a reason":         {kind: HoldKind, content: HoldContent{Snapshot: firstID}, void: "reason"},
		"hold with a long reason":       {kind: HoldKind, content: HoldContent{Snapshot: firstID, Reason: strings.Repeat("x", 1025)}, void: "reason"},
		"hold nothing":                  {kind: HoldKind, content: HoldContent{Reason: "a court asks"}, void: "no snapshot"},
		"hold another's":                {author: p.helper, kind: HoldKind, content: HoldContent{Snapshot: firstID, Reason: "mine"}, void: "right"},
		"release":                       {kind: HoldKind, content: HoldContent{Snapshot: firstID, Released: true}, inject: held(0)},
		"release with a reason":         {kind: HoldKind, content: HoldContent{Snapshot: firstID, Released: true, Reason: "x"}, inject: held(0), void: "releases"},
		"release what is not held":      {kind: HoldKind, content: HoldContent{Snapshot: firstID, Released: true}, void: "releases"},
		"tag":                           {kind: TagKind, content: TagContent{Snapshot: firstID, Tag: "audit 2026"}},
		"tag twice":                     {kind: TagKind, content: TagContent{Snapshot: firstID, Tag: "audit"}, inject: tagged("audit"), void: "already"},
		"tag another's":                 {author: p.helper, kind: TagKind, content: TagContent{Snapshot: firstID, Tag: "mine"}, void: "right"},
		"tag by its author":             {author: p.helper, kind: TagKind, content: TagContent{Snapshot: firstID, Tag: "mine"}, inject: helpers},
		"tag with a control character":  {kind: TagKind, content: TagContent{Snapshot: firstID, Tag: "a\x1b"}, void: "not possible"},
		"tag nothing":                   {kind: TagKind, content: TagContent{Tag: "a"}, void: "no snapshot"},
		"take a tag off":                {kind: TagKind, content: TagContent{Snapshot: firstID, Tag: "audit", Removed: true}, inject: tagged("audit")},
		"take a tag off that is not":    {kind: TagKind, content: TagContent{Snapshot: firstID, Tag: "audit", Removed: true}, void: "not there"},
		"condemn":                       {kind: Condemn, content: condemn(pack1, segment7)},
		"condemn what nobody knows":     {kind: Condemn, content: condemn(packRef(6, 77, nil).Key.Name(), SegmentName(Hash{99}), StateName(Hash{98}))},
		"condemn and put in place":      {kind: Condemn, content: CondemnContent{Names: []string{pack2}, Packs: []PackRef{packRef(7, 9, []byte("new directory"))}, Segments: []Hash{{8}}}},
		"condemn without the right":     {author: p.helper, kind: Condemn, content: condemn(pack1), void: "right"},
		"condemn nothing":               {kind: Condemn, content: condemn(), void: "0 names"},
		"condemn too many":              {kind: Condemn, content: condemn(make([]string, MaxCondemned+1)...), void: "4097 names"},
		"condemn out of order":          {kind: Condemn, content: condemn(segment7, pack1), void: "twice"},
		"condemn twice":                 {kind: Condemn, content: condemn(pack1, pack1), void: "twice"},
		"condemn the dead":              {kind: Condemn, content: condemn(segment7), inject: kill(segment7), void: "dead"},
		"condemn the ledger":            {kind: Condemn, content: condemn(Name(1)), void: "not the name"},
		"condemn a key":                 {kind: Condemn, content: condemn("k/1/ring"), void: "not the name"},
		"condemn the bootstrap":         {kind: Condemn, content: condemn("satchel"), void: "not the name"},
		"condemn a name of capitals":    {kind: Condemn, content: condemn("i/" + strings.Repeat("AB", 32)), void: "not the name"},
		"condemn a short name":          {kind: Condemn, content: condemn("i/abcd"), void: "not the name"},
		"condemn an old session's":      {kind: Condemn, content: condemn(packRef(3, 7, nil).Key.Name()), void: "before the horizon"},
		"condemn what it registers":     {kind: Condemn, content: CondemnContent{Names: []string{packRef(7, 9, nil).Key.Name()}, Packs: []PackRef{packRef(7, 9, nil)}}, void: "registers"},
		"condemn a segment of its own":  {kind: Condemn, content: CondemnContent{Names: []string{SegmentName(Hash{8})}, Segments: []Hash{{8}}}, void: "registers"},
		"condemn, and a bad pack":       {kind: Condemn, content: CondemnContent{Names: []string{pack1}, Packs: []PackRef{{}}}, void: "pack 0"},
		"condemn, and a pack of before": {kind: Condemn, content: CondemnContent{Names: []string{pack1}, Packs: []PackRef{packRef(3, 9, nil)}}, void: "session"},
	}
}

// after is the state after an entry of the office's.
func after(t *testing.T, s *State, kind Kind, content any) *State {
	t.Helper()
	raw := draftOf(s, people().office, kind, content).seal()
	if reason, err := s.step(ok(openEntry(raw, s.position+1, testKeys)), sumOf(raw)); reason != "" || err != nil {
		t.Fatal(reason, err)
	}
	return s
}

// What was forgotten is gone with all that was said of it, and unforget brings it back as it was.
func TestForgetAndUnforget(t *testing.T) {
	s := peopled(t).state()
	v, _ := s.Snapshot(firstID)
	heads := s.workspaces[clinicWork].Heads
	after(t, s, TagKind, TagContent{Snapshot: firstID, Tag: "b"})
	after(t, s, TagKind, TagContent{Snapshot: firstID, Tag: "a"})
	if got := s.Tags(firstID); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("tags %q", got)
	}
	after(t, s, HoldKind, HoldContent{Snapshot: firstID, Reason: "x", Until: s.Time() + 1e9})
	if _, held := s.Hold(firstID, s.Time()); !held {
		t.Error("not held")
	}
	after(t, s, HoldKind, HoldContent{Snapshot: firstID, Released: true})
	after(t, s, Forget, ForgetContent{[]pack.ID{firstID}})
	if _, there := s.Snapshot(firstID); there || len(s.tags)+len(s.holds) > 0 || !slices.Equal(heads, s.workspaces[clinicWork].Heads) {
		t.Errorf("after forget: %d tags, %d holds", len(s.tags), len(s.holds))
	}
	after(t, s, Unforget, UnforgetContent{[]Snapshot{v}})
	if diff := cmp.Diff(v, s.snapshots[firstID], cmpopts.EquateEmpty()); diff != "" || !slices.Equal(heads, s.workspaces[clinicWork].Heads) {
		t.Error(diff)
	}
	compareBalance(t, s)
	w, _ := s.Snapshot(otherID)
	after(t, s, Forget, ForgetContent{[]pack.ID{otherID}})
	if len(s.workspaces[homeWork].Heads) > 0 {
		t.Error("a head is left of a workspace that is gone")
	}
	after(t, s, Unforget, UnforgetContent{[]Snapshot{w}})
	if got := s.workspaces[homeWork].Heads; !slices.Equal(got, []pack.ID{otherID}) {
		t.Errorf("heads %x", got)
	}
}

// Who comes from whom is told among what stays, whatever went between.
func TestForgetKeepsDescent(t *testing.T) {
	s := peopled(t).state()
	w := Workspace{77}
	id := func(n byte) pack.ID { return pack.ID{0xee, n} }
	commit := func(n byte, flags uint64, parents ...byte) {
		c := commitOf(n, w)
		c.Snapshot, c.Flags = id(n), flags
		for _, p := range parents {
			c.Parents = append(c.Parents, id(p))
		}
		after(t, s, Commit, c)
	}
	commit(1, 0)
	commit(2, 0, 1)
	commit(3, FlagSafety, 1)
	commit(4, 0, 2, 3)
	commit(5, 0, 4, 1)
	commit(6, 0, 5)
	after(t, s, Forget, ForgetContent{[]pack.ID{id(4), id(2)}})
	if got := s.snapshots[id(5)].Parents; !slices.Equal(got, []pack.ID{id(1), id(3)}) {
		t.Errorf("parents %x", got)
	}
	after(t, s, Forget, ForgetContent{[]pack.ID{id(5)}})
	if got := s.snapshots[id(6)].Parents; !slices.Equal(got, []pack.ID{id(1), id(3)}) {
		t.Errorf("parents %x", got)
	}
	after(t, s, Forget, ForgetContent{[]pack.ID{id(1), id(3)}})
	if got := s.snapshots[id(6)].Parents; len(got) > 0 {
		t.Errorf("parents %x", got)
	}
	compareBalance(t, s)
}

// A condemned name is dead, for ever: nothing under it can be registered, and it says since when.
func TestCondemn(t *testing.T) {
	s := peopled(t).state()
	old, fresh := packRef(5, 2, nil), packRef(7, 9, []byte("new directory"))
	after(t, s, Condemn, CondemnContent{Names: []string{old.Key.Name(), SegmentName(Hash{7})}, Packs: []PackRef{fresh}})
	if _, live := s.Pack(old.Key); live || !s.Dead(old.Key.Name()) || len(s.Segments()) > 0 {
		t.Error("it lives")
	}
	if _, live := s.Pack(fresh.Key); !live {
		t.Error("what takes its place is not registered")
	}
	for _, d := range s.DeadNames() {
		if d.Position != 8 || d.Time != s.Time() {
			t.Errorf("%+v", d)
		}
	}
	raw := draftOf(s, people().office, Register, RegisterContent{Packs: []PackRef{old}}).seal()
	if reason, err := s.step(ok(openEntry(raw, 9, testKeys)), sumOf(raw)); err != nil || !strings.Contains(reason, "dead") {
		t.Error(reason, err)
	}
	compareBalance(t, s)
	again, err := parseState(s.Payload(), s.position, testRepo, s.secret)
	if err != nil || again.Payload() == nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Payload(), again.Payload()); diff != "" {
		t.Error(diff)
	}
}

// everyCase is every rule of every kind.
func everyCase() map[string]ruleCase {
	all := ruleCases()
	maps.Copy(all, forgetCases())
	maps.Copy(all, journalCases())
	maps.Copy(all, memberCases())
	return all
}
