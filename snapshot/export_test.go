package snapshot

import (
	"context"
	"os"

	"satchel/snapshot/sqlite"
)

// SetOpen replaces how a push opens files.
func (p *Push) SetOpen(open func(local string) (*os.File, error)) { p.open = open }

// SetImage replaces how a push takes images of databases.
func (p *Push) SetImage(image func(context.Context, string, sqlite.Options) (*sqlite.Image, error)) {
	p.image = image
}
