// Package repair mends what can be mended without inventing anything: the index of this
// device from packs alone, and damaged packs from what still opens in them, from other packs
// and from the files on this device.
//
//	rebuilt, err := repair.Index(ctx, repair.IndexOptions{Log: log, Index: fresh})
//	report, err := check.Run(ctx, check.Options{Log: log, Index: x, Decrypt: true, …})
//	mended, err := repair.Packs(ctx, repair.PackOptions{Push: push, Files: true, Damaged: report.Damaged, Lost: report.Lost})
//	for _, h := range mended.Holes { … } // paths that stay lost, and in which snapshots
//
// Nothing is overwritten and nothing is deleted. What is saved from a damaged pack goes into
// new packs, which a ledger entry registers, so that each chunk has a whole location again;
// readers pass over the damaged one. A chunk is only ever taken for what it was if its SHA-256
// says so: a hole that nothing fills stays a hole, and is listed.
//
// Entries of the ledger that are lost are put back by ledger.Log.RepairLost. Nothing here is
// safe for concurrent use.
package repair
