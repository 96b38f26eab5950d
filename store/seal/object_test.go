package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/iotest"
)

var wholeKinds = []Kind{Ledger, State, Segment, Journal, Ring}

// keysFor returns the keys that are right for a kind, at generation 2.
func keysFor(kind Kind) *Keys {
	if kind == Ring {
		return KEK(testRepo, 2, [32]byte{7})
	}
	return testRing().Keys(testRepo)
}

// TestSealedAsFormatSays does FORMAT §2 again, step by step and with HMAC only.
func TestSealedAsFormatSays(t *testing.T) {
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(bytes.Join(parts, nil))
		return h.Sum(nil)
	}
	ring := testRing()
	payload := []byte("the payload of entry 3")
	object := ok(ring.Keys(testRepo).SealObject(Ledger, 3, payload, fixed(2)))

	header := append([]byte("satchel\n"), 1, 1, 0, 0, 0, 0, 0, 2)
	salt := make([]byte, 32)
	ok(fixed(2).Read(salt))
	header = append(header, salt...)
	prk := mac(append([]byte("satchel/1"), testRepo[:]...), ring.Masters[1].Key[:])
	info := append([]byte("objectl"), header...)
	key := mac(prk, info, []byte{1})
	header = append(header, mac(prk, key, info, []byte{2})...)

	nonce := []byte{4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 80}
	aad := append(bytes.Clone(header), 4, 0, 0, 0, 0, 0, 0, 0, 3)
	plain := append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
	plain = append(plain, make([]byte, 128-80-16-len(plain))...) // Padmé(122) = 128
	want := ok(cipher.NewGCM(ok(aes.NewCipher(key)))).Seal(header, nonce, plain, aad)
	if !bytes.Equal(object, want) {
		t.Errorf("sealed\n%x, want\n%x", object, want)
	}
}

func TestGoldenObjects(t *testing.T) {
	for _, kind := range wholeKinds {
		t.Run(kind.String(), func(t *testing.T) {
			payload := []byte("payload of a " + kind.String())
			object := ok(keysFor(kind).SealObject(kind, 7, payload, fixed(byte(kind))))
			golden(t, fmt.Sprintf("object-%c.hex", kind), object)
			got, err := keysFor(kind).OpenObject(kind, 7, readGolden(fmt.Sprintf("object-%c.hex", kind)))
			if err != nil || !bytes.Equal(got, payload) {
				t.Errorf("opens to %q, %v", got, err)
			}
		})
	}
}

