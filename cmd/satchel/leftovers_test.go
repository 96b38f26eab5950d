package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"satchel/store"
	"satchel/store/storetest"
)

// keeping is a store whose account keeps what was deleted.
type keeping struct {
	store.Store
	left store.Leftovers
	err  error
}

func (k keeping) Leftovers(context.Context) (store.Leftovers, error) { return k.left, k.err }

func TestLeftoversAreTold(t *testing.T) {
	until := time.Date(2026, 12, 1, 9, 0, 0, 0, time.Local)
	some := store.Leftovers{Objects: 2, Bytes: 5 << 20, Until: until, Versions: 1, VersionBytes: 1 << 20}
	for name, c := range map[string]struct {
		store store.Store
		json  bool
		want  []string // nothing is said if there are none
	}{
		"a store that says nothing": {store: storetest.NewMemory()},
		"nothing is left":           {store: keeping{}},
		"both":                      {store: keeping{left: some}, want: []string{"Soft delete of the account still keeps 2 objects of 5.0 MiB that were deleted, the last until 2026-12-01 09:00:00", "Versioning of the account still keeps 1 object of 1.0 MiB"}},
		"both, as JSON":             {store: keeping{left: some}, json: true, want: []string{`"objects":2`, `"bytes":5242880`, `"until":"2026-12-01T09:00:00`, `"versions":1`, `"bytes_versions":1048576`}},
		"nothing, as JSON":          {store: keeping{}, json: true, want: []string{`"objects":0`, `"until":null`}},
		"it cannot be seen":         {store: keeping{err: errors.New("no right to list")}, want: []string{"cannot be seen from here: no right to list"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			a := &app{globals: &globals{JSON: c.json}, ctx: t.Context(), out: &out, err: &out}
			(&pruning{session: &session{a: a, store: &counted{Store: c.store}}}).leftovers()
			if len(c.want) == 0 && out.Len() > 0 {
				t.Errorf("it says %q", out.String())
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it says %q, want %q", out.String(), want)
				}
			}
		})
	}
}
