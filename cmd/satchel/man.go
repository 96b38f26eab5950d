package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type manCmd struct{}

func (manCmd) Help() string {
	return `Prints the manual of all commands as a man page.

Example:
  satchel man >/usr/local/share/man/man1/satchel.1`
}

func (manCmd) Run(a *app, k *kong.Context) error {
	man{a.bytes}.page(k.Model.Node)
	return nil
}

// man writes a page for man(7): https://man7.org/linux/man-pages/man7/groff_man.7.html.
type man struct{ w io.Writer }

func (m man) page(top *kong.Node) {
	m.macro("TH", "SATCHEL", "1", "", "satchel "+version)
	m.macro("SH", "NAME")
	m.text("satchel - carries what git ignores from one computer to the next")
	m.macro("SH", "SYNOPSIS")
	m.macro("B", "satchel")
	m.text("COMMAND [FLAGS]")
	m.macro("SH", "DESCRIPTION")
	m.text(top.Help)
	m.macro("SH", "COMMANDS")
	for _, leaf := range top.Leaves(true) {
		m.command(leaf)
	}
	m.macro("SH", "FLAGS OF EVERY COMMAND")
	m.flags(top.Flags)
	m.macro("SH", "EXIT STATUS")
	for _, e := range exits {
		m.macro("TP")
		m.text(fmt.Sprint(e.code))
		m.text(e.meaning)
	}
}

var exits = []struct {
	code    int
	meaning string
}{
	{exitDone, "Done."},
	{exitFailed, "Failed."},
	{exitUsage, "Wrong use."},
	{exitIncomplete, "Done, but something could not be read; it is listed, and the snapshot says so."},
	{exitBehind, "Diverged or behind: pull first; or a pull that left conflicts."},
	{exitWouldLose, "Would lose what only this computer has; nothing was touched."},
	{exitDamaged, "The repository is damaged."},
	{exitDenied, "Not signed in, or not allowed."},
	{exitGate, "A gate of the manifest refused: device encryption, or how to sign in."},
	{exitNone, "No repository there."},
	{exitWrongKey, "Wrong key or passphrase."},
	{exitInterrupted, "Interrupted."},
}

func (m man) command(c *kong.Node) {
	m.macro("SS", c.Summary())
	m.text(c.Help)
	if about, example, _ := strings.Cut(c.Detail, "Example:\n"); c.Detail != "" {
		for _, paragraph := range strings.Split(strings.Trim(about, "\n"), "\n\n") {
			m.paragraph(paragraph)
		}
		m.paragraph("Example:")
		m.paragraph(strings.Trim(example, "\n"))
	}
	m.flags(c.Flags)
}

func (m man) flags(flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		name := "--" + f.Name
		if f.Short != 0 {
			name = "-" + string(f.Short) + ", " + name
		}
		if !f.IsBool() && !f.IsCounter() {
			name += "=" + f.FormatPlaceHolder()
		}
		m.macro("TP")
		m.text(name)
		m.text(f.Help)
	}
}

// paragraph keeps the lines of a table or of commands, which are indented, as they are.
func (m man) paragraph(text string) {
	m.macro("PP")
	if strings.HasPrefix(text, " ") {
		m.macro("nf")
		defer m.macro("fi")
	}
	m.text(text)
}

func (m man) macro(name string, args ...string) {
	fmt.Fprintf(m.w, ".%s", name)
	for _, arg := range args {
		fmt.Fprintf(m.w, " \"%s\"", strings.ReplaceAll(escaped.Replace(arg), `"`, `\(dq`))
	}
	fmt.Fprintln(m.w)
}

func (m man) text(text string) {
	for line := range strings.Lines(text) {
		line = escaped.Replace(strings.TrimRight(line, "\n"))
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		fmt.Fprintln(m.w, line)
	}
}

// escaped is text as roff reads it: a hyphen that can be copied, and no escapes but ours.
var escaped = strings.NewReplacer(`\`, `\e`, "-", `\-`)
