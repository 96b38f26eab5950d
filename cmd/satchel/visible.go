package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// visible shows what a person cannot see, or what would move the cursor or turn the line
// around, as Go would write it: \x1b, \u202e. Names come from other computers, and from whoever
// sent the files there.
type visible struct{ w io.Writer }

func (v visible) Write(b []byte) (int, error) {
	if _, err := io.WriteString(v.w, seen(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// seen is text with everything that does not print escaped, but for line ends and tabs.
func seen(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&out, `\x%02x`, text[i])
		case r == '\n' || r == '\t' || strconv.IsPrint(r):
			out.WriteString(text[i : i+n])
		default:
			q := strconv.QuoteRune(r)
			out.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return out.String()
}

// asciiControls escapes in JSON what visible would, as JSON does.
func asciiControls(line []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(line) {
		switch {
		case strconv.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}

// maxName is how long the name of a device or a workspace may be, in bytes.
const maxName = 128

// printable makes a name that the ledger takes of one that the system has: a folder's, a host's.
func printable(name, otherwise string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	if name == "" {
		return otherwise
	}
	return name
}
