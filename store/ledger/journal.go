package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Deed is what an AUDIT entry tells of: what no other entry does. A reader takes one that it does not
// know for what it is, a number.
type Deed uint8

const (
	Pulled    Deed = 1 // a snapshot came into a workspace
	Restored  Deed = 2 // files of a snapshot were written
	Overrode  Deed = 3 // a gate of the manifest was passed without an answer
	Disclosed Deed = 4 // files of a snapshot were printed or written into an archive
)

var deeds = map[Deed]string{Pulled: "pull", Restored: "restore", Overrode: "gate overridden", Disclosed: "read"}

func (d Deed) String() string {
	if s, ok := deeds[d]; ok {
		return s
	}
	return fmt.Sprintf("deed %d", uint8(d))
}

// AuditContent is what is told; what could be too much for an entry, or is to be forgotten one day, lies in
// an object of its own.
type AuditContent struct {
	What    Deed         `cbor:"1,keyasint,omitempty"`
	Count   uint64       `cbor:"2,keyasint,omitempty"` // files
	Detail  Hash         `cbor:"3,keyasint,omitzero"`
	Session pack.Session `cbor:"4,keyasint,omitzero"` // of the object
}

// DetailName is the name of the object with the details, "" if there is none.
func (c AuditContent) DetailName() string {
	if c.Detail == (Hash{}) {
		return ""
	}
	return fmt.Sprintf("%c/%s/%x", seal.Journal, hex.EncodeToString(c.Session[:]), c.Detail[:])
}

// Detail is what an object a/… holds.
type Detail struct {
	Snapshot  pack.ID   `cbor:"1,keyasint,omitzero"`
	Workspace Workspace `cbor:"2,keyasint,omitzero"`
	Paths     [][]byte  `cbor:"3,keyasint,omitempty"` // below Where; the first of Count where they are too many, and "." is all
	Where     string    `cbor:"4,keyasint,omitempty"` // the local folder
	Reason    string    `cbor:"5,keyasint,omitempty"` // a person's
	Gate      string    `cbor:"6,keyasint,omitempty"` // that was overridden, and what it found
}

// detailBytes is how much of an object's payload its paths may take.
const detailBytes = 960 << 10

// shorten drops the last paths until the rest fits an object.
func (d *Detail) shorten() {
	left := detailBytes - len(d.Where) - len(d.Reason) - len(d.Gate)
	for i, p := range d.Paths {
		if left -= len(p) + 5; left < 0 {
			d.Paths = d.Paths[:i]
			return
		}
	}
}

// ParseDetail reads the payload of an object a/….
func ParseDetail(payload []byte) (d Detail, err error) {
	if err := canon.Unmarshal(payload, &d); err != nil {
		return Detail{}, fmt.Errorf("journal detail: %w", err)
	}
	return d, nil
}

// Note appends an AUDIT entry, and before it the object with its details.
func (l *Log) Note(ctx context.Context, author *seal.Identity, what Deed, count uint64, d Detail) error {
	d.shorten()
	began, err := pack.NewSession(l.state.position, l.Rand)
	if err != nil {
		return err
	}
	object, err := l.Keys.SealObject(seal.Journal, 0, canon.Marshal(d), l.Rand)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	c := AuditContent{What: what, Count: count, Detail: sha256.Sum256(object), Session: began}
	if err := l.Store.Put(ctx, c.DetailName(), object); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("journal: %w", err)
	}
	_, err = l.Append(ctx, author, Audit, func(*State) (any, error) { return c, nil })
	return err
}

// ReadDetail reads what an AUDIT entry says beside itself. It reports store.ErrNotFound where that was
// deleted.
func (l *Log) ReadDetail(ctx context.Context, c AuditContent) (Detail, error) {
	name := c.DetailName()
	if name == "" {
		return Detail{}, nil
	}
	object, err := l.Store.Get(ctx, name, 0, -1)
	if err != nil {
		return Detail{}, fmt.Errorf("%s: %w", name, err)
	}
	if sha256.Sum256(object) != c.Detail {
		return Detail{}, fmt.Errorf("%s: %w: it is not what its name says", name, ErrDamaged)
	}
	payload, err := l.Keys.OpenObject(seal.Journal, 0, object)
	if err != nil {
		return Detail{}, fmt.Errorf("%s: %w", name, err)
	}
	return ParseDetail(payload)
}

// note: FORMAT.md §7, the rule of AUDIT.
func (s *State) note(e *Entry, p seal.Principal) (func(), error) {
	var c AuditContent
	if err := errors.Join(need(p, seal.Push), content(e, &c)); err != nil {
		return nil, err
	}
	switch {
	case c.What == 0:
		return nil, voidf("it tells of nothing")
	case (c.Detail == Hash{}) != (c.Session == pack.Session{}):
		return nil, voidf("its detail has half a name")
	case s.Dead(c.DetailName()):
		return nil, voidf("its detail is dead")
	case c.Session.Began() >= e.Position:
		return nil, voidf("its detail is of a session to come")
	}
	return nil, nil
}

// MaxUser is how long the name of a user may be, in bytes.
const MaxUser = 256

// validUser: the name of who sat at the device, or nobody's.
func validUser(user string) bool {
	if len(user) > MaxUser || !utf8.ValidString(user) {
		return false
	}
	for _, r := range user {
		if r < 0x20 || r >= 0x7f && r <= 0x9f {
			return false
		}
	}
	return true
}
