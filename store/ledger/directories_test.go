package ledger

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"satchel/store"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// got collects what Directories hands on.
func got(t testing.TB, l *Log, want []Pack) (map[pack.Key][]byte, error) {
	t.Helper()
	out := map[pack.Key][]byte{}
	err := l.Directories(ctx, want, func(p Pack, enc []byte) error {
		if _, twice := out[p.Key]; twice {
			t.Errorf("%s twice", p.Key.Name())
		}
		if sha256.Sum256(enc) != p.Hash {
			t.Errorf("%s: a directory of another hash", p.Key.Name())
		}
		out[p.Key] = enc
		return nil
	})
	return out, err
}

// register makes n packs and registers them: with their directories in the entry, in
// a segment, or nowhere but in the packs.
func (r *repo) register(l *Log, n int, where string) (refs []PackRef) {
	r.t.Helper()
	_, err := l.Append(ctx, people().home, Register, func(s *State) (any, error) {
		var c RegisterContent
		var entries []pack.Entry
		for i := range n {
			ref, _ := r.realPack(s.Position(), byte(int(s.Position())*20+i))
			refs = append(refs, ref)
			entries = append(entries, pack.Entry{Key: ref.Key, Size: ref.Size, Directory: ref.Directory})
			if where != "entry" {
				ref.Directory = nil
			}
			c.Packs = append(c.Packs, ref)
		}
		if where == "segment" {
			for _, payload := range pack.EncodeSegments(entries) {
				c.Segments = append(c.Segments, ok(PutSealed(ctx, r.store, testKeys, seal.Segment, payload, chance)))
			}
		}
		return c, nil
	})
	check(r.t, err)
	return refs
}

func TestDirectoriesFromTheCheapestPlace(t *testing.T) {
	for where, requests := range map[string]int{"entry": 0, "segment": 1, "pack": 5} {
		t.Run(where, func(t *testing.T) {
			r := found(t)
			l := r.device(people().home)
			refs := r.register(l, 5, where)
			c := storetest.NewCounter(r.store)
			l = r.again(l, c)
			dirs, err := got(t, l, l.State().Packs())
			check(t, err)
			for _, ref := range refs {
				if !bytes.Equal(dirs[ref.Key], ref.Directory) {
					t.Errorf("%s: %x", ref.Key.Name(), dirs[ref.Key])
				}
			}
			if c.Total() != requests || len(dirs) != 5 {
				t.Errorf("%d requests for %d directories: %v", c.Total(), len(dirs), c.Names(storetest.Get))
			}
			if dirs, err := got(t, l, nil); len(dirs) != 0 || err != nil {
				t.Errorf("of none: %v, %v", dirs, err)
			}
			twice := append(l.State().Packs(), l.State().Packs()...)
			if dirs, err := got(t, l, twice); len(dirs) != 5 || err != nil {
				t.Errorf("asked for twice: %d, %v", len(dirs), err)
			}
		})
	}
}

func TestDirectoriesComeInTheLedgersOrder(t *testing.T) {
	r := found(t)
	l := r.device(people().home)
	for range 8 {
		r.register(l, 1, "entry")
	}
	var positions []uint64
	check(t, l.Directories(ctx, l.State().Packs(), func(p Pack, _ []byte) error {
		positions = append(positions, p.Position)
		return nil
	}))
	if len(positions) != 8 || !slices.IsSorted(positions) {
		t.Errorf("%d", positions)
	}
}

// A new device has not read the entries before the checkpoint: the checkpoint's segment
// has what they carried.
func TestDirectoriesOfANewDevice(t *testing.T) {
	r, l := aged(t, CheckpointEvery)
	check(t, l.Checkpoint(ctx, people().late))
	r.push(l, 2)
	c := storetest.NewCounter(r.store)
	fresh := r.open(people().home, filepath.Join(t.TempDir(), "ledger.db"), c)
	check(t, fresh.Sync(ctx))
	c.Reset()
	dirs, err := got(t, fresh, fresh.State().Packs())
	check(t, err)
	if len(dirs) != CheckpointEvery+2 || c.Total() != 1 {
		t.Errorf("%d directories in %d requests: %v", len(dirs), c.Total(), c.Names(storetest.Get))
	}
}

// What is registered twice, or told by a void entry, stands in the checkpoint's segment once and rightly.
func TestCheckpointsSegmentIsWhole(t *testing.T) {
	r, l := aged(t, CheckpointEvery-2)
	ref, _ := r.realPack(3, 1)
	lie := ref
	lie.Directory = []byte("another")
	lie.Hash = sumOf(lie.Directory)
	r.put(draftOf(l.State(), people().passphrase, Register, RegisterContent{Packs: []PackRef{lie}}).seal())
	check(t, l.Sync(ctx))
	for range 2 {
		_, err := l.Append(ctx, people().late, Register, func(*State) (any, error) { return RegisterContent{Packs: []PackRef{ref}}, nil })
		check(t, err)
	}
	check(t, l.Checkpoint(ctx, people().late))
	if len(l.Voids()) != 1 || len(l.State().Segments()) != 1 {
		t.Fatalf("voids %v, %d segments", l.Voids(), len(l.State().Segments()))
	}
	object := ok(r.store.Get(ctx, SegmentName(l.State().Segments()[0]), 0, -1))
	entries, err := pack.ParseSegment(ok(testKeys.OpenObject(seal.Segment, 0, object)))
	check(t, err)
	if len(entries) != len(l.State().Packs()) {
		t.Errorf("%d packs of %d", len(entries), len(l.State().Packs()))
	}
	for _, e := range entries {
		if p, _ := l.State().Pack(e.Key); p.Hash != sha256.Sum256(e.Directory) || p.Size != e.Size {
			t.Errorf("%s: another directory", e.Key.Name())
		}
	}
}