func TestGoldenPack(t *testing.T) {
	for _, kind := range []Kind{Data, Tree} {
		t.Run(kind.String(), func(t *testing.T) {
			s := ok(keysFor(kind).NewSealer(kind, fixed(byte(kind))))
			pack := bytes.Clone(s.Header())
			parts := []Domain{Frame, Frame, Directory, Footer}
			plain := []byte("twelve bytes")
			for _, d := range parts {
				pack = s.Seal(pack, plain, d, uint64(len(pack)))
			}
			golden(t, fmt.Sprintf("pack-%c.hex", kind), pack)

			o := ok(keysFor(kind).Opener(kind, pack))
			again := ok(keysFor(kind).Reopen(kind, pack[:HeadSize]))
			for at, rest := HeaderSize, parts; len(rest) > 0; rest = rest[1:] {
				end := at + len(plain) + Overhead
				for _, open := range []func([]byte, []byte, Domain, uint64) ([]byte, error){o.Open, again.Open, s.Open} {
					if got, err := open([]byte("> "), pack[at:end], rest[0], uint64(at)); err != nil || string(got) != "> twelve bytes" {
						t.Errorf("%d at %d: %q, %v", rest[0], at, got, err)
					}
					_, err := open(nil, pack[at:end], rest[0]%Whole+1, uint64(at))
					wantErr(t, "other domain", err, ErrCorrupt)
					_, err = open(nil, pack[at:end], rest[0], uint64(at+1))
					wantErr(t, "other offset", err, ErrCorrupt)
					_, err = open(nil, pack[at:end-1], rest[0], uint64(at))
					wantErr(t, "cut off", err, ErrCorrupt)
					_, err = open(nil, nil, rest[0], uint64(at))
					wantErr(t, "nothing", err, ErrCorrupt)
				}
				at = end
			}
		})
	}
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	keys := keysFor(Segment)
	object := ok(keys.SealObject(Segment, 0, []byte("abc"), fixed(3)))
	pack := ok(keys.NewSealer(Data, fixed(3))).Header()
	want := func(at int) error {
		switch at {
		case atFormat, atSuite, atIncompatible:
			return ErrTooNew
		case atGeneration, atGeneration + 1, atGeneration + 2, atGeneration + 3:
			return ErrNoKey
		}
		return ErrCorrupt
	}
	for at := range object {
		for _, mask := range []byte{0x80, 0x10} {
			object[at] ^= mask
			_, err := keys.OpenObject(Segment, 0, object)
			wantErr(t, fmt.Sprintf("object, byte %d", at), err, want(at))
			object[at] ^= mask
			if at < HeaderSize {
				flipped := bytes.Clone(pack)
				flipped[at] ^= mask
				_, err := keys.Opener(Data, flipped)
				wantErr(t, fmt.Sprintf("pack, byte %d", at), err, want(at))
			}
		}
	}
	for n := range object {
		if _, err := keys.OpenObject(Segment, 0, object[:n]); sentinel(err) != ErrCorrupt {
			t.Errorf("%d bytes of %d: %v", n, len(object), err)
		}
	}
	_, err := keys.OpenObject(Segment, 0, append(object, 0))
	wantErr(t, "a byte more", err, ErrCorrupt)
	_, err = keys.OpenObject(Segment, 0, append(object, make([]byte, Segment.Limit())...))
	wantErr(t, "beyond the limit", err, ErrCorrupt)
}

func TestOpensAsWhatItWasOnly(t *testing.T) {
	keys := keysFor(Ledger)
	entry := ok(keys.SealObject(Ledger, 5, []byte("entry"), fixed(4)))
	_, err := keys.OpenObject(Ledger, 6, entry)
	wantErr(t, "other position", err, ErrCorrupt)
	_, err = keys.OpenObject(State, 5, entry)
	wantErr(t, "other kind", err, ErrCorrupt)
	_, err = testRing().Keys(RepoID{9}).OpenObject(Ledger, 5, entry)
	wantErr(t, "other repository", err, ErrCorrupt)

	state := ok(keys.SealObject(State, 5, []byte("state"), fixed(4)))
	if _, err := keys.OpenObject(State, 6, state); err != nil {
		t.Errorf("the position of a state matters: %v", err)
	}
	ring := ok(keysFor(Ring).SealObject(Ring, 0, testRing().Encode(), fixed(4)))
	_, err = KEK(testRepo, 2, [32]byte{8}).OpenObject(Ring, 0, ring)
	wantErr(t, "other KEK", err, ErrCorrupt)
	_, err = KEK(testRepo, 1, [32]byte{7}).OpenObject(Ring, 0, ring)
	wantErr(t, "other generation of KEK", err, ErrNoKey)
}

func TestOlderGenerationOpensNewerDoesNot(t *testing.T) {
	one := ok(NewKeyring(fixed(1)))
	two := ok(one.Next(fixed(2)))
	old := ok(one.Keys(testRepo).SealObject(State, 0, []byte("old"), fixed(5)))
	young := ok(two.Keys(testRepo).SealObject(State, 0, []byte("young"), fixed(5)))
	if got, err := two.Keys(testRepo).OpenObject(State, 0, old); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	_, err := one.Keys(testRepo).OpenObject(State, 0, young)
	var missing *GenerationError
	if !errors.Is(err, ErrNoKey) || !errors.As(err, &missing) || missing.Generation != 2 {
		t.Errorf("newer generation: %v", err)
	}
	if g := two.Keys(testRepo).Generation(); g != 2 {
		t.Errorf("seals with generation %d", g)
	}
}

