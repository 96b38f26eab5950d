package pack

import (
	"errors"
	"fmt"
	"io"

	"satchel/store"
)

// GetError says what a store's error means for a registered pack: one that is gone, or
// shorter than it was, is damaged.
func GetError(k Key, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer):
		return &Error{k, "is registered, but gone from the store", err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{k, "is shorter than it was", err}
	}
	return fmt.Errorf("pack %s: %w", k.Name(), err)
}
