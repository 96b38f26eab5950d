package snapshot

import "sync/atomic"

// Progress is filled by Push and by package restore, and read at any time by whoever shows
// it. A nil *Progress takes everything and shows nothing.
type Progress struct {
	Files    atomic.Int64 // looked at, or written
	Bytes    atomic.Int64 // read from files, or written to them
	AllFiles atomic.Int64 // how many there will be; grows while they are found
	AllBytes atomic.Int64
	NewBytes atomic.Int64 // bytes of chunks that the repository did not have
	Stored   atomic.Int64 // bytes sent to, or fetched from, the store
	Done     atomic.Bool  // nothing more will be found
	Now      atomic.Value // string: what is being worked on
}

func (p *Progress) found(bytes int64) {
	if p != nil {
		p.AllFiles.Add(1)
		p.AllBytes.Add(bytes)
	}
}

func (p *Progress) finished(bytes int64) {
	if p != nil {
		p.Files.Add(1)
		p.Bytes.Add(bytes)
	}
}
