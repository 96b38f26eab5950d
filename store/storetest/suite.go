// Package storetest tests stores and what is built on them.
//
//   - Run is the conformance suite: what store.Store promises, tested by behaviour. Every
//     driver passes it.
//   - Memory is a store in memory with a settable clock.
//   - Counter records what a program asks of a store.
//   - Faults makes chosen calls fail, with or without their effect.
//
// A driver's test is
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return storetest.NewMemory() }, storetest.Options{})
//	}
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"satchel/store"
)

// Options tune Run. The zero value is the whole suite.
type Options struct {
	Many int // objects in the largest listing; 12,000 if 0. Azure's third page begins at 5,101
}

// Run tests that the stores which open returns keep the promises of store.Store. Each
// subtest opens one: it is empty, and open cleans up through t.
func Run(t *testing.T, open func(t *testing.T) store.Store, opts Options) {
	if opts.Many == 0 {
		opts.Many = 12_000
	}
	for _, tt := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"PutThenGet", testPutThenGet},
		{"PutNeverOverwrites", testPutNeverOverwrites},
		{"PutOfOneNameHasOneWinner", testOneWinner},
		{"PutAfterLostAnswer", testLostAnswer},
		{"PutDoesNotKeepItsArgument", testNotRetained},
		{"GetExactRanges", testRanges},
		{"GetOfLargeObject", testLarge},
		{"MissingObject", testMissing},
		{"InvalidNames", testInvalidNames},
		{"ListSortsByBytes", testListOrder},
		{"ListPrefix", testListPrefix},
		{"ListOfNothing", testListNothing},
		{"ListSizeAndTime", testListSizeAndTime},
		{"ListWhileDeleting", testListWhileDeleting},
		{"ListOfMany", func(t *testing.T, s store.Store) { testListMany(t, s, opts.Many) }},
		{"DeleteFreesTheName", testDelete},
		{"CancelledContext", testCancelled},
		{"Now", testNow},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

func testPutThenGet(t *testing.T, s store.Store) {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	for name, data := range map[string][]byte{
		"satchel":              []byte(`{"magic":"satchel"}`),
		"a/empty":              {},
		"a/nil":                nil,
		"a/binary":             bytes.Repeat(all[:], 1000),
		"d/0-1/" + hex64('a'):  []byte("x"),
		"k/p/deep/and/deeper":  []byte("y"),
		"l/7ffffffffffffffe":   []byte("\r\n\x00\xff"),
		strings.Repeat("n", 9): []byte("plain"),
	} {
		put(t, s, name, data)
		wantObject(t, s, name, data)
	}
}

func testPutNeverOverwrites(t *testing.T, s store.Store) {
	for _, old := range []string{"old", ""} {
		name := fmt.Sprintf("a/%d", len(old))
		put(t, s, name, []byte(old))
		for _, data := range []string{"other bytes", old, ""} {
			if err := s.Put(t.Context(), name, []byte(data)); !errors.Is(err, store.ErrExists) {
				t.Errorf("second put: %v, want ErrExists", err)
			}
		}
		wantObject(t, s, name, []byte(old))
	}
}

