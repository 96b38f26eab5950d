package ledger

import (
	"context"
	"fmt"

	"satchel/store/canon"
)

// Event is an entry of the ledger as the journal tells of it.
type Event struct {
	Position uint64
	Time     int64  // ns, the store's clock
	Author   Member // as it was when it wrote the entry
	User     string // who sat there, "" if that was not told
	Kind     Kind
	Content  any    // a pointer to the type of the kind; nil for kinds that are not known, and where it is void
	Void     string // why every reader skips the entry; its author is then not proven
}

// contentTypes are the types of the contents, by kind.
var contentTypes = map[Kind]func() any{
	Genesis: func() any { return new(GenesisContent) }, Commit: func() any { return new(CommitContent) }, Register: func() any { return new(RegisterContent) },
	Forget: func() any { return new(ForgetContent) }, Unforget: func() any { return new(UnforgetContent) }, HoldKind: func() any { return new(HoldContent) },
	TagKind: func() any { return new(TagContent) }, Condemn: func() any { return new(CondemnContent) }, Checkpoint: func() any { return new(CheckpointContent) },
	Enrol: func() any { return new(EnrolContent) }, Revoke: func() any { return new(RevokeContent) }, Keyring: func() any { return new(KeyringContent) },
	Audit: func() any { return new(AuditContent) }, Describe: func() any { return new(MemberContent) },
}

// Events hands on every entry up to the state that this device has, in order: each with its signature
// verified and its rules checked, and all of them as one chain. They come from this device's copy, and from the
// store where that begins later. It reports ErrDamaged, after the last one, if the chain is not the one that this device
// has verified before.
func (l *Log) Events(ctx context.Context, yield func(Event) error) error {
	s := newState(l.Repository, l.Keyring.Balance)
	for from := uint64(1); from <= l.state.position; from += batch {
		raws, err := l.copies(ctx, from, min(from+batch-1, l.state.position))
		if err != nil {
			return err
		}
		for _, r := range raws {
			ev, err := l.event(s, r)
			if err == nil {
				err = yield(ev)
			}
			if err != nil {
				return err
			}
		}
	}
	if s.head != l.state.head || s.Digest() != l.state.Digest() {
		return fmt.Errorf("%w: the entries before entry %d are not those that it was written after", ErrDamaged, l.state.position)
	}
	return nil
}

// event folds the next entry and tells of it.
func (l *Log) event(s *State, r rawEntry) (ev Event, err error) {
	ev.Position = s.position + 1
	e, err := l.openAfter(s, r.bytes)
	if err != nil {
		return ev, err
	}
	if ev.Void, err = s.step(e, r.hash); err != nil {
		return ev, err
	}
	if e == nil || e.newer {
		return ev, nil
	}
	ev.Time, ev.Kind, ev.User = e.Time, e.Kind, e.User
	ev.Author = s.members[e.Author]
	if ev.Void != "" {
		ev.User = ""
		return ev, nil
	}
	if empty := contentTypes[e.Kind]; empty != nil {
		ev.Content = empty()
		err = canon.Unmarshal(e.Content, ev.Content)
	}
	return ev, err
}
