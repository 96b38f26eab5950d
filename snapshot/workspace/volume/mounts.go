package volume

import (
	"io/fs"
	"path"
	"strings"
)

// A mount is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	device  string // major:minor
	point   string
	kind    string // of the file system
	source  string
	options string // of the file system
}

// mountOf returns the mount that an absolute path lies on: the longest point, and of several there
// the last, which hides the others.
func (s system) mountOf(name string) (found mount, ok bool) {
	text, err := fs.ReadFile(s.root, "proc/self/mountinfo")
	if err != nil {
		return mount{}, false
	}
	for line := range strings.Lines(string(text)) {
		if m, parsed := parseMount(line); parsed && within(name, m.point) && len(m.point) >= len(found.point) {
			found, ok = m, true
		}
	}
	return found, ok
}

func within(name, point string) bool {
	return point == "/" || name == point || strings.HasPrefix(name, point+"/")
}

// parseMount reads a line: six fields, optional ones up to a hyphen, and three more.
func parseMount(line string) (m mount, ok bool) {
	before, after, ok := strings.Cut(line, " - ")
	head, tail := strings.Fields(before), strings.Fields(after)
	if !ok || len(head) < 6 || len(tail) < 3 {
		return m, false
	}
	return mount{device: head[2], point: unescape(head[4]), kind: tail[0], source: unescape(tail[1]), options: tail[2]}, true
}

// option is the value of a mount option.
func (m mount) option(name string) (string, bool) {
	for o := range strings.SplitSeq(m.options, ",") {
		if v, ok := strings.CutPrefix(o, name+"="); ok {
			return unescape(v), true
		}
	}
	return "", false
}

// unescape undoes the octal escapes of space, tab, newline and backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// maxLinks is how many symbolic links are followed, as in path_resolution(7).
const maxLinks = 40

// real resolves the links in a name of s.root.
func (s system) real(name string) (string, error) {
	done := "."
	for links := 0; name != ""; {
		var part string
		part, name, _ = strings.Cut(name, "/")
		switch next := path.Join(done, part); {
		case part == "" || part == ".":
		case part == "..":
			done = path.Dir(done)
		default:
			info, err := fs.Lstat(s.root, next)
			if err != nil {
				return "", err
			}
			if info.Mode().Type() != fs.ModeSymlink {
				done = next
				continue
			}
			if links++; links > maxLinks {
				return "", &fs.PathError{Op: "readlink", Path: next, Err: fs.ErrInvalid}
			}
			target, err := fs.ReadLink(s.root, next)
			if err != nil {
				return "", err
			}
			if strings.HasPrefix(target, "/") {
				done = "."
			}
			name = target + "/" + name
		}
	}
	return done, nil
}
