package restore

import (
	"encoding/json"
	"testing"
)

// A path that Windows or macOS would take for another one, or for none, is refused before anything is touched.
func TestNamesThatASystemCannotHave(t *testing.T) {
	for _, c := range []struct {
		name                   string
		linux, darwin, windows bool
	}{
		{"docs/a.txt", true, true, true},
		{"Größe/患者", true, true, true},
		{"..", false, false, false},
		{"a/../b", false, false, false},
		{"/etc/passwd", false, false, false},
		{"a//b", false, false, false},
		{"", false, false, false},
		{"a/", false, false, false},
		{"a\x00b", false, false, false},
		{"\xff", true, false, false},
		{`a\b`, true, true, false},
		{`..\b`, true, true, false},
		{`C:\x`, true, true, false},
		{"C:x", true, true, false},
		{"a:b", true, true, false},
		{"a/CON", true, true, false},
		{"nul.txt", true, true, false},
		{"COM1", true, true, false},
		{"com¹.log", true, true, false},
		{"aux .txt", true, true, false},
		{"COM10", true, true, true},
		{"CONSOLE", true, true, true},
		{"dot.", true, true, false},
		{"space ", true, true, false},
		{"...", true, true, false},
		{"tab\tname", true, true, false},
		{"what?", true, true, false},
		{".env", true, true, true},
	} {
		for goos, want := range map[string]bool{"linux": c.linux, "darwin": c.darwin, "windows": c.windows} {
			if err := checkLocalOn(goos, c.name); (err == nil) != want {
				t.Errorf("%s: %q: %v", goos, c.name, err)
			}
		}
	}
}

func TestJournalKeepsNamesThatAreNoText(t *testing.T) {
	for _, name := range []string{"a", "\xff", "a/\xc3(/\xe2\x82", "\xffff", "ü\xfc", "\ufffd"} {
		b, err := json.Marshal(asText(name))
		if err != nil {
			t.Fatal(err)
		}
		var text string
		if err := json.Unmarshal(b, &text); err != nil || fromText(text) != name {
			t.Errorf("%q comes back as %q", name, fromText(text))
		}
	}
	for _, text := range []string{"a\x00", "a\x004", "a\x00zz", "a\x002f", "\x00\x00ff"} {
		if checkLocalOn("linux", fromText(text)) == nil {
			t.Errorf("%q is taken for a path", text)
		}
	}
}
