// Package retention lets old snapshots go, and frees what they held: which ones a policy keeps
// (Policy, pure), and Prune, which forgets, condemns, repacks and deletes while other devices
// push, pull and prune.
//
//	p := retention.Prune{Push: push, Reader: reader, Forget: ids, Grace: retention.DefaultGrace, Unfinished: retention.DefaultUnfinished}
//	report, err := p.Run(ctx)
//
//	verdicts := policy.Apply(retention.HistoryOf(state, workspace, now), now, time.Local)
//	err = retention.Unforget(ctx, push, reader, former) // within the grace
//
// Nothing is locked. A FORGET takes snapshots out of the ledger's state; a CONDEMN makes names
// of objects dead, for ever, on exactly the state on which they were seen to be needed by no
// live snapshot; only a dead name is deleted. A push that relied on what died meanwhile notices
// it when it commits, and sends it again. Grace periods save that work, and let a forgotten
// snapshot come back; safety rests on the order of the ledger alone (DESIGN §6, R1 to R6).
//
// A Prune that stops anywhere leaves a repository that is whole, and the next one goes on. It
// needs a bit of memory per chunk of the repository, and the directories of the packs that it
// copies. It is not safe for concurrent use; several processes and devices may prune at once.
package retention
