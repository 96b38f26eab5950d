package main

import (
	"fmt"
	"strings"

	"satchel/snapshot"
)

// letters is the order in which diff adds up. R is a file under another name.
const letters = "+-MTR~"

func (d *differ) letter(c snapshot.Change) string {
	if _, ok := d.renamed[c.Remote]; ok && c.Old == nil {
		return "R"
	}
	return string(rune(c.Letter()))
}

// print shows what was found.
func (d *differ) print(stat bool) {
	a := d.s.a
	if a.JSON {
		d.printJSON(stat)
		return
	}
	a.say("--- %s", d.name(d.a))
	a.say("+++ %s", d.name(d.b))
	for _, c := range d.changes {
		if stat {
			break
		}
		fmt.Fprintln(a.out, d.line(c))
		for i, t := range d.tables[c.Remote] {
			if i == shownChanges && !a.Verbose {
				fmt.Fprintf(a.out, "    … and %s more (--verbose lists all)\n", thousands(int64(len(d.tables[c.Remote])-i)))
				break
			}
			fmt.Fprintf(a.out, "    %s\n", t)
		}
		if why := d.problems[c.Remote]; why != "" {
			fmt.Fprintf(a.out, "    its tables cannot be read: %s\n", why)
		}
	}
	if stat {
		d.printTotals()
	} else if len(d.changes) == 0 {
		a.say("No difference")
	}
}

// line is what diff says of a path.
func (d *differ) line(c snapshot.Change) string {
	letter, path := d.letter(c), quoted(d.local(c.Remote))
	switch letter {
	case "R":
		path = quoted(d.local(d.renamed[c.Remote])) + " -> " + path
		return fmt.Sprintf("R %s  %s", path, size(int64(c.New.Size)))
	case "+":
		return fmt.Sprintf("+ %s  %s", path, looks(c.New))
	case "-":
		return fmt.Sprintf("- %s  %s", path, looks(c.Old))
	case "~":
		return fmt.Sprintf("~ %s  %s", path, touched(c))
	}
	return fmt.Sprintf("%s %s  %s -> %s", letter, path, looks(c.Old), looks(c.New))
}

// looks says what an entry is: a file by its size.
func looks(e *snapshot.Entry) string {
	switch e.Type {
	case snapshot.File:
		return size(int64(e.Size))
	case snapshot.Symlink:
		return "link to " + quoted(string(e.Target))
	}
	return e.Type.String()
}

// touched says what changed beside the content.
func touched(c snapshot.Change) string {
	var words []string
	if c.Old.Mode != c.New.Mode {
		words = append(words, fmt.Sprintf("mode %04o -> %04o", c.Old.Mode, c.New.Mode))
	}
	if c.Old.Mtime != c.New.Mtime {
		words = append(words, fmt.Sprintf("time %s -> %s", moment(c.Old.Mtime), moment(c.New.Mtime)))
	}
	if c.Old.Marks != c.New.Marks {
		words = append(words, "read whole in one of the two only")
	}
	if len(words) == 0 {
		words = append(words, "owner, attributes, flags or links")
	}
	return strings.Join(words, ", ")
}

// total is what one letter adds up to.
type total struct {
	files    int
	old, now uint64 // bytes
}

func (d *differ) totals() map[string]*total {
	sums := map[string]*total{}
	for _, letter := range strings.Split(letters, "") {
		sums[letter] = &total{}
	}
	for _, c := range d.changes {
		t := sums[d.letter(c)]
		t.files++
		if c.Old != nil {
			t.old += c.Old.Size
		}
		if c.New != nil {
			t.now += c.New.Size
		}
	}
	return sums
}

func (d *differ) printTotals() {
	sums := d.totals()
	for _, letter := range strings.Split(letters, "") {
		t := sums[letter]
		amount := size(int64(t.now))
		switch letter {
		case "-":
			amount = size(int64(t.old))
		case "M", "T":
			amount = size(int64(t.old)) + " -> " + amount
		}
		if t.files > 0 {
			fmt.Fprintf(d.s.a.out, "%s %s, %s\n", letter, count(t.files, "file"), amount)
		}
	}
	if len(d.changes) == 0 {
		d.s.a.say("No difference")
	}
}

func (d *differ) printJSON(stat bool) {
	a := d.s.a
	for _, c := range d.changes {
		if stat {
			break
		}
		f := map[string]any{"letter": d.letter(c), "path": d.local(c.Remote), "remote": c.Remote, "old": entryFields(c.Old), "new": entryFields(c.New)}
		if old, ok := d.renamed[c.Remote]; ok && c.Old == nil {
			f["old_path"], f["old"] = d.local(old), entryFields(d.origin[old].Old)
		}
		if ts, ok := d.tables[c.Remote]; ok {
			f["tables"] = tableFields(ts)
		}
		if why := d.problems[c.Remote]; why != "" {
			f["tables_problem"] = why
		}
		a.json("change", f)
	}
	f := map[string]any{"a": d.sideFields(d.a), "b": d.sideFields(d.b), "requests": d.s.store.requests()}
	sums := d.totals()
	for i, name := range []string{"added", "removed", "modified", "retyped", "renamed", "touched"} {
		t := sums[letters[i:i+1]]
		f[name] = map[string]any{"files": t.files, "bytes_old": t.old, "bytes_new": t.now}
	}
	a.json("summary", f)
}

func (d *differ) sideFields(v side) map[string]any {
	if v.here {
		return map[string]any{"here": true}
	}
	return d.s.snapshotFields(v.snapshot)
}

// entryFields is an entry in JSON; nil is null.
func entryFields(e *snapshot.Entry) any {
	if e == nil {
		return nil
	}
	f := map[string]any{"type": e.Type.String(), "mode": fmt.Sprintf("%04o", e.Mode), "size": e.Size, "mtime": stamp(e.Mtime)}
	if e.Type == snapshot.Symlink {
		f["target"] = string(e.Target)
	}
	return f
}
