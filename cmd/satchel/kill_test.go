package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"satchel/store/access"
	"satchel/store/dir"
	"satchel/store/pack"
)

// kills is how often the program is killed in each of the two tests: SATCHEL_KILLS, else 10.
func kills(t *testing.T) int {
	s := os.Getenv("SATCHEL_KILLS")
	if s == "" {
		return 10
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// seeded returns a source of chance; its seed is SATCHEL_SEED or new, and logged.
func seeded(t *testing.T) *mrand.Rand {
	var b [8]byte
	rand.Read(b[:])
	seed := binary.LittleEndian.Uint64(b[:])
	if s := os.Getenv("SATCHEL_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SATCHEL_SEED=%d", seed)
	return mrand.New(mrand.NewPCG(seed, 0))
}

// computer is a device whose program runs as a process of its own.
type computer struct {
	t    testing.TB
	env  []string
	home string
	ws   string
}

func newComputer(t testing.TB, name, store string) *computer {
	c := &computer{t: t, home: t.TempDir(), ws: filepath.Join(t.TempDir(), "clinic")}
	if err := os.Mkdir(c.ws, 0o755); err != nil {
		t.Fatal(err)
	}
	c.env = c.environ(name, store)
	return c
}

func (c *computer) environ(name, store string) []string {
	return append(os.Environ(), "HOME="+c.home, "XDG_CONFIG_HOME="+c.home+"/config", "XDG_STATE_HOME="+c.home+"/state", "XDG_CACHE_HOME="+c.home+"/cache",
		"XDG_DATA_HOME="+c.home+"/data", "SATCHEL_STORE="+store, "SATCHEL_DEVICE="+name, "SATCHEL_PASSPHRASE=correct horse battery", "GORACE="+raceQuickly)
}

func (c *computer) command(args ...string) *exec.Cmd {
	cmd := exec.Command("satchel", append([]string{"-C", c.ws}, args...)...)
	cmd.Env = c.env
	return cmd
}

// run runs the program to its end, which must be a good one.
func (c *computer) run(args ...string) string {
	c.t.Helper()
	out, err := c.command(args...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("satchel %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// killed runs the program and kills it after a while. It reports whether it had ended by itself.
func (c *computer) killed(after time.Duration, args ...string) (ended bool) {
	c.t.Helper()
	cmd := c.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	if err != nil && cmd.ProcessState.ExitCode() != -1 {
		c.t.Fatalf("satchel %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return err == nil
}

func (c *computer) write(path, content string) {
	c.t.Helper()
	full := filepath.Join(c.ws, path)
	os.MkdirAll(filepath.Dir(full), 0o755)
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// tree is path → hash of everything in the workspace but satchel's own.
func (c *computer) tree() string {
	var b strings.Builder
	filepath.WalkDir(c.ws, func(path string, e os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".satchel-stage-") {
			return filepath.SkipDir
		}
		if err == nil && !e.IsDir() {
			content, _ := os.ReadFile(path)
			fmt.Fprintf(&b, "%s %x\n", strings.TrimPrefix(path, c.ws), sha256.Sum256(content))
		}
		return nil
	})
	return b.String()
}

func noise(r *mrand.Rand, n int) string {
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return string(b)
}

// A first push that is killed again and again ends at last, with a snapshot that is whole,
// and what the store had acknowledged was not sent again.
func TestKilledPush(t *testing.T) {
	r := seeded(t)
	store := filepath.Join(t.TempDir(), "store")
	c := newComputer(t, "OFFICE", store)
	large := func() {
		for i := range 24 {
			c.write(fmt.Sprintf("large/%02d", i), noise(r, 4<<20))
		}
	}
	large()
	for i := range 400 {
		c.write(fmt.Sprintf("small/%03d", i), noise(r, 2000))
	}
	c.run("init", "--no-manifest")
	probe := newComputer(t, "PROBE", filepath.Join(t.TempDir(), "store"))
	probe.ws = c.ws
	probe.run("init", "--no-manifest")
	began := time.Now()
	probe.run("push")
	whole := time.Since(began)
	ended := 0
	for range kills(t) {
		if c.killed(time.Duration(r.Int64N(int64(whole))), "push") {
			ended++
			large() // something to push again
		}
		c.run("status", "--quiet")
	}
	c.run("push")
	t.Logf("%d of %d pushes ended before they were killed", ended, kills(t))
	to := t.TempDir()
	c.run("restore", "latest", "--to", to)
	back := &computer{t: t, ws: to}
	if c.tree() != back.tree() {
		t.Error("the restored files differ")
	}
	chunksOnce(t, c, store)
}

// chunksOnce checks that no chunk lies in two registered data packs.
func chunksOnce(t *testing.T, c *computer, path string) {
	t.Helper()
	ctx := context.Background()
	s, err := dir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := access.Open(ctx, access.Config{Store: s, Location: path, Place: access.Place{Config: c.home + "/config/satchel", State: c.home + "/state/satchel"}, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Log.Close()
	if err := a.Log.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	where := map[pack.ID]pack.Key{}
	for _, p := range a.Log.State().Packs() {
		d, err := pack.ReadDirectory(ctx, s, a.Keys, p.Key, p.Size)
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.Len() {
			if old, twice := where[d.ID(i)]; twice && p.Key.Name()[0] == 'd' {
				t.Errorf("chunk %x lies in %s and in %s", d.ID(i), old.Name(), p.Key.Name())
			}
			where[d.ID(i)] = p.Key
		}
	}
}

// A pull that is killed leaves the old files or the new ones, once the next command has
// looked, and the next pull ends well.
func TestKilledPull(t *testing.T) {
	r := seeded(t)
	store := filepath.Join(t.TempDir(), "store")
	a := newComputer(t, "OFFICE", store)
	a.run("init", "--no-manifest")
	fill := func(round int) {
		for i := range 6 {
			a.write(fmt.Sprintf("large/%d", i), noise(r, 2<<20))
		}
		for i := range 150 {
			a.write(fmt.Sprintf("small/%03d", (i+round*40)%300), noise(r, 3000))
		}
		os.RemoveAll(filepath.Join(a.ws, fmt.Sprintf("round-%d", round-1)))
		a.write(fmt.Sprintf("round-%d/x", round), "x")
	}
	fill(0)
	a.run("push")
	b := newComputer(t, "HOME", store)
	b.run("pull", "--workspace", "clinic")
	fill(1)
	a.run("push", "--yes")
	began := time.Now()
	b.run("pull")
	whole := time.Since(began)
	old, done := 0, 0
	for round := range kills(t) {
		was := b.tree()
		fill(round + 2)
		a.run("push", "--yes")
		ended := b.killed(time.Duration(r.Int64N(int64(whole))), "pull")
		b.run("status", "--quiet")
		switch now := b.tree(); {
		case now == a.tree():
			done++
		case now == was && !ended:
			old++
		default:
			t.Fatalf("round %d, ended %v: neither the old files nor the new ones", round, ended)
		}
		b.run("pull")
		if b.tree() != a.tree() {
			t.Fatalf("round %d: the next pull did not finish", round)
		}
	}
	t.Logf("%d times the old files, %d times the new ones", old, done)
}
