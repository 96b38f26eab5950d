package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"satchel/snapshot/snapshottest"
)

// A plain user's computer gets what it can hold of root's files: the rest is listed, the pull
// ends with 3, and the next push from there removes none of it.
func TestPullByAPlainUserEndsWith3(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	snapshottest.Reachable(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := filepath.Join(t.TempDir(), "store")
	root, user := newComputer(t, "root", store), newComputer(t, "user", store)
	must(os.WriteFile(filepath.Join(root.ws, "file"), []byte("bytes"), 0o644))
	must(unix.Mknod(filepath.Join(root.ws, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	root.run("init", "--no-manifest")
	root.run("push")

	program := filepath.Join(t.TempDir(), "satchel")
	must(copyFile(os.Args[0], program))
	for _, dir := range []string{store, user.home, user.ws} {
		must(filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err == nil {
				err = os.Lchown(path, 65534, 65534)
			}
			return err
		}))
	}
	for dir := filepath.Dir(store); dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		must(os.Chmod(dir, 0o755))
	}
	run := func(want int, args ...string) string {
		t.Helper()
		c := exec.Command(program, append([]string{"-C", user.ws}, args...)...)
		c.Env, c.Dir = user.env, "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := c.CombinedOutput()
		if c.ProcessState.ExitCode() != want {
			t.Fatalf("satchel %s: %v, and not exit %d\n%s", strings.Join(args, " "), err, want, out)
		}
		return string(out)
	}
	out := run(3, "pull", "--workspace", "clinic")
	if !strings.Contains(out, "! null: is a chardev, which cannot be made here") || !strings.Contains(out, "the next push from here does not remove it") {
		t.Error(out)
	}
	if b, err := os.ReadFile(filepath.Join(user.ws, "file")); err != nil || string(b) != "bytes" {
		t.Errorf("the rest: %q, %v", b, err)
	}
	must(os.WriteFile(filepath.Join(user.ws, "file"), []byte("changed"), 0o644))
	run(0, "push")
	if out := run(0, "ls", "latest"); !strings.Contains(out, "null") {
		t.Error("the device is gone from the snapshot:", out)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
