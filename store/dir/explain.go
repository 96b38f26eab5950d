package dir

import (
	"errors"
	"fmt"
	"io/fs"

	"satchel/store"
)

// explain puts the words of a person, and the store's sentinel where there is one, before
// what the system says. The order matters: "no hard links" may say EPERM as well.
func explain(err error) error {
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("%w: %w", store.ErrUnsafe, err)
	case isAny(err, diskFull):
		return fmt.Errorf("the disk is full: %w", err)
	case isAny(err, readOnly):
		return fmt.Errorf("the disk is read-only: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", store.ErrDenied, err)
	}
	return err
}

func isAny(err error, targets []error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
