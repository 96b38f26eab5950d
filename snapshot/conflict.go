package snapshot

import (
	"fmt"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ConflictName is what the other side's version of a file is called beside this one's:
// name.conflict-DEVICE-TIME.ext, the time being when that version was pushed (UTC). A name
// without a stem keeps its dot: .env.conflict-DEVICE-TIME.
func ConflictName(name, device string, pushed time.Time) string {
	ext := path.Ext(name)
	if ext == name || ext == "." {
		ext = ""
	}
	mark := ".conflict-" + plainName(device) + "-" + pushed.UTC().Format("20060102T150405Z")
	return shorten(strings.TrimSuffix(name, ext), mark+ext) + mark + ext
}

// maxFileName is how many bytes of a name every file system takes.
const maxFileName = 255

// shorten cuts a stem so that it fits with what follows, between characters.
func shorten(stem, rest string) string {
	for len(stem)+len(rest) > maxFileName && stem != "" {
		_, n := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-n]
	}
	return stem
}

// plainName is a device's name with nothing that a file's name cannot have somewhere.
func plainName(device string) string {
	s := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' {
			return r
		}
		return '-'
	}, device)
	if s = shorten(s, strings.Repeat("x", maxFileName-32)); s == "" {
		return "device"
	}
	return s
}

// freeName is name, or name with a number before its extension, that is not taken.
func freeName(name string, taken func(string) bool) string {
	if !taken(name) {
		return name
	}
	ext := path.Ext(name)
	if strings.HasPrefix(ext, ".conflict-") {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	for n := 2; ; n++ {
		end := fmt.Sprintf("-%d%s", n, ext)
		if next := shorten(stem, end) + end; !taken(next) {
			return next
		}
	}
}
