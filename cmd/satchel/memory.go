package main

import (
	"os"
	"runtime/debug"
)

// ballastSize is how much of the heap nobody uses, in bytes. Limits of memory count it.
const ballastSize = 32 << 20

// frugal has garbage collected when it is a tenth of what is in use and 3 MiB, unless the
// environment says otherwise. Most of a large heap here are packs, which cost the collector
// nothing: to wait until there is as much garbage as that would double the memory for no gain.
//
// It returns a ballast that the collector counts as in use as long as somebody has it. Nobody
// touches it, so it takes no memory.
func frugal() (ballast []byte) {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	debug.SetGCPercent(10)
	return make([]byte, ballastSize)
}
