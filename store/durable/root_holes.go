package durable

import "os"

// A Range is a part of a file, in bytes.
type Range struct{ Offset, Length int64 }

// Holes lists the parts of the first size bytes of f that take no room on disk and read as
// zeros, in order, no two of them touching. It leaves f at its beginning.
func Holes(f *os.File, size int64) ([]Range, error) { return holes(f, size) }
