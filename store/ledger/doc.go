// Package ledger is the repository's state: one totally ordered, hash-chained log of
// signed entries, and the fold over it. Entry N+1 is created only if absent, which is a
// compare-and-swap on the whole state; no lock and no clock decides anything.
//
//	log, err := ledger.Open(ctx, ledger.Config{Store: s, Keys: keys, …})
//	err = log.Sync(ctx)               // one listing, and one read per new entry
//	st := log.State()                 // State(N): snapshots, packs, principals
//	e, err := log.Append(ctx, me, ledger.Commit, func(st *ledger.State) (any, error) {
//		…                             // validate again; called once per attempt
//		return commit, nil
//	})
//
// FORMAT.md §7 (in store/pack) has the bytes and the rules: which entries are valid, which
// are void and skipped by everybody in the same way, what is damage and what is a stop. An
// Entry and its Body are the decoded form, State is the fold, Log keeps a device's copy
// of both and checks the chain against it, Create begins a repository.
//
// A Log is for one goroutine at a time. It knows nothing of files, trees or chunks beyond
// the packs that entries register.
package ledger

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	// ErrDamaged: the log has a gap, or an entry is not the one that its successor was
	// written after. Nothing is appended or deleted.
	ErrDamaged = errors.New("the ledger is damaged")
	// ErrRollback: the store holds an older or another ledger than the one that this
	// device has seen.
	ErrRollback = errors.New("the store's ledger is not the one that this device knows")
	// ErrTooNew: a critical entry that this satchel does not know.
	ErrTooNew = errors.New("the repository was written by a newer satchel")
	// ErrCloned: somebody else writes with this device's key.
	ErrCloned = errors.New("this device's key is used on another computer too")
	// ErrClock: the newest entry claims a time far ahead of the store's clock.
	ErrClock = errors.New("the ledger's time is ahead of the store's clock")
	// ErrRefused: an entry that this device meant to append breaks a rule of the fold.
	ErrRefused = errors.New("refused by the ledger's rules")
)

// maxEntry is the largest entry object in bytes.
const maxEntry = 1 << 20

// Prefix is where entries lie in the store.
const Prefix = "l/"

// Name is the object name of entry n: inverted, so that the newest lists first.
func Name(n uint64) string { return fmt.Sprintf("%s%016x", Prefix, uint64(1)<<63-1-n) }

// ParseName is the inverse of Name.
func ParseName(name string) (uint64, bool) {
	hex, ok := strings.CutPrefix(name, Prefix)
	v, err := strconv.ParseUint(hex, 16, 64)
	if !ok || err != nil || v >= 1<<63-1 || Name(1<<63-1-v) != name {
		return 0, false
	}
	return 1<<63 - 1 - v, true
}
