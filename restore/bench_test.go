package restore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store/durable"
	"satchel/store/storetest"
)

// What is planned for 20,000 files in 200 folders: into an empty folder, and into one that is
// right but for the file state.
func BenchmarkPlan(b *testing.B) {
	d := snapshottest.Found(b, storetest.NewMemory())
	const files = 20_000
	for i := range files {
		d.Write(fmt.Sprintf("d%03d/f%02d", i/100, i%100), fmt.Sprint(i))
	}
	d.MustPush()
	newest, _ := snapshot.Newest(d.State(), d.Lineage.Workspace)
	for name, folder := range map[string]string{"empty": b.TempDir(), "right": d.Root} {
		b.Run(name, func(b *testing.B) {
			root, err := durable.OpenRoot(folder)
			if err != nil {
				b.Fatal(err)
			}
			defer root.Close()
			b.ReportAllocs()
			for b.Loop() {
				_, err := restore.Make(context.Background(), restore.Options{Store: d.Store, Keys: d.Access.Keys, Index: d.Index, Reader: d.Reader,
					Root: root, Target: newest.Root, Local: func(remote string) (string, bool) { return strings.TrimSuffix(remote, "/"), true }, Empty: name == "empty"})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*files), "ns/file")
		})
	}
}
