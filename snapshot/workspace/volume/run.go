//go:build darwin || windows

package volume

import (
	"context"
	"os/exec"
)

// run is asks on this computer.
func run(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	return string(out), err
}