func TestPlaintextThatLies(t *testing.T) {
	keys := keysFor(Journal)
	// build seals any plaintext in a whole object, whatever its size.
	build := func(plain []byte) []byte {
		b := ok(keys.sealing(Journal, 0, fixed(6)))
		return b.seal(bytes.Clone(b.header[:]), plain, Whole, HeaderSize)
	}
	// Padmé gives 104, 112, 120, 128, 136: multiples of 8 below 256.
	for name, c := range map[string]struct {
		plain []byte
		good  bool
	}{
		"as it should be":          {[]byte("\x00\x00\x00\x03abc\x00"), true},
		"empty":                    {make([]byte, 8), true},
		"full":                     {[]byte("\x00\x00\x00\x04abcd"), true},
		"filler is not zero":       {[]byte("\x00\x00\x00\x03abc\x01"), false},
		"longer than it is":        {[]byte("\x00\x00\x00\x05abcd"), false},
		"much longer":              {[]byte("\xff\xff\xff\xffabcd"), false},
		"padded to the next size":  {append([]byte("\x00\x00\x00\x03abc"), make([]byte, 9)...), false},
		"not padded":               {[]byte("\x00\x00\x00\x03abc"), false},
		"shorter than a length":    {make([]byte, 3), false},
		"nothing":                  {nil, false},
		"filler of a smaller size": {append([]byte("\x00\x00\x00\x00"), make([]byte, 12)...), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := keys.OpenObject(Journal, 0, build(c.plain))
			if c.good && err != nil || !c.good && !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
		})
	}
}

func TestUnknownFlags(t *testing.T) {
	keys := keysFor(State)
	b := ok(keys.sealing(State, 0, fixed(7)))
	for _, flag := range []int{atCompatible, atIncompatible} {
		h := b.header
		h[flag] = 4
		key, commitment := expand(keys.prks[2], State, &h)
		copy(h[atCommitment:], commitment)
		object := newBox(key, State, h, 0).seal(bytes.Clone(h[:]), make([]byte, 8), Whole, HeaderSize)
		_, err := keys.OpenObject(State, 0, object)
		if flag == atCompatible && (err != nil || !ReadOnly(object)) {
			t.Errorf("compatible bit: %v, read only %v", err, ReadOnly(object))
		}
		if flag == atIncompatible {
			wantErr(t, "incompatible bit", err, ErrTooNew)
		}
	}
	if ReadOnly(b.header[:]) || ReadOnly(nil) {
		t.Error("no unknown bit, and yet read only")
	}
}

