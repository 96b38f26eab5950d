package seal

import (
	"bytes"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// hasModes: on Windows who may read a file is not in its mode.
const hasModes = false

// protect binds plain to the user's account on this computer (or, with a roaming profile, on
// the user's computers).
// https://learn.microsoft.com/windows/win32/api/dpapi/nf-dpapi-cryptprotectdata
func protect(plain []byte) (protection byte, b []byte, err error) {
	in, out := blob(plain), windows.DataBlob{}
	name, err := windows.UTF16PtrFromString("satchel device key")
	if err != nil {
		return 0, nil, err
	}
	err = windows.CryptProtectData(in, name, nil, 0, nil, windows.CRYPTPROTECT_UI_FORBIDDEN, &out)
	if err != nil {
		return 0, nil, fmt.Errorf("CryptProtectData: %w", err)
	}
	return protectionDPAPI, take(&out), nil
}

func unprotect(protection byte, b []byte) ([]byte, error) {
	switch protection {
	case protectionNone:
		return b, nil
	case protectionDPAPI:
		out := windows.DataBlob{}
		err := windows.CryptUnprotectData(blob(b), nil, nil, 0, nil, windows.CRYPTPROTECT_UI_FORBIDDEN, &out)
		if err != nil {
			return nil, fmt.Errorf("%w: it was protected for another Windows account, or is damaged: %v", ErrCorrupt, err)
		}
		return take(&out), nil
	}
	return nil, unknownProtection(protection)
}

func blob(b []byte) *windows.DataBlob {
	return &windows.DataBlob{Size: uint32(len(b)), Data: unsafe.SliceData(b)}
}

// take copies what Windows allocated, wipes and frees it.
func take(out *windows.DataBlob) []byte {
	defer windows.LocalFree(windows.Handle(unsafe.Pointer(out.Data)))
	given := unsafe.Slice(out.Data, out.Size)
	defer clear(given)
	return bytes.Clone(given)
}
