package workspace

import (
	"bytes"
	"strings"
)

// ignore is a list of .gitignore lines that stand in the root of the workspace, with
// the meaning of gitignore(5), case counting. It is tested against git check-ignore.
type ignore struct {
	patterns []pattern
}

// A pattern is one line that is neither empty nor a comment.
type pattern struct {
	line    string // as written
	text    string // without "!", a final slash, and trailing spaces
	literal int    // how much of text stands before the first wildcard
	negated bool   // "!": takes in again what an earlier line leaves out
	folder  bool   // final slash: for folders only
	base    bool   // no other slash: matches the last element, at any depth
	suffix  bool   // "*" and no other wildcard
}

func parseIgnore(lines []string) *ignore {
	g := new(ignore)
	for _, line := range lines {
		if p, ok := parsePattern(line); ok {
			g.patterns = append(g.patterns, p)
		}
	}
	return g
}

func parsePattern(line string) (pattern, bool) {
	p := pattern{line: line, text: trimSpaces(strings.TrimSuffix(line, "\r"))}
	if p.text == "" || p.text[0] == '#' {
		return p, false
	}
	p.text, p.negated = strings.CutPrefix(p.text, "!")
	p.text, p.folder = strings.CutSuffix(p.text, "/")
	p.base = !strings.Contains(p.text, "/")
	p.literal = literalLen(p.text)
	p.suffix = strings.HasPrefix(p.text, "*") && literalLen(p.text[1:]) == len(p.text)-1
	return p, true
}

// trimSpaces drops trailing spaces that no backslash escapes.
func trimSpaces(s string) string {
	end := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ':
			continue
		case '\\':
			if i++; i == len(s) {
				return s
			}
		}
		end = i + 1
	}
	return s[:end]
}

