package snapshot

import "os"

// SetOpen replaces how a push opens files.
func (p *Push) SetOpen(open func(local string) (*os.File, error)) { p.open = open }
