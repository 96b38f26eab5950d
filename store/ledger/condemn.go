package ledger

import (
	"encoding/hex"
	"errors"
	"regexp"
	"strings"

	"satchel/store/pack"
	"satchel/store/seal"
)

// CondemnContent makes names dead for good, and registers what takes their place.
type CondemnContent struct {
	Names    []string  `cbor:"1,keyasint,omitempty"` // ascending
	Packs    []PackRef `cbor:"2,keyasint,omitempty"`
	Segments []Hash    `cbor:"3,keyasint,omitempty"`
}

// MaxCondemned is how many names one entry may make dead.
const MaxCondemned = 4096

// detailName is the name of a journal detail.
var detailName = regexp.MustCompile(`^a/[0-9a-f]{48}/[0-9a-f]{64}$`)

var errNotName = errors.New("not the name of an object that may go")

// DeadName is the name of an object that no snapshot will ever need: it may be deleted.
type DeadName struct {
	_        struct{} `cbor:",toarray"`
	Tag      uint8
	Name     string
	Position uint64
	Time     int64 // ns, of the entry that condemned it
}

// DeadNames lists the names that are dead and have not left the state.
func (s *State) DeadNames() []DeadName { return values(s.dead) }

// condemn: FORMAT.md §7, the rule of CONDEMN. That no snapshot needs the names its author has
// computed on State(N−1) (R3): a reader cannot, without the trees.
func (s *State) condemn(e *Entry, p seal.Principal) (func(), error) {
	var c CondemnContent
	if err := errors.Join(need(p, seal.Prune), content(e, &c)); err != nil {
		return nil, err
	}
	if len(c.Names) == 0 || len(c.Names) > MaxCondemned {
		return nil, voidf("it condemns %d names", len(c.Names))
	}
	for i, name := range c.Names {
		if err := s.mortal(name); err != nil {
			return nil, voidf("%q is %v", name, err)
		}
		if i > 0 && c.Names[i-1] >= name || s.Dead(name) {
			return nil, voidf("%q stands twice, or is dead", name)
		}
	}
	add, err := s.registration(c.Packs, c.Segments, e.Position)
	if err != nil {
		return nil, err
	}
	condemned := map[string]bool{}
	for _, name := range c.Names {
		condemned[name] = true
	}
	for _, r := range c.Packs {
		if condemned[r.Key.Name()] {
			return nil, voidf("it condemns a pack that it registers")
		}
	}
	for _, h := range c.Segments {
		if condemned[SegmentName(h)] {
			return nil, voidf("it condemns a segment that it registers")
		}
	}
	return func() {
		add()
		for _, name := range c.Names {
			s.bury(name, e)
		}
	}, nil
}

// mortal reports whether objects of such a name may ever be deleted: packs, segments, states and
// journal details. A pack whose session began before the horizon needs no entry to be deleted
// unless it is registered.
func (s *State) mortal(name string) error {
	if k, err := pack.ParseName(name); err == nil {
		if _, live := s.packs[k]; !live && k.Session().Began() < s.scalars.Horizon {
			return errors.New("of a session before the horizon")
		}
		return nil
	}
	if detailName.MatchString(name) {
		return nil
	}
	kind, sum, _ := strings.Cut(name, "/")
	h, err := hex.DecodeString(sum)
	if err != nil || len(h) != len(Hash{}) || strings.ToLower(sum) != sum || kind != "i" && kind != "s" {
		return errNotName
	}
	return nil
}

// bury makes a name dead and takes it out of what is live.
func (s *State) bury(name string, e *Entry) {
	put(s, s.dead, name, DeadName{Tag: tagDead, Name: name, Position: e.Position, Time: e.Time})
	if k, err := pack.ParseName(name); err == nil {
		remove(s, s.packs, k)
		return
	}
	if sum, ok := strings.CutPrefix(name, "i/"); ok {
		var h Hash
		if b, err := hex.DecodeString(sum); err == nil && len(b) == len(h) {
			copy(h[:], b)
			remove(s, s.segments, h)
		}
	}
}
