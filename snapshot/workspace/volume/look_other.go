//go:build !linux && !darwin && !windows

package volume

import "context"

func look(_ context.Context, path string) Answer {
	return unknown(path, "this system cannot be asked")
}
