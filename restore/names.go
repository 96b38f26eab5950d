package restore

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// checkLocal refuses a path that leads out of the folder, or that this system would take for
// another one.
func checkLocal(local string) error { return checkLocalOn(runtime.GOOS, local) }

func checkLocalOn(goos, local string) error {
	if local == "." {
		return nil
	}
	for name := range strings.SplitSeq(local, "/") {
		if name == "" || name == "." || name == ".." || strings.Contains(name, "\x00") {
			return fmt.Errorf("%q leaves the target folder", local)
		}
		if !possible(goos, name) {
			return fmt.Errorf("%q: %q cannot be a name on %s: rename it on the computer that has it, push there, and pull again", local, name, goos)
		}
	}
	return nil
}

// possible reports whether a file can have this name, and no other one that the system makes of
// it: Windows takes a:b for a stream of a, drops dots and spaces at the end, and has devices everywhere.
func possible(goos, name string) bool {
	switch goos {
	case "darwin":
		return utf8.ValidString(name)
	case "windows":
		base, _, _ := strings.Cut(name, ".")
		return utf8.ValidString(name) && !strings.ContainsAny(name, `<>:"/\|?*`) && strings.IndexFunc(name, func(r rune) bool { return r < 0x20 }) < 0 &&
			strings.TrimRight(name, ". ") == name && !device(strings.TrimRight(base, " "))
	}
	return true
}

// device reports whether Windows has a device of this name, whatever stands after the first dot.
func device(base string) bool {
	switch base = strings.ToUpper(base); base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, port); ok && utf8.RuneCountInString(n) == 1 && strings.Contains("123456789¹²³", n) {
			return true
		}
	}
	return false
}

// asText writes a path as text, which JSON needs: a byte that is none becomes NUL and two digits.
func asText(local string) string {
	if utf8.ValidString(local) {
		return local
	}
	var out strings.Builder
	for i := 0; i < len(local); {
		r, n := utf8.DecodeRuneInString(local[i:])
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&out, "\x00%02x", local[i])
		} else {
			out.WriteString(local[i : i+n])
		}
		i += n
	}
	return out.String()
}

// fromText is the inverse of asText. What asText does not write keeps its NUL, and no path has one.
func fromText(text string) string {
	parts := strings.Split(text, "\x00")
	for i, p := range parts[1:] {
		if len(p) < 2 {
			return text
		}
		b, err := strconv.ParseUint(p[:2], 16, 8)
		if err != nil || b < 0x80 {
			return text
		}
		parts[i+1] = string([]byte{byte(b)}) + p[2:]
	}
	return strings.Join(parts, "")
}