func TestKeysAreForTheirKinds(t *testing.T) {
	ring, kek := keysFor(State), keysFor(Ring)
	for name, err := range map[string]error{
		"pack in one piece":     second(ring.SealObject(Data, 0, nil, fixed(1))),
		"open pack whole":       second(ring.OpenObject(Tree, 0, nil)),
		"entry in parts":        second(ring.NewSealer(Ledger, fixed(1))),
		"open entry in parts":   second(ring.Opener(Ledger, make([]byte, 80))),
		"reopen entry in parts": second(ring.Reopen(Ledger, make([]byte, 48))),
		"ring by master key":    second(ring.SealObject(Ring, 0, nil, fixed(1))),
		"state by KEK":          second(kek.SealObject(State, 0, nil, fixed(1))),
		"pack by KEK":           second(kek.NewSealer(Data, fixed(1))),
		"open state by KEK":     second(kek.OpenObject(State, 0, make([]byte, 104))),
		"unknown kind":          second(ring.SealObject('?', 0, nil, fixed(1))),
		"short head":            second(ring.Reopen(Data, make([]byte, 47))),
		"no randomness":         second(ring.SealObject(State, 0, nil, iotest.ErrReader(errors.New("dry")))),
		"no randomness, pack":   second(ring.NewSealer(Data, iotest.ErrReader(errors.New("dry")))),
		"payload too long":      second(ring.SealObject(Ledger, 1, make([]byte, Ledger.MaxPayload()+1), fixed(1))),
	} {
		if err == nil || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := (&Keyring{}).Keys(testRepo).NewSealer(Data, fixed(1))
	wantErr(t, "empty keyring", err, ErrNoKey)
}

func second[T any](_ T, err error) error { return err }

func TestLargestObject(t *testing.T) {
	for kind, d := range kinds {
		if got := WholeSize(kind.MaxPayload()); got != d.limit {
			t.Errorf("%v: the largest is %d bytes, the limit %d", kind, got, d.limit)
		}
		if WholeSize(kind.MaxPayload()+1) <= d.limit {
			t.Errorf("%v: a larger one would fit", kind)
		}
	}
	payload := bytes.Repeat([]byte("x"), Ledger.MaxPayload())
	object := ok(keysFor(Ledger).SealObject(Ledger, 1, payload, fixed(8)))
	if got, err := keysFor(Ledger).OpenObject(Ledger, 1, object); err != nil || !bytes.Equal(got, payload) {
		t.Error(err)
	}
}

func TestPadme(t *testing.T) {
	for n, want := range map[uint64]uint64{
		0: 0, 1: 1, 2: 2, 3: 3, 7: 7, 8: 8, 9: 10, 15: 16, 17: 18, 100: 104, 104: 104, 105: 112, 255: 256, 257: 272, 1000: 1024,
		1025: 1088, 1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + 1<<15, 32<<20 + 1: 32<<20 + 1<<20, 1<<32 + 1: 1<<32 + 1<<26, 1 << 63: 1 << 63,
	} {
		if got := Padme(n); got != want {
			t.Errorf("Padme(%d) = %d, want %d", n, got, want)
		}
	}
	last := uint64(0)
	for n := uint64(1); n < 1<<16; n++ {
		p := Padme(n)
		if p < n || p < last || Padme(p) != p || float64(p) > 1.12*float64(n) {
			t.Fatalf("Padme(%d) = %d after %d", n, p, last)
		}
		last = p
	}
}

func TestSealInPlaceAndConcurrently(t *testing.T) {
	s := ok(keysFor(Data).NewSealer(Data, fixed(9)))
	o := ok(keysFor(Data).Opener(Data, s.Header()))
	const size, count = 1000, 16
	pack := make([]byte, count*(size+Overhead))
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() {
			part := pack[i*(size+Overhead) : (i+1)*(size+Overhead)]
			plain := part[:size]
			for j := range plain {
				plain[j] = byte(i)
			}
			s.Seal(plain[:0], plain, Frame, uint64(i))
			if _, err := o.Open(part[:0], part, Frame, uint64(i)); err != nil || part[0] != byte(i) {
				t.Errorf("part %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func FuzzOpenObject(f *testing.F) {
	keys := keysFor(Segment)
	f.Add(ok(keys.SealObject(Segment, 0, []byte("abc"), fixed(3))), []byte{})
	f.Add(readGolden("object-l.hex"), []byte("\x00\x00\x00\x03abc\x00"))
	f.Add([]byte(magic), []byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, object, plain []byte) {
		if _, err := keys.OpenObject(Segment, 0, object); err == nil && !bytes.Equal(object[:HeaderSize], ok(keys.SealObject(Segment, 0, nil, fixed(3)))[:HeaderSize]) {
			t.Error("a forgery")
		}
		b := ok(keys.sealing(Segment, 0, fixed(3)))
		object = b.seal(bytes.Clone(b.header[:]), plain, Whole, HeaderSize)
		if payload, err := keys.OpenObject(Segment, 0, object); err == nil {
			if again := ok(keys.SealObject(Segment, 0, payload, fixed(3))); !bytes.Equal(again, object) {
				t.Errorf("opens, and is sealed as\n%x, not\n%x", again, object)
			}
		}
	})
}

func BenchmarkSeal1MiB(b *testing.B) {
	s := ok(keysFor(Data).NewSealer(Data, fixed(9)))
	plain, dst := make([]byte, 1<<20), make([]byte, 0, 1<<20+Overhead)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		s.Seal(dst, plain, Frame, 80)
	}
}

func BenchmarkOpener(b *testing.B) {
	keys := keysFor(Data)
	header := ok(keys.NewSealer(Data, fixed(9))).Header()
	b.ReportAllocs()
	for b.Loop() {
		ok(keys.Opener(Data, header))
	}
}
