//go:build !amd64

package chunker

func (c *Chunker) scan(data []byte, from int) int { return c.scanGo(data, from) }