func testOneWinner(t *testing.T, s store.Store) {
	const writers, rounds = 16, 4
	for round := range rounds {
		name := fmt.Sprintf("l/%d", round)
		var wins atomic.Int64
		var winner atomic.Int64
		var g errgroup.Group
		for i := range writers {
			g.Go(func() error {
				err := s.Put(t.Context(), name, writersBytes(i))
				if err == nil {
					wins.Add(1)
					winner.Store(int64(i))
				} else if !errors.Is(err, store.ErrExists) {
					return fmt.Errorf("writer %d: %w", i, err)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if wins.Load() != 1 {
			t.Fatalf("%d of %d writers of one name succeeded, want 1", wins.Load(), writers)
		}
		wantObject(t, s, name, writersBytes(int(winner.Load())))
	}
}

func writersBytes(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 10_000+i) }

func testLostAnswer(t *testing.T, s store.Store) {
	f := NewFaults(s)
	f.FailAt(0, Landed)
	if err := f.Put(t.Context(), "a/b", []byte("bytes")); !errors.Is(err, ErrInjected) {
		t.Fatalf("put: %v, want the injected fault", err)
	}
	if err := f.Put(t.Context(), "a/b", []byte("bytes")); !errors.Is(err, store.ErrExists) {
		t.Errorf("put again: %v, want ErrExists", err)
	}
	wantObject(t, s, "a/b", []byte("bytes"))
}

func testNotRetained(t *testing.T, s store.Store) {
	data := []byte("the caller's bytes")
	want := bytes.Clone(data)
	put(t, s, "a", data)
	if !bytes.Equal(data, want) {
		t.Errorf("put changed its argument to %q", data)
	}
	clear(data)
	wantObject(t, s, "a", want)
	clear(get(t, s, "a"))
	wantObject(t, s, "a", want)
}

func testRanges(t *testing.T, s store.Store) {
	data := []byte("0123456789")
	put(t, s, "a", data)
	put(t, s, "empty", nil)
	short := io.ErrUnexpectedEOF
	for _, tt := range []struct {
		name   string
		off, n int64
		want   string
		err    error
	}{
		{"a", 0, 10, "0123456789", nil},
		{"a", 0, 1, "0", nil},
		{"a", 3, 4, "3456", nil},
		{"a", 9, 1, "9", nil},
		{"a", 0, -1, "0123456789", nil},
		{"a", 4, -1, "456789", nil},
		{"a", 9, -1, "9", nil},
		{"a", 10, -1, "", nil},
		{"a", 0, 0, "", nil},
		{"a", 5, 0, "", nil},
		{"a", 10, 0, "", nil},
		{"a", 0, 11, "", short},
		{"a", 9, 2, "", short},
		{"a", 10, 1, "", short},
		{"a", 11, 0, "", short},
		{"a", 11, 1, "", short},
		{"a", 11, -1, "", short},
		{"a", 1, math.MaxInt64, "", short},
		{"a", math.MaxInt64, math.MaxInt64, "", short},
		{"empty", 0, -1, "", nil},
		{"empty", 0, 0, "", nil},
		{"empty", 0, 1, "", short},
		{"empty", 1, -1, "", short},
		{"none", 0, 0, "", store.ErrNotFound},
		{"none", 0, -1, "", store.ErrNotFound},
		{"none", 5, 5, "", store.ErrNotFound},
	} {
		got, err := s.Get(t.Context(), tt.name, tt.off, tt.n)
		if string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("get %s (%d, %d) = %q, %v; want %q, %v", tt.name, tt.off, tt.n, got, err, tt.want, tt.err)
		}
		if err != nil && got != nil {
			t.Errorf("get %s (%d, %d): bytes beside an error", tt.name, tt.off, tt.n)
		}
	}
	if _, err := s.Get(t.Context(), "a", -1, 1); err == nil {
		t.Error("get at a negative offset: no error")
	}
}

func testLarge(t *testing.T, s store.Store) {
	const size = 8 << 20
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	put(t, s, "d/large", data)
	wantObject(t, s, "d/large", data)
	for range 8 {
		off := rng.Int64N(size)
		n := rng.Int64N(size - off)
		got, err := s.Get(t.Context(), "d/large", off, n)
		if err != nil || !bytes.Equal(got, data[off:off+n]) {
			t.Errorf("get (%d, %d): %d bytes, error %v; or the bytes are wrong", off, n, len(got), err)
		}
	}
}

func testMissing(t *testing.T, s store.Store) {
	put(t, s, "l/1", []byte("x"))
	for _, name := range []string{"a", "l", "l/0", "l/10", "l/1-1", "m/n/o"} {
		if _, err := s.Get(t.Context(), name, 0, -1); !errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNoContainer) {
			t.Errorf("get %s: %v, want ErrNotFound", name, err)
		}
		if err := s.Delete(t.Context(), name); !errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNoContainer) {
			t.Errorf("delete %s: %v, want ErrNotFound", name, err)
		}
	}
	wantObject(t, s, "l/1", []byte("x"))
}

