package ledger

import (
	"slices"
	"unicode/utf8"

	"satchel/store/pack"
	"satchel/store/seal"
)

// Contents of the entries that let snapshots go, keep them, and name them.
type (
	ForgetContent struct {
		Snapshots []pack.ID `cbor:"1,keyasint,omitempty"`
	}
	UnforgetContent struct {
		Snapshots []Snapshot `cbor:"1,keyasint,omitempty"` // as the state had them
	}
	HoldContent struct {
		Snapshot pack.ID `cbor:"1,keyasint,omitzero"`
		Reason   string  `cbor:"2,keyasint,omitempty"`
		Until    int64   `cbor:"3,keyasint,omitempty"` // ns, the store's clock; 0: until it is released
		Released bool    `cbor:"4,keyasint,omitempty"`
	}
	TagContent struct {
		Snapshot pack.ID `cbor:"1,keyasint,omitzero"`
		Tag      string  `cbor:"2,keyasint,omitempty"`
		Removed  bool    `cbor:"3,keyasint,omitempty"`
	}
)

// Hold keeps a snapshot whatever a policy says.
type Hold struct {
	_        struct{} `cbor:",toarray"`
	Tag      uint8
	Snapshot pack.ID
	Author   seal.ID
	Time     int64 // of the entry, ns
	Reason   string
	Until    int64 // ns; 0: until it is released
}

// snapshotTag is a word for a snapshot.
type snapshotTag struct {
	_        struct{} `cbor:",toarray"`
	Tag      uint8
	Snapshot pack.ID
	Word     string
}

type tagKey struct {
	snapshot pack.ID
	word     string
}

// Hold looks up what keeps a snapshot. One that has ended counts no more.
func (s *State) Hold(id pack.ID, now int64) (Hold, bool) {
	h, ok := s.holds[id]
	return h, ok && (h.Until == 0 || h.Until > now)
}

// Tags lists the words for a snapshot, in order.
func (s *State) Tags(id pack.ID) (words []string) {
	for k := range s.tags {
		if k.snapshot == id {
			words = append(words, k.word)
		}
	}
	slices.Sort(words)
	return words
}

// isHead reports whether a snapshot is a head of its workspace.
func (s *State) isHead(v Snapshot) bool {
	return slices.Contains(s.workspaces[v.Workspace].Heads, v.ID)
}

// over reports whether p decides about a snapshot: with the right to prune, or as its author.
func over(p seal.Principal, v Snapshot) error {
	if p.Rights&seal.Prune != 0 || p.Rights&seal.Push != 0 && v.Author == p.ID {
		return nil
	}
	return voidf("%q has not the right", p.Name)
}

// forget: FORMAT.md §7, the rule of FORGET.
func (s *State) forget(e *Entry, p seal.Principal) (func(), error) {
	var c ForgetContent
	if err := content(e, &c); err != nil {
		return nil, err
	}
	if len(c.Snapshots) == 0 {
		return nil, voidf("it forgets nothing")
	}
	gone := map[pack.ID]bool{}
	for _, id := range c.Snapshots {
		v, ok := s.snapshots[id]
		if !ok || gone[id] {
			return nil, voidf("%x is not a snapshot, or stands twice", id[:4])
		}
		if err := over(p, v); err != nil {
			return nil, err
		}
		if h, held := s.Hold(id, e.Time); held {
			return nil, voidf("snapshot %x is held: %s", id[:4], h.Reason)
		}
		gone[id] = true
	}
	whole, err := s.wholes(gone)
	if err != nil {
		return nil, err
	}
	return func() {
		for _, w := range whole {
			w.Heads = nil
			put(s, s.workspaces, w.ID, w)
		}
		s.bypass(gone)
		for id := range gone {
			s.drop(id)
		}
	}, nil
}

// bypass puts, among the parents of what stays, the parents of what goes in its place: who comes
// from whom is then told among the live ones alone, and a merge finds its base.
func (s *State) bypass(gone map[pack.ID]bool) {
	for id, v := range s.snapshots {
		if gone[id] || !slices.ContainsFunc(v.Parents, func(p pack.ID) bool { return gone[p] }) {
			continue
		}
		v.Parents = s.staying(v.Parents, gone, map[pack.ID]bool{})
		put(s, s.snapshots, id, v)
	}
}

