package snapshot

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var (
	errNotText  = errors.New("its name is not text in UTF-8")
	errTooLong  = errors.New("its name is too long")
	errReserved = errors.New("this name is kept for a device by Windows")
)

// HoldsName reports why no file can have this name here, whatever the file system: nil if
// one can. What only some file systems refuse shows when the file is put there.
func (h *Holder) HoldsName(name []byte) error {
	switch h.System {
	case "windows":
		return windowsName(name)
	case "linux":
		if len(name) > 255 {
			return errTooLong
		}
	case "darwin":
		switch {
		case !utf8.Valid(name):
			return errNotText
		case len(name) > 255*3:
			return errTooLong
		}
	}
	return nil
}

// windowsName: see "Naming Files, Paths, and Namespaces", learn.microsoft.com. A space or
// a dot at the end is dropped silently by Windows, so another file would be written.
func windowsName(name []byte) error {
	if !utf8.Valid(name) {
		return errNotText
	}
	s := string(name)
	if len(utf16.Encode([]rune(s))) > 255 {
		return errTooLong
	}
	for _, r := range s {
		if r < ' ' || strings.ContainsRune(`<>:"/\|?*`, r) {
			return fmt.Errorf("no %q in a name on Windows", r)
		}
	}
	if last := s[len(s)-1]; last == ' ' || last == '.' {
		return fmt.Errorf("no %q at the end of a name on Windows", last)
	}
	base, _, _ := strings.Cut(s, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return errReserved
	}
	if port, ok := strings.CutPrefix(base, "COM"); ok || strings.HasPrefix(base, "LPT") {
		if !ok {
			port = base[3:]
		}
		if strings.Contains("0123456789¹²³", port) && utf8.RuneCountInString(port) == 1 {
			return errReserved
		}
	}
	return nil
}
