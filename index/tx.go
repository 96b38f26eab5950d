package index

import (
	"errors"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// guard runs fn, which uses bbolt. bbolt maps the file and follows what stands there; what
// comes of a damaged page is a panic, or a fault of the memory map, and both become an
// error that wraps ErrTorn. So do its errors about a bucket where a value ought to be.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // of this goroutine
	defer func() {
		if p := recover(); p != nil {
			err = torn("%v", p)
		}
	}()
	if err = fn(); errors.Is(err, berrors.ErrIncompatibleValue) || errors.Is(err, berrors.ErrInvalidMapping) {
		return torn("%v", err)
	}
	return err
}

// view runs fn in a reading transaction. Nothing that fn takes from it may be kept, and
// fn must not begin another: a writer that waits between the two would wait for ever.
func (x *Index) view(fn func(*bolt.Tx) error) error {
	return x.settle(guard(func() error {
		tx, err := x.beginTx(false)
		if err != nil {
			return err
		}
		defer x.rollback(tx)
		return fn(tx)
	}))
}

// update runs fn in a writing transaction, and commits it unless fn reports an error.
func (x *Index) update(fn func(*bolt.Tx) error) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	return x.settle(guard(func() error {
		tx, err := x.beginTx(true)
		if err != nil {
			return err
		}
		defer x.rollback(tx) // does nothing after Commit
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Commit()
	}))
}

// settle remembers a failure.
func (x *Index) settle(err error) error {
	if !errors.Is(err, ErrTorn) {
		return err
	}
	x.begin.Lock()
	defer x.begin.Unlock()
	if x.failed == nil {
		x.failed = err
	}
	return err
}

// beginTx begins a transaction of an index that has not failed. A panic in bbolt's Begin
// leaves its locks locked.
func (x *Index) beginTx(writable bool) (*bolt.Tx, error) {
	x.begin.Lock()
	defer x.begin.Unlock()
	if x.failed != nil {
		return nil, x.failed
	}
	if x.stuck {
		return nil, torn("a transaction did not end")
	}
	x.stuck = true
	tx, err := x.db.Begin(writable)
	x.stuck = false
	if err == nil {
		return tx, nil
	}
	return nil, err
}

// rollback ends a transaction that may have been committed. A panic in bbolt's Rollback
// leaves its locks locked.
func (x *Index) rollback(tx *bolt.Tx) {
	ended := false
	defer func() {
		if !ended {
			x.begin.Lock()
			x.stuck = true
			x.begin.Unlock()
		}
	}()
	tx.Rollback() // ErrTxClosed after Commit
	ended = true
}
