package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"satchel/store/azure/account"
	"satchel/store/durable"
)

// print tells a person, or a program, each check and a sum.
func (d *doctor) print() error {
	a := d.a
	if a.JSON {
		for _, c := range d.checks {
			a.json("check", map[string]any{"id": c.ID, "title": c.Title, "result": c.Result, "found": c.Found, "fix": c.Fix})
		}
		a.json("doctor", map[string]any{"store": d.at.String(), "pass": d.count(account.Pass), "fail": d.count(account.Fail), "unseen": d.count(account.Unseen)})
		return nil
	}
	fmt.Fprintf(a.out, "Store %s (%s)\n", d.at, d.at.from)
	for n, c := range d.checks {
		if c.Result == account.Pass && a.Quiet {
			continue
		}
		again := n+1 < len(d.checks) && sameAnswer(c, d.checks[n+1])
		fmt.Fprint(a.out, line(c, again))
	}
	fmt.Fprintln(a.out, d.sum())
	return nil
}

// sameAnswer reports whether two checks cannot be seen for the same reason, which is told once.
func sameAnswer(c, next account.Check) bool {
	return c.Result == account.Unseen && next.Result == account.Unseen && c.Found == next.Found && c.Fix == next.Fix
}

var marks = map[account.Result]string{account.Pass: "pass", account.Fail: "FAIL", account.Unseen: "   ?"}

func line(c account.Check, short bool) string {
	text := fmt.Sprintf("  %s  %s", marks[c.Result], c.Title)
	if short {
		return text + "\n"
	}
	if c.Result == account.Unseen {
		text += ": " + string(c.Result)
	}
	text += ": " + c.Found + "\n"
	if c.Fix != "" {
		text += "        " + strings.ReplaceAll(c.Fix, "\n", "\n      ") + "\n"
	}
	return text
}

func (d *doctor) sum() string {
	return fmt.Sprintf("%s: %d pass, %d fail, %d cannot be seen from here", count(len(d.checks), "check"), d.count(account.Pass), d.count(account.Fail), d.count(account.Unseen))
}

// report writes the page. An earlier one is never written over.
func (d *doctor) report(path string) error {
	now := d.a.now().UTC()
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "satchel-doctor-"+now.Format("2006-01-02-1504")+".md")
	}
	err := durable.CreateExclusive(path, d.page(now), 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usageError{fmt.Errorf("%s is there already, and a report is not written over: give another name, or a folder", quoted(path))}
	} else if err != nil {
		return err
	}
	d.a.say("Report in %s", quoted(rel(path)))
	return nil
}

// page is Markdown, for people and for the folder that an auditor opens.
func (d *doctor) page(now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Storage check, %s\n\n", now.Format("2 January 2006, 15:04 UTC"))
	for _, f := range [][2]string{{"Store", d.at.String()}, {"Computer", d.a.device()}, {"User there", d.a.user()}, {"Signed in", d.who}, {"Program", "satchel " + version}, {"Result", d.sum()}} {
		if f[1] != "" {
			fmt.Fprintf(&b, "- %s: %s\n", f[0], cell(f[1]))
		}
	}
	b.WriteString("\n| result | check | found |\n|---|---|---|\n")
	for _, c := range d.checks {
		fmt.Fprintf(&b, "| %s | %s (%s) | %s |\n", c.Result, cell(c.Title), c.ID, cell(c.Found))
	}
	for n, c := range d.checks {
		if c.Fix == "" || n+1 < len(d.checks) && sameAnswer(c, d.checks[n+1]) {
			continue
		}
		if !bytes.Contains(b.Bytes(), []byte("## What to do")) {
			b.WriteString("\n## What to do\n")
		}
		fmt.Fprintf(&b, "\n%s (%s):\n\n    %s\n", cell(c.Title), c.ID, strings.ReplaceAll(strings.ReplaceAll(c.Fix, "\n    ", "\n"), "\n", "\n    "))
	}
	return b.Bytes()
}

// cell keeps a text within a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ", "<", "&lt;").Replace(text)
}
