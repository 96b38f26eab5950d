package check_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/snapshot"
	"satchel/snapshot/check"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// lengths are the classes of length at which an object is cut: around a header, and its end.
func lengths(size int) []int {
	var out []int
	for _, n := range []int{0, 1, seal.HeaderSize - 1, seal.HeaderSize, seal.HeaderSize + 1, size / 2, size - 1} {
		if n >= 0 && n < size && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// A damage is something done to one object.
type damage struct {
	what, kind, object string
	do                 func(*storetest.Memory)
	head               bool // the newest ledger entry is not what it was
}

// damages does everything but flipping bits to every object.
func damages(t *testing.T, r *repo) (out []damage) {
	get := func(name string) []byte {
		b, err := r.store.Get(ctx, name, 0, -1)
		must(t, err)
		return b
	}
	for _, kind := range slices.Sorted(maps.Keys(r.objects)) {
		for _, name := range r.objects[kind] {
			add := func(what string, change func([]byte) []byte) {
				out = append(out, damage{what: what, kind: kind, object: name, do: func(m *storetest.Memory) { m.Corrupt(name, change) }})
			}
			for _, n := range lengths(len(get(name))) {
				add(fmt.Sprintf("cut to %d", n), func(b []byte) []byte { return b[:n:n] })
			}
			add("removed", func([]byte) []byte { return nil })
			add("longer", func(b []byte) []byte { return append(b, 0) })
			with, older := r.others[kind], r.others[kind]
			if i := slices.Index(r.objects[kind], name); len(r.objects[kind]) > 1 {
				n := len(r.objects[kind])
				with, older = get(r.objects[kind][(i+1)%n]), get(r.objects[kind][(i+n-1)%n])
				swap := r.objects[kind][(i+1)%n]
				out = append(out, damage{what: "swapped with " + swap, kind: kind, object: name, do: func(m *storetest.Memory) {
					m.Corrupt(name, func([]byte) []byte { return with })
					m.Corrupt(swap, func([]byte) []byte { return get(name) })
				}})
			} else {
				add("swapped with another", func([]byte) []byte { return with })
			}
			add("replaced by an older one", func([]byte) []byte { return older })
		}
	}
	return out
}

// TestCheckNamesEveryDamage damages each kind of object in each way but bit flips.
func TestCheckNamesEveryDamage(t *testing.T) {
	t.Parallel()
	r := whole(t)
	for _, d := range damages(t, r) {
		m := r.store.Clone()
		d.do(m)
		rep := r.check(t, m, check.Options{Decrypt: true})
		named(t, r, rep, m, d)
	}
}

// named compares a report with one damage that was done: the object is named, and so are the
// paths that cannot be read any more, and no others.
func named(t *testing.T, r *repo, rep *check.Report, s store.Store, d damage) {
	t.Helper()
	p, ok := problemOf(rep, d.object)
	if !ok || p.Severity != check.Damage {
		t.Errorf("%s %s: %+v", d.object, d.what, rep.Problems)
		return
	}
	if d.kind != "d" && d.kind != "t" {
		for _, q := range rep.Problems {
			if len(q.Hurts) > 0 {
				t.Errorf("%s %s hurts %v", d.object, d.what, q.Hurts)
			}
		}
		return
	}
	got := map[string]bool{}
	for _, q := range rep.Problems {
		for _, h := range q.Hurts {
			for _, v := range h.Snapshots() {
				got[hex.EncodeToString(v[:4])+" "+h.Path] = true
			}
		}
	}
	if diff := cmp.Diff(unreadable(t, r, s), got); diff != "" {
		t.Errorf("%s %s: cannot be read (-), is said to be hurt (+):\n%s", d.object, d.what, diff)
	}
}

// unreadable reads everything in every snapshot, and returns what cannot be read.
func unreadable(t *testing.T, r *repo, s store.Store) map[string]bool {
	t.Helper()
	reader, err := snapshot.NewReader(s, r.office.Access.Keys, r.office.Index)
	must(t, err)
	out := map[string]bool{}
	for _, v := range r.office.State().Snapshots(ledger.Workspace{}) {
		note := func(path string, err error) {
			if err != nil {
				out[hex.EncodeToString(v.ID[:4])+" "+path] = true
			}
		}
		_, err := reader.Manifest(ctx, v.ID)
		note("", err)
		var walk func(id pack.ID, dir string)
		walk = func(id pack.ID, dir string) {
			es, err := reader.Entries(ctx, id)
			note(dir+"/", err)
			for i := range es {
				path := strings.TrimPrefix(dir+"/"+string(es[i].Name), "/")
				if es[i].Type == snapshot.Dir {
					walk(es[i].Node, path)
				} else {
					note(path, reader.Content(ctx, &es[i], func([]byte) error { return nil }))
				}
			}
		}
		walk(v.Root, "")
	}
	return out
}

// TestCheckNamesEveryFlippedBit flips one bit at a random place of a random object, 500 times.
func TestCheckNamesEveryFlippedBit(t *testing.T) {
	t.Parallel()
	r := whole(t)
	for seed := range uint64(500) {
		m, d := flip(t, r, seed)
		rep := r.check(t, m, check.Options{Decrypt: true})
		if p, ok := problemOf(rep, d.object); !ok || p.Severity != check.Damage {
			t.Errorf("seed %d: %s %s: %+v", seed, d.object, d.what, rep.Problems)
		}
		if seed%20 == 0 {
			named(t, r, rep, m, d)
		}
	}
}

// flip flips one bit, chosen by seed: each kind as often as the others.
func flip(t *testing.T, r *repo, seed uint64) (*storetest.Memory, damage) {
	t.Helper()
	rnd := mathrand.New(mathrand.NewPCG(seed, 1))
	kinds := slices.Sorted(maps.Keys(r.objects))
	kind := kinds[rnd.IntN(len(kinds))]
	name := r.objects[kind][rnd.IntN(len(r.objects[kind]))]
	m := r.store.Clone()
	d := damage{kind: kind, object: name}
	m.Corrupt(name, func(b []byte) []byte {
		at, bit := rnd.IntN(len(b)), rnd.IntN(8)
		if seed%3 == 0 { // headers and footers are small
			at = min(rnd.IntN(120), len(b)-1)
		}
		d.what = fmt.Sprintf("bit %d of byte %d of %d", bit, at, len(b))
		b[at] ^= 1 << bit
		return b
	})
	return m, d
}

// TestPullOfADamagedRepositoryIsRightOrNothing pulls the newest snapshot onto a device that
// has the one before, and onto one that has nothing.
func TestPullOfADamagedRepositoryIsRightOrNothing(t *testing.T) {
	t.Parallel()
	r := whole(t)
	all := damages(t, r)
	for seed := range uint64(500) {
		if seed%5 == 0 {
			_, d := flip(t, r, seed)
			d.do = func(m *storetest.Memory) {
				m.Corrupt(d.object, func([]byte) []byte { return flipped(t, r, seed, d.object) })
			}
			all = append(all, d)
		}
	}
	for i, d := range all {
		if testing.Short() && i%10 != 0 {
			continue
		}
		m := r.store.Clone()
		d.do(m)
		d.head = !bytes.Equal(headOf(m), headOf(r.store))
		known := again(t, r.home, m)
		right(t, r, d, "a known device", known, pull(known), r.third)
		discard(known)

		m = r.store.Clone()
		d.do(m)
		var blank *snapshottest.Device
		var err error
		if slices.Contains([]string{"satchel", "p", "slot", "ring"}, d.kind) {
			blank, err = join(outlives{t}, r, m)
		} else {
			blank = again(t, r.home, m, "index.db", "state/*/ledger.db")
			must(t, os.RemoveAll(blank.Root))
			must(t, os.Mkdir(blank.Root, 0o755))
			blank.Lineage.Base = pack.ID{}
		}
		if err == nil {
			err = pull(blank)
		}
		right(t, r, d, "a new device", blank, err, map[string]string{})
		if blank != nil {
			discard(blank)
		}
	}
}

// headOf is the bytes of the newest entry of the whole repository, nil if it is gone.
func headOf(m *storetest.Memory) []byte {
	b, _ := m.Get(ctx, ledger.Name(shared.office.State().Position()), 0, -1)
	return b
}

func flipped(t *testing.T, r *repo, seed uint64, name string) []byte {
	m, _ := flip(t, r, seed)
	b, err := m.Get(ctx, name, 0, -1)
	must(t, err)
	return b
}

// right says what is allowed after a pull: all is as the newest snapshot has it, or there was an
// error that speaks of damage and all is as it was.
func right(t *testing.T, r *repo, d damage, who string, dev *snapshottest.Device, err error, before map[string]string) {
	t.Helper()
	now := map[string]string{}
	if dev != nil {
		now = contents(t, dev.Root)
	}
	want := before
	if err == nil {
		want = r.newest
	}
	if diff := cmp.Diff(brief(want), brief(now)); diff != "" {
		if d.head && err == nil && cmp.Equal(now, r.third) {
			return // who has not seen the newest entry cannot know that it was there
		}
		t.Errorf("%s %s: %s (%v) has\n%s", d.object, d.what, who, err, diff)
	}
	if err == nil {
		return
	}
	speaks := []error{ledger.ErrDamaged, ledger.ErrRollback, pack.ErrDamaged, snapshot.ErrMissing, snapshot.ErrTree, access.ErrDamaged, access.ErrOther}
	switch {
	case d.kind == "p":
		speaks = append(speaks, access.ErrSecret) // a key that is gone, or has another salt, is one that this secret does not open
	case d.kind == "satchel":
		speaks = append(speaks, access.ErrNoRepository, ledger.ErrTooNew) // without it there is none; nothing vouches for what it says
	case d.head || d.kind == "ring":
		speaks = append(speaks, ledger.ErrTooNew, seal.ErrTooNew, seal.ErrNoKey) // nor for the format and generation of these
	}
	if !slices.ContainsFunc(speaks, func(target error) bool { return errors.Is(err, target) }) {
		t.Errorf("%s %s: %s: %v", d.object, d.what, who, err)
	}
}

// brief makes a difference short.
func brief(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = fmt.Sprintf("%d bytes %x", len(v), pack.Sum([]byte(v)))
	}
	return out
}
