package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/seal"
)

// maxAhead is how far the ledger's time may be ahead of the store's clock.
const maxAhead = 10 * time.Minute

// A builder makes the content of an entry that follows a state.
type builder = func(*State) (any, error)

// Append adds an entry of the given kind after State(n) and returns it (R1 of the design). build
// makes the content from the state, and validates against it, once per attempt; its error
// ends the attempts and is returned as it is. co signs too (ENROLL).
//
// Whoever loses the race for a position reads what came and tries again, from build on.
// An error of the store may hide a success: Append looks, and if it cannot look the next Sync
// finds the entry. Content that the fold would not take is ErrRefused and is not sent. After
// a Sync that failed nothing is appended: that error is returned.
func (l *Log) Append(ctx context.Context, author *seal.Identity, kind Kind, build func(*State) (any, error), co ...*seal.Identity) (*Entry, error) {
	if l.failed != nil {
		return nil, l.failed
	}
	if l.meddle != nil {
		build = l.meddle(kind, build)
	}
	for {
		if l.newer {
			return nil, fmt.Errorf("%w: this one may only read it", ErrTooNew)
		}
		if g := l.state.scalars.Generation; g != l.Keys.Generation() {
			return nil, &seal.GenerationError{Generation: g}
		}
		c, err := build(l.state)
		if err != nil {
			return nil, err
		}
		e, raw, err := l.draft(author, kind, canon.Marshal(c), co)
		if err != nil {
			return nil, err
		}
		if err := l.m.intend(e.Nonce, e.Position); err != nil {
			return nil, fmt.Errorf("ledger copy %s: %w", l.Path, err)
		}
		err = l.Store.Put(ctx, Name(e.Position), raw)
		if err != nil {
			there, rerr := l.Store.Get(ctx, Name(e.Position), 0, -1)
			switch {
			case rerr == nil && sha256.Sum256(there) == e.Hash:
				err = nil // the answer was lost, the entry was not
			case rerr == nil:
				if serr := l.Sync(ctx); serr != nil {
					return nil, serr
				}
				if l.state.position < e.Position {
					return nil, fmt.Errorf("ledger entry %d: it is there, and the listing does not show it: %w", e.Position, err)
				}
				continue
			default:
				return nil, fmt.Errorf("ledger entry %d: %w", e.Position, err)
			}
		}
		if err := l.fold(ctx, e, rawEntry{raw, e.Hash}); err != nil {
			return nil, err
		}
		l.seen = sight{int64(len(raw)), l.Store.Now().UnixNano()}
		return e, l.save()
	}
}

// draft makes the next entry and asks the fold whether it would take it.
func (l *Log) draft(author *seal.Identity, kind Kind, content []byte, co []*seal.Identity) (*Entry, []byte, error) {
	s, now := l.state, l.Store.Now()
	if ahead := time.Duration(s.scalars.Time - now.UnixNano()); ahead > maxAhead {
		return nil, nil, fmt.Errorf("%w by %v", ErrClock, ahead.Round(time.Second))
	}
	m, ok := s.members[author.Principal.ID]
	if !ok || m.Revoked != 0 {
		return nil, nil, fmt.Errorf("%w: %q is not enrolled", ErrRefused, author.Principal.Name)
	}
	b := Body{Repository: s.repo, Position: s.position + 1, Prev: s.head, State: s.Digest(), Sequence: m.Sequence + 1,
		Time: max(now.UnixNano(), s.scalars.Time+1), Kind: kind, Content: content, Checkpoint: s.scalars.Checkpoint, User: l.User}
	if _, err := io.ReadFull(l.Rand, b.Nonce[:]); err != nil {
		return nil, nil, err
	}
	raw, err := sealEntry(&b, l.Keys, l.Rand, append([]*seal.Identity{author}, co...)...)
	if err != nil {
		return nil, nil, err
	}
	e, err := openEntry(raw, b.Position, l.Keys)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if _, err := s.judge(e); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return e, raw, nil
}

// Create writes entry 1, signed by the founder, which lists first, and returns its raw
// bytes' hash. write is called with the hash before anything is in the store, so that keys
// that carry it can be put there first. It reports store.ErrExists where a ledger has begun.
func Create(ctx context.Context, s store.Store, keys *seal.Keys, repo seal.RepoID, founder *seal.Identity, principals []seal.Principal, rand io.Reader, write func(Hash) error) (Hash, error) {
	b := Body{Repository: repo, Position: 1, Sequence: 1, Time: s.Now().UnixNano(), Kind: Genesis,
		Content: canon.Marshal(GenesisContent{Principals: principals})}
	if _, err := io.ReadFull(rand, b.Nonce[:]); err != nil {
		return Hash{}, err
	}
	raw, err := sealEntry(&b, keys, rand, founder)
	if err != nil {
		return Hash{}, err
	}
	hash := Hash(sha256.Sum256(raw))
	if err := write(hash); err != nil {
		return Hash{}, err
	}
	if err := s.Put(ctx, Name(1), raw); err != nil {
		there, rerr := s.Get(ctx, Name(1), 0, -1)
		if rerr != nil || sha256.Sum256(there) != hash {
			return Hash{}, fmt.Errorf("ledger entry 1: %w", errors.Join(err, rerr))
		}
	}
	return hash, nil
}
