// Package seal holds the keys of a repository and seals what is stored under them. The
// bytes are specified in store/pack/FORMAT.md, §2 (sealing) and §6 (keys).
//
// A [Keyring] has the master keys of a repository, one per generation; [Keys] are what
// becomes of them for one repository id. Keys make one subkey for each object: a [Sealer]
// or [Opener] for a pack, whose parts are sealed one by one, and SealObject and OpenObject
// for the objects that are sealed in one piece. A [Principal] is the public half of a
// member (device, passphrase, recovery code, Key Vault key, age recipient), an [Identity]
// the private half. The keyring is sealed by a key-encryption key (KEK), and the KEK is
// wrapped to each principal, in a slot.
//
//	ring, err := seal.NewKeyring(rand.Reader)
//	keys := ring.Keys(repo)
//	object, err := keys.SealObject(seal.Ledger, 1, entry, rand.Reader)
//	entry, err := keys.OpenObject(seal.Ledger, 1, object)
//
//	device, err := seal.NewIdentity(repo, seal.Device, "office", seal.Push|seal.Prune, rand.Reader)
//	slot, err := device.Principal.WrapKEK(repo, 1, kek)
//	kek, err := device.UnwrapKEK(1, slot)
//
// Passphrases are brought into Unicode normal form C and are otherwise taken as typed, so
// that one typed on macOS opens what was locked on Windows. Recovery codes are brought into
// the form in which they are printed.
//
// What it does not do: it reads and writes no store (names are only computed), it does not
// know who is a member (the ledger says so; whoever knows a KEK is not thereby allowed
// anything), and whether a KEK is the right one the ledger says too, by its SHA-256. It does
// not erase keys from memory.
//
// Everything is safe for concurrent use, except that a *Keyring or *Identity is not to be
// changed once it is in use. No error or String method shows a key or plaintext.
package seal

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Kind is the kind of an object (FORMAT §1). It is part of every key, so that an object
// opens as what it was sealed as only.
type Kind byte

const (
	Data    Kind = 'd' // data pack
	Tree    Kind = 't' // tree pack
	Ledger  Kind = 'l' // ledger entry; its position is authenticated too
	State   Kind = 's' // fold of the ledger
	Segment Kind = 'i' // index segment
	Journal Kind = 'a' // journal detail
	Ring    Kind = 'r' // keyring; sealed by a KEK, all others by a master key
)

// kinds are the kinds with their name for a person and the largest object, bytes.
var kinds = map[Kind]struct {
	name  string
	limit int
}{
	Data:    {"data pack", 64 << 20},
	Tree:    {"tree pack", 64 << 20},
	Ledger:  {"ledger entry", 1 << 20},
	State:   {"state", 64 << 20},
	Segment: {"index segment", 4 << 20},
	Journal: {"journal detail", 1 << 20},
	Ring:    {"keyring", 1 << 20},
}

func (k Kind) String() string {
	if d, ok := kinds[k]; ok {
		return d.name
	}
	return fmt.Sprintf("kind %#02x", byte(k))
}

// Limit is the size in bytes of the largest object of this kind; a reader fetches no larger
// one. It is 0 for an unknown kind.
func (k Kind) Limit() int { return kinds[k].limit }

// MaxPayload is the largest payload that SealObject takes, bytes. (The limits are powers of
// two, which are Padmé sizes.)
func (k Kind) MaxPayload() int { return max(0, k.Limit()-HeaderSize-lengthSize-Overhead) }

// pack says whether objects of this kind are sealed part by part.
func (k Kind) pack() bool { return k == Data || k == Tree }

// Domain separates the parts of an object.
type Domain byte

const (
	Frame     Domain = 1
	Directory Domain = 2
	Footer    Domain = 3
	Whole     Domain = 4 // the one part of an object that is no pack
)

const (
	HeaderSize = 80 // bytes before the first sealed part
	HeadSize   = 48 // bytes of the header from which the subkey, and the rest of it, are derived
	Overhead   = 16 // bytes that sealing adds to a part: the tag
)

// limitKeyObject is the size in bytes of the largest slot and of the largest person object.
const limitKeyObject = 64 << 10

// Sentinels, tested with errors.Is.
var (
	// ErrTooNew: an unknown format, suite or incompatible flag: this satchel is too old.
	ErrTooNew = errors.New("written by a newer satchel")
	// ErrNoKey: the key of the object's generation is not here. It comes in a
	// *GenerationError.
	ErrNoKey = errors.New("its key is not in this keyring")
	// ErrCorrupt: it does not open, or does not hold what it should: damaged, changed, or
	// sealed by another key, as another kind or for another position.
	ErrCorrupt = errors.New("damaged, or sealed by another key")
	// ErrWrongSecret: the passphrase or recovery code is not the one.
	ErrWrongSecret = errors.New("wrong passphrase or recovery code")
)

// GenerationError is ErrNoKey with the generation that is missing. One above the newest of
// the keyring means that there is a newer keyring to be fetched.
type GenerationError struct{ Generation uint32 }

func (e *GenerationError) Error() string {
	return fmt.Sprintf("key generation %d: %v", e.Generation, ErrNoKey)
}

func (e *GenerationError) Unwrap() error { return ErrNoKey }

// RepoID is the random id of a repository.
type RepoID [16]byte

// String is 32 lower-case hexadecimal digits.
func (id RepoID) String() string { return hex.EncodeToString(id[:]) }

// ParseRepoID is the inverse of String and takes nothing else.
func ParseRepoID(s string) (RepoID, error) {
	var id RepoID
	b, err := hex.DecodeString(s)
	if err != nil || copy(id[:], b) != len(id) || id.String() != s {
		return RepoID{}, fmt.Errorf("repository id %.40q: want 32 lower-case hexadecimal digits", s)
	}
	return id, nil
}

// ID is the random id of a principal.
type ID [16]byte

// String is 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }
