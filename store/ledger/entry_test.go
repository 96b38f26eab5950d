package ledger

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"satchel/store"
	"satchel/store/canon"
	"satchel/store/seal"
	"satchel/store/storetest"
)

func TestNamesListTheNewestFirst(t *testing.T) {
	last := Name(0)
	for _, n := range []uint64{1, 2, 9, 10, 15, 16, 1 << 32, 1<<63 - 2, 1<<63 - 1} {
		name := Name(n)
		if name >= last {
			t.Errorf("%s of %d does not list before %s", name, n, last)
		}
		if got, ok := ParseName(name); !ok || got != n {
			t.Errorf("ParseName(%q) = %d, %v", name, got, ok)
		}
		last = name
	}
	if Name(1) != "l/7ffffffffffffffe" {
		t.Error(Name(1))
	}
	for _, bad := range []string{"", "l/", "7ffffffffffffffe", "l/7FFFFFFFFFFFFFFE", "l/ffffffffffffffff", "l/8000000000000000", "l/7fffffffffffffff0", "l/7ffffffffffffff",
		"l/+ffffffffffffffe", "l/0x7fffffffffffff", "l/7ffffffffffffffe/", "s/7ffffffffffffffe", "l/7ffffffffffffff_"} {
		if n, ok := ParseName(bad); ok {
			t.Errorf("%q is entry %d", bad, n)
		}
	}
}

func TestEntryRoundTrip(t *testing.T) {
	s, p := peopled(t).state(), people()
	d := draftOf(s, p.office, Enrol, EnrolContent{p.late.Principal})
	d.signers = append(d.signers, p.late)
	raw := d.seal()
	e, err := openEntry(raw, 8, testKeys)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Body, e.Body); diff != "" {
		t.Errorf("body (-in +out):\n%s", diff)
	}
	if e.Author != p.office.Principal.ID || e.Hash != sumOf(raw) || !e.signedBy(0, p.office.Principal) || !e.signedBy(1, p.late.Principal) {
		t.Errorf("%+v", e)
	}
	for i, id := range []*seal.Identity{p.late, p.office, p.home} {
		if e.signedBy(i, id.Principal) {
			t.Errorf("signature %d is taken for one of %s", i, id.Principal.Name)
		}
	}
	if uint64(len(raw)) != seal.Padme(uint64(len(raw))) {
		t.Errorf("%d bytes", len(raw))
	}
}

// largest is content of n bytes that is canonical.
func largest(n int) []byte { return canon.Marshal(make([]byte, n)) }

func TestEntryThatIsTooLargeIsRefused(t *testing.T) {
	p := people()
	seal1 := func(n int) error {
		b := Body{Repository: testRepo, Position: 1, Kind: ignored, Content: largest(n)}
		raw, err := sealEntry(&b, testKeys, chance, p.office)
		if err == nil && len(raw) > maxEntry {
			t.Errorf("an entry of %d bytes", len(raw))
		}
		return err
	}
	n := seal.Ledger.MaxPayload() - 400
	for ; seal1(n) == nil; n += 50 {
	}
	wantErr(t, "one step too large", seal1(n), ErrRefused)
	wantErr(t, "far too large", seal1(10<<20), ErrRefused)
	if n < seal.Ledger.MaxPayload()-300 {
		t.Errorf("%d bytes of content are refused already", n)
	}
}

// FuzzParseEntry takes payloads: what is inside the seal.
func FuzzParseEntry(f *testing.F) {
	s, p := newState(testRepo, testRing.Balance), people()
	s.position = 6
	payload := func(d *entryDraft) []byte { return ok(testKeys.OpenObject(seal.Ledger, d.at, d.seal())) }
	for name, change := range map[string]func(d *entryDraft){
		"commit":          func(*entryDraft) {},
		"two signatures":  func(d *entryDraft) { d.signers = append(d.signers, p.home) },
		"no signature":    func(d *entryDraft) { d.signers = nil },
		"short signature": func(d *entryDraft) { d.env = func(e *envelope) { e.Signatures[0].Bytes = []byte{1} } },
		"unknown key":     func(d *entryDraft) { d.body = unknownKey },
		"zero written":    func(d *entryDraft) { d.Checkpoint = 3; d.body = zeroWritten },
		"empty body":      func(d *entryDraft) { d.body = func([]byte) []byte { return []byte{0xa0} } },
		"body of nothing": func(d *entryDraft) { d.body = func([]byte) []byte { return nil } },
		"kind of 256":     func(d *entryDraft) { d.body = func([]byte) []byte { return []byte{0xa1, 8, 0x19, 1, 0} } },
		"trailing byte":   func(d *entryDraft) { d.payload = func(b []byte) []byte { return append(b, 0) } },
		"array of a billion": func(d *entryDraft) {
			d.payload = func(b []byte) []byte { return append(b[:1:1], 0x9a, 0x3b, 0x9a, 0xca, 0) }
		},
		"cut off": func(d *entryDraft) { d.payload = func(b []byte) []byte { return b[:len(b)/2] } },
	} {
		d := draftOf(s, p.office, Commit, commitOf(1, clinicWork))
		change(d)
		corpus(f, "FuzzParseEntry", name, payload(d))
	}
	f.Add(payload(draftOf(s, p.office, ignored, "note")))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := parseEntry(payload, Hash{1})
		if err != nil {
			return
		}
		env := envelope{Body: e.body, Signatures: e.signatures}
		if again := canon.Marshal(env); !bytes.Equal(again, payload) {
			t.Errorf("%x is encoded again as %x", payload, again)
		}
		if !e.newer && !bytes.Equal(canon.Marshal(e.Body), e.body) {
			t.Errorf("the body is encoded again as %x", canon.Marshal(e.Body))
		}
		if e.Author != e.signatures[0].Signer || e.Hash != (Hash{1}) {
			t.Errorf("%+v", e)
		}
		before := s.Digest() // whatever it says, judging it changes nothing
		if effect, reason, err := s.verdict(e); effect != nil || reason == "" && err == nil {
			t.Errorf("%+v is valid", e)
		}
		if s.Digest() != before {
			t.Error("the state changed")
		}
	})
}

// vectors.json is FORMAT.md §7 by example, for readers in other languages. Bytes are
// hexadecimal; the entries and the state lie beside it.
type vectors struct {
	Repository string        `json:"repository"`
	Generation uint32        `json:"generation"`
	Master     string        `json:"master"`
	Balance    string        `json:"balance_secret"`
	Entries    []vectorEntry `json:"entries"`
	State      vectorState   `json:"state"` // after the entries
}

type vectorEntry struct {
	File   string `json:"file"`
	Name   string `json:"name"`
	Hash   string `json:"sha256"`
	Body   string `json:"body"`
	Digest string `json:"digest"` // of the state after it
}

type vectorState struct {
	File    string `json:"file"` // the payload
	Balance string `json:"balance"`
	SHA256  string `json:"payload_sha256"`
}

// goldenFounder is a device whose keys do not change from run to run: an age key is made
// from the system's randomness.
func goldenFounder(t *testing.T) *seal.Identity {
	if _, err := os.Stat("testdata/founder.hex"); *update && errors.Is(err, os.ErrNotExist) {
		id := ok(seal.NewIdentity(testRepo, seal.Device, "OFFICE", seal.Push|seal.Prune|seal.Enrol|seal.Admin, fixed(21)))
		id.Genesis[0] = 1
		golden(t, "founder.hex", id.Encode())
	}
	return ok(seal.ParseIdentity(readGolden("founder.hex")))
}

