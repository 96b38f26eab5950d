// Package restore puts a snapshot's files into a folder: plan, ranged fetch, open, verify,
// stage, swap.
//
//	plan, err := restore.Make(ctx, restore.Options{Reader: r, Root: root, Target: snap.Root, …})
//	if len(plan.Conflicts) > 0 { … }          // bytes that only this device has
//	done, err := plan.Run(ctx)
//
// A Plan compares three trees path by path: the snapshot's, the base (the snapshot that the
// folder was last equal to, if there is one) and the folder. It leaves alone what is already right, lists
// what it would overwrite although nobody else has it, and otherwise writes or removes.
// Run fetches everything that is to be written into staged files beside their targets, each chunk
// checked against its SHA-256, and gives them what they are beside their bytes, before it touches
// anything; then it renames them into place, and sets what folders are last, deepest first. What this
// system, file system or user cannot hold is in Plan.Unheld, and the rest goes on. Every path goes through os.Root, so
// nothing outside the folder is reached, by whatever the snapshot calls it.
//
// Ranges of packs are read in parallel, neighbours in one request. The memory held is one range and
// one frame per worker, and the plan itself.
//
// It decides nothing about lineage: which snapshot, and what becomes the base, is the
// caller's. A Plan is for one goroutine.
package restore
