package volume

import (
	"context"
	"path/filepath"

	"golang.org/x/sys/windows"
)

func look(ctx context.Context, path string) Answer {
	system, err := windows.GetSystemDirectory()
	if err != nil {
		return unknown(path, "%v", err)
	}
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return unknown(path, "%v", err)
	}
	root := make([]uint16, len(path)+windows.MAX_PATH)
	if err := windows.GetVolumePathName(p, &root[0], uint32(len(root))); err != nil {
		return unknown(path, "%v", err)
	}
	return bitLocker(ctx, run, filepath.Join(system, "WindowsPowerShell", "v1.0", "powershell.exe"), windows.UTF16ToString(root))
}
