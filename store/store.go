// Package store is the vocabulary of a blob store: what a repository asks of the
// place that keeps its objects, and nothing more. It imports only the standard
// library; the drivers are store/dir (a folder) and store/azure (Azure Blob Storage),
// and store/storetest holds the suite that each of them passes.
//
// Objects never change. A name is written once, by Put, and everything above rests on
// one property: of any number of concurrent Puts of one name, exactly one succeeds.
//
//	loc, err := store.ParseLocation("https://acct.blob.core.windows.net/backup")
//	s, err := azure.Open(loc, cred, azure.Options{})
//	err = s.Put(ctx, "l/7ffffffffffffffe", entry) // nil, or ErrExists
//
// A Store is safe for concurrent use. It does no caching, no encryption and no naming
// of its own; see store/pack/FORMAT.md for the names that a repository uses.
package store

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Sentinels, tested with errors.Is. A driver wraps them with the container or folder,
// the operation and the service's own code.
var (
	// ErrExists: the name is taken. The bytes under it are as they were.
	ErrExists = errors.New("object exists")
	// ErrNotFound: there is no such object, or no such container or folder.
	ErrNotFound = errors.New("object not found")
	// ErrDenied: the credential is missing, refused or lacks the right.
	ErrDenied = errors.New("access denied")
	// ErrHeld: the object may not be deleted yet, as a policy or a legal hold of the store's keeps it.
	ErrHeld = errors.New("kept by the store")
	// ErrNoContainer: the container or folder itself is missing. It is ErrNotFound too.
	ErrNoContainer = noContainer{}
	// ErrUnsafe: the place cannot create a file exclusively and durably (exFAT, some
	// network shares, a folder that another program synchronises).
	ErrUnsafe = errors.New("store is unsafe for several devices")
)

type noContainer struct{}

func (noContainer) Error() string        { return "container not found" }
func (noContainer) Is(target error) bool { return target == ErrNotFound }

// MaxObject is the largest object that a driver has to take, in bytes.
const MaxObject = 64 << 20

// Object is one row of a listing.
type Object struct {
	Name string    // as given to Put
	Size int64     // bytes
	Time time.Time // when it was written, by the store's clock
}

// A Store keeps immutable objects by name. Names are made of [0-9a-z], '-' and '/',
// begin and end with a letter or digit, and have no empty element; a driver refuses
// others. Every method may be called concurrently.
//
// Drivers retry what is transient and return what is final: a caller does not retry.
// An error may hide a success (the answer was lost), so after a failed Put the
// object may be there.
type Store interface {
	// Put creates the object name with these bytes, durably: when it returns nil the
	// object survives a power cut, and is complete. If the name is taken it returns
	// ErrExists and the old bytes stay, also when it was this call's own lost attempt
	// that took it. The caller must not change data during the call.
	Put(ctx context.Context, name string, data []byte) error

	// Get returns exactly n bytes of the object, starting at byte off. A negative n
	// means to the end. It reports ErrNotFound if there is no such object and
	// io.ErrUnexpectedEOF if it is shorter than off+n; it never returns part of the
	// range. The caller owns the slice.
	Get(ctx context.Context, name string, off, n int64) ([]byte, error)

	// List yields the objects whose names begin with prefix, sorted by name as bytes. An
	// error is yielded once, with a zero Object, and ends the sequence: a sequence that
	// ends without one was complete. Objects written or deleted meanwhile may or may not
	// be seen. The consumer may stop early; a driver fetches a short first page, so
	// that looking at the first names is one cheap request.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Delete removes the object. It reports ErrNotFound if it is not there, and ErrHeld if the
	// store keeps it for now.
	Delete(ctx context.Context, name string) error

	// Now is the store's clock: the date of its latest answer, carried forward by this
	// process's monotonic clock. Before the first answer it is the local clock.
	Now() time.Time
}

// Leftovers are what a store still holds of objects that were deleted, and its owner pays for.
type Leftovers struct {
	Objects int
	Bytes   int64     // of these
	Until   time.Time // when the last of them goes

	Versions     int // that stay until somebody, or a rule of the owner's, deletes them
	VersionBytes int64
}

// A Keeper is a Store where deleted is not always gone at once, and that can tell what is left. An
// error means that it cannot be seen with this credential, or not now.
type Keeper interface {
	Leftovers(ctx context.Context) (Leftovers, error)
}

// ValidName reports whether a driver must accept name.
func ValidName(name string) bool {
	if name == "" || len(name) > 512 {
		return false
	}
	prev := byte('/')
	for i := range len(name) {
		c := name[i]
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z':
		case c == '-' && prev != '/':
		case c == '/' && prev != '/' && prev != '-':
		default:
			return false
		}
		prev = c
	}
	return prev != '/' && prev != '-'
}

// ValidPrefix reports whether a driver must accept prefix in List: whether some valid
// name begins with it. Others are an error, never an empty listing.
func ValidPrefix(prefix string) bool {
	return prefix == "" || ValidName(prefix) || ValidName(prefix+"0")
}