// staying are the nearest of some snapshots and their ancestors that are not gone, each once.
func (s *State) staying(ids []pack.ID, gone, seen map[pack.ID]bool) (out []pack.ID) {
	for _, id := range ids {
		switch {
		case seen[id]:
		case gone[id]:
			seen[id] = true
			out = append(out, s.staying(s.snapshots[id].Parents, gone, seen)...)
		default:
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// wholes lists the workspaces of which everything goes, safety snapshots aside. A head goes in
// no other way: devices push on from it.
func (s *State) wholes(gone map[pack.ID]bool) (whole []WorkspaceInfo, err error) {
	of := map[Workspace]bool{}
	for id := range gone {
		if v := s.snapshots[id]; s.isHead(v) {
			of[v.Workspace] = true
		}
	}
	for _, v := range s.snapshots {
		if of[v.Workspace] && !gone[v.ID] && v.Flags&FlagSafety == 0 {
			return nil, voidf("it forgets a head of a workspace that has other snapshots")
		}
	}
	for w := range of {
		whole = append(whole, s.workspaces[w])
	}
	return whole, nil
}

// drop takes a snapshot out of the state, with what is said of it.
func (s *State) drop(id pack.ID) {
	remove(s, s.snapshots, id)
	remove(s, s.holds, id)
	for _, word := range s.Tags(id) {
		remove(s, s.tags, tagKey{id, word})
	}
}

// unforget: FORMAT.md §7, the rule of UNFORGET. That the chunks are there its author has looked.
func (s *State) unforget(e *Entry, p seal.Principal) (func(), error) {
	var c UnforgetContent
	if err := content(e, &c); err != nil {
		return nil, err
	}
	if len(c.Snapshots) == 0 {
		return nil, voidf("it brings nothing back")
	}
	back := map[pack.ID]bool{}
	for _, v := range c.Snapshots {
		_, there := s.snapshots[v.ID]
		_, known := s.workspaces[v.Workspace]
		switch err := over(p, v); {
		case err != nil:
			return nil, err
		case there || back[v.ID]:
			return nil, voidf("snapshot %x is there already", v.ID[:4])
		case v.Tag != tagSnapshot || v.ID == (pack.ID{}) || v.Root == (pack.ID{}) || !known || v.Position == 0 || v.Position >= e.Position ||
			v.Time <= 0 || v.Time >= e.Time || v.Flags&^(FlagNewHead|FlagSafety) != 0:
			return nil, voidf("snapshot %x is not possible", v.ID[:4])
		}
		back[v.ID] = true
	}
	return func() {
		for _, v := range c.Snapshots {
			put(s, s.snapshots, v.ID, v)
			if w := s.workspaces[v.Workspace]; len(w.Heads) == 0 && v.Flags&FlagSafety == 0 {
				w.Heads = []pack.ID{v.ID} // of a workspace that was forgotten whole
				put(s, s.workspaces, w.ID, w)
			}
		}
	}, nil
}

func (s *State) hold(e *Entry, p seal.Principal) (func(), error) {
	var c HoldContent
	if err := content(e, &c); err != nil {
		return nil, err
	}
	v, ok := s.snapshots[c.Snapshot]
	if !ok {
		return nil, voidf("it holds no snapshot")
	}
	if err := over(p, v); err != nil {
		return nil, err
	}
	if c.Released {
		if _, held := s.holds[v.ID]; !held || c.Reason != "" || c.Until != 0 {
			return nil, voidf("it releases what is not held")
		}
		return func() { remove(s, s.holds, v.ID) }, nil
	}
	if c.Reason == "" || len(c.Reason) > maxReason || !utf8.ValidString(c.Reason) || c.Until < 0 || c.Until != 0 && c.Until <= e.Time {
		return nil, voidf("its reason or time is not possible")
	}
	return func() {
		put(s, s.holds, v.ID, Hold{Tag: tagHold, Snapshot: v.ID, Author: e.Author, Time: e.Time, Reason: c.Reason, Until: c.Until})
	}, nil
}

// Bounds of holds and tags, in bytes and words.
const (
	maxReason = 1024
	maxWords  = 64 // of a snapshot
)

// label: FORMAT.md §7, the rule of TAG.
func (s *State) label(e *Entry, p seal.Principal) (func(), error) {
	var c TagContent
	if err := content(e, &c); err != nil {
		return nil, err
	}
	v, ok := s.snapshots[c.Snapshot]
	if !ok {
		return nil, voidf("it names no snapshot")
	}
	key := tagKey{v.ID, c.Tag}
	_, there := s.tags[key]
	err := over(p, v)
	switch {
	case err == nil && there != c.Removed:
		err = voidf("the tag is there already, or not there")
	case err == nil && !c.Removed && (!validName(c.Tag) || len(s.Tags(v.ID)) >= maxWords):
		err = voidf("the tag is not possible, or one too many")
	}
	if err != nil {
		return nil, err
	}
	return func() {
		if c.Removed {
			remove(s, s.tags, key)
			return
		}
		put(s, s.tags, key, snapshotTag{Tag: tagTag, Snapshot: v.ID, Word: c.Tag})
	}, nil
}
