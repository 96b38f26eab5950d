package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

func TestSumIsModulo2To256(t *testing.T) {
	r := random(t)
	mod := new(big.Int).Lsh(big.NewInt(1), 256)
	var s sum
	want := new(big.Int)
	for range 1000 {
		var h [32]byte
		for i := range h {
			if h[i] = byte(r.Uint32()); r.IntN(3) == 0 {
				h[i] = 0xff
			}
		}
		if r.IntN(2) == 0 {
			s.add(h)
			want.Add(want, new(big.Int).SetBytes(h[:]))
		} else {
			s.sub(h)
			want.Sub(want, new(big.Int).SetBytes(h[:]))
		}
		want.Mod(want, mod)
		if got := s.bytes(); !bytes.Equal(got[:], want.FillBytes(make([]byte, 32))) {
			t.Fatalf("%x, want %x", got, want)
		}
	}
}

// randomEntry is an entry after s that is valid, most of the time.
func randomEntry(r *rand.Rand, s *State) []byte {
	p := people()
	author := []*seal.Identity{p.office, p.home, p.clinic, p.helper, p.passphrase, p.stranger}[min(r.IntN(7), 5)]
	n := byte(r.Uint32())
	switch r.IntN(10) {
	case 0:
		return noise(r, 100)
	case 1:
		return draftOf(s, author, ignored, "note").seal()
	case 2:
		return draftOf(s, author, Checkpoint, CheckpointContent{Covers: s.position, Object: Hash{n}, Payload: sumOf(s.Payload()), Horizon: s.scalars.Horizon + uint64(r.IntN(3)),
			Segments: []Hash{{n}}}).seal()
	case 3:
		d := draftOf(s, author, Enrol, EnrolContent{p.late.Principal})
		d.signers = append(d.signers, p.late)
		return d.seal()
	case 4, 5:
		return draftOf(s, author, Register, RegisterContent{Packs: []PackRef{packRef(s.position-uint64(r.IntN(4)), n, nil)}, Segments: []Hash{{n, 1}}}).seal()
	}
	c := commitOf(n, []Workspace{clinicWork, homeWork}[r.IntN(2)])
	c.Snapshot[2] = byte(r.Uint32())
	w := s.workspaces[c.Workspace]
	for _, h := range w.Heads {
		if r.IntN(2) == 0 {
			c.Parents = append(c.Parents, h)
		}
	}
	c.Flags = uint64(r.IntN(3))
	return draftOf(s, author, Commit, c).seal()
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestBalanceIsTheSumWhateverHappens(t *testing.T) {
	r := random(t)
	s := found(t).state()
	void := 0
	for i := range 250 {
		raw := randomEntry(r, s)
		e, err := openEntry(raw, s.position+1, testKeys)
		if err != nil {
			e = nil
		}
		before := s.Digest()
		reason, err := s.step(e, sumOf(raw))
		if err != nil {
			t.Fatal(err)
		}
		if reason != "" {
			void++
		}
		if s.Digest() == before {
			t.Fatal("an entry left the digest as it was")
		}
		compareBalance(t, s)
		if i%50 > 0 {
			continue
		}
		again := ok(parseState(s.Payload(), s.position, s.repo, s.secret))
		if diff := cmp.Diff(contents(s), contents(again), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the payload holds another state (-state +payload):\n%s", diff)
		}
	}
	if void < 25 || void > 225 {
		t.Errorf("%d of 250 entries are void: too few or too many to prove anything", void)
	}
}

// contents is a state as its readers see it.
func contents(s *State) map[string]any {
	return map[string]any{"snapshots": s.Snapshots(Workspace{}), "workspaces": s.Workspaces(), "packs": s.Packs(), "segments": s.Segments(), "members": s.Members(),
		"time": s.Time(), "horizon": s.Horizon(), "since": s.SinceCheckpoint(), "position": s.Position(), "dead": len(s.dead)}
}

// elements splits a payload.
func elements(payload []byte) (out [][]byte) {
	for len(payload) > 0 {
		n := binary.BigEndian.Uint32(payload)
		out = append(out, payload[4:4+n])
		payload = payload[4+n:]
	}
	return out
}

func joined(es ...[]byte) (out []byte) {
	for _, e := range es {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(e))), e...)
	}
	return out
}

