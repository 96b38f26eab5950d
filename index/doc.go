// Package index is what one device remembers of one repository between runs: which
// chunks are known and where they lie, what the last push saw of every directory, and
// which packs of a push that has not ended are already in the store. It is a cache, one
// bbolt file: whatever it holds can be had again from the ledger and from the files.
//
//	x, err := index.Open(path, repository)        // made anew when lost, torn or foreign
//	defer x.Close()
//	if x.Tie() != head {                          // stale, or an old copy put back
//		err = x.Update(head, added, removed)
//	}
//	loc, known, err := x.Lookup(id)
//	dir, seen, err := x.Dir(workspace, "data/2026") // one read per directory
//
// # Trust
//
// A hit of Lookup is right: the whole id was compared in a directory whose SHA-256 is
// the one that Update was given, and which pack it is stands under a checksum. What the
// package cannot know is whether the repository still agrees, so a caller compares Tie
// with the ledger before it asks anything: equal, nothing to do; else an ancestor of the
// head, Update with the entries in between; else Update with the difference between
// Packs and the ledger's state. A miss costs a push an upload. A pull that misses closes
// the index, calls Remove, rebuilds once, and only then says that something is damaged.
// Base and last seen head are not here: they cannot be rebuilt.
//
// Damage is found in three places, and ends in a fresh index each time: Open checks the
// length and the skeleton of the file before anything is mapped, all of it unless the
// file's mtime shows that it was closed and not written since; every value is under a
// checksum with its key; and a panic or a memory fault out of bbolt becomes an error that
// wraps ErrTorn. After such an error the Index refuses everything, and the next Open makes
// the file anew, with Remove in between or without.
//
// # Transactions
//
// Every read is a short transaction of its own that copies what it returns: a few
// microseconds, and no reader keeps a writer from growing the map. An iterator lets go of
// its transaction before the loop's body runs, so the body may call anything. All methods
// but Close are safe for concurrent use.
//
// A writing method is one transaction, which is on the disk when it returns; more work
// than about 32 MiB is cut into several. Update takes the tie away in the first and sets
// it in the last, so a crash in between leaves a zero tie, nothing that is wrong, and
// numbers that no row will mean again.
//
// # The file
//
// Format 1: a bbolt file of 16 KiB pages with these buckets. Integers are big endian, ‖
// concatenates, sum is the first 8 bytes of SHA-256(bucket's name ‖ 00 ‖ key ‖ all else of
// the value but a pack's encoding), crc is CRC-32C(key ‖ all else of the value).
//
//	head         "head" → format u32 = 1 ‖ repository (16) ‖ tie: position u64 ‖ entry hash (32) ‖
//	             next pack number u32 ‖ packs u32 ‖ their chunks u64 ‖ sum
//	             "prefixes" → bit set of the keys of rows, 8,192 bytes, first bit highest ‖ crc u32
//	rows         id[0:2] → rows of id[2:8] ‖ pack number u32 ‖ chunk u16, 12 bytes each, ascending ‖
//	             crc u32
//	packs        pack key (57) → pack number u32 ‖ size u64 ‖ directory hash (32) ‖ crc u32
//	directories  pack number u32 → pack key (57) ‖ size u64 ‖ directory hash (32) ‖ flags u8 ‖ sum ‖
//	             encoding of the directory (store/pack/FORMAT.md §3). Flag 1: it has delta frames
//	dead         pack number u32 → crc u32
//	dirs         workspace (16) ‖ path → sum ‖ node length u32 ‖ node ‖ stats, 52 bytes each:
//	             size, mtime, ctime, inode, device u64 ‖ mode u32 ‖ read u64
//	underway     workspace (16) ‖ pack key (57) → size u64 ‖ directory hash (32) ‖ sum ‖ encoding
//
// A row holds 64 bits of an id, two of its bytes in the key: at ten million chunks the
// rows are 120 MB in 65,536 values. The directories are the larger part, 36 bytes a
// chunk. Pack numbers are never used again within a file. A number is in directories, or
// in dead: its pack is gone, or its registration was cut short, and its rows mean nothing
// and go when their value is written the next time. A number that is in neither is damage,
// and so is a key of rows whose bit is set and which is not there, or a directory that
// packs does not list.
package index
