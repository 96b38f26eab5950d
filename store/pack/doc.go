// Package pack compresses, seals and gathers chunks into packs, and reads one frame or
// a directory back. FORMAT.md beside this file is the format of the whole repository;
// section 3 is what this package writes.
//
//	b, _ := pack.NewBuilder(seal.Data, session, keys, rand)
//	b.Add(frame)                         // a Frame made by an Encoder
//	p, _ := b.Finish()                   // p.Key names it, p.Data is put in the store
//	dir, _ := pack.ReadDirectory(ctx, store, keys, p.Key, p.Size)
//	frames, _ := pack.ReadFrames(ctx, …) // opened, decoded, every chunk hash checked
//
// It does not decide which chunk goes where (package snapshot does) and keeps no
// index of chunks (package index does). A Builder serves one goroutine at a time except
// where its methods say otherwise; an Encoder serves one; everything else is immutable.
package pack

import (
	"crypto/sha256"

	"satchel/store/seal"
)

// Limits of FORMAT.md, in bytes.
const (
	MaxFrame     = 16 << 20                                    // plaintext of a frame
	MaxPack      = 64 << 20                                    // a pack
	MaxDirectory = 1 << 20                                     // encoding of a directory
	MaxSegment   = 4<<20 - seal.HeaderSize - 4 - seal.Overhead // an index segment's payload

	// DataTarget and TreeTarget are where a writer closes a pack.
	DataTarget = 32 << 20
	TreeTarget = 8 << 20

	// MaxChunks is how many chunks a writer puts into one frame: the directory of a pack
	// that has no other frame is then at its limit.
	MaxChunks = (MaxDirectory - dirHead - frameRow - baseRow) / chunkRow
)

// ID names a chunk: the SHA-256 of its bytes.
type ID [sha256.Size]byte