func TestParseStateRefuses(t *testing.T) {
	s := peopled(t).state()
	put(s, s.dead, "i/dead", DeadName{Tag: tagDead, Name: "i/dead", Position: 4})
	good := s.Payload()
	es := elements(good)
	if len(es) != 1+4+2+2+1+1+5 {
		t.Fatalf("%d elements", len(es))
	}
	tag := func(e []byte) byte { return e[1] }
	first := func(want byte) int { return slices.IndexFunc(es, func(e []byte) bool { return tag(e) == want }) }
	sorted := func(es [][]byte) []byte {
		slices.SortFunc(es, bytes.Compare)
		return joined(es...)
	}
	change := func(want byte, f func(e []byte) []byte) []byte {
		out := slices.Clone(es)
		out[first(want)] = f(bytes.Clone(out[first(want)]))
		return sorted(out)
	}
	other := s.packs[packRef(5, 2, nil).Key]
	other.Size *= 2
	for name, c := range map[string]struct {
		payload []byte
		want    error
	}{
		"nothing":                   {nil, errState},
		"no scalars":                {joined(slices.DeleteFunc(slices.Clone(es), func(e []byte) bool { return tag(e) == tagScalars })...), errState},
		"scalars twice":             {sorted(append(slices.Clone(es), canon.Marshal(scalars{Tag: tagScalars, Time: 1}))), errState},
		"out of order":              {joined(append([][]byte{es[1], es[0]}, es[2:]...)...), errState},
		"element twice":             {joined(append([][]byte{es[0]}, es...)...), errState},
		"one pack as two":           {sorted(append(slices.Clone(es), canon.Marshal(other))), errState},
		"cut off in a length":       {good[:len(good)-len(es[len(es)-1])-2], errState},
		"cut off in an element":     {good[:len(good)-1], errState},
		"trailing bytes":            {append(bytes.Clone(good), 0, 0), errState},
		"empty element":             {append(bytes.Clone(good), 0, 0, 0, 0), errState},
		"element of one byte":       {append(bytes.Clone(good), 0, 0, 0, 1, 0xff), errState},
		"length of 4 GiB":           {append([]byte{0xff, 0xff, 0xff, 0xff}, good...), errState},
		"newer tag":                 {append(bytes.Clone(good), joined([]byte{0x9f, 8, 1, 2})...), ErrTooNew},
		"pack with a trailer":       {change(tagPack, func(e []byte) []byte { return append(e, 0) }), errState},
		"pack as a segment":         {change(tagPack, func(e []byte) []byte { e[1] = tagSegment; return e }), errState},
		"pack with a field more":    {change(tagPack, func(e []byte) []byte { e[0]++; return append(e, 0) }), errState},
		"pack with a field less":    {change(tagPack, func(e []byte) []byte { e[0]--; return e[:len(e)-1] }), errState},
		"scalars not in short form": {change(tagScalars, func(e []byte) []byte { return append(e[:len(e)-1], 0x18, 1) }), errState},
	} {
		t.Run(name, func(t *testing.T) {
			corpus(t, "FuzzParseState", name, c.payload)
			if got, err := parseState(c.payload, 7, testRepo, testRing.Balance); !errors.Is(err, c.want) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	corpus(t, "FuzzParseState", "as it should be", good)
}

func FuzzParseState(f *testing.F) {
	s := found(f).state()
	f.Add(s.Payload())
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := parseState(payload, 7, testRepo, testRing.Balance)
		if err != nil {
			if !errors.Is(err, errState) {
				t.Error(err)
			}
			return
		}
		if again := s.Payload(); !bytes.Equal(again, payload) {
			t.Errorf("%x is encoded again as %x", payload, again)
		}
		contents(s)
		e, _ := openEntry(draftOf(s, people().office, Commit, commitOf(1, clinicWork)).seal(), 8, testKeys)
		if _, _, err := s.verdict(e); err != nil {
			t.Error(err)
		}
	})
}

// Two states that differ in one element, or in the position alone, have different digests.
func TestDigestCommitsToEverything(t *testing.T) {
	base := peopled(t)
	digests := map[Hash]string{base.state().Digest(): "as it is"}
	for name, change := range map[string]func(s *State){
		"position": func(s *State) { s.position++ },
		"time":     func(s *State) { sc := s.scalars; sc.Time++; s.setScalars(sc) },
		"horizon":  func(s *State) { sc := s.scalars; sc.Horizon++; s.setScalars(sc) },
		"no pack":  func(s *State) { remove(s, s.packs, packRef(5, 2, nil).Key) },
		"pack elsewhere": func(s *State) {
			p := s.packs[packRef(5, 2, nil).Key]
			p.Hash[0]++
			put(s, s.packs, p.Key, p)
		},
		"no segment":  func(s *State) { remove(s, s.segments, Hash{7}) },
		"no snapshot": func(s *State) { remove(s, s.snapshots, pack.ID{0xcc, 1}) },
		"dead name":   func(s *State) { put(s, s.dead, "i/dead", DeadName{Tag: tagDead, Name: "i/dead", Position: 4}) },
		"sequence": func(s *State) {
			m := s.members[people().home.Principal.ID]
			m.Sequence++
			put(s, s.members, m.Principal.ID, m)
		},
		"workspace": func(s *State) {
			w := s.workspaces[clinicWork]
			w.Heads = w.Heads[:1]
			put(s, s.workspaces, w.ID, w)
		},
	} {
		s := base.state()
		change(s)
		if other, same := digests[s.Digest()]; same {
			t.Errorf("%s: the digest is that of %q", name, other)
		}
		digests[s.Digest()] = name
		if name != "position" {
			compareBalance(t, s)
		}
	}
	other := newState(testRepo, [32]byte{1})
	for _, e := range elements(base.state().Payload()) {
		other.balance.add(other.macOf(e))
	}
	other.position = 7
	if _, same := digests[other.Digest()]; same {
		t.Error("the balance does not depend on its secret")
	}
}

func TestStateAnswers(t *testing.T) {
	s, p := peopled(t).state(), people()
	if s.Position() != 7 || s.SinceCheckpoint() != 0 || s.Horizon() != 4 || s.Dead("i/nothing") {
		t.Errorf("position %d, since %d, horizon %d", s.Position(), s.SinceCheckpoint(), s.Horizon())
	}
	var ids []pack.ID
	for _, v := range s.Snapshots(clinicWork) {
		ids = append(ids, v.ID)
	}
	if diff := cmp.Diff([]pack.ID{{0xcc, 1}, {0xcc, 2}, {0xcc, 3}}, ids); diff != "" {
		t.Errorf("snapshots (-want +got):\n%s", diff)
	}
	if n := len(s.Snapshots(Workspace{})); n != 4 {
		t.Errorf("%d snapshots in all", n)
	}
	want := []Pack{{Tag: tagPack, Key: packRef(1, 1, nil).Key, Size: 1024, Hash: sumOf([]byte("directory")), Position: 2},
		{Tag: tagPack, Key: packRef(5, 2, nil).Key, Size: 1024, Hash: sumOf(nil), Position: 6}}
	if diff := cmp.Diff(want, s.Packs()); diff != "" {
		t.Errorf("packs (-want +got):\n%s", diff)
	}
	var names []string
	for _, w := range s.Workspaces() {
		names = append(names, w.Name+" "+w.Remote)
	}
	if diff := cmp.Diff([]string{"clinic example.com/clinic", "home "}, names); diff != "" {
		t.Errorf("workspaces (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Hash{{7}}, s.Segments()); diff != "" {
		t.Errorf("segments (-want +got):\n%s", diff)
	}
	for id, sequence := range map[seal.ID]uint64{p.office.Principal.ID: 4, p.home.Principal.ID: 2, p.clinic.Principal.ID: 1, p.passphrase.Principal.ID: 0} {
		if m, ok := s.Member(id); !ok || m.Sequence != sequence || m.Enrolled != 1 {
			t.Errorf("member %s: %+v", m.Principal.Name, m)
		}
	}
	if _, ok := s.Member(p.stranger.Principal.ID); ok || len(s.Members()) != 5 {
		t.Error("a member too many")
	}
}
