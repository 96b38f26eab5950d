package workspace

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesHoldBothWays(t *testing.T) {
	r, err := New(t.Context(), t.TempDir(), parse(t, string(fixture(t))))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ local, remote string }{
		{"data/a.db", "data/a.db"},
		{"data/deep/.hidden", "data/deep/.hidden"},
		{"data/deep/", "data/deep"},
		{"data/", "data"},
		{"data", "data"},
		{".env", "config/.env"},
		{"logs/a.log", "logs/a.log"},
		{ManifestName, "config/" + ManifestName},
	}
	for _, tt := range tests {
		if got, ok := r.Remote(tt.local); !ok || got != tt.remote {
			t.Errorf("Remote(%q) = %q, %v, want %q", tt.local, got, ok, tt.remote)
		}
		remote := tt.remote
		if strings.HasSuffix(tt.local, "/") {
			remote += "/"
		}
		if got, ok := r.Local(remote); !ok || got != strings.TrimSuffix(tt.local, "/") {
			t.Errorf("Local(%q) = %q, %v, want %q", remote, got, ok, tt.local)
		}
	}
	for _, local := range []string{"", ".env.local", "src/a.go", "logs/d/a.log", "logs/a.txt", "data/a.pyc", "data/__pycache__/a", "data/.git/config",
		"data/node_modules/", "config/.env", "dat", "data2/a", "data/.satchel-tmp-x", "data/.GIT/hooks/post-checkout"} {
		if got, ok := r.Remote(local); ok {
			t.Errorf("Remote(%q) = %q", local, got)
		}
	}
	for _, remote := range []string{"", ".env", ManifestName, "config/", "config/x", "data/a.pyc", "logs/d/a.log", "other", "data/.git/config"} {
		if got, ok := r.Local(remote); ok {
			t.Errorf("Local(%q) = %q", remote, got)
		}
	}
}

func TestNamesThatWouldComeBackElsewhere(t *testing.T) {
	r := rulesOf(t, t.TempDir(), nil, "data/", "data/special/>vip/", "in/>.")
	for remote, local := range map[string]string{"data/a": "data/a", "vip/a": "data/special/a", "x/y": "in/x/y", "data/special/a": "in/data/special/a"} {
		if got, ok := r.Local(remote); !ok || got != local {
			t.Errorf("Local(%q) = %q, %v, want %q", remote, got, ok, local)
		}
	}
	r = rulesOf(t, t.TempDir(), nil, "data/", "data/special/>vip/")
	if got, ok := r.Local("data/special/a"); ok {
		t.Errorf("Local(data/special/a) = %q, which travels as vip/a", got)
	}
}

