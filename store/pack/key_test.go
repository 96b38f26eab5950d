package pack

import (
	"errors"
	"strings"
	"testing"

	"satchel/store"
	"satchel/store/seal"
)

func TestKeyRoundTrip(t *testing.T) {
	for _, kind := range []seal.Kind{seal.Data, seal.Tree} {
		k := MakeKey(kind, testSession, Sum([]byte("pack")))
		if k.Kind() != kind || k.Session() != testSession || k.Sum() != Sum([]byte("pack")) || !k.Valid() {
			t.Errorf("%x", k)
		}
		got, err := ParseName(k.Name())
		if err != nil || got != k || !store.ValidName(k.Name()) {
			t.Errorf("ParseName(%q) = %x, %v", k.Name(), got, err)
		}
	}
	if (Key{}).Valid() || MakeKey(seal.Segment, testSession, [32]byte{}).Valid() {
		t.Error("a key of no pack is valid")
	}
}

func TestSessionNamesItsBeginning(t *testing.T) {
	for _, pos := range []uint64{0, 1, 7, 1<<63 - 1, 1<<64 - 1} {
		a, b := ok(NewSession(pos, fixed(1))), ok(NewSession(pos, fixed(2)))
		if a.Began() != pos || a == b {
			t.Errorf("session at %d: %x, %x", pos, a, b)
		}
	}
	if _, err := NewSession(1, dry{}); !errors.Is(err, errDry) {
		t.Error(err)
	}
}

func badNames() map[string]string {
	good := MakeKey(seal.Data, testSession, Sum([]byte("pack"))).Name()
	return map[string]string{
		"nothing":            "",
		"upper case":         good[:2] + strings.ToUpper(good[2:]),
		"upper case kind":    "D" + good[1:],
		"kind of no pack":    "i" + good[1:],
		"no kind":            good[1:],
		"short hash":         good[:len(good)-1],
		"long hash":          good + "0",
		"short session":      good[:2] + good[4:],
		"digit of no number": good[:10] + "g" + good[11:],
		"slash at the end":   good + "/",
		"slash in front":     "/" + good,
		"four parts":         "d/" + good,
		"space":              good[:20] + " " + good[21:],
	}
}

func TestParseNameRefuses(t *testing.T) {
	for name, bad := range badNames() {
		if k, err := ParseName(bad); err == nil || k != (Key{}) {
			t.Errorf("%s: %q is %x, %v", name, bad, k, err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add(MakeKey(seal.Tree, testSession, Sum(nil)).Name())
	for _, bad := range badNames() {
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, name string) {
		k, err := ParseName(name)
		if err == nil && (k.Name() != name || !k.Valid() || !store.ValidName(name)) {
			t.Errorf("%q is read as %q", name, k.Name())
		}
	})
}
