package azurite

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// version is the release of Azurite that the tests run on.
const version = "3.37.0"

// install returns the path of the blob service's script, and first installs it where that
// has not been done. Parallel tests, also of several packages, install once: they take
// turns at a lock, and the installation gets its name when it is complete.
func install(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "satchel-test")
	dir := filepath.Join(cache, "azurite-"+version)
	script := filepath.Join(dir, "node_modules", "azurite", "dist", "src", "blob", "main.js")
	if _, err := os.Stat(script); err == nil {
		return script
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockedfile.MutexAt(dir + ".lock").Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := os.Stat(script); err == nil {
		return script // by another, while we waited
	}
	temp, err := os.MkdirTemp(cache, "azurite-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	npmInstall(t, temp)
	if err := os.Rename(temp, dir); err != nil {
		t.Fatal(err)
	}
	return script
}

// files are a package that depends on Azurite alone. Its telemetry, two thirds of its
// size and switched off here, is replaced by an empty package.
var files = map[string]string{
	"package.json": `{
  "private": true,
  "dependencies": {"azurite": "` + version + `"},
  "devDependencies": {"applicationinsights": "file:./applicationinsights"},
  "overrides": {"applicationinsights": "$applicationinsights"}
}
`,
	"applicationinsights/package.json": `{"name": "applicationinsights", "version": "0.0.0", "main": "index.js"}` + "\n",
	"applicationinsights/index.js":     "module.exports = {};\n",
}

func npmInstall(t testing.TB, dir string) {
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
	// --install-links copies the local package: a link would not survive the rename.
	cmd := exec.Command(find(t, "npm"), "install", "--ignore-scripts", "--install-links", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm install azurite@%s: %v\n%s", version, err, out)
	}
}