func TestGoldenEntries(t *testing.T) {
	founder := goldenFounder(t)
	v := vectors{Repository: testRepo.String(), Generation: 1, Master: hex.EncodeToString(testRing.Masters[0].Key[:]), Balance: hex.EncodeToString(testRing.Balance[:])}
	s := newState(testRepo, testRing.Balance)
	salt := fixed(22)
	add := func(file string, change func(b *Body)) {
		b := Body{Repository: testRepo, Position: s.position + 1, Prev: s.head, Sequence: s.position + 1,
			Time: time.Date(2026, 1, 2, 8, int(s.position), 0, 0, time.UTC).UnixNano(), Nonce: [16]byte{byte(s.position) + 1}}
		if s.position > 0 {
			b.State = s.Digest()
		}
		change(&b)
		raw := ok(sealEntry(&b, testKeys, salt, founder))
		golden(t, file, raw)
		e := ok(openEntry(readGolden(file), b.Position, testKeys))
		if reason, err := s.step(e, sumOf(raw)); reason != "" || err != nil {
			t.Fatal(reason, err)
		}
		h, d := sumOf(raw), s.Digest()
		v.Entries = append(v.Entries, vectorEntry{file, Name(b.Position), hex.EncodeToString(h[:]), hex.EncodeToString(e.body), hex.EncodeToString(d[:])})
	}
	add("entry-1.hex", func(b *Body) {
		b.Kind, b.Content = Genesis, canon.Marshal(GenesisContent{[]seal.Principal{founder.Principal}})
	})
	add("entry-2.hex", func(b *Body) {
		c := commitOf(1, clinicWork)
		c.Packs = []PackRef{packRef(1, 1, []byte("an encoding"))}
		c.Segments, c.Remote, c.Clock = []Hash{{5}}, "example.com/clinic", b.Time+5
		b.Kind, b.Content = Commit, canon.Marshal(c)
	})
	add("entry-3.hex", func(b *Body) { b.Kind, b.Content = ignored, []byte("anything at all") })
	golden(t, "state-3.hex", s.Payload())
	bal, sum := s.balance.bytes(), sumOf(s.Payload())
	v.State = vectorState{"state-3.hex", hex.EncodeToString(bal[:]), hex.EncodeToString(sum[:])}
	b := append(ok(json.MarshalIndent(v, "", "  ")), '\n')
	if *update {
		write(t, "vectors.json", b)
	}
	if diff := cmp.Diff(string(ok(os.ReadFile(filepath.Join("testdata", "vectors.json")))), string(b)); diff != "" {
		t.Errorf("vectors.json (-file +now):\n%s", diff)
	}
	again := ok(parseState(readGolden("state-3.hex"), 3, testRepo, testRing.Balance))
	if again.Digest() != s.Digest() {
		t.Error("the state is read as another one")
	}
}