func testInvalidNames(t *testing.T, s store.Store) {
	for _, name := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "A", "a.b", "a b", "a?b", `a\b`, "-a", "a-", "é", "a\x00", strings.Repeat("x", 513)} {
		if err := s.Put(t.Context(), name, nil); err == nil || errors.Is(err, store.ErrExists) {
			t.Errorf("put %q: %v, want it refused", name, err)
		}
		if _, err := s.Get(t.Context(), name, 0, -1); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("get %q: %v, want it refused", name, err)
		}
		if err := s.Delete(t.Context(), name); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("delete %q: %v, want it refused", name, err)
		}
	}
	for _, prefix := range []string{"/", "a//", "..", "A", "a.", "a-/", "é"} {
		if rows, err := collect(s.List(t.Context(), prefix)); err == nil {
			t.Errorf("list %q: %d rows, want it refused", prefix, len(rows))
		}
	}
}

func testListOrder(t *testing.T, s store.Store) {
	names := []string{"a-b", "a-b-c", "a/b", "a/b-c/d", "a/b0", "a/c/d", "a0", "a0/b", "ab", "b/0/z", "b/00", "c", "l/7", "l/7-1/x", "l0"}
	// A folder cannot hold both of a name and names beneath it.
	names = slices.DeleteFunc(names, func(n string) bool { return n == "a0" || n == "l/7" })
	shuffled := slices.Clone(names)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, name := range shuffled {
		put(t, s, name, []byte(name))
	}
	wantList(t, s, "", names)
	wantList(t, s, "a", filter(names, "a"))
	wantList(t, s, "a/b", filter(names, "a/b"))
}

func testListPrefix(t *testing.T, s store.Store) {
	names := []string{"k/1/ring", "k/p/x", "l/7e", "l/7f0", "l/7f1", "l/80", "l0/7f", "satchel"}
	for _, name := range names {
		put(t, s, name, nil)
	}
	for _, prefix := range []string{"", "k", "k/", "k/p", "k/p/", "l", "l/", "l/7", "l/7f", "l/7f0", "l/7f00", "l/9", "m", "m/", "s", "satchel", "satchels", "satchel/", "l0/", "k/p/x/y"} {
		wantList(t, s, prefix, filter(names, prefix))
	}
}

func testListNothing(t *testing.T, s store.Store) {
	for _, prefix := range []string{"", "l", "l/", "l/7f", "d/1/"} {
		wantList(t, s, prefix, nil)
	}
}

func testListSizeAndTime(t *testing.T, s store.Store) {
	sizes := map[string]int64{"a": 0, "b": 1, "c/d": 100_000}
	for name, size := range sizes {
		put(t, s, name, make([]byte, size))
	}
	rows, err := collect(s.List(t.Context(), ""))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, o := range rows {
		got[o.Name] = o.Size
		if d := s.Now().Sub(o.Time); d.Abs() > plausible {
			t.Errorf("%s was written %v before the store's now", o.Name, d)
		}
	}
	if diff := cmp.Diff(sizes, got); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
}

// plausible is how far a store's clock may be off in a test, where both run on one machine.
const plausible = 2 * time.Minute

func testListWhileDeleting(t *testing.T, s store.Store) {
	for i := range 20 {
		put(t, s, fmt.Sprintf("d/%d/x", i), nil)
	}
	n := 0
	for o, err := range s.List(t.Context(), "d/") {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), o.Name); err != nil {
			t.Error(err)
		}
		n++
	}
	if n != 20 {
		t.Errorf("%d rows, want 20", n)
	}
	wantList(t, s, "", nil)
}