func literalLen(s string) int {
	if i := strings.IndexAny(s, `*?[\`); i >= 0 {
		return i
	}
	return len(s)
}

// excluded returns the pattern that leaves path out, nil if none does. A folder that
// is left out takes all that is below it along, whatever later lines say of it.
func (g *ignore) excluded(path string, dir bool) *pattern {
	if len(g.patterns) == 0 {
		return nil
	}
	for i := range len(path) {
		if path[i] == '/' {
			if p := g.match(path[:i], true); p != nil && !p.negated {
				return p
			}
		}
	}
	if p := g.match(path, dir); p != nil && !p.negated {
		return p
	}
	return nil
}

// match returns the last pattern that matches the path itself, nil if none does.
func (g *ignore) match(path string, dir bool) *pattern {
	name := path[strings.LastIndexByte(path, '/')+1:]
	for i := len(g.patterns) - 1; i >= 0; i-- {
		p := &g.patterns[i]
		switch {
		case p.folder && !dir:
		case p.base && p.matchName(name), !p.base && p.matchPath(path):
			return p
		}
	}
	return nil
}

func (p *pattern) matchName(name string) bool {
	switch {
	case p.literal == len(p.text):
		return name == p.text
	case p.suffix:
		return strings.HasSuffix(name, p.text[1:])
	}
	return wildmatch(p.text, name, false)
}

// matchPath matches as git does: the literal prefix is compared and cut off first, so
// that in "a/b**" the "**" stands at the beginning and crosses slashes.
func (p *pattern) matchPath(path string) bool {
	text, literal := p.text, p.literal
	if strings.HasPrefix(text, "/") {
		text, literal = text[1:], literal-1
	}
	if !strings.HasPrefix(path, text[:literal]) {
		return false
	}
	return wildmatch(text[literal:], path[literal:], true)
}

// wildmatch reports whether the glob matches all of text. With paths, "*", "?" and
// classes do not match a slash, and "**" between slashes matches any folders.
func wildmatch(glob, text string, paths bool) bool {
	return wild(glob, text, glob, paths) == matched
}

// How a match of a part of the glob failed tells the stars before it whether to go on:
// it is this that keeps matching from being exponential.
type outcome int

const (
	matched   outcome = iota
	different         // here; a star before may try further on
	pastSlash         // only a "**" before may try further on
	exhausted         // the text is at its end: nothing further on can match
)

// wild matches glob, which is a tail of whole, with text.
func wild(glob, text, whole string, paths bool) outcome {
	for glob != "" {
		c := glob[0]
		if text == "" && c != '*' {
			return exhausted
		}
		switch c {
		case '*':
			return star(glob, text, whole, paths)
		case '?':
			if paths && text[0] == '/' {
				return different
			}
			glob, text = glob[1:], text[1:]
		case '[':
			ok, rest := class(glob[1:], text[0])
			if rest < 0 {
				return exhausted
			}
			if !ok || paths && text[0] == '/' {
				return different
			}
			glob, text = glob[1+rest:], text[1:]
		case '\\':
			if glob = glob[1:]; glob == "" {
				return different
			}
			fallthrough
		default:
			if glob[0] != text[0] {
				return different
			}
			glob, text = glob[1:], text[1:]
		}
	}
	if text != "" {
		return different
	}
	return matched
}

// star matches a glob that begins with "*".
func star(glob, text, whole string, paths bool) outcome {
	rest := strings.TrimLeft(glob, "*")
	cross := !paths // whether it matches slashes
	if before := len(whole) - len(glob); paths && len(glob)-len(rest) > 1 &&
		(before == 0 || whole[before-1] == '/') &&
		(rest == "" || rest[0] == '/' || strings.HasPrefix(rest, `\/`)) {
		if rest != "" && rest[0] == '/' && wild(rest[1:], text, whole, paths) == matched {
			return matched // "**/" as no folder at all
		}
		cross = true
	}
	switch slash := strings.IndexByte(text, '/'); {
	case rest == "" && !cross && slash >= 0:
		return pastSlash
	case rest == "":
		return matched
	case !cross && rest[0] == '/' && slash < 0:
		return exhausted
	case !cross && rest[0] == '/':
		return wild(rest[1:], text[slash+1:], whole, paths)
	}
	for ; text != ""; text = text[1:] {
		if literalLen(rest[:1]) == 1 { // go straight to where it stands
			i := strings.IndexByte(text, rest[0])
			if slash := strings.IndexByte(text, '/'); !cross && slash >= 0 && (i < 0 || slash < i) {
				return pastSlash
			}
			if i < 0 {
				return exhausted
			}
			text = text[i:]
		}
		switch o := wild(rest, text, whole, paths); {
		case o == different && !cross && text[0] == '/':
			return pastSlash
		case o == different, o == pastSlash && cross:
		default:
			return o
		}
	}
	return exhausted
}

// class matches one byte with a bracket expression, given without its "[". It returns
// the length of the expression, -1 if it does not end or names an unknown class.
func class(expr string, c byte) (ok bool, length int) {
	i := 0
	negated := expr != "" && (expr[0] == '!' || expr[0] == '^')
	if negated {
		i++
	}
	var low byte // what a following "-" ranges from; 0: nothing
	for first := true; first || i < len(expr) && expr[i] != ']'; first = false {
		if i >= len(expr) {
			return false, -1
		}
		b := expr[i]
		i++
		switch {
		case b == '-' && low != 0 && i < len(expr) && expr[i] != ']':
			b = expr[i]
			i++
			if b == '\\' {
				if i >= len(expr) {
					return false, -1
				}
				b = expr[i]
				i++
			}
			ok = ok || low <= c && c <= b
			low = 0
			continue
		case b == '[' && i < len(expr) && expr[i] == ':':
			end := strings.IndexByte(expr[i+1:], ']')
			if end < 0 {
				return false, -1
			}
			name := expr[i+1 : i+1+end]
			if end == 0 || name[end-1] != ':' {
				break // a "[" like any other
			}
			members, known := classes[name[:end-1]]
			if !known {
				return false, -1
			}
			ok = ok || members(c)
			i += end + 2
			low = 0
			continue
		case b == '\\':
			if i >= len(expr) {
				return false, -1
			}
			b = expr[i]
			i++
		}
		ok = ok || b == c
		low = b
	}
	if i >= len(expr) {
		return false, -1
	}
	return ok != negated, i + 1
}

// classes are those of the C locale.
var classes = map[string]func(byte) bool{
	"alnum":  func(c byte) bool { return isLower(c|0x20) || isDigit(c) },
	"alpha":  func(c byte) bool { return isLower(c | 0x20) },
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c byte) bool { return c < ' ' || c == 0x7f },
	"digit":  isDigit,
	"graph":  func(c byte) bool { return ' ' < c && c < 0x7f },
	"lower":  isLower,
	"print":  func(c byte) bool { return ' ' <= c && c < 0x7f },
	"punct":  func(c byte) bool { return ' ' < c && c < 0x7f && !isLower(c|0x20) && !isDigit(c) },
	"space":  func(c byte) bool { return bytes.IndexByte([]byte(" \t\n\v\f\r"), c) >= 0 },
	"upper":  func(c byte) bool { return 'A' <= c && c <= 'Z' },
	"xdigit": func(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' },
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
