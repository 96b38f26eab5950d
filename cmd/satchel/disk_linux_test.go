package main

import (
	"bytes"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tmpfs mounts a small file system and returns its folder and a way to give it another size or
// make it read-only.
func tmpfs(t *testing.T, options string) (string, func(options string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	at := t.TempDir()
	mount := func(options string) {
		t.Helper()
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", at).CombinedOutput(); err != nil {
			t.Fatalf("mount: %v: %s", err, out)
		}
	}
	mount(options)
	t.Cleanup(func() { exec.Command("umount", "-l", at).Run() })
	return at, func(options string) { t.Helper(); mount("remount," + options) }
}

// fails runs the program, which must fail with the code and say the words.
func (c *computer) fails(code int, words string, args ...string) {
	c.t.Helper()
	cmd := c.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(out.String(), words) {
		c.t.Errorf("satchel %s: exit %d, want %d and %q:\n%s", strings.Join(args, " "), got, code, words, out.String())
	}
}

func TestPushIntoAFullDisk(t *testing.T) {
	r := mrand.New(mrand.NewPCG(1, 1))
	disk, resize := tmpfs(t, "size=12m")
	c := newComputer(t, "OFFICE", filepath.Join(disk, "store"))
	c.write("first", "f")
	c.run("init", "--no-manifest")
	c.run("push")
	for i := range 8 {
		c.write(fmt.Sprint("large", i), noise(r, 4<<20))
	}
	c.fails(1, "no space left", "push")
	if out := c.run("snapshots", "--json"); strings.Count(out, `"snapshot"`) != 1 {
		t.Errorf("after the failure: %s", out)
	}
	left, _ := filepath.Glob(filepath.Join(disk, "store", "*", "*", ".satchel-tmp-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	resize("size=100m")
	c.run("push")
	to := &computer{t: t, ws: t.TempDir()}
	c.run("restore", "latest", "--to", to.ws)
	if to.tree() != c.tree() {
		t.Error("the restored files differ")
	}
}

func TestPullOntoAFullOrReadOnlyDisk(t *testing.T) {
	r := mrand.New(mrand.NewPCG(2, 2))
	store := filepath.Join(t.TempDir(), "store")
	a := newComputer(t, "OFFICE", store)
	a.write("f", "old")
	a.run("init", "--no-manifest")
	a.run("push")
	disk, resize := tmpfs(t, "size=12m")
	b := newComputer(t, "HOME", store)
	b.ws = filepath.Join(disk, "clinic")
	if err := os.Mkdir(b.ws, 0o755); err != nil {
		t.Fatal(err)
	}
	b.run("pull")
	before := b.tree()
	a.write("f", "new")
	for i := range 8 {
		a.write(fmt.Sprint("large", i), noise(r, 4<<20))
	}
	a.run("push")
	unchanged := func(when string) {
		t.Helper()
		if b.tree() != before {
			t.Errorf("%s: the files were touched", when)
		}
		if left, _ := filepath.Glob(filepath.Join(b.ws, ".satchel-*")); len(left) > 0 {
			t.Errorf("%s: left behind: %v", when, left)
		}
	}
	b.fails(1, "no space left", "pull")
	unchanged("full disk")
	resize("ro,size=100m")
	b.fails(1, "read-only", "pull")
	unchanged("read-only disk")
	resize("rw,size=100m")
	b.run("pull")
	if a.tree() != b.tree() {
		t.Error("the pulled files differ")
	}
}

// A folder store whose disk is gone is told apart from an empty one, and nothing is made
// anew where it was.
func TestFolderStoreThatDisappears(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "usb")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	c := newComputer(t, "OFFICE", filepath.Join(disk, "store"))
	c.write("f", "f")
	c.run("init", "--no-manifest")
	c.run("push")
	away := disk + "-away"
	if err := os.Rename(disk, away); err != nil {
		t.Fatal(err)
	}
	c.write("f", "g")
	for _, command := range []string{"push", "pull", "status", "snapshots"} {
		c.fails(10, "no repository there", command)
	}
	if _, err := os.Stat(disk); err == nil {
		t.Error("something was made where the disk was")
	}
	if err := os.Rename(away, disk); err != nil {
		t.Fatal(err)
	}
	c.run("push")
}
