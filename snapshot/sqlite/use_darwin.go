package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// inUse asks lsof, which ends with 1 and says nothing if nobody has the file open. Of another
// user's programs it tells only root.
func inUse(path string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/sbin/lsof", "-w", "-F", "pc", "--", path).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 && len(exit.Stderr) == 0 {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("lsof: %w", err)
	}
	return parseLsof(string(out)), nil
}

// parseLsof reads lines of p and a pid, c and a name: lsof(8), "OUTPUT FOR OTHER PROGRAMS".
func parseLsof(out string) (by []string) {
	pid := 0
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "p"):
			pid, _ = strconv.Atoi(line[1:])
		case strings.HasPrefix(line, "c"):
			by = append(by, program(line[1:], pid))
		}
	}
	return by
}
