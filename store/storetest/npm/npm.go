// Package npm installs programs of the npm registry for tests, once per machine.
package npm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Install returns a folder with node_modules as the files of a package say, package.json
// above all. name, with the version in it, is the folder's in the user's cache. Where that has been
// done it takes no time. Parallel tests, also of several packages, install once: they take turns at a
// lock, and the installation gets its name when it is complete. No script of a package is run.
func Install(t testing.TB, name string, files map[string]string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "satchel-test")
	dir := filepath.Join(cache, name)
	done := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(done); err == nil {
		return dir
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockedfile.MutexAt(dir + ".lock").Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := os.Stat(done); err == nil {
		return dir
	}
	temp, err := os.MkdirTemp(cache, "npm-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	install(t, temp, name, files)
	if err := os.Rename(temp, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func install(t testing.TB, dir, name string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// --install-links copies a local package: a link would not survive the rename.
	cmd := exec.Command(Find(t, "npm"), "install", "--ignore-scripts", "--install-links", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm install of %s: %v\n%s", name, err, out)
	}
}

// Find returns the path of node or npm. It ends the test where there is none.
func Find(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is not on the path: the tests against Azure Blob Storage run the emulator Azurite, which needs Node.js and npm (https://nodejs.org): %v", program, err)
	}
	return path
}
