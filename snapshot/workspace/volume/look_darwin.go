package volume

import (
	"context"

	"golang.org/x/sys/unix"
)

func look(ctx context.Context, path string) Answer {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return unknown(path, "%v", err)
	}
	point := unix.ByteSliceToString(st.Mntonname[:])
	if st.Flags&unix.MNT_LOCAL == 0 {
		return unknown(point, "%s is no local disk", unix.ByteSliceToString(st.Fstypename[:]))
	}
	return fileVault(ctx, run, point)
}
