package check

import (
	"maps"
	"slices"
	"strings"

	"satchel/store/ledger"
	"satchel/store/pack"
)

// unasked looks at the objects that nothing has asked for: what an interrupted push left,
// and strangers.
func (c *checker) unasked() {
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		n, entry := ledger.ParseName(name)
		switch {
		case c.asked[name], entry && n > 0, c.state.Dead(name):
		case ours(name):
			c.report.Unregistered = append(c.report.Unregistered, c.objects[name])
		default:
			c.problem(name, Notice, "it is nothing of this repository's")
		}
	}
}

// ours reports whether a name is one that a push or a checkpoint could have written and not
// told the ledger of.
func ours(name string) bool {
	if _, err := pack.ParseName(name); err == nil {
		return true
	}
	part := strings.Split(name, "/")
	switch part[0] {
	case "i", "s":
		return len(part) == 2 && isHex(part[1], 32)
	case "a":
		return len(part) == 3 && isHex(part[1], 24) && isHex(part[2], 32)
	}
	return false
}

// isHex reports whether s is n bytes in lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	return len(s) == 2*n && strings.Trim(s, "0123456789abcdef") == ""
}
