package ledger

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Seed is the flag of the tests.
func Seed() uint64 { return *seed }

// Breach is a rule of the fold that is broken.
type Breach = breach

const (
	NeverLapsed  = neverLapsed
	LeaveEarly   = leaveEarly
	TrustAuthor  = trustAuthor
	TrustPayload = trustPayload
)

// Break breaks rules of a device's fold.
func (l *Log) Break(b Breach) {
	if l.broken = b; l.state != nil {
		l.state.broken = b
	}
}

// Meddle replaces what every Append of this run is given.
func (l *Log) Meddle(f func(Kind, func(*State) (any, error)) func(*State) (any, error)) { l.meddle = f }

// A Replica folds entries as they come, on its own.
type Replica struct {
	*State
	keys    *seal.Keys
	Forgot  map[pack.ID]bool // snapshots
	Held    map[pack.ID]bool // snapshots, by entries alone
	Died    map[string]bool  // names, also of those that have left the state
	Digests map[uint64]Hash  // by position
	Voids   int
}

// NewReplica is one of no entry.
func NewReplica(keys *seal.Keys, ring *seal.Keyring, repo seal.RepoID, b Breach) *Replica {
	r := &Replica{State: newState(repo, ring.Balance), keys: keys, Forgot: map[pack.ID]bool{}, Held: map[pack.ID]bool{}, Died: map[string]bool{}, Digests: map[uint64]Hash{}}
	r.broken = b
	return r
}

// Clone returns one that goes its own way.
func (r *Replica) Clone(b Breach) *Replica {
	s := ok(parseState(r.Payload(), r.position, r.repo, r.secret))
	s.head, s.broken = r.head, b
	return &Replica{s, r.keys, maps.Clone(r.Forgot), maps.Clone(r.Held), maps.Clone(r.Died), maps.Clone(r.Digests), r.Voids}
}

// Fold takes the next entry.
func (r *Replica) Fold(raw []byte) (reason string, err error) {
	e, err := openEntry(raw, r.position+1, r.keys)
	if err != nil {
		e = nil
	}
	if reason, err = r.step(e, sha256.Sum256(raw)); err != nil {
		return "", err
	}
	r.Digests[r.position] = r.Digest()
	if reason != "" {
		r.Voids++
		return reason, nil
	}
	switch e.Kind {
	case Forget:
		var c ForgetContent
		err = canon.Unmarshal(e.Content, &c)
		for _, id := range c.Snapshots {
			if r.Held[id] {
				return "", fmt.Errorf("snapshot %x is held, and forgotten", id[:4])
			}
			r.Forgot[id] = true
		}
	case HoldKind:
		var c HoldContent
		err = canon.Unmarshal(e.Content, &c)
		r.Held[c.Snapshot] = !c.Released
	case Condemn:
		var c CondemnContent
		err = canon.Unmarshal(e.Content, &c)
		for _, name := range c.Names {
			r.Died[name] = true
		}
	}
	return "", err
}

// Forge is an entry that says to be as's and was signed by another: all else of it is right.
func (r *Replica) Forge(as, by *seal.Identity, kind Kind, content any) []byte {
	d := draftOf(r.State, as, kind, content)
	forger := *by
	forger.Principal = as.Principal
	d.signers, d.keys = []*seal.Identity{&forger}, r.keys
	return d.seal()
}

// Falsify gives a checkpoint a state that lacks its first pack.
func (l *Log) Falsify(ctx context.Context, c CheckpointContent) (CheckpointContent, error) {
	lie := ok(parseState(l.state.Payload(), l.state.position, l.state.repo, l.state.secret))
	if packs := lie.Packs(); len(packs) > 0 {
		remove(lie, lie.packs, packs[0].Key)
	}
	payload := lie.Payload()
	object, err := PutSealed(ctx, l.Store, l.Keys, seal.State, payload, l.Rand)
	c.Object, c.Payload = object, sha256.Sum256(payload)
	return c, err
}

// Entries are the raw entries of a store, in order.
func Entries(ctx context.Context, s store.Store) (raws [][]byte, err error) {
	for o, err := range s.List(ctx, Prefix) {
		if err != nil {
			return nil, err
		}
		raw, err := s.Get(ctx, o.Name, 0, -1)
		if err != nil {
			return nil, err
		}
		raws = append(raws, raw)
	}
	slices.Reverse(raws)
	return raws, nil
}
