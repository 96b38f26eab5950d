package sqlite

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
)

// inUse opens the file for us alone, which Windows refuses while anybody has it open.
func inUse(path string) ([]string, error) {
	f, err := openShared(path, 0)
	if err == nil {
		return nil, f.Close()
	}
	if !errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return nil, err
	}
	by := openers(path)
	if len(by) == 0 {
		by = []string{Unnamed}
	}
	return by, nil
}

// The Restart Manager tells who has a file open:
// https://learn.microsoft.com/windows/win32/api/restartmanager/.
var (
	restartManager      = windows.NewLazySystemDLL("rstrtmgr.dll")
	rmStartSession      = restartManager.NewProc("RmStartSession")
	rmRegisterResources = restartManager.NewProc("RmRegisterResources")
	rmGetList           = restartManager.NewProc("RmGetList")
	rmEndSession        = restartManager.NewProc("RmEndSession")
)

// rmProcess is RM_PROCESS_INFO.
type rmProcess struct {
	pid         uint32
	started     windows.Filetime
	name        [256]uint16
	service     [64]uint16
	kind        uint32
	status      uint32
	session     uint32
	restartable int32
}

// openers names the programs, none if the system does not tell.
func openers(path string) (by []string) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil || restartManager.Load() != nil {
		return nil
	}
	var session uint32
	var key [33]uint16 // CCH_RM_SESSION_KEY and a zero
	if r, _, _ := rmStartSession.Call(uintptr(unsafe.Pointer(&session)), 0, uintptr(unsafe.Pointer(&key[0]))); r != 0 {
		return nil
	}
	defer func() { _, _, _ = rmEndSession.Call(uintptr(session)) }()
	if r, _, _ := rmRegisterResources.Call(uintptr(session), 1, uintptr(unsafe.Pointer(&name)), 0, 0, 0, 0); r != 0 {
		return nil
	}
	var found [16]rmProcess
	var needed, reasons uint32
	count := uint32(len(found))
	r, _, _ := rmGetList.Call(uintptr(session), uintptr(unsafe.Pointer(&needed)), uintptr(unsafe.Pointer(&count)),
		uintptr(unsafe.Pointer(&found[0])), uintptr(unsafe.Pointer(&reasons)))
	if r != 0 || int(count) > len(found) {
		return nil
	}
	for _, p := range found[:count] {
		by = append(by, program(windows.UTF16ToString(p.name[:]), int(p.pid)))
	}
	return by
}
