// Package check proves that a repository is whole, or says what is not: which objects, and
// which paths of which snapshots that hurts.
//
//	r, err := check.Run(ctx, check.Options{Log: log, Index: x, Me: me, Note: note, Decrypt: true})
//	for _, p := range r.Problems { … } // p.Object, p.What, p.Severity, p.Hurts
//	err = note.Save()
//
// What is looked at:
//
//	always    the listing: every object that the ledger asks for is there, packs with their
//	          size, and what nobody asks for is named; the ledger, replayed from entry 1
//	          and compared with this device's copy; the keys; every tree of every snapshot:
//	          each node once, each chunk in a live pack
//	ReadData  the SHA-256 of whole objects, all or a part of them chosen by Seed, against
//	          their names (s, i, d, t)
//	Decrypt   all of that, and every frame of every pack opened and every chunk's SHA-256
//	          recomputed, the packs' directories against the ledger's state, the contents
//	          of segments and of checkpoints' states
//
// A pack that is missing, of another size or of other bytes is always opened frame by frame, so
// that the report names the paths that it hurts and no others.
//
// # What it cannot see
//
// The private keys of people (k/p) and the slots of other devices open for their owners
// alone. A Note keeps the SHA-256 of each when it is first seen; a change before that is
// not noticed here, and by the owner when the key does not open. An entry at the end of the
// ledger that no device has kept and that is gone was never there, as far as anybody can
// tell.
//
// Run changes nothing in the repository. It brings this device's copies of the ledger and of
// the index up to date first. Memory is one pack and one frame for each worker, the names of
// the listing, and a bit for each chunk of a tree.
package check
