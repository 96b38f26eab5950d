package seal

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"satchel/store/canon"
)

func TestKeyringGoldenAndRoundTrip(t *testing.T) {
	ring := testRing()
	golden(t, "keyring.hex", ring.Encode())
	if diff := cmp.Diff(ring, ok(ParseKeyring(readGolden("keyring.hex")))); diff != "" {
		t.Error(diff)
	}
}

func TestNextKeepsWhatStays(t *testing.T) {
	one := ok(NewKeyring(fixed(1)))
	before := one.Encode()
	two := ok(one.Next(fixed(2)))
	three := ok(two.Next(fixed(3)))
	if diff := cmp.Diff(before, one.Encode()); diff != "" {
		t.Errorf("Next changed its receiver: %s", diff)
	}
	if three.Chunker != one.Chunker || three.Balance != one.Balance || three.Masters[0] != one.Masters[0] || three.Masters[1] != two.Masters[1] {
		t.Error("older keys or secrets differ")
	}
	if three.Generation() != 3 || (&Keyring{}).Generation() != 0 {
		t.Error(three)
	}
	if one.Chunker == one.Balance || one.Chunker == one.Masters[0].Key || three.Masters[2].Key == three.Masters[1].Key {
		t.Error("a key repeats")
	}
	dry := iotest.ErrReader(errors.New("dry"))
	last := &Keyring{Masters: []Master{{Generation: math.MaxUint32}}}
	for name, err := range map[string]error{
		"new without randomness": second(NewKeyring(dry)), "next without randomness": second(one.Next(dry)), "after the last": second(last.Next(fixed(1))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParseKeyringRefuses(t *testing.T) {
	key := [32]byte{1}
	good := []Master{{Generation: 1, Key: key}, {Generation: 3, Key: key}}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"good":            {canon.Marshal(keyringWire{good, key, key}), nil},
		"nothing":         {nil, ErrCorrupt},
		"no masters":      {canon.Marshal(keyringWire{nil, key, key}), ErrCorrupt},
		"no chunker":      {canon.Marshal(keyringWire{good, [32]byte{}, key}), ErrCorrupt},
		"no balance":      {canon.Marshal(keyringWire{good, key, [32]byte{}}), ErrCorrupt},
		"not ascending":   {canon.Marshal(keyringWire{[]Master{good[1], good[0]}, key, key}), ErrCorrupt},
		"twice":           {canon.Marshal(keyringWire{[]Master{good[0], good[0]}, key, key}), ErrCorrupt},
		"generation 0":    {canon.Marshal(keyringWire{[]Master{{Key: key}}, key, key}), ErrCorrupt},
		"zero master":     {canon.Marshal(keyringWire{[]Master{{Generation: 1}}, key, key}), ErrCorrupt},
		"unknown key":     {canon.Marshal(map[uint64]any{1: good, 2: key, 3: key, 4: true}), ErrTooNew},
		"other type":      {canon.Marshal(map[uint64]any{1: good, 2: key, 3: uint64(3)}), ErrCorrupt},
		"short secret":    {canon.Marshal(map[uint64]any{1: good, 2: key, 3: key[:31]}), ErrCorrupt},
		"large number":    {canon.Marshal(map[uint64]any{1: [][]any{{uint64(1 << 32), key}}, 2: key, 3: key}), ErrCorrupt},
		"a byte too many": {append(canon.Marshal(keyringWire{good, key, key}), 0), ErrCorrupt},
	} {
		_, err := ParseKeyring(c.b)
		wantErr(t, name, err, c.want)
	}
}

func FuzzParseKeyring(f *testing.F) {
	f.Add(testRing().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParseKeyring(b); err == nil && !bytes.Equal(k.Encode(), b) {
			t.Errorf("%x is encoded as %x", b, k.Encode())
		}
	})
}
