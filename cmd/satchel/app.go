package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"satchel/snapshot/workspace"
	"satchel/snapshot/workspace/volume"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/azure"
)

// app is what a command gets: its streams, its environment, and the clock.
type app struct {
	*globals
	command string // its name, for hints
	forced  int    // how many arguments stood behind --: paths in any case
	raw     bool   // what is written out is bytes of files, and no lines of ours
	at      located
	ctx     context.Context
	in      *os.File
	out     io.Writer // lists and summaries
	err     io.Writer // everything else
	bytes   io.Writer // out, for what is not ours to change: the content of files
	screen  io.Writer // err, for what draws on it
	getenv  func(string) string
	now     func() time.Time
	rand    io.Reader
	sleep   func(context.Context, time.Duration) error

	who        func() *azure.Identity                      // behind the sign-in to Azure; nil where there is none
	encryption func(context.Context, string) volume.Answer // of the disk under a folder

	wrap   func(store.Store) store.Store // what stands between the driver and us: tests alone
	scrypt int                           // log N for new passphrases; 0 is seal's own
}

func newApp(ctx context.Context, g *globals, in *os.File, out, errw io.Writer) *app {
	return &app{globals: g, ctx: ctx, in: in, out: visible{out}, err: visible{errw}, bytes: out, screen: errw, getenv: os.Getenv, now: time.Now, rand: rand.Reader, sleep: sleep, encryption: volume.Look}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// root is the workspace folder, absolute and with links resolved: DIR or -C if given, else
// the nearest folder from here upwards that has a manifest, else the top of the git work
// tree, else here.
func (a *app) root(dir string) (string, error) {
	given := dir != "" || a.Dir != ""
	if dir == "" {
		dir = "."
	}
	root, err := a.abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	if given {
		return root, nil
	}
	for _, name := range []string{workspace.ManifestName, ".git"} {
		for up := root; ; up = filepath.Dir(up) {
			if has(up, name) {
				return up, nil
			}
			if up == filepath.Dir(up) {
				break
			}
		}
	}
	return root, nil
}

func has(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// abs is a path as typed, made absolute from -C or from where we are.
func (a *app) abs(path string) (string, error) {
	if a.Dir != "" && !filepath.IsAbs(path) {
		path = filepath.Join(a.Dir, path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(real, filepath.Base(abs))
	}
	return abs, nil
}

// say prints a line for a person, unless --quiet or --json.
func (a *app) say(format string, args ...any) {
	if !a.Quiet && !a.JSON {
		fmt.Fprintf(a.out, format+"\n", args...)
	}
}

// table is lines of columns, divided by tabs, which Flush prints.
type table struct {
	*tabwriter.Writer
	lines bytes.Buffer
	out   io.Writer
}

func (a *app) table() *table {
	t := &table{out: a.out}
	t.Writer = tabwriter.NewWriter(&t.lines, 0, 8, 2, ' ', 0)
	return t
}

// Flush prints all at once: the writer below writes each cell by itself.
func (t *table) Flush() error {
	if err := t.Writer.Flush(); err != nil {
		return err
	}
	_, err := t.lines.WriteTo(t.out)
	return err
}

// note prints a line beside the result, on standard error.
func (a *app) note(format string, args ...any) {
	if a.Quiet {
		return
	}
	text := fmt.Sprintf(format, args...)
	if a.JSON {
		a.json("note", map[string]any{"text": text})
		return
	}
	fmt.Fprintln(a.err, text)
}

// problem prints a path that could not be read, or not whole.
func (a *app) problem(path, text string) {
	if a.JSON {
		a.json("problem", map[string]any{"path": path, "text": text})
		return
	}
	fmt.Fprintf(a.err, "! %s: %s\n", quoted(path), text)
}

// debug prints a line with --verbose.
func (a *app) debug(format string, args ...any) {
	if a.Verbose {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// json prints one JSON line. fields gets a message_type.
func (a *app) json(kind string, fields map[string]any) {
	fields["message_type"] = kind
	b, err := json.Marshal(fields)
	if err != nil {
		panic(err) // fields of ours
	}
	fmt.Fprintf(a.out, "%s\n", asciiControls(b))
}

// terminal reports whether a person can be asked.
func (a *app) terminal() bool {
	return a.in != nil && term.IsTerminal(int(a.in.Fd())) && isTerminal(a.screen)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ask prompts on standard error and reads a secret without showing it.
func (a *app) ask(prompt string) (string, error) {
	fmt.Fprint(a.err, prompt)
	fd := int(a.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type answer struct {
		b   []byte
		err error
	}
	read := make(chan answer, 1)
	go func() { // which an interrupt leaves behind: nothing ends a read of a terminal
		b, err := term.ReadPassword(fd)
		read <- answer{b, err}
	}()
	select {
	case r := <-read:
		fmt.Fprintln(a.err)
		if errors.Is(r.err, io.EOF) {
			r.err = errors.New("no answer")
		}
		return string(r.b), r.err
	case <-a.ctx.Done():
		term.Restore(fd, before)
		fmt.Fprintln(a.err)
		return "", context.Cause(a.ctx)
	}
}

// agree asks a person a question; without a terminal nobody agrees.
func (a *app) agree(question string) bool {
	if !a.terminal() {
		return false
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	var answer string
	fmt.Fscanln(a.in, &answer)
	return strings.HasPrefix(strings.ToLower(answer), "y")
}

// device is this computer's name.
func (a *app) device() string {
	name := a.getenv("SATCHEL_DEVICE")
	if name == "" {
		name, _ = os.Hostname()
	}
	return printable(name, "unnamed computer")
}

// place is where this device keeps keys and what it has seen.
func (a *app) place() (access.Place, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return access.Place{}, err
	}
	state, err := a.userDir("XDG_STATE_HOME", ".local/state")
	return access.Place{Config: filepath.Join(config, "satchel"), State: filepath.Join(state, "satchel")}, err
}

// userDir is a folder of the user's that Go has no function for: state or data.
func (a *app) userDir(xdg, unix string) (string, error) {
	home, err := os.UserHomeDir()
	switch {
	case runtime.GOOS == "windows":
		if d := a.getenv("LOCALAPPDATA"); d != "" {
			return d, nil
		}
		return "", errors.New("%LOCALAPPDATA% is not set")
	case err != nil:
		return "", err
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Application Support"), nil
	}
	if d := a.getenv(xdg); filepath.IsAbs(d) {
		return d, nil
	}
	return filepath.Join(home, unix), nil
}
