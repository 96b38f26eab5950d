package workspace

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fixture(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/manifest-1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t testing.TB, text string) *Manifest {
	t.Helper()
	m, err := ParseManifest([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifestOfExistingWorkspace(t *testing.T) {
	data := fixture(t)
	m := parse(t, string(data))
	if got := m.Encode(); !bytes.Equal(got, data) {
		t.Errorf("encoded again:\n%s", cmp.Diff(string(data), string(got)))
	}
	want := &Manifest{
		Version:        "1.0",
		StorageAccount: "stpatientexplorer",
		Container:      "workspace-sync",
		SyncPaths: []SyncPath{
			{Local: "data/", Remote: "data/", Pattern: "**/*", Description: "Patient data files (PHI)"},
			{Local: ".env", Remote: "config/.env", Description: "Environment credentials"},
			{Local: "logs/", Remote: "logs/", Pattern: "*.log", Description: "Application logs"},
			{Local: ".gitignore-sync.json", Remote: "config/.gitignore-sync.json", Description: "This manifest"},
		},
		ExcludePatterns:         []string{"*.pyc", "__pycache__/", ".venv/", "node_modules/"},
		RequireDeviceEncryption: true,
		RequireAzureADAuth:      true,
	}
	exported := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".source" }, cmp.Ignore())
	if diff := cmp.Diff(want, m, exported, cmp.AllowUnexported(Manifest{}, SyncPath{})); diff != "" {
		t.Error(diff)
	}
	// What was built and not read looks the same.
	if got := want.Encode(); !bytes.Equal(got, data) {
		t.Errorf("built and encoded:\n%s", cmp.Diff(string(data), string(got)))
	}
}

func TestManifestFromWindows(t *testing.T) {
	data := bytes.ReplaceAll(fixture(t), []byte("\n"), []byte("\r\n"))
	m := parse(t, "\ufeff"+string(data))
	if got := m.Encode(); !bytes.Equal(got, fixture(t)) {
		t.Errorf("with a byte order mark and CRLF:\n%s", got)
	}
}

func TestManifestKeepsUnknownFields(t *testing.T) {
	const text = `{
  "$schema": "https://example.org/x<y>",
  "version": "1.0",
  "sync_paths": [
    {
      "owner": {
        "name": "Dr. Ø",
        "since": 2019.50,
        "none": [],
        "empty": {}
      },
      "local": "data/",
      "zeal": null
    }
  ],
  "later": [
    1,
    true
  ]
}
`
	m := parse(t, text)
	if diff := cmp.Diff(text, string(m.Encode())); diff != "" {
		t.Error(diff)
	}
	want := []string{"$schema (line 2, column 3)", "sync_paths[1].owner (line 6, column 7)", "sync_paths[1].zeal (line 13, column 7)", "later (line 16, column 3)"}
	if diff := cmp.Diff(want, m.Unknown); diff != "" {
		t.Error(diff)
	}
	m.Workspace = strings.Repeat("0a", 16)
	m.SyncPaths[0].Remote = "d/"
	got := string(m.Encode())
	for _, want := range []string{"    \"zeal\": null,\n      \"remote\": \"d/\"\n    }", "    true\n  ],\n  \"workspace\": \"0a0a"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if again := parse(t, got); again.Workspace != m.Workspace || again.SyncPaths[0].Remote != "d/" {
		t.Errorf("read again: %+v", again)
	}
}

func TestManifestNewFields(t *testing.T) {
	m := &Manifest{Version: "1.0", Workspace: NewWorkspaceID(), Store: "D:/backup", IncludeGitIgnored: true, Secrets: []string{".env"},
		SyncPaths: []SyncPath{{}}, Retention: &Retention{Last: 10, Hourly: 24, Daily: 30, Weekly: 8, Monthly: 24, Yearly: 10, Within: "90d", Tags: []string{"audit"}}}
	again := parse(t, string(m.Encode()))
	again.source, again.SyncPaths[0].source, again.Retention.source = nil, nil, nil
	if !reflect.DeepEqual(m, again) {
		t.Errorf("got %+v\nwant %+v", again, m)
	}
}

func TestManifestRetention(t *testing.T) {
	const text = `{
  "version": "1.0",
  "retention": {
    "weekly": 8,
    "quarterly": [
      4
    ],
    "within": "12w",
    "last": 10,
    "tags": []
  },
  "store": ""
}
`
	m := parse(t, text)
	if diff := cmp.Diff(text, string(m.Encode())); diff != "" {
		t.Error(diff)
	}
	if r := m.Retention; r.Weekly != 8 || r.Within != "12w" || r.Last != 10 || r.Daily != 0 {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff([]string{"retention.quarterly (line 5, column 5)"}, m.Unknown); diff != "" {
		t.Error(diff)
	}
	m = parse(t, `{"version": "1.0", "retention": {}}`)
	if got := string(m.Encode()); m.Retention == nil || got != "{\n  \"version\": \"1.0\",\n  \"retention\": {}\n}\n" {
		t.Errorf("%+v, %s", m.Retention, got)
	}
	m.Retention.Daily = 30
	if got := string(m.Encode()); !strings.Contains(got, "\"retention\": {\n    \"daily\": 30\n  }\n") {
		t.Error(got)
	}
}

func TestManifestRefuses(t *testing.T) {
	rule := func(s string) string { return `{"version": "1.0", "sync_paths": [` + s + `]}` }
	tests := []struct {
		name, text   string
		line, column int
		msg          string // a part of it
	}{
		{"empty", "", 1, 1, "empty"},
		{"blank", " \n ", 1, 1, "empty"},
		{"cut off", `{"version": "1.0"`, 1, 18, "ends too early"},
		{"in a text", "{\"version\": \"1.0", 1, 17, "ends too early"},
		{"trailing comma", "{\n  \"version\": \"1.0\",\n}\n", 2, 19, "comma before the closing"},
		{"trailing comma in a list", "{\"version\": \"1.0\",\n\"exclude_patterns\": [\"ä\", ]}", 2, 25, "comma before the closing"},
		{"missing comma", "{\n  \"version\": \"1.0\"\n  \"store\": \"\"}", 3, 3, "comma missing"},
		{"second document", "{\"version\": \"1.0\"}\n{}", 2, 1, "after the end"},
		{"garbage", "{\"version\": \"1.0\"}\nx", 2, 1, "after the end"},
		{"comment", "// hello\n{}", 1, 1, "invalid character '/'"},
		{"backslash", rule(`{"local": "data\logs"}`), 1, 51, `a backslash is written \\`},
		{"UTF-16", "\xff\xfe{\x00}\x00", 1, 1, "UTF-16"},
		{"Latin-1", "{\"version\": \"1.0\",\n \"é\": \"\xe9\"}", 2, 8, "not UTF-8"},
		{"a list", "[]", 1, 1, "must be an object, not a list"},
		{"no version", "\n{}", 2, 1, `"version" is missing`},
		{"newer version", `{"version": "1.1"}`, 1, 13, `"1.1" is not known`},
		{"version as number", `{"version": 1.0}`, 1, 13, "version must be a text, not a number"},
		{"null", `{"version": "1.0", "store": null}`, 1, 29, "store must be a text, not null"},
		{"flag as text", `{"version": "1.0", "require_azure_ad_auth": "true"}`, 1, 45, "must be true or false, not a text"},
		{"patterns as text", `{"version": "1.0", "exclude_patterns": "*.pyc"}`, 1, 40, "must be a list of texts"},
		{"pattern as number", "{\"version\": \"1.0\", \"exclude_patterns\": [\"a\",\n 3]}", 2, 2, "exclude_patterns[2] must be a text"},
		{"rules as object", `{"version": "1.0", "sync_paths": {}}`, 1, 34, "must be a list of rules, not an object"},
		{"rule as text", rule(`"data/"`), 1, 35, "sync_paths[1] must be an object, not a text"},
		{"twice", "{\"version\": \"1.0\",\n\"version\": \"1.0\"}", 2, 1, `"version" stands here twice`},
		{"twice inside", rule(`{"local": "a", "local": "b"}`), 1, 50, `"local" stands here twice`},
		{"twice in an unknown field", `{"version": "1.0", "x": [{"y": 1, "y": 1}]}`, 1, 35, `"y" stands here twice`},
		{"workspace", `{"version": "1.0", "workspace": "clinic"}`, 1, 33, "32 digits"},
		{"retention as text", `{"version": "1.0", "retention": "90d"}`, 1, 33, "retention must be an object, not a text"},
		{"retention as null", `{"version": "1.0", "retention": null}`, 1, 33, "retention must be an object, not null"},
		{"keep none", "{\"version\": \"1.0\", \"retention\": {\n\"daily\": 0}}", 2, 10, "retention.daily must be a whole number of at least 1, not 0"},
		{"keep less than none", `{"version": "1.0", "retention": {"last": -1}}`, 1, 42, "at least 1, not -1"},
		{"keep a half", `{"version": "1.0", "retention": {"last": 1.5}}`, 1, 42, "at least 1, not 1.5"},
		{"keep too many", `{"version": "1.0", "retention": {"last": 1e9}}`, 1, 42, "at least 1, not 1e9"},
		{"keep as text", `{"version": "1.0", "retention": {"last": "ten"}}`, 1, 42, `at least 1, not "ten"`},
		{"within months or minutes", `{"version": "1.0", "retention": {"within": "6m"}}`, 1, 44, `retention.within is "6m": m could be minutes (min) or months (mo)`},
		{"within nothing", `{"version": "1.0", "retention": {"within": ""}}`, 1, 44, `there is nothing there`},
		{"within a number", `{"version": "1.0", "retention": {"within": 90}}`, 1, 44, "retention.within must be a text, not a number"},
		{"tags as text", `{"version": "1.0", "retention": {"tags": "audit"}}`, 1, 42, "retention.tags must be a list of texts"},
		{"rule of retention twice", `{"version": "1.0", "retention": {"last": 1, "last": 2}}`, 1, 45, `"last" stands here twice`},
		{"no local", rule(`{"remote": "data/"}`), 1, 35, `rule 1 has no field "local"`},
		{"parent", rule(`{"local": "../data"}`), 1, 45, `rule 1 (../data): local "../data" leaves the workspace`},
		{"parent inside", rule(`{"local": "data/../../x"}`), 1, 45, "leaves the workspace"},
		{"parent with backslashes", rule(`{"local": "data\\..\\x"}`), 1, 45, "leaves the workspace"},
		{"remote parent", rule(`{"local": "data", "remote": "a/.."}`), 1, 63, `remote "a/.." leaves the workspace`},
		{"absolute", rule(`{"local": "/etc/passwd"}`), 1, 45, "absolute"},
		{"absolute remote", rule(`{"local": "a", "remote": "/a"}`), 1, 60, "absolute"},
		{"share", rule(`{"local": "\\\\server\\share"}`), 1, 45, "absolute"},
		{"drive", rule(`{"local": "C:\\data"}`), 1, 45, "drive"},
		{"drive, relative", rule(`{"local": "a", "remote": "d:data"}`), 1, 60, "drive"},
		{"zero byte", rule(`{"local": "a\u0000b"}`), 1, 45, "zero byte"},
		{"git", rule(`{"local": ".git/hooks/"}`), 1, 45, "never travels"},
		{"git, remote", rule(`{"local": "x", "remote": "sub/.GIT/config"}`), 1, 60, "never travels"},
		{"one remote", rule(`{"local": "a/", "remote": "x/"}, {"local": "b/", "remote": "./x"}`), 1, 94, `"x" is already the remote name of rule 1, a/`},
		{"one remote by default", rule(`{"local": "a"}, {"local": "b", "remote": "a"}`), 1, 76, "already the remote name of rule 1"},
		{"one local", rule(`{"local": "a"}, {"local": "./a", "remote": "b"}`), 1, 61, "one name only"},
		{"the manifest's name", rule(`{"local": "a", "remote": ".gitignore-sync.json"}`), 1, 60, "of the manifest"},
		{"below the manifest", rule(`{"local": "a", "remote": ".gitignore-sync.json/a"}`), 1, 60, "of the manifest"},
		{"pattern", rule(`{"local": "a/", "pattern": "*.[lo"}`), 1, 62, "malformed"},
		{"pattern from the root", rule(`{"local": "a/", "pattern": "/*.log"}`), 1, 62, "match nothing"},
		{"pattern to the parent", rule(`{"local": "a/", "pattern": "../*.log"}`), 1, 62, "match nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseManifest([]byte(tt.text))
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok {
				t.Fatalf("got %v, not a SyntaxError", err)
			}
			if e.Line != tt.line || e.Column != tt.column || !strings.Contains(e.Msg, tt.msg) {
				t.Errorf("got %d:%d: %s\nwant %d:%d: ...%s...", e.Line, e.Column, e.Msg, tt.line, tt.column, tt.msg)
			}
		})
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(fixture(f))
	f.Add([]byte(`{"version": "1.0", "x": {"y": [1e400, "\ud800"]}, "sync_paths": [{"local": "", "q": 1}]}`))
	f.Add([]byte(`{"version": "1.0", "retention": {"last": 10, "within": "90d", "x": {}, "tags": ["audit"]}}`))
	f.Add([]byte("\ufeff{\"version\":\"1.0\",\r\n\"store\":\"\\u2028\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseManifest(data)
		if err != nil {
			if _, ok := errors.AsType[*SyntaxError](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		once := m.Encode()
		again, err := ParseManifest(once)
		if err != nil {
			t.Fatalf("cannot read what was encoded: %v\n%s", err, once)
		}
		if twice := again.Encode(); !bytes.Equal(once, twice) {
			t.Fatalf("not stable:\n%s\n%s", once, twice)
		}
	})
}

func TestAuditReads(t *testing.T) {
	for text, want := range map[string]bool{
		`{"version": "1.0"}`: false,
		`{"version": "1.0", "require_azure_ad_auth": true}`:                           true,
		`{"version": "1.0", "require_azure_ad_auth": true, "audit_reads": false}`:     false,
		`{"version": "1.0", "audit_reads": true}`:                                     true,
		`{"version": "1.0", "require_azure_ad_auth": false, "audit_reads": true}`:     true,
		`{"version": "1.0", "require_device_encryption": true, "audit_reads": false}`: false,
	} {
		m, err := ParseManifest([]byte(text))
		if err != nil || m.AuditsReads() != want {
			t.Errorf("%s: %v", text, err)
		}
		again, err := ParseManifest(m.Encode())
		if err != nil || again.AuditsReads() != want || (again.AuditReads == nil) != (m.AuditReads == nil) {
			t.Errorf("%s is written as %s", text, m.Encode())
		}
	}
	if _, err := ParseManifest([]byte(`{"version": "1.0", "audit_reads": "yes"}`)); err == nil || !strings.Contains(err.Error(), "true or false") {
		t.Error(err)
	}
}
