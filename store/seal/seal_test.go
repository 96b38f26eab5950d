package seal

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixed returns the same random bytes in every run, other ones for each seed.
func fixed(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

var testRepo = RepoID{0x5a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// testRing has the generations 1 and 2.
func testRing() *Keyring {
	r := fixed(1)
	return ok(ok(NewKeyring(r)).Next(r))
}

func ok[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// golden compares b with testdata/name, which is hexadecimal.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	if *update {
		var lines strings.Builder
		for rest := b; len(rest) > 0; rest = rest[min(32, len(rest)):] {
			fmt.Fprintf(&lines, "%x\n", rest[:min(32, len(rest))])
		}
		if err := os.WriteFile(filepath.Join("testdata", name), []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(hex.EncodeToString(readGolden(name)), hex.EncodeToString(b)); diff != "" {
		t.Errorf("%s (-file +now):\n%s", name, diff)
	}
}

func readGolden(name string) []byte {
	text := ok(os.ReadFile(filepath.Join("testdata", name)))
	return ok(hex.DecodeString(strings.Join(strings.Fields(string(text)), "")))
}

// sentinel is the one of this package's sentinels that err is, nil, or err itself.
func sentinel(err error) error {
	for _, s := range []error{ErrTooNew, ErrNoKey, ErrCorrupt, ErrWrongSecret} {
		if errors.Is(err, s) {
			return s
		}
	}
	return err
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if sentinel(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestRepoID(t *testing.T) {
	s := testRepo.String()
	if s != "5a0102030405060708090a0b0c0d0e0f" {
		t.Error(s)
	}
	if id := ok(ParseRepoID(s)); id != testRepo {
		t.Error(id)
	}
	for _, bad := range []string{"", s[1:], s + "00", strings.ToUpper(s), "zz" + s[2:], s + " "} {
		if id, err := ParseRepoID(bad); err == nil {
			t.Errorf("%q is %v", bad, id)
		}
	}
}

func TestNothingShowsKeys(t *testing.T) {
	ring := testRing()
	i := testIdentity(Device, 0)
	shown := fmt.Sprintf("%v %+v %v %v %+v %v %+v %v", ring, ring, *ring, ring.Masters, ring.Keys(testRepo), i, i, *i)
	for name, secret := range map[string][]byte{
		"master": ring.Masters[1].Key[:], "chunker": ring.Chunker[:], "seed": i.signing.Seed(), "PRK": ring.Keys(testRepo).prks[1],
	} {
		if strings.Contains(shown, hex.EncodeToString(secret[:4])) || strings.Contains(shown, fmt.Sprint(secret[:4])[1:10]) {
			t.Errorf("%s is in %q", name, shown)
		}
	}
	if strings.Contains(shown, "SECRET") {
		t.Error(shown)
	}
}