func testListMany(t *testing.T, s store.Store, many int) {
	names := make([]string, many)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range names {
		names[i] = fmt.Sprintf("d/%x/%06x", i%3, i)
		g.Go(func() error { return s.Put(t.Context(), names[i], []byte{byte(i)}) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	wantList(t, s, "", names)
	wantList(t, s, "d/1/", filter(names, "d/1/"))

	n := 0
	for o, err := range s.List(t.Context(), "d/") {
		if err != nil || o.Name != names[n] {
			t.Fatalf("row %d: %v, %v; want %s", n, o, err, names[n])
		}
		if n++; n == min(many, 150) { // in the second page, where there are pages
			break
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n = 0
	var last error
	for _, err := range s.List(ctx, "d/") {
		cancel()
		n++
		last = err
	}
	if n > many || last != nil && !errors.Is(last, context.Canceled) || many > 5000 && last == nil {
		t.Errorf("cancelled at the first row: %d rows, error %v; want an end with context.Canceled", n, last)
	}
}

func testDelete(t *testing.T, s store.Store) {
	put(t, s, "a/b/c", []byte("old"))
	put(t, s, "a/b/d", []byte("other"))
	if err := s.Delete(t.Context(), "a/b/c"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a/b/c", 0, -1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get of what was deleted: %v, want ErrNotFound", err)
	}
	if err := s.Delete(t.Context(), "a/b/c"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("second delete: %v, want ErrNotFound", err)
	}
	wantList(t, s, "a", []string{"a/b/d"})
	put(t, s, "a/b/c", []byte("new"))
	wantObject(t, s, "a/b/c", []byte("new"))
	wantObject(t, s, "a/b/d", []byte("other"))
}

func testCancelled(t *testing.T, s store.Store) {
	put(t, s, "a", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := s.Get(ctx, "a", 0, -1)
	_, listErr := collect(s.List(ctx, ""))
	for op, err := range map[string]error{
		"put": s.Put(ctx, "b", []byte("y")), "get": getErr, "list": listErr, "delete": s.Delete(ctx, "a"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", op, err)
		}
	}
	wantList(t, s, "", []string{"a"})
}

func testNow(t *testing.T, s store.Store) {
	put(t, s, "a", nil)
	if d := time.Since(s.Now()); d.Abs() > plausible {
		t.Errorf("the store's clock is %v behind", d)
	}
	if a, b := s.Now(), s.Now(); b.Before(a) {
		t.Errorf("the store's clock went back from %v to %v", a, b)
	}
}

func hex64(c byte) string { return strings.Repeat(string(c), 64) }

func put(t *testing.T, s store.Store, name string, data []byte) {
	t.Helper()
	if err := s.Put(t.Context(), name, data); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s store.Store, name string) []byte {
	t.Helper()
	data, err := s.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func wantObject(t *testing.T, s store.Store, name string, want []byte) {
	t.Helper()
	if got := get(t, s, name); !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes that are not the %d put there", name, len(got), len(want))
	}
}

func wantList(t *testing.T, s store.Store, prefix string, want []string) {
	t.Helper()
	rows, err := collect(s.List(t.Context(), prefix))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range rows {
		got = append(got, o.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list %q (-want +got):\n%s", prefix, diff)
	}
}

// collect takes a whole listing, and checks that an error ends it.
func collect(seq iter.Seq2[store.Object, error]) ([]store.Object, error) {
	var rows []store.Object
	var failed error
	for o, err := range seq {
		switch {
		case failed != nil:
			return nil, errors.New("the listing goes on after its error")
		case err != nil && o != (store.Object{}):
			return nil, fmt.Errorf("an object beside the error %w", err)
		case err != nil:
			failed = err
		default:
			rows = append(rows, o)
		}
	}
	return rows, failed
}

func filter(names []string, prefix string) []string {
	var out []string
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	return out
}