func TestWrongSegmentIsPassedOver(t *testing.T) {
	for name, change := range map[string]func(b []byte, entries []pack.Entry) []byte{
		"gone":              func([]byte, []pack.Entry) []byte { return nil },
		"flipped":           func(b []byte, _ []pack.Entry) []byte { b[200] ^= 1; return b },
		"empty":             func([]byte, []pack.Entry) []byte { return []byte{} },
		"of a newer":        func(b []byte, _ []pack.Entry) []byte { b[8] = 9; return b },
		"no segment at all": func([]byte, []pack.Entry) []byte { return sealed([]byte("no segment")) },
		"other directories": func(_ []byte, es []pack.Entry) []byte {
			for i := range es {
				es[i].Directory = []byte("other")
			}
			return sealed(pack.EncodeSegments(es)[0])
		},
		"swapped directories": func(_ []byte, es []pack.Entry) []byte {
			es[0].Directory, es[1].Directory = es[1].Directory, es[0].Directory
			return sealed(pack.EncodeSegments(es)[0])
		},
		"empty directories": func(_ []byte, es []pack.Entry) []byte {
			for i := range es {
				es[i].Directory = nil
			}
			return sealed(pack.EncodeSegments(es)[0])
		},
		"of other packs": func(_ []byte, es []pack.Entry) []byte {
			for i := range es {
				es[i].Key[40] ^= 1
			}
			return sealed(pack.EncodeSegments(es)[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := found(t)
			l := r.device(people().home)
			refs := r.register(l, 2, "segment")
			entries := []pack.Entry{{Key: refs[0].Key, Size: refs[0].Size, Directory: refs[0].Directory}, {Key: refs[1].Key, Size: refs[1].Size, Directory: refs[1].Directory}}
			r.store.Corrupt(SegmentName(l.State().Segments()[0]), func(b []byte) []byte { return change(b, entries) })
			dirs, err := got(t, l, l.State().Packs())
			if err != nil || len(dirs) != 2 || !bytes.Equal(dirs[refs[0].Key], refs[0].Directory) {
				t.Errorf("%d directories, %v", len(dirs), err)
			}
		})
	}
}

func sealed(payload []byte) []byte {
	return ok(testKeys.SealObject(seal.Segment, 0, payload, chance))
}

// A pack that lies is damage; it keeps nobody from the others.
func TestLyingPack(t *testing.T) {
	for name, c := range map[string]struct {
		change func(b, other []byte) []byte
		want   error
	}{
		"gone":         {func(b, _ []byte) []byte { return nil }, store.ErrNotFound},
		"cut off":      {func(b, _ []byte) []byte { return b[:len(b)-8] }, pack.ErrDamaged},
		"flipped":      {func(b, _ []byte) []byte { b[len(b)-1] ^= 1; return b }, pack.ErrDamaged},
		"another pack": {func(_, other []byte) []byte { return other }, pack.ErrDamaged},
		"garbage":      {func(b, _ []byte) []byte { return bytes.Repeat([]byte{1}, len(b)) }, pack.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			r := found(t)
			l := r.device(people().home)
			refs := r.register(l, 4, "pack")
			other := ok(r.store.Get(ctx, refs[3].Key.Name(), 0, -1))
			r.store.Corrupt(refs[0].Key.Name(), func(b []byte) []byte { return c.change(b, other) })
			dirs, err := got(t, l, l.State().Packs())
			wantErr(t, "directories", err, c.want)
			if _, there := dirs[refs[0].Key]; there || len(dirs) != 3 {
				t.Errorf("%d directories of 3", len(dirs))
			}
		})
	}
}

func TestDirectoriesStopForTheCaller(t *testing.T) {
	full := errors.New("disk full")
	for _, where := range []string{"entry", "segment", "pack"} {
		r := found(t)
		l := r.device(people().home)
		r.register(l, 3, where)
		calls := 0
		err := l.Directories(ctx, l.State().Packs(), func(Pack, []byte) error { calls++; return full })
		if !errors.Is(err, full) || calls != 1 {
			t.Errorf("%s: %v after %d calls", where, err, calls)
		}
	}
}

func TestDirectoriesWhenTheStoreFails(t *testing.T) {
	for _, where := range []string{"segment", "pack"} {
		r := found(t)
		l := r.device(people().home)
		r.register(l, 2, where)
		f := storetest.NewFaults(r.store)
		l.Store = f
		f.FailAt(0, storetest.Lost)
		_, err := got(t, l, l.State().Packs())
		if !errors.Is(err, storetest.ErrInjected) || errors.Is(err, pack.ErrDamaged) {
			t.Errorf("%s: %v", where, err)
		}
	}
}
