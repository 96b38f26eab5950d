package snapshot_test

import (
	"fmt"
	"testing"

	"satchel/snapshot/snapshottest"
	"satchel/store/pack"
	"satchel/store/storetest"
)

// A push with nothing new, of 20,000 files in 200 folders.
func BenchmarkPushNothingNew(b *testing.B) {
	d := snapshottest.Found(b, storetest.NewMemory())
	for i := range 20_000 {
		d.Write(fmt.Sprintf("d%03d/f%02d", i/100, i%100), fmt.Sprint(i))
	}
	d.MustPush()
	for b.Loop() {
		if out := d.MustPush(); out.Snapshot != (pack.ID{}) || out.Read != 0 {
			b.Fatalf("%+v", out.Counts)
		}
	}
}
