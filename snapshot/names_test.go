package snapshot

import (
	"strings"
	"testing"
)

func TestNamesThatASystemCannotHold(t *testing.T) {
	for _, c := range []struct {
		name                   string
		linux, darwin, windows bool
	}{
		{"a", true, true, true},
		{"ß é 日本", true, true, true},
		{"n\xff", true, false, false},
		{"NUL", true, true, false},
		{"nul.txt", true, true, false},
		{"Aux .tar.gz", true, true, false},
		{"CONOUT$", true, true, false},
		{"com1", true, true, false},
		{"COM¹.x", true, true, false},
		{"lpt9", true, true, false},
		{"com10", true, true, true},
		{"COM", true, true, true},
		{"communion", true, true, true},
		{"nulls", true, true, true},
		{"a:b", true, true, false},
		{"what?", true, true, false},
		{`a\b`, true, true, false},
		{"tab\t", true, true, false},
		{"dot.", true, true, false},
		{"space ", true, true, false},
		{" space", true, true, true},
		{".env", true, true, true},
		{strings.Repeat("ä", 255), false, true, true},
		{strings.Repeat("a", 256), false, true, false},
		{strings.Repeat("a", 1000), false, false, false},
	} {
		for system, holds := range map[string]bool{"linux": c.linux, "darwin": c.darwin, "windows": c.windows} {
			if err := (&Holder{System: system}).HoldsName([]byte(c.name)); (err == nil) != holds {
				t.Errorf("%s, %q: %v", system, c.name, err)
			}
		}
	}
}
