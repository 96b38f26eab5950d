// Package canon is the one way in which satchel writes and reads CBOR: deterministic
// (RFC 8949 §4.2.1), with small integer keys, and strict. There is exactly one byte
// string for a value, so that hashes and signatures over encodings are over values.
//
//	type entry struct {
//		Name []byte   `cbor:"1,keyasint,omitempty"`
//		Size uint64   `cbor:"4,keyasint,omitempty"`
//		Node [32]byte `cbor:"8,keyasint,omitzero"`
//	}
//	b := canon.Marshal(entry{Name: []byte("a.txt"), Size: 3})
//	err := canon.Unmarshal(b, &e)
//
// An absent key is zero or empty, and a zero or empty value is never written: give every
// keyed field omitempty, or omitzero if it is an array or a struct (omitempty never leaves
// those out). A pointer to a struct leaves out nil only. A type that is written as an array has a
// blank field with the tag cbor:",toarray" and no other tags; there everything is written,
// and a nil slice is an empty one. Byte slices and byte arrays are byte strings. Allowed are
// integers, byte strings, text that is UTF-8, arrays, maps, true and false; there are no
// floats, tags, nulls or indefinite lengths. Times are int64 nanoseconds: a time.Time would
// lose them.
//
// It knows nothing of any format: lengths and ranges that a format promises are for its
// own package to check. Everything here is safe for concurrent use.
package canon

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

var (
	// ErrNotCanonical: the bytes are not the one encoding of a value of this type.
	ErrNotCanonical = errors.New("not canonical CBOR")
	// ErrUnknownKey: canonical, but with a key that this type does not have: written by a
	// newer satchel.
	ErrUnknownKey = errors.New("unknown key: written by a newer satchel")
)

// Limits of what Unmarshal reads. An array or a map also cannot have more elements than
// the bytes that are left, so memory is bounded by the length of the input.
const (
	MaxDepth = 16      // containers within containers
	MaxArray = 1 << 20 // elements
	MaxMap   = 1 << 16 // pairs
)

var (
	encMode = must(cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		NilContainers: cbor.NilContainerAsEmpty,
		IndefLength:   cbor.IndefLengthForbidden,
		TagsMd:        cbor.TagsForbidden,
	}.EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   MaxDepth,
		MaxArrayElements:  MaxArray,
		MaxMapPairs:       MaxMap,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal returns the encoding of v. It panics on what has none: a channel, a float, a nil
// pointer, text that is not UTF-8. Text that comes from outside goes through
// strings.ToValidUTF8 first, or is a []byte.
func Marshal(v any) []byte {
	b, err := encMode.Marshal(v)
	if err == nil {
		err = Check(b)
	}
	if err != nil {
		panic(fmt.Sprintf("canon: %T: %v", v, err))
	}
	return b
}

// Unmarshal decodes b, all of it, into v, a pointer to a zero value. It reports
// ErrUnknownKey or ErrNotCanonical; v is then unspecified. What it accepts, Marshal
// encodes to b again. Nothing in v points into b.
func Unmarshal(b []byte, v any) error {
	if err := Check(b); err != nil {
		return err
	}
	if err := decMode.Unmarshal(b, v); err != nil {
		if unknown := (*cbor.UnknownFieldError)(nil); errors.As(err, &unknown) {
			return ErrUnknownKey
		}
		return fmt.Errorf("%w: %v", ErrNotCanonical, err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrNotCanonical, err)
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%w: it encodes to other bytes", ErrNotCanonical)
	}
	return nil
}