func TestNamesWithoutManifest(t *testing.T) {
	r, err := New(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Source() != "the whole folder" || r.Manifest() != nil {
		t.Errorf("source %q, manifest %v", r.Source(), r.Manifest())
	}
	for _, path := range []string{"a", "d/b", "node_modules/x", ManifestName} {
		if got, ok := r.Local(path); !ok || got != path {
			t.Errorf("Local(%q) = %q, %v", path, got, ok)
		}
	}
	for _, path := range []string{".git/config", "d/.git/hooks/post-checkout", "d/.satchel-stage-1/x", ".git"} {
		if got, ok := r.Local(path); ok {
			t.Errorf("Local(%q) = %q", path, got)
		}
	}
}

func TestLoadFindsTheRulesInForce(t *testing.T) {
	const other = `{"version": "1.0", "sync_paths": [{"local": "b"}], "extra": 1}`
	root := t.TempDir()
	load := func(root string, fallback []byte) *Rules {
		t.Helper()
		r, err := Load(t.Context(), root, fallback)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := load(root, nil); r.Source() != "the whole folder" {
		t.Error(r.Source())
	}
	if r := load(root, []byte(other)); r.Source() != "the snapshot's manifest" || len(r.Warnings()) != 1 || !strings.Contains(r.Warnings()[0], "extra (line 1, column 52)") {
		t.Error(r.Source(), r.Warnings())
	}
	if r := load(filepath.Join(root, "not yet there"), nil); r.Source() != "the whole folder" {
		t.Error(r.Source())
	}
	write(t, root, ManifestName+":"+string(fixture(t)))
	if r := load(root, []byte(other)); r.Source() != "manifest .gitignore-sync.json" || len(r.Warnings()) != 0 || len(r.Manifest().SyncPaths) != 4 {
		t.Error(r.Source(), r.Warnings())
	}

	write(t, root, ManifestName+":{")
	if _, err := Load(t.Context(), root, []byte(other)); !isSyntax(err) || strings.Contains(err.Error(), "snapshot") {
		t.Errorf("a broken manifest: %v", err)
	}
	if err := os.Remove(filepath.Join(root, ManifestName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), root, []byte("{")); !isSyntax(err) || !strings.Contains(err.Error(), "snapshot") {
		t.Errorf("a broken fallback: %v", err)
	}
	write(t, root, ManifestName+"/x")
	if _, err := Load(t.Context(), root, nil); err == nil {
		t.Error("a folder is no manifest")
	}
}

func isSyntax(err error) bool {
	_, ok := errors.AsType[*SyntaxError](err)
	return ok
}

func TestNewRefusesUnsafeRulesThatWereNotParsed(t *testing.T) {
	_, err := New(t.Context(), t.TempDir(), &Manifest{SyncPaths: []SyncPath{{Local: "a"}, {Local: "../b"}}})
	if err == nil || !strings.Contains(err.Error(), "rule 2 (../b)") {
		t.Error(err)
	}
}

func TestWarningOfAManifestThatTakesNothing(t *testing.T) {
	r, err := New(t.Context(), t.TempDir(), parse(t, `{"version": "1.0"}`))
	if err != nil || len(r.Warnings()) != 1 {
		t.Errorf("%q, %v", r.Warnings(), err)
	}
}

func TestWhy(t *testing.T) {
	root := t.TempDir()
	m := string(fixture(t))
	write(t, root, ManifestName+":"+m, "data/a.db:"+sqliteMagic, "data/a.db-wal:x", "data/m.pyc", "data/.git/config", "logs/old/a.log", "logs/x.txt", ".env",
		"src/main.go", "data/b.conflict-pc-20261121T170233Z.xlsx")
	r, err := Load(t.Context(), root, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path string
		want Verdict
	}{
		{"data/a.db", Verdict{Path: "data/a.db", Taken: true, Remote: "data/a.db", Rule: "rule 1, data/", Reason: "the rule takes what is in data"}},
		{"data", Verdict{Path: "data", Taken: true, Remote: "data", Rule: "rule 1, data/", Reason: "the rule names it"}},
		{".env", Verdict{Path: ".env", Taken: true, Remote: "config/.env", Rule: "rule 2, .env", Reason: "the rule names it"}},
		{"data/new", Verdict{Path: "data/new", Taken: true, Remote: "data/new", Rule: "rule 1, data/", Reason: "the rule takes what is in data; there is none at present"}},
		{ManifestName, Verdict{Path: ManifestName, Taken: true, Remote: "config/" + ManifestName, Rule: "rule 4, .gitignore-sync.json", Reason: "the manifest always travels"}},
		{"data/a.db-wal", Verdict{Path: "data/a.db-wal", Rule: "never travels", Reason: "it belongs to the SQLite database a.db, which travels with what it holds"}},
		{"data/m.pyc", Verdict{Path: "data/m.pyc", Rule: `exclude pattern "*.pyc"`, Reason: "the manifest excludes it"}},
		{"data/__pycache__/x.txt", Verdict{Path: "data/__pycache__/x.txt", Rule: `exclude pattern "__pycache__/"`, Reason: "the manifest excludes it"}},
		{"data/.git/config", Verdict{Path: "data/.git/config", Rule: "never travels", Reason: "it is git's own"}},
		{"data/b.conflict-pc-20261121T170233Z.xlsx", Verdict{Path: "data/b.conflict-pc-20261121T170233Z.xlsx", Rule: "never travels",
			Reason: "it is a conflict copy; once resolved, under a name of its own, it travels"}},
		{"logs/old/a.log", Verdict{Path: "logs/old/a.log", Rule: "rule 3, logs/ (*.log)", Reason: `it lies in the rule's folder, but the pattern does not match "old/a.log"`}},
		{"src/main.go", Verdict{Path: "src/main.go", Reason: "no rule takes it"}},
		{".", Verdict{Rule: "rule 4, .gitignore-sync.json", Reason: "no rule takes the folder itself, but this one takes something in it"}},
		{filepath.Join(root, ".env"), Verdict{Path: ".env", Taken: true, Remote: "config/.env", Rule: "rule 2, .env", Reason: "the rule names it"}},
	}
	for _, tt := range tests {
		got, err := r.Why(t.Context(), tt.path)
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.path, diff)
		}
	}
	for _, path := range []string{"..", "../x", t.TempDir()} {
		if v, err := r.Why(t.Context(), path); err == nil {
			t.Errorf("%s: %+v", path, v)
		}
	}
}
