package main

import (
	"path"
	"path/filepath"
	"strings"

	"satchel/snapshot"
	"satchel/snapshot/sqlite"
)

// opened is a file that a program has open: what is not saved there is in no snapshot.
type opened struct {
	snapshot.Open
	by []string // programs, where the system tells
}

// opened asks which of the files are open.
func (s *session) opened(files []snapshot.Open) []opened {
	var out []opened
	for _, f := range files {
		o := opened{Open: f}
		if f.Lock == "" {
			by, err := sqlite.InUse(filepath.Join(s.root, filepath.FromSlash(f.Local)))
			if err != nil {
				s.a.debug("%s: %v", quoted(f.Local), err)
			}
			o.by = by
		}
		if o.document() || len(o.by) > 0 {
			out = append(out, o)
		}
	}
	return out
}

// document reports whether it is one of an office program's, which keeps to itself what was not saved.
// What a database's program has committed is in the snapshot.
func (o opened) document() bool { return o.Lock != "" }

func documents(all []opened) (out []opened) {
	for _, o := range all {
		if o.document() {
			out = append(out, o)
		}
	}
	return out
}

func (o opened) text() string {
	if o.document() {
		return quoted(o.Local) + " is open in an office program: save and close it. If none has it open, " + quoted(path.Join(path.Dir(o.Local), o.Lock)) + " is a leftover: remove it"
	}
	return quoted(o.Local) + " is open in " + quoted(strings.Join(o.by, ", ")) + ": what is written there from now on comes with the next push; close it before you leave"
}

func openFields(all []opened) []map[string]any {
	out := []map[string]any{}
	for _, o := range all {
		f := map[string]any{"path": o.Local, "programs": o.by, "lock": nil}
		if o.Lock != "" {
			f["lock"] = o.Lock
		}
		out = append(out, f)
	}
	return out
}
