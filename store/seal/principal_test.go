package seal

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"filippo.io/age"

	"satchel/store/canon"
)

// testIdentity returns an identity whose genesis is set. Its age key is new in every run.
func testIdentity(kind PrincipalKind, seed byte) *Identity {
	i := ok(NewIdentity(testRepo, kind, "office", Push|Prune, fixed(seed)))
	i.Genesis = [32]byte{1, 2, 3}
	return i
}

// rsaKey is one for all tests, because making it is slow.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return ok(rsa.GenerateKey(rand.Reader, 2048)) })

const vaultKey = "https://clinic.vault.azure.net/keys/satchel/0123456789abcdef"

func TestPrincipalCheck(t *testing.T) {
	x25519 := ok(age.GenerateX25519Identity()).Recipient().String()
	vault := ok(VaultRecipient(vaultKey, &rsaKey().PublicKey))
	good := testIdentity(Device, 1).Principal
	for name, c := range map[string]struct {
		change func(*Principal)
		good   bool
	}{
		"as made":               {func(p *Principal) {}, true},
		"no rights":             {func(p *Principal) { p.Rights = 0 }, true},
		"all rights":            {func(p *Principal) { p.Rights = 15 }, true},
		"passphrase":            {func(p *Principal) { p.Kind = Passphrase }, true},
		"recovery":              {func(p *Principal) { p.Kind = Recovery }, true},
		"hybrid age recipient":  {func(p *Principal) { p.Kind, p.Rights = AgeRecipient, 0 }, true},
		"X25519 age recipient":  {func(p *Principal) { p.Kind, p.Recipient, p.Rights = AgeRecipient, x25519, 0 }, true},
		"Key Vault":             {func(p *Principal) { p.Kind, p.Recipient, p.Rights = KeyVault, vault, 0 }, true},
		"longest name":          {func(p *Principal) { p.Name = strings.Repeat("ü", 64) }, true},
		"name with spaces":      {func(p *Principal) { p.Name = "Praxis 2, Büro – 🖥" }, true},
		"kind 0":                {func(p *Principal) { p.Kind = 0 }, false},
		"kind 6":                {func(p *Principal) { p.Kind = 6 }, false},
		"unknown right":         {func(p *Principal) { p.Rights = 16 }, false},
		"no name":               {func(p *Principal) { p.Name = "" }, false},
		"long name":             {func(p *Principal) { p.Name = strings.Repeat("ü", 64) + "u" }, false},
		"name not UTF-8":        {func(p *Principal) { p.Name = "a\xff" }, false},
		"newline in the name":   {func(p *Principal) { p.Name = "a\nb" }, false},
		"escape in the name":    {func(p *Principal) { p.Name = "\x1b[2J" }, false},
		"DEL in the name":       {func(p *Principal) { p.Name = "a\x7f" }, false},
		"C1 control":            {func(p *Principal) { p.Name = "a\u0085" }, false},
		"no recipient":          {func(p *Principal) { p.Recipient = "" }, false},
		"recipient in capitals": {func(p *Principal) { p.Recipient = strings.ToUpper(p.Recipient) }, false},
		"recipient mistyped":    {func(p *Principal) { p.Recipient = p.Recipient[:50] + "q" + p.Recipient[51:] + "q" }, false},
		"recipient and newline": {func(p *Principal) { p.Recipient += "\n" }, false},
		"device with X25519":    {func(p *Principal) { p.Recipient = x25519 }, false},
		"device with Key Vault": {func(p *Principal) { p.Recipient = vault }, false},
		"Key Vault with age":    {func(p *Principal) { p.Kind, p.Rights = KeyVault, 0 }, false},
		"endless recipient":     {func(p *Principal) { p.Recipient = "age1pq1" + strings.Repeat("q", 1<<20) }, false},
		"no id":                 {func(p *Principal) { p.ID = ID{} }, false},
		"no verify key":         {func(p *Principal) { p.Verify = [32]byte{} }, false},
	} {
		p := good
		c.change(&p)
		if err := p.Check(); c.good != (err == nil) {
			t.Errorf("%s: %v", name, err)
		} else if err != nil && len(err.Error()) > 200 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

func TestPrincipalIsAnArray(t *testing.T) {
	p := Principal{ID: ID{1}, Kind: Device, Name: "a", Rights: 3, Recipient: "r", Verify: [32]byte{2}}
	want := "8650" + "01" + strings.Repeat("00", 15) + "01" + "6161" + "03" + "6172" + "5820" + "02" + strings.Repeat("00", 31)
	if got := hex.EncodeToString(canon.Marshal(p)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSignatures(t *testing.T) {
	a, b := testIdentity(Device, 1), testIdentity(Device, 2)
	sig := a.Sign([]byte("message"))
	if len(sig) != 64 || !a.Principal.VerifySignature([]byte("message"), sig) {
		t.Error("own signature does not verify")
	}
	for name, bad := range map[string]bool{
		"other message":   a.Principal.VerifySignature([]byte("massage"), sig),
		"other principal": b.Principal.VerifySignature([]byte("message"), sig),
		"no signature":    a.Principal.VerifySignature([]byte("message"), nil),
		"long signature":  a.Principal.VerifySignature([]byte("message"), append(sig, 0)),
		"no key":          Principal{}.VerifySignature([]byte("message"), sig),
	} {
		if bad {
			t.Errorf("%s verifies", name)
		}
	}
}

func TestSlotNames(t *testing.T) {
	sum := sha256.Sum256(append([]byte("satchel slot"), 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12))
	if got, want := SlotName(ID{1, 2}, 12), "k/12/"+hex.EncodeToString(sum[:16]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := RingName(12); got != "k/12/ring" {
		t.Error(got)
	}
}

func TestSlot(t *testing.T) {
	i, other := testIdentity(Device, 1), testIdentity(Device, 2)
	kek := [32]byte{9, 8, 7}
	slot := ok(i.Principal.WrapKEK(testRepo, 4, kek))
	if got, err := i.UnwrapKEK(4, slot); err != nil || got != kek {
		t.Errorf("%x, %v", got, err)
	}
	if len(slot) > 4<<10 || bytes.Contains(slot, i.Principal.ID[:]) {
		t.Errorf("slot of %d bytes", len(slot))
	}
	hybrid := ok(age.ParseHybridRecipient(i.Principal.Recipient))
	var two bytes.Buffer
	w := ok(age.Encrypt(&two, hybrid, hybrid))
	ok(w.Write(append(slotPlain(testRepo, 4), kek[:]...)))
	ok(0, w.Close())
	for name, c := range map[string]struct {
		generation uint32
		slot       []byte
	}{
		"other generation":    {5, slot},
		"other repository":    {4, ok(i.Principal.WrapKEK(RepoID{1}, 4, kek))},
		"other principal":     {4, ok(other.Principal.WrapKEK(testRepo, 4, kek))},
		"short KEK":           {4, ok(encrypt(nil, hybrid, append(slotPlain(testRepo, 4), 1, 2)))},
		"long KEK":            {4, ok(encrypt(nil, hybrid, append(slotPlain(testRepo, 4), make([]byte, 33)...)))},
		"two recipients":      {4, two.Bytes()},
		"cut off":             {4, slot[:len(slot)-1]},
		"a byte more":         {4, append(bytes.Clone(slot), 0)},
		"nothing":             {4, nil},
		"too large":           {4, append(bytes.Clone(slot), make([]byte, limitKeyObject)...)},
		"locked by a secret":  {4, ok(encrypt(nil, ok(scryptRecipient()), kek[:]))},
		"header changed":      {4, bytes.Replace(slot, []byte("\n--- "), []byte("\n--- A"), 1)},
		"stanza without args": {4, []byte("age-encryption.org/v1\n-> mlkem768x25519\n\n--- AAAA\n")},
	} {
		_, err := i.UnwrapKEK(c.generation, c.slot)
		wantErr(t, name, err, ErrCorrupt)
	}
	for at := 0; at < len(slot); at += 97 {
		slot[at] ^= 1
		if got, err := i.UnwrapKEK(4, slot); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d flipped: %x, %v", at, got, err)
		}
		slot[at] ^= 1
	}
	if _, err := (Principal{Kind: Device}).WrapKEK(testRepo, 1, kek); err == nil {
		t.Error("wrapped to no recipient")
	}
}

func scryptRecipient() (*age.ScryptRecipient, error) {
	r, err := age.NewScryptRecipient("secret")
	if err == nil {
		r.SetWorkFactor(4)
	}
	return r, err
}

func TestEscrow(t *testing.T) {
	kek := [32]byte{4}
	identity := ok(age.GenerateX25519Identity())
	vault := VaultIdentity(func(b []byte) ([]byte, error) {
		return rsa.DecryptOAEP(sha256.New(), nil, rsaKey(), b, nil)
	})
	for name, c := range map[string]struct {
		kind      PrincipalKind
		recipient string
		opens     age.Identity
	}{
		"age recipient": {AgeRecipient, identity.Recipient().String(), identity},
		"Key Vault":     {KeyVault, ok(VaultRecipient(vaultKey, &rsaKey().PublicKey)), vault},
	} {
		t.Run(name, func(t *testing.T) {
			i := ok(NewEscrow(testRepo, c.kind, "escrow", c.recipient, fixed(1)))
			if i.Principal.Rights != 0 || !i.Principal.VerifySignature([]byte("m"), i.Sign([]byte("m"))) {
				t.Error(i.Principal)
			}
			for _, r := range []Rights{Push, Prune, Enrol, Admin} {
				p := i.Principal
				if p.Rights = r; p.Check() == nil {
					t.Errorf("escrow may have the right %v", r)
				}
			}
			slot := ok(i.Principal.WrapKEK(testRepo, 1, kek))
			if got, err := OpenSlot(testRepo, 1, slot, c.opens); err != nil || got != kek {
				t.Errorf("%x, %v", got, err)
			}
			_, err := OpenSlot(testRepo, 2, slot, c.opens)
			wantErr(t, "other generation", err, ErrCorrupt)
			_, err = OpenSlot(testRepo, 1, slot, ok(age.GenerateX25519Identity()))
			wantErr(t, "other key", err, ErrCorrupt)
			if _, err := i.UnwrapKEK(1, slot); err == nil || errors.Is(err, ErrCorrupt) {
				t.Errorf("unwrapped without a key: %v", err)
			}
			if _, err := ParseIdentity(i.Encode()); !errors.Is(err, ErrCorrupt) {
				t.Errorf("read back: %v", err)
			}
		})
	}
	slot := ok(ok(NewEscrow(testRepo, KeyVault, "v", ok(VaultRecipient(vaultKey, &rsaKey().PublicKey)), fixed(1))).Principal.WrapKEK(testRepo, 1, kek))
	offline := errors.New("no network")
	if _, err := OpenSlot(testRepo, 1, slot, VaultIdentity(func([]byte) ([]byte, error) { return nil, offline })); !errors.Is(err, offline) || errors.Is(err, ErrCorrupt) {
		t.Errorf("Key Vault cannot be reached: %v", err)
	}
	_, err := OpenSlot(testRepo, 1, slot, VaultIdentity(func([]byte) ([]byte, error) { return []byte{1}, nil }))
	wantErr(t, "Key Vault answers nonsense", err, ErrCorrupt)
	if _, err := NewEscrow(testRepo, Device, "d", "", fixed(1)); err == nil {
		t.Error("a device in escrow")
	}
}

func TestVaultRecipientText(t *testing.T) {
	text := ok(VaultRecipient(vaultKey, &rsaKey().PublicKey))
	id, key, err := ParseVaultRecipient(text)
	if err != nil || id != vaultKey || !key.Equal(&rsaKey().PublicKey) {
		t.Error(id, key, err)
	}
	words := strings.Split(text, " ")
	for name, bad := range map[string]string{
		"nothing":       "",
		"other scheme":  "rsa-oaep " + words[1] + " " + words[2],
		"no identifier": words[0] + " " + words[1] + " ",
		"two words":     words[0] + " " + words[1],
		"four words":    text + " x",
		"plain http":    words[0] + " " + words[1] + " http://x/",
		"newline":       text + "\n",
		"not base64":    words[0] + " *" + words[1] + " " + words[2],
		"not a key":     words[0] + " AAAA " + words[2],
		"long address":  text + strings.Repeat("x", 1025),
		"an EC key":     words[0] + " " + ecKey + " " + words[2],
	} {
		if _, _, err := ParseVaultRecipient(bad); err == nil {
			t.Errorf("%s parses", name)
		}
	}
	small := &rsa.PublicKey{N: new(big.Int).Sqrt(rsaKey().N), E: 65537}
	if _, err := VaultRecipient(vaultKey, small); err == nil {
		t.Error("a key of 1024 bits is taken")
	}
}

// ecKey is a P-256 public key, base64 of PKIX: the generator of the curve.
var ecKey = base64.RawStdEncoding.EncodeToString(ok(hex.DecodeString("3059301306072a8648ce3d020106082a8648ce3d030107034200" +
	"046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")))

func TestNewIdentityRefuses(t *testing.T) {
	for name, err := range map[string]error{
		"Key Vault":     second(NewIdentity(testRepo, KeyVault, "v", 0, fixed(1))),
		"age recipient": second(NewIdentity(testRepo, AgeRecipient, "a", 0, fixed(1))),
		"kind 0":        second(NewIdentity(testRepo, 0, "a", 0, fixed(1))),
		"no name":       second(NewIdentity(testRepo, Device, "", 0, fixed(1))),
		"rights":        second(NewIdentity(testRepo, Device, "a", 32, fixed(1))),
		"no randomness": second(NewIdentity(testRepo, Device, "a", 0, iotest.ErrReader(errors.New("dry")))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestIdentityRoundTrip(t *testing.T) {
	i := testIdentity(Device, 1)
	if again := testIdentity(Device, 1).Principal; again.ID != i.Principal.ID || again.Verify != i.Principal.Verify {
		t.Error("id and verify key are not from rand")
	}
	got := ok(ParseIdentity(i.Encode()))
	if got.Principal != i.Principal || got.Repo != i.Repo || got.Genesis != i.Genesis || !bytes.Equal(got.Encode(), i.Encode()) {
		t.Errorf("%+v, want %+v", got.Principal, i.Principal)
	}
	slot := ok(i.Principal.WrapKEK(testRepo, 1, [32]byte{1}))
	if kek, err := got.UnwrapKEK(1, slot); err != nil || kek != [32]byte{1} {
		t.Error(kek, err)
	}
}

func TestParseIdentityRefuses(t *testing.T) {
	i, other := testIdentity(Device, 1), testIdentity(Device, 2)
	wire := func(change func(*identityWire)) []byte {
		w := identityWire{i.Repo, i.Genesis, i.Principal, i.private.String(), [32]byte(i.signing.Seed())}
		change(&w)
		return canon.Marshal(w)
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"good":                  {wire(func(w *identityWire) {}), nil},
		"nothing":               {nil, ErrCorrupt},
		"no genesis":            {wire(func(w *identityWire) { w.Genesis = [32]byte{} }), ErrCorrupt},
		"no repository":         {wire(func(w *identityWire) { w.Repo = RepoID{} }), ErrCorrupt},
		"no age key":            {wire(func(w *identityWire) { w.Private = "" }), ErrCorrupt},
		"other age key":         {wire(func(w *identityWire) { w.Private = other.private.String() }), ErrCorrupt},
		"age key in lower case": {wire(func(w *identityWire) { w.Private = strings.ToLower(w.Private) }), ErrCorrupt},
		"no seed":               {wire(func(w *identityWire) { w.Seed = [32]byte{} }), ErrCorrupt},
		"other seed":            {wire(func(w *identityWire) { w.Seed[0]++ }), ErrCorrupt},
		"other principal":       {wire(func(w *identityWire) { w.Principal = other.Principal }), ErrCorrupt},
		"impossible principal":  {wire(func(w *identityWire) { w.Principal.Name = "" }), ErrCorrupt},
		"escrow":                {wire(func(w *identityWire) { w.Principal.Kind = AgeRecipient; w.Private = "" }), ErrCorrupt},
		"unknown key":           {canon.Marshal(map[uint64]any{1: i.Repo, 2: i.Genesis, 3: i.Principal, 4: "x", 5: i.Genesis, 6: true}), ErrTooNew},
		"too large":             {make([]byte, limitKeyObject+1), ErrCorrupt},
	} {
		_, err := ParseIdentity(c.b)
		wantErr(t, name, err, c.want)
		if err != nil && strings.Contains(strings.ToUpper(err.Error()), "SECRET-KEY") {
			t.Errorf("%s: shows the key: %v", name, err)
		}
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add(readGolden("identity.hex"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := ParseIdentity(b); err == nil && !bytes.Equal(i.Encode(), b) {
			t.Errorf("%x is encoded as %x", b, i.Encode())
		}
	})
}
