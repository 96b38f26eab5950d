package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"filippo.io/age"
)

// The work factor of tests.
const testLogN = 4

func TestLockAndUnlock(t *testing.T) {
	code := ok(NewRecoveryCode(fixed(1)))
	for name, c := range map[string]struct {
		kind          PrincipalKind
		secret, typed string
	}{
		"passphrase":               {Passphrase, "correct horse battery", "correct horse battery"},
		"passphrase, Mac to PC":    {Passphrase, "Mu\u0308ller trinkt Kaffee", "M\u00fcller trinkt Kaffee"},
		"passphrase, PC to Mac":    {Passphrase, "M\u00fcller trinkt Kaffee", "Mu\u0308ller trinkt Kaffee"},
		"recovery code":            {Recovery, code, code},
		"recovery code, as spoken": {Recovery, code, strings.ToLower(strings.ReplaceAll(code, "-", " "))},
	} {
		t.Run(name, func(t *testing.T) {
			i := testIdentity(c.kind, 1)
			object := ok(i.Lock(c.secret, testLogN))
			if kind := ok(PersonKind(object)); kind != c.kind {
				t.Error(kind)
			}
			got, err := UnlockPerson(object, c.typed)
			if err != nil || !bytes.Equal(got.Encode(), i.Encode()) {
				t.Errorf("unlocks to %v, %v", got, err)
			}
			_, err = UnlockPerson(object, "incorrect horse battery")
			wantErr(t, "wrong secret", err, ErrWrongSecret)
			_, err = UnlockPerson(object, ok(NewRecoveryCode(fixed(2))))
			wantErr(t, "wrong code", err, ErrWrongSecret)
			_, err = UnlockPerson(object, "")
			wantErr(t, "no secret", err, ErrWrongSecret)
			if err := second(UnlockPerson(object, c.typed+"x")); !errors.Is(err, ErrWrongSecret) {
				t.Errorf("a letter more: %v", err)
			}
		})
	}
}

// The files were written once: other keys and another salt would be in them today.
func TestGoldenPersons(t *testing.T) {
	const code = "0410-6105-0R3G-G28A-1C60-T3GF-208H-44RM-4PC1"
	if *update {
		i := testIdentity(Passphrase, 1)
		golden(t, "person-passphrase.hex", ok(i.Lock("Müller trinkt Kaffee", 10)))
		golden(t, "slot.hex", ok(i.Principal.WrapKEK(testRepo, 3, [32]byte{1, 2, 3})))
		golden(t, "person-recovery.hex", ok(testIdentity(Recovery, 2).Lock(code, 10)))
	}
	i := ok(UnlockPerson(readGolden("person-passphrase.hex"), "Müller trinkt Kaffee"))
	if i.Repo != testRepo || i.Principal.ID != testIdentity(Passphrase, 1).Principal.ID || i.Principal.Name != "office" {
		t.Error(i.Principal)
	}
	if kek, err := i.UnwrapKEK(3, readGolden("slot.hex")); err != nil || kek != [32]byte{1, 2, 3} {
		t.Errorf("%x, %v", kek, err)
	}
	golden(t, "identity.hex", i.Encode())
	if _, err := UnlockPerson(readGolden("person-recovery.hex"), strings.ToLower(code)); err != nil {
		t.Error(err)
	}
}

func TestLockRefuses(t *testing.T) {
	p, r := testIdentity(Passphrase, 1), testIdentity(Recovery, 1)
	young := ok(NewIdentity(testRepo, Passphrase, "p", 0, fixed(1)))
	for name, err := range map[string]error{
		"device":        second(testIdentity(Device, 1).Lock("secret", testLogN)),
		"no genesis":    second(young.Lock("secret", testLogN)),
		"no secret":     second(p.Lock("", testLogN)),
		"no code":       second(r.Lock("correct horse battery", testLogN)),
		"log N 0":       second(p.Lock("secret", 0)),
		"log N too big": second(p.Lock("secret", maxLogN+1)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestUnlockRefuses(t *testing.T) {
	i := testIdentity(Passphrase, 1)
	object := ok(i.Lock("secret", testLogN))
	withKind := func(kind byte) []byte {
		b := bytes.Clone(object)
		b[len(personMagic)] = kind
		return b
	}
	file := func(r age.Recipient, plain []byte) []byte {
		return ok(encrypt([]byte(personMagic+"\x02"), r, plain))
	}
	scrypt := ok(scryptRecipient())
	hybrid := ok(age.ParseHybridRecipient(i.Principal.Recipient))
	factor := fmt.Appendf(nil, " %d\n", testLogN)
	for name, c := range map[string]struct {
		object []byte
		want   error
	}{
		"nothing":               {nil, ErrCorrupt},
		"magic only":            {object[:len(personMagic)], ErrCorrupt},
		"header only":           {object[:personHeader], ErrCorrupt},
		"other magic":           {append([]byte("satchelq"), object[8:]...), ErrCorrupt},
		"kind 0":                {withKind(0), ErrCorrupt},
		"kind device":           {withKind(1), ErrCorrupt},
		"kind recovery":         {withKind(3), ErrWrongSecret},
		"kind 6":                {withKind(6), ErrTooNew},
		"cut off":               {object[:len(object)-1], ErrCorrupt},
		"a byte more":           {append(bytes.Clone(object), 0), ErrCorrupt},
		"too large":             {append(bytes.Clone(object), make([]byte, limitKeyObject)...), ErrCorrupt},
		"for a public key":      {file(hybrid, i.Encode()), ErrCorrupt},
		"around nothing":        {file(scrypt, nil), ErrCorrupt},
		"of another kind":       {file(scrypt, testIdentity(Device, 1).Encode()), ErrCorrupt},
		"hostile work factor":   {bytes.Replace(object, factor, []byte(" 30\n"), 1), ErrCorrupt},
		"work factor above max": {bytes.Replace(object, factor, []byte(" 21\n"), 1), ErrCorrupt},
		"endless work factor":   {bytes.Replace(object, factor, []byte(" 99999999999999999999\n"), 1), ErrCorrupt},
		"other work factor":     {bytes.Replace(object, factor, []byte(" 5\n"), 1), ErrWrongSecret},
	} {
		start := time.Now()
		_, err := UnlockPerson(c.object, "secret")
		wantErr(t, name, err, c.want)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestPersonName(t *testing.T) {
	if a, b := PersonName(fixed(1)), PersonName(fixed(2)); len(a) != 4+32 || a == b || !strings.HasPrefix(a, "k/p/") {
		t.Error(a, b)
	}
	defer func() {
		if recover() == nil {
			t.Error("a name without randomness")
		}
	}()
	PersonName(iotest.ErrReader(errors.New("dry")))
}

func FuzzUnlockPerson(f *testing.F) {
	f.Add(ok(testIdentity(Passphrase, 1).Lock("secret", 1)), "secret")
	f.Add(ok(testIdentity(Recovery, 1).Lock(ok(NewRecoveryCode(fixed(1))), 1)), ok(NewRecoveryCode(fixed(1))))
	f.Add([]byte(personMagic+"\x02age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 30\n\n--- \n"), "x")
	f.Fuzz(func(t *testing.T, object []byte, secret string) {
		i, err := unlockPerson(object, secret, 2)
		if s := sentinel(err); err != nil && s != ErrCorrupt && s != ErrTooNew && s != ErrWrongSecret {
			t.Errorf("no sentinel: %v", err)
		}
		if kind, kindErr := PersonKind(object); err == nil && (kindErr != nil || i.Principal.Kind != kind) {
			t.Errorf("%v unlocked as %v, %v", i, kind, kindErr)
		}
	})
}
