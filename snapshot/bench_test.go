package snapshot_test

import (
	"fmt"
	"strings"
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

// A first push of 128 MiB: files of 16 KiB, as text and as noise, and large ones.
func BenchmarkFirstPush(b *testing.B) {
	const all, small = 128 << 20, 16 << 10
	for name, write := range map[string]func(*snapshottest.Device){
		"small": func(d *snapshottest.Device) {
			for i := range all / small {
				d.Write(fmt.Sprintf("d%03d/f%02d", i/100, i%100), strings.Repeat(noise(uint64(i), small/4), 4))
			}
		},
		"large": func(d *snapshottest.Device) {
			for i := range 4 {
				d.Write(fmt.Sprint("f", i), noise(uint64(i), all/4))
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(all)
			for range b.N {
				b.StopTimer()
				d := snapshottest.Found(b, storetest.NewMemory())
				write(d)
				b.StartTimer()
				d.MustPush()
			}
		})
	}
}