// TestVectorsReadByHand is a second reader: it knows FORMAT.md, and nothing of this package.
func TestVectorsReadByHand(t *testing.T) {
	var v vectors
	if err := json.Unmarshal(ok(os.ReadFile("testdata/vectors.json")), &v); err != nil {
		t.Fatal(err)
	}
	repo, master, secret := ok(hex.DecodeString(v.Repository)), ok(hex.DecodeString(v.Master)), ok(hex.DecodeString(v.Balance))
	prk := ok(hkdf.Extract(sha256.New, master, append([]byte("satchel/1"), repo...)))
	prev := make([]byte, 32)
	var verify []byte
	for i, e := range v.Entries {
		n := uint64(i + 1)
		b := readGolden(e.File)
		out := ok(hkdf.Expand(sha256.New, prk, "objectl"+string(b[:48]), 64))
		if !bytes.Equal(out[32:], b[48:80]) {
			t.Fatalf("entry %d: commitment", n)
		}
		aad := binary.BigEndian.AppendUint64(append(bytes.Clone(b[:80]), 4), n)
		plain := ok(ok(cipher.NewGCM(ok(aes.NewCipher(out[:32])))).Open(nil, append([]byte{4, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 80), b[80:], aad))
		payload := plain[4 : 4+binary.BigEndian.Uint32(plain)]
		var env []any
		if err := cbor.Unmarshal(payload, &env); err != nil {
			t.Fatal(err)
		}
		raw := env[0].([]byte)
		if hex.EncodeToString(raw) != e.Body {
			t.Errorf("entry %d: body %x", n, raw)
		}
		var body map[uint64]any
		if err := cbor.Unmarshal(raw, &body); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			var genesis map[uint64][]any
			if err := cbor.Unmarshal(body[9].([]byte), &genesis); err != nil {
				t.Fatal(err)
			}
			verify = genesis[1][0].([]any)[5].([]byte)
		} else if !bytes.Equal(body[3].([]byte), prev) || hex.EncodeToString(body[4].([]byte)) != v.Entries[i-1].Digest {
			t.Errorf("entry %d: prev %x, state %x", n, body[3], body[4])
		}
		signature := env[1].([]any)[0].([]any)[1].([]byte)
		if body[2] != n || body[5] != n || !ed25519.Verify(verify, append([]byte("satchel/1 entry\x00"), raw...), signature) {
			t.Errorf("entry %d: position %v, sequence %v, or its signature", n, body[2], body[5])
		}
		sum := sha256.Sum256(b)
		if hex.EncodeToString(sum[:]) != e.Hash {
			t.Errorf("entry %d: SHA-256 %x", n, sum)
		}
		chain := sha256.Sum256(append(prev, sum[:]...))
		prev = chain[:]
	}
	payload := readGolden(v.State.File)
	if sum := sha256.Sum256(payload); hex.EncodeToString(sum[:]) != v.State.SHA256 {
		t.Errorf("payload %x", sum)
	}
	balance := new(big.Int)
	for rest := payload; len(rest) > 0; {
		n := binary.BigEndian.Uint32(rest)
		h := hmac.New(sha256.New, secret)
		h.Write(rest[4 : 4+n])
		balance.Add(balance, new(big.Int).SetBytes(h.Sum(nil)))
		rest = rest[4+n:]
	}
	balance.Mod(balance, new(big.Int).Lsh(big.NewInt(1), 256))
	sum := balance.FillBytes(make([]byte, 32))
	last := len(v.Entries)
	digest := sha256.Sum256(append(binary.BigEndian.AppendUint64([]byte("satchel/1 state"), uint64(last)), sum...))
	if hex.EncodeToString(sum) != v.State.Balance || hex.EncodeToString(digest[:]) != v.Entries[last-1].Digest {
		t.Errorf("balance %x, digest %x", sum, digest)
	}
}

func TestCreate(t *testing.T) {
	p := people()
	list := []seal.Principal{p.office.Principal}
	hook := errors.New("from the hook")
	s := storetest.NewMemory()
	if _, err := Create(ctx, s, testKeys, testRepo, p.office, list, chance, func(Hash) error { return hook }); err != hook {
		t.Errorf("the hook's error: %v", err)
	}
	if _, err := s.Get(ctx, Name(1), 0, -1); err == nil {
		t.Error("an entry although the keys could not be written")
	}
	for _, mode := range []storetest.Mode{storetest.Lost, storetest.Landed} {
		s := storetest.NewMemory()
		f := storetest.NewFaults(s)
		f.FailAt(0, mode)
		var told Hash
		h, err := Create(ctx, f, testKeys, testRepo, p.office, list, chance, func(h Hash) error { told = h; return nil })
		raw, there := s.Get(ctx, Name(1), 0, -1)
		if mode == storetest.Landed && (err != nil || there != nil || sumOf(raw) != h || told != h) {
			t.Errorf("answer lost: %v, %v", err, there)
		}
		if mode == storetest.Lost && (!errors.Is(err, storetest.ErrInjected) || there == nil) {
			t.Errorf("request lost: %v, %v", err, there)
		}
	}
	r := found(t)
	_, err := Create(ctx, r.store, testKeys, testRepo, p.office, list, chance, func(Hash) error { return nil })
	wantErr(t, "a second time", err, store.ErrExists)
}
