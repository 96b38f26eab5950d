package restore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/check"
	"satchel/snapshot/snapshottest"
	"satchel/store/durable"
	"satchel/store/pack"
)

// maxAlloc is what refusing a lie may allocate in all: little more than an honest snapshot of as many
// files, packs and their frames included.
const maxAlloc = 400 << 20 // bytes

// allocates fails the test if f allocates more than maxAlloc.
func allocates(t *testing.T, what string, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > maxAlloc {
		t.Errorf("%s: %d MiB allocated", what, n>>20)
	}
}

func refused(err error) bool {
	return errors.Is(err, snapshot.ErrTree) || errors.Is(err, snapshot.ErrMissing) || errors.Is(err, pack.ErrDamaged)
}

func paths(err error) []string {
	if d := (*restore.DamageError)(nil); errors.As(err, &d) {
		return d.Paths
	}
	return nil
}

// An enrolled device that lies does no harm: its snapshot is refused, with the path, by pull,
// by restore into another folder and by check; nothing is written, and what is older comes back.
func TestLiesAreRefused(t *testing.T) {
	for _, lie := range snapshottest.Lies() {
		t.Run(lie.Name, func(t *testing.T) {
			m, a, b := two(t)
			a.Write("docs/a.txt", "honest")
			a.MustPush()
			first := a.Lineage.Base
			mustPull(t, b)
			before := listing(t, b.Root)
			l := a.Join(m).Lie()
			evil := l.Commit(lie.Root(l), 3, nil)

			var err error
			allocates(t, "pull", func() { _, err = pull(t, b) })
			if !refused(err) || !strings.Contains(err.Error()+fmt.Sprint(paths(err)), lie.Path) {
				t.Errorf("pull: %v", err)
			}
			if diff := cmp.Diff(before, listing(t, b.Root)); diff != "" {
				t.Error("pull touched something:", diff)
			}
			if _, err := os.Lstat(filepath.Join(b.Root, "..", "x")); err == nil {
				t.Error("pull wrote beside the workspace")
			}

			empty := t.TempDir()
			allocates(t, "restore", func() { err = restoreTo(t, b, evil, empty) })
			if !refused(err) || len(listing(t, empty)) > 0 {
				t.Errorf("restore: %v, and %v", err, listing(t, empty))
			}
			must(t, restoreTo(t, b, first, empty))
			if len(listing(t, empty)) != 2 {
				t.Errorf("the honest snapshot: %v", listing(t, empty))
			}

			allocates(t, "check", func() {
				r, err := check.Run(ctx, check.Options{Log: b.Access.Log, Index: b.Index, Me: b.Access.Me, Decrypt: true, Workers: 1})
				must(t, err)
				if !r.Damage() {
					t.Error("check finds nothing")
				}
			})
			allocates(t, "a list of it", func() {
				v, _ := b.State().Snapshot(evil)
				err := b.Reader.WalkUpTo(ctx, v.Root, snapshot.Limit(v.Files), func(_ string, e *snapshot.Entry) error {
					if e.Type != snapshot.File {
						return nil
					}
					return b.Reader.Content(ctx, e, func([]byte) error { return nil })
				})
				if !refused(err) {
					t.Errorf("walk: %v", err)
				}
			})
		})
	}
}

// restoreTo restores a snapshot into an empty folder.
func restoreTo(t *testing.T, d *snapshottest.Device, id pack.ID, dir string) error {
	t.Helper()
	root, err := durable.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	v, _ := d.State().Snapshot(id)
	plan, err := restore.Make(ctx, restore.Options{Store: d.Store, Keys: d.Access.Keys, Index: d.Index, Reader: d.Reader, Root: root, Target: v.Root,
		Local: identity, Limit: snapshot.Limit(v.Files), Empty: true, Workers: 1})
	if err != nil {
		return err
	}
	return plan.Run(ctx, nil)
}

// Whoever can write in the folder puts links in place of what a plan has seen: nothing is written,
// removed or given another time outside.
func TestLinkSwappedInBetweenPlanAndSwap(t *testing.T) {
	for name, swap := range map[string]func(t *testing.T, root, outside string){
		"a folder": func(t *testing.T, root, outside string) {
			must(t, os.RemoveAll(filepath.Join(root, "d")))
			must(t, os.Symlink(outside, filepath.Join(root, "d")))
		},
		"a file": func(t *testing.T, root, outside string) {
			must(t, os.Remove(filepath.Join(root, "d", "f")))
			must(t, os.Symlink(filepath.Join(outside, "f"), filepath.Join(root, "d", "f")))
		},
		"a file that goes": func(t *testing.T, root, outside string) {
			must(t, os.Remove(filepath.Join(root, "d", "goes")))
			must(t, os.Symlink(filepath.Join(outside, "goes"), filepath.Join(root, "d", "goes")))
		},
		"a folder that comes": func(t *testing.T, root, outside string) {
			must(t, os.Symlink(outside, filepath.Join(root, "new")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, a, b := two(t)
			a.Write("d/f", "old")
			a.Write("d/goes", "old")
			a.MustPush()
			mustPull(t, b)
			a.Write("d/f", "new")
			a.Write("new/g", "new")
			must(t, os.Remove(filepath.Join(a.Root, "d", "goes")))
			a.MustPush()
			must(t, b.Sync())
			newest, _ := snapshot.Newest(b.State(), b.Lineage.Workspace)
			plan, err := restore.Make(ctx, options(t, b, newest.ID))
			must(t, err)

			outside := filepath.Join(t.TempDir(), "outside")
			must(t, os.Mkdir(outside, 0o750))
			for _, f := range []string{"f", "g", "goes"} {
				must(t, os.WriteFile(filepath.Join(outside, f), []byte("outside"), 0o640))
			}
			must(t, os.Chtimes(outside, time.Unix(1, 0), time.Unix(1, 0)))
			before := listing(t, filepath.Dir(outside))
			swap(t, b.Root, outside)
			err = plan.Run(ctx, nil)
			t.Log(err)
			if diff := cmp.Diff(before, listing(t, filepath.Dir(outside))); diff != "" {
				t.Errorf("outside (-before +after):\n%s", diff)
			}
		})
	}
}
