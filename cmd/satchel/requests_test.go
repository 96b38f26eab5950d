package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"satchel/store"
	"satchel/store/storetest"
)

// A user runs the program in this process, with a home of its own and an eye on what
// it asks of the store.
type user struct {
	t     *testing.T
	env   map[string]string
	calls *storetest.Counter // of the last command
}

func newUser(t *testing.T, work, name string) *user {
	env := deviceEnv(work, name)
	maps.Copy(env, map[string]string{"XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "XDG_STATE_HOME": "", "XDG_DATA_HOME": "",
		"SATCHEL_PASSPHRASE_FILE": "", "SATCHEL_PASSPHRASE_COMMAND": "", "SATCHEL_STORE": filepath.Join(work, "store")})
	return &user{t: t, env: env}
}

// satchel runs a command and returns its last line of JSON.
func (c *user) satchel(args ...string) map[string]any {
	c.t.Helper()
	for k, v := range c.env {
		c.t.Setenv(k, v)
	}
	var stdout, stderr bytes.Buffer
	code := run(c.t.Context(), append([]string{"--json"}, args...), nil, &stdout, &stderr, func(a *app) {
		a.scrypt = 10
		a.wrap = func(s store.Store) store.Store { c.calls = storetest.NewCounter(s); return c.calls }
	})
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if code != 0 {
		c.t.Fatalf("satchel %s: exit code %d\n%s\n%s", args, code, stdout.String(), stderr.String())
	}
	var last map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		c.t.Fatalf("%q: %v", lines[len(lines)-1], err)
	}
	return last
}

// atMost checks what the last command asked for, and that it told so.
func (c *user) atMost(n int, summary map[string]any, what string) {
	c.t.Helper()
	c.t.Logf("%s: %d requests", what, c.calls.Total())
	if got := c.calls.Total(); got > n {
		c.t.Errorf("%s: %d requests, at most %d allowed:\n%s", what, got, n, c.trace())
	}
	if said, ok := summary["requests"]; ok && int(said.(float64)) != c.calls.Total() {
		c.t.Errorf("%s: it says %v requests, and there were %d", what, said, c.calls.Total())
	}
}

func (c *user) trace() string {
	var b strings.Builder
	for _, op := range c.calls.Trace() {
		fmt.Fprintf(&b, "  %-6s %s (%d bytes)\n", op.Kind, op.Name, op.Bytes)
	}
	return b.String()
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func randomBytes(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// TestRequests holds the commands to the table of the design: requests cost money and round
// trips.
func TestRequests(t *testing.T) {
	work := t.TempDir()
	office, home := newUser(t, work, "office"), newUser(t, work, "home")
	here, there := filepath.Join(work, "office", "w"), filepath.Join(work, "home", "w")
	for i := range 300 {
		writeFile(t, filepath.Join(here, fmt.Sprint(i%10), fmt.Sprint(i)), randomBytes(3000, byte(i)))
	}
	office.satchel("init", "--no-manifest", here)
	out := office.satchel("push", here)
	office.atMost(5, out, "first push, of 900 KB in 300 files") // it reads the ledger first
	office.atMost(1, office.satchel("push", here), "push with nothing new")
	office.atMost(1, office.satchel("status", here), "status")
	office.atMost(1, office.satchel("snapshots", "-C", here), "snapshots")
	for i := range 100 {
		writeFile(t, filepath.Join(here, fmt.Sprint(i%10), fmt.Sprint("new", i)), randomBytes(10_000, byte(100+i)))
	}
	out = office.satchel("push", here)
	office.atMost(3, out, "push of 1 MB in 100 new files")
	if out["new"] != 100.0 {
		t.Errorf("%v new files", out["new"])
	}
	writeFile(t, filepath.Join(here, "0", "0"), randomBytes(3000, 99))
	office.atMost(3, office.satchel("push", here), "push of one changed file")
	writeFile(t, filepath.Join(here, "big"), randomBytes(6<<20, 98))
	office.atMost(4, office.satchel("push", here), "push of 6 MiB")

	code, err := filepath.Glob(filepath.Join(work, "devices", "office", ".config", "satchel", "*", "recovery-code.txt"))
	if err != nil || len(code) != 1 {
		t.Fatal(code, err)
	}
	home.env["SATCHEL_PASSPHRASE_FILE"] = code[0]
	out = home.satchel("pull", there)
	const (
		keys    = 7 // satchel, k/, person, slot, ring; and to enrol: entry, slot
		entries = 5 // 4 were pushed; before them genesis
		again   = 2 // the first and the last are read twice
		packs   = 4 // t/ of each push
		data    = 4 // files lie in three of those, and in the one d/
	)
	home.atMost(keys+1+entries+again+packs+data, out, "first pull on a new device")
	home.atMost(1, home.satchel("pull", there), "pull with nothing new")
	home.atMost(1, home.satchel("status", there), "status after the first pull")
	home.atMost(1, home.satchel("push", there), "push with nothing new after the first pull")
	home.atMost(1, home.satchel("snapshots", "-C", there), "snapshots on the new device")

	writeFile(t, filepath.Join(here, "0", "1"), randomBytes(3000, 97))
	office.satchel("push", here)
	home.atMost(6, home.satchel("pull", there), "pull of one changed file")
}
