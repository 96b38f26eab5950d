// Package snapshot makes snapshots of workspaces, reads them, and says how those of several devices
// go together.
//
//	x, err := index.Open(path, repo)
//	err = snapshot.SyncIndex(ctx, log, x)
//	pushed, err := (&snapshot.Push{Store: s, Keys: keys, Log: log, Index: x, Me: me, Lineage: lineage, Rules: rules, …}).Run(ctx)
//	r, err := snapshot.NewReader(s, keys, x)
//	m, err := r.Manifest(ctx, pushed.Snapshot)
//	err = r.Walk(ctx, m.Root, func(remote string, e *snapshot.Entry) error { … })
//
// A Push walks the workspace, cuts and seals what the repository lacks, and commits. Stage does the
// same and keeps it here; Compare only tells. A Reader reads manifests, trees, lists and
// chunks, and finds differences and histories. A Lineage is what a device remembers of a
// folder: the snapshot that its files come from. A Merge joins two lines of snapshots path
// by path. Safety is what a folder was before a pull or a restore changed it. SyncIndex brings
// the index to what the ledger says.
//
// # Promises
//
//   - A snapshot is committed when the store has acknowledged all that it needs, never before; and
//     only if, in the state of the ledger that its entry follows, every pack that it relies on is
//     live (DESIGN §6, R2). What died meanwhile is sent again.
//   - A Push that stops anywhere leaves the snapshots that there are. The next one does not send again
//     what was acknowledged.
//   - A Push writes nothing into the workspace. A file that changes while it is read is read again,
//     and at last marked; one that cannot be read keeps what the parent snapshot has of it.
//   - A Reader hands on no bytes that do not hash to the id that was asked for. What is missing is ErrMissing,
//     what is damaged pack.ErrDamaged, a tree that cannot be one ErrTree.
//   - Index and Lineage may be lost or old: what they say is asked of the ledger again.
//
// # What it does not do
//
// It puts no file in place: that is package restore's. It lets no snapshot go: that is
// retention's. Which paths travel is package workspace's affair, and how a database is
// read package sqlite's.
//
// A Reader is safe for concurrent use; a Push, a Lineage and the ledger belong to one goroutine at
// a time, whatever a Push does within.
package snapshot
