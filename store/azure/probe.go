package azure

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"satchel/store"
)

// Probe tries on this very container what several devices rest on: that an object is
// created only if its name is free. A gateway between here and the service may ignore
// that condition (If-None-Match). It reports store.ErrUnsafe with what went wrong, or
// what a call failed with. It takes four requests, and removes the object that it made,
// probe/ and 32 hexadecimal digits, if the credential may; after a failure it may be left.
func (s *Store) Probe(ctx context.Context) error {
	var id [16]byte
	rand.Read(id[:])
	name := "probe/" + hex.EncodeToString(id[:])
	err := s.probe(ctx, name)
	if err != nil && !errors.Is(err, store.ErrUnsafe) {
		return err
	}
	derr := s.Delete(ctx, name)
	switch {
	case err != nil:
		return s.fail(ctx, "probe", name, err)
	case derr == nil, errors.Is(derr, store.ErrNotFound), errors.Is(derr, store.ErrDenied), kept(derr):
		return nil
	}
	return derr
}

func (s *Store) probe(ctx context.Context, name string) error {
	first, second := []byte("first "+name), []byte("second "+name)
	created := s.Put(ctx, name, first)
	if created != nil && !errors.Is(created, store.ErrExists) {
		return created
	}
	again := s.Put(ctx, name, second)
	if again != nil && !errors.Is(again, store.ErrExists) {
		return again
	}
	data, err := s.Get(ctx, name, 0, -1)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	case again == nil:
		return unsafeBecause("an object that is there is created once more; something before the service ignores If-None-Match")
	case err != nil:
		return unsafeBecause("a new name reads as taken, and there is no object")
	case string(data) != string(first): // if the first Put's answer was lost, it reads as taken too
		return unsafeBecause("an object does not keep the bytes that it was created with")
	}
	return nil
}

func unsafeBecause(why string) error { return fmt.Errorf("%w: %s", store.ErrUnsafe, why) }

// kept reports whether the service keeps an object that it was asked to delete: by a
// policy of immutability or a hold.
func kept(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusConflict
}
