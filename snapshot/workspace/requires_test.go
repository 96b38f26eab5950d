package workspace

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequirementsAreThoseOfTheCodeHere(t *testing.T) {
	root := t.TempDir()
	write(t, root, "requirements.txt:a", "requirements-dev.txt:a", "front/package.json:{}", "go.mod:module x", "notes.txt",
		"node_modules/x/package.json", "front/node_modules/package.json", "front/deep/package.json", ".hidden/package.json")
	if err := os.Symlink("go.mod", filepath.Join(root, "pyproject.toml")); err != nil {
		t.Log(err)
	}
	large := filepath.Join(root, "yarn.lock")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, requirementBytes+1); err != nil {
		t.Fatal(err)
	}
	found, err := Requirements(root)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for p, r := range found {
		got[p] = r.Install
	}
	want := map[string]string{"requirements.txt": "pip install -r requirements.txt", "requirements-dev.txt": "pip install -r requirements-dev.txt",
		"front/package.json": "npm install", "go.mod": "go mod download"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a, b := found["requirements.txt"].Hash, found["requirements-dev.txt"].Hash; a != b || len(a) != 64 || strings.Trim(a, "0123456789abcdef") != "" {
		t.Errorf("the same bytes are %q and %q", a, b)
	}
	write(t, root, "requirements.txt:b")
	again, err := Requirements(root)
	if err != nil {
		t.Fatal(err)
	}
	if again["requirements.txt"] == found["requirements.txt"] || again["go.mod"] != found["go.mod"] {
		t.Errorf("%v", again)
	}
}
