package snapshot_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store/pack"
	"satchel/store/storetest"
)

func pushWith(t *testing.T, d *snapshottest.Device, p *snapshot.Push) *snapshot.Pushed {
	t.Helper()
	must(t, d.Sync())
	out, err := p.Run(ctx)
	must(t, err)
	return out
}

func TestFileThatVanishesIsNotMissed(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	d.Write("stays", "s")
	d.Write("goes", "g")
	p := d.Push()
	p.SetOpen(func(local string) (*os.File, error) {
		if local == "goes" {
			os.Remove(filepath.Join(d.Root, local))
		}
		return os.Open(filepath.Join(d.Root, local))
	})
	out := pushWith(t, d, p)
	if out.Files != 1 || len(out.Problems) != 0 {
		t.Errorf("%+v %v", out.Counts, out.Problems)
	}
}

// A file that cannot be read is listed, and no other device takes it for deleted.
func TestUnreadableFileKeepsItsOldContent(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	d.Write("locked", "old")
	d.Write("other", "o")
	d.MustPush()
	d.Write("locked", "new and locked")
	d.Write("never-seen", "n")
	d.Write("other", "o2")
	p := d.Push()
	p.SetOpen(func(local string) (*os.File, error) {
		if local == "locked" || local == "never-seen" {
			return nil, &fs.PathError{Op: "open", Path: local, Err: errors.New("locked by another program")}
		}
		return os.Open(filepath.Join(d.Root, local))
	})
	out := pushWith(t, d, p)
	if len(out.Problems) != 2 || string(out.Problems[0].Path) != "locked" || out.Problems[0].Text != "locked by another program" {
		t.Errorf("problems %v", out.Problems)
	}
	got := content(t, d, out.Snapshot)
	if got["locked"] != "old" || got["other"] != "o2" || len(got) != 2 {
		t.Errorf("the snapshot has %v", got)
	}
	if out := d.MustPush(); out.Changed != 1 || out.New != 1 || content(t, d, out.Snapshot)["locked"] != "new and locked" {
		t.Errorf("once it can be read: %+v", out.Counts)
	}
}

// A push that finds only what cannot be read, as before, makes no snapshot for ever.
func TestStillUnreadableIsNothingNew(t *testing.T) {
	d := snapshottest.Found(t, storetest.NewMemory())
	d.Write("locked", "old")
	d.MustPush()
	d.Write("locked", "newer")
	push := func() *snapshot.Pushed {
		p := d.Push()
		p.SetOpen(func(string) (*os.File, error) { return nil, errors.New("locked") })
		return pushWith(t, d, p)
	}
	push()
	if out := push(); out.Snapshot != (pack.ID{}) || len(out.Problems) != 1 {
		t.Errorf("%+v %v", out.Counts, out.Problems)
	}
}
