package store

import (
	"context"
	"io"
	"iter"
	"time"
)

// Foreign is a blob in a store's container that no satchel made and that says which bytes it
// holds: what the script that satchel replaces left there, under its plain name.
type Foreign struct {
	Name    string // any text: nobody of ours gave it
	Size    int64  // bytes
	SHA256  string // what its metadata says, in hexadecimal
	Time    time.Time
	Version string // an older version's; "" of the current one
	Deleted bool   // and kept by soft delete, for so many days more
	Days    int
}

// Foreigners is what a driver can do with such blobs besides. Its errors are those of a Store.
type Foreigners interface {
	// Foreign yields them by name; with every, older versions and soft-deleted ones too, as far as
	// the account shows them.
	Foreign(ctx context.Context, every bool) iter.Seq2[Foreign, error]
	// ReadForeign writes the bytes of one to w: all of them, or it reports an error.
	ReadForeign(ctx context.Context, f Foreign, w io.Writer) error
	// DeleteForeign deletes one; soft delete may keep it all the same.
	DeleteForeign(ctx context.Context, f Foreign) error
}
