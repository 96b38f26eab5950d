package main

import (
	"fmt"
	"regexp"
	"strconv"
)

// bandwidth is in bytes a second; 0 is without a limit.
type bandwidth int64

// least is the smallest limit, in bytes a second: below it a connection looks dead.
const least = 16 << 10

var bandwidthText = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([KMG]?)(?:i?B)?(?:/s)?$`)

// UnmarshalText reads 500K, 2M or 1.5 MiB/s.
func (b *bandwidth) UnmarshalText(text []byte) error {
	m := bandwidthText.FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("%q is no limit: write 500K or 2M, which is bytes a second", text)
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	n *= map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[string(m[2])]
	switch {
	case err != nil || n > 1<<50:
		return fmt.Errorf("%q is no limit: write 500K or 2M, which is bytes a second", text)
	case n < least:
		return fmt.Errorf("%q is too little: at least 16K, which is bytes a second", text)
	}
	*b = bandwidth(n)
	return nil
}

// maxConnections bounds --connections: each of them may hold a pack of 32 MiB.
const maxConnections = 32

// checkLimits refuses what no store bears.
func (g *globals) checkLimits() error {
	if g.Connections < 0 || g.Connections > maxConnections {
		return usageError{fmt.Errorf("--connections %d: give 1 to %d", g.Connections, maxConnections)}
	}
	return nil
}

// uploadsAtOnce is how many packs are on their way to the store at once.
func (g *globals) uploadsAtOnce() int {
	if g.Connections > 0 {
		return g.Connections
	}
	return uploads
}
