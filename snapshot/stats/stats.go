// Package stats tells how much a repository holds, and what that costs a month. It reads the
// ledger's state, the index, and a listing of the store; it changes nothing.
//
//	sums, err := stats.Gather(ctx, state, index, store)
//	table, err := stats.ParsePrices(nil)                 // the one that comes with satchel
//	cost, err := table.Month(sums, "LRS", "cool", calls) // in table.Currency
package stats

import (
	"context"
	"slices"

	"satchel/index"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Sums are what Gather found. Sizes are bytes.
type Sums struct {
	Logical    int64 // of the files of all snapshots, each as often as a snapshot has it
	Unique     int64 // of the chunks in registered packs, trees included: what is left when each is kept once
	Packed     int64 // of those packs: what is left when they are compressed, sealed and padded
	Chunks     int64
	Objects    []Kind // by their first letter
	Unknown    Kind   // packs that no ledger entry names: of a push under way, or one that was given up
	Workspaces []Share
	Devices    []Share
}

// Kind is how much there is of one kind of object: the letters of FORMAT §1, or "satchel".
type Kind struct {
	Name  string
	Count int
	Bytes int64
}

// Share is what a workspace or a device has to do with.
type Share struct {
	Name      string
	Snapshots int
	Logical   int64 // as Sums.Logical
	Newest    int64 // of the newest snapshot's files
	New       int64 // of chunks that the repository did not have before these snapshots
}

// Stored is the bytes of all objects.
func (s *Sums) Stored() (n int64) {
	for _, k := range s.Objects {
		n += k.Bytes
	}
	return n
}

// Gather adds up. It takes one listing of the whole store: a request for each 5,000 objects.
// Index and state are of the same ledger position.
func Gather(ctx context.Context, state *ledger.State, x *index.Index, s store.Store) (*Sums, error) {
	sums := new(Sums)
	sums.snapshots(state)
	if err := sums.packs(x); err != nil {
		return nil, err
	}
	return sums, sums.objects(ctx, state, s)
}

func (s *Sums) snapshots(state *ledger.State) {
	workspaces, devices := map[ledger.Workspace]*Share{}, map[seal.ID]*Share{}
	for _, v := range state.Snapshots(ledger.Workspace{}) { // oldest first
		if v.Flags&ledger.FlagSafety != 0 {
			continue
		}
		w, d := workspaces[v.Workspace], devices[v.Author]
		if w == nil {
			info, _ := state.Workspace(v.Workspace)
			w = &Share{Name: info.Name}
			workspaces[v.Workspace] = w
		}
		if d == nil {
			member, _ := state.Member(v.Author)
			d = &Share{Name: member.Principal.Name}
			devices[v.Author] = d
		}
		for _, share := range []*Share{w, d} {
			share.Snapshots++
			share.Logical += int64(v.Bytes)
			share.Newest = int64(v.Bytes)
			share.New += int64(v.NewBytes)
		}
		s.Logical += int64(v.Bytes)
	}
	s.Workspaces, s.Devices = sorted(workspaces), sorted(devices)
}

// sorted puts the largest first.
func sorted[K comparable](shares map[K]*Share) (out []Share) {
	for _, s := range shares {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Share) int {
		switch {
		case a.New != b.New:
			return int(min(max(b.New-a.New, -1), 1))
		case a.Name < b.Name:
			return -1
		}
		return 1
	})
	return out
}

func (s *Sums) packs(x *index.Index) error {
	for p, err := range x.Packs() {
		if err != nil {
			return err
		}
		d, ok, err := x.Directory(p.Key)
		if err != nil {
			return err
		}
		s.Packed += p.Size
		if !ok {
			continue
		}
		s.Chunks += int64(d.Len())
		for _, f := range d.Frames() {
			s.Unique += int64(f.Plain)
		}
	}
	return nil
}

func (s *Sums) objects(ctx context.Context, state *ledger.State, st store.Store) error {
	s.Unknown.Name = "unregistered"
	kinds := map[string]*Kind{}
	for o, err := range st.List(ctx, "") {
		if err != nil {
			return err
		}
		name := o.Name
		if len(name) > 2 && name[1] == '/' {
			name = name[:1]
		}
		k := kinds[name]
		if k == nil {
			k = &Kind{Name: name}
			kinds[name] = k
		}
		k.Count, k.Bytes = k.Count+1, k.Bytes+o.Size
		if key, err := pack.ParseName(o.Name); err == nil && !registered(state, key) {
			s.Unknown.Count, s.Unknown.Bytes = s.Unknown.Count+1, s.Unknown.Bytes+o.Size
		}
	}
	for _, k := range kinds {
		s.Objects = append(s.Objects, *k)
	}
	slices.SortFunc(s.Objects, func(a, b Kind) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return nil
}

func registered(state *ledger.State, k pack.Key) bool {
	_, ok := state.Pack(k)
	return ok
}
