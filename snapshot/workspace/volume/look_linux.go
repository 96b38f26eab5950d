package volume

import (
	"context"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

func look(ctx context.Context, path string) Answer {
	s := system{root: os.DirFS("/"), fscrypt: fscrypt, zfs: func(dataset string) (string, error) {
		out, err := exec.CommandContext(ctx, zfsProgram(), "get", "-Hp", "-o", "value", "encryption", dataset).Output()
		return strings.TrimSpace(string(out)), err
	}}
	return s.look(path, 0)
}

// zfsProgram is not looked for in PATH, where anybody may put one that says yes.
func zfsProgram() string {
	for _, p := range []string{"/usr/sbin/zfs", "/sbin/zfs", "/usr/bin/zfs", "/usr/local/sbin/zfs"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return "/run/current-system/sw/bin/zfs" // NixOS
}

func fscrypt(path string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_ENCRYPTED != 0
}
