package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sqliteMagic = "SQLite format 3\x00 and more"

// rulesOf is New for a manifest with these rules, each written "local>remote|pattern".
func rulesOf(t testing.TB, root string, exclude []string, rules ...string) *Rules {
	t.Helper()
	m := &Manifest{Version: ManifestVersion, ExcludePatterns: exclude}
	for _, r := range rules {
		r, pattern, _ := strings.Cut(r, "|")
		local, remote, _ := strings.Cut(r, ">")
		m.SyncPaths = append(m.SyncPaths, SyncPath{Local: local, Remote: remote, Pattern: pattern})
	}
	r, err := New(context.Background(), root, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// walk reads the whole tree. Each line is "remote < local"; a folder ends in a slash,
// and is only there if it is empty and to be kept.
func walk(t testing.TB, r *Rules) (lines []string, all Listing) {
	t.Helper()
	tree, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	var visit func(remote string) int
	visit = func(remote string) int {
		list, err := tree.ReadDir(remote)
		if err != nil {
			t.Fatalf("ReadDir(%q): %v", remote, err)
		}
		if !slices.IsSortedFunc(list.Entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("ReadDir(%q) is not sorted", remote)
		}
		n := 0
		for _, e := range list.Entries {
			name := join(remote, e.Name)
			if e.IsDir() {
				if inside := visit(name); inside > 0 {
					n += inside
				} else if e.KeepEmpty {
					lines = append(lines, name+"/ < "+e.Local+"/")
					n++
				}
				continue
			}
			n++
			line := name + " < " + e.Local
			if name == e.Local {
				line = name
			}
			lines = append(lines, line)
		}
		all.Entries = append(all.Entries, list.Entries...)
		all.LeftOut = append(all.LeftOut, list.LeftOut...)
		all.Unreadable = append(all.Unreadable, list.Unreadable...)
		return n
	}
	visit("")
	slices.Sort(lines)
	checkNames(t, r, all)
	return lines, all
}

// checkNames holds the walk to Remote, Local and Why.
func checkNames(t testing.TB, r *Rules, all Listing) {
	t.Helper()
	for _, e := range all.Entries {
		if e.Local == "" {
			continue
		}
		local := e.Local
		if e.IsDir() {
			local += "/"
		}
		remote, ok := r.Remote(local)
		if !ok {
			t.Errorf("%s is walked, and Remote does not know it", local)
		}
		if e.IsDir() {
			continue // two rules may share a folder
		}
		if back, ok := r.Local(remote); !ok || back != e.Local {
			t.Errorf("Local(%q) = %q, %v, want %q", remote, back, ok, e.Local)
		}
		v, err := r.Why(context.Background(), e.Local)
		if err != nil || !v.Taken || v.Remote != remote || v.Rule == "" || v.Reason == "" {
			t.Errorf("Why(%q) = %+v, %v", e.Local, v, err)
		}
	}
	for _, l := range all.LeftOut {
		v, err := r.Why(context.Background(), l.Local)
		if err != nil || v.Taken || v.Rule != l.Rule || v.Reason != l.Reason {
			t.Errorf("Why(%q) = %+v, %v\nbut the walk says %+v", l.Local, v, err, l)
		}
	}
}

func left(all Listing) (names []string) {
	for _, l := range all.LeftOut {
		names = append(names, l.Local)
	}
	slices.Sort(names)
	return names
}

func TestWalk(t *testing.T) {
	tests := []struct {
		name    string
		files   []string
		exclude []string
		rules   []string
		want    []string
		left    []string
	}{
		{
			name: "the manifest of existing workspaces",
			files: []string{"data/a.db", "data/.hidden/x", "data/empty/", "data/m.pyc", "data/__pycache__/m.txt", ".env", ".env.local", "src/main.go",
				"logs/a.log", "logs/old/b.log", "logs/note.txt", ManifestName, ".git/config"},
			exclude: []string{"*.pyc", "__pycache__/", ".venv/", "node_modules/"},
			rules:   []string{"data/>data/|**/*", ".env>config/.env", "logs/>logs/|*.log", ManifestName + ">config/" + ManifestName},
			want:    []string{"config/.env < .env", "config/" + ManifestName + " < " + ManifestName, "data/.hidden/x", "data/a.db", "data/empty/ < data/empty/", "logs/a.log"},
			left:    []string{"data/__pycache__", "data/m.pyc"},
		},
		{
			name:  "the manifest travels though no rule names it",
			files: []string{"a", ManifestName},
			rules: []string{"b"}, exclude: []string{"*"},
			want: []string{ManifestName},
		},
		{
			name:  "the manifest travels with the whole folder",
			files: []string{"a", "d/b", ManifestName}, rules: []string{".>all/"},
			want: []string{"all/.gitignore-sync.json < .gitignore-sync.json", "all/a < a", "all/d/b < d/b"},
		},
		{
			name:  "a pattern with folders",
			files: []string{"d/a.log", "d/x/b.log", "d/x/c.txt", "d/y/z/d.log", "d/e/"}, rules: []string{"d/|**/*.log"},
			want: []string{"d/a.log", "d/x/b.log", "d/y/z/d.log"},
		},
		{
			name:  "a pattern with one folder",
			files: []string{"d/a/1.db", "d/b/1.db", "d/a/b/1.db", "d/1.db"}, rules: []string{"d/|[a]/*.{db,sqlite}"},
			want: []string{"d/a/1.db"},
		},
		{
			name:  "the folder is found on disk without a slash",
			files: []string{"data/a", "data2/b"}, rules: []string{"data>d"},
			want: []string{"d/a < data/a"},
		},
		{
			name:  "paths from Windows and with a dot",
			files: []string{"a/b/c", "d/e"}, rules: []string{`.\a\b\>x\`, "./d//e"},
			want: []string{"d/e", "x/c < a/b/c"},
		},
		{
			name:  "a folder into the root, another deep",
			files: []string{"in/a", "in/d/b", "out/c"}, rules: []string{"in/>.", "out/>d/e/f"},
			want: []string{"a < in/a", "d/b < in/d/b", "d/e/f/c < out/c"},
		},
		{
			name:  "the more specific rule names it",
			files: []string{"data/a", "data/special/b", "data/special/c/d"}, rules: []string{"data/", "data/special/>vip/"},
			want: []string{"data/a", "vip/b < data/special/b", "vip/c/d < data/special/c/d"},
		},
		{
			name:  "a file of a folder under another name",
			files: []string{"data/a", "data/b"}, rules: []string{"data/", "data/b>data/c"},
			want: []string{"data/a", "data/c < data/b"},
		},
		{
			name:  "what the specific rule does not take, the other does",
			files: []string{"data/logs/a.log", "data/logs/b.txt", "data/logs/d/c.log"}, rules: []string{"data/", "data/logs/>logs/|*.log"},
			want: []string{"data/logs/b.txt", "data/logs/d/c.log", "logs/a.log < data/logs/a.log"},
		},
		{
			name:  "one folder by two patterns",
			files: []string{"d/a.log", "d/b.txt", "d/c.bin", "d/e/f.txt"}, rules: []string{"d/>x/|*.log", "d/>y/|**/*.txt"},
			want: []string{"x/a.log < d/a.log", "y/b.txt < d/b.txt", "y/e/f.txt < d/e/f.txt"},
		},
		{
			name:  "a rule inside a folder that is excluded",
			files: []string{"build/keep/a", "b"}, exclude: []string{"build/"}, rules: []string{"build/keep/", "b"},
			want: []string{"b"}, left: []string{"build/keep"},
		},
		{
			name:  "an excluded folder that a rule puts into the root",
			files: []string{"in/a", "b"}, exclude: []string{"in"}, rules: []string{"in/>.", "b"},
			want: []string{"b"}, left: []string{"in"},
		},
		{
			name:  "an excluded folder that another rule puts something into",
			files: []string{"c/a", "d"}, exclude: []string{"c/"}, rules: []string{"c/", "d>c/d"},
			want: []string{"c/d < d"}, left: []string{"c"},
		},
		{
			name:  "excluded, but for one",
			files: []string{"d/a.log", "d/keep.log", "d/e/b.log"}, exclude: []string{"*.log", "!keep.log", "/d/e"}, rules: []string{"d/"},
			want: []string{"d/keep.log"}, left: []string{"d/a.log", "d/e"},
		},
		{
			name:  "a rule for a folder that is a file",
			files: []string{"data", "x/data"}, rules: []string{"data/", "x/"},
			want: []string{"x/data"}, left: []string{"data"},
		},
		{
			name:  "a file that a rule for a folder names, taken by another",
			files: []string{"data"}, rules: []string{".", "data/"},
			want: []string{"data"},
		},
		{
			name: "what never travels",
			files: []string{"d/.git/config", "d/.satchel-tmp-1", "d/.satchel-stage-2/x", "d/e/.git:gitdir", "d/~$report.xlsx", "d/.~lock.note.odt#", "d/~$",
				"d/a.conflict-clinic-20261121T170233Z.db", "d/.env.conflict-my-pc-20261121T170233Z", "d/a.conflict-of-interest.txt", "d/a.conflict-x-20261121T170233Z.tar.gz"},
			rules: []string{"d/"},
			want:  []string{"d/a.conflict-of-interest.txt", "d/a.conflict-x-20261121T170233Z.tar.gz", "d/e/ < d/e/", "d/~$"},
			left: []string{"d/.env.conflict-my-pc-20261121T170233Z", "d/.git", "d/.satchel-stage-2", "d/.satchel-tmp-1", "d/.~lock.note.odt#",
				"d/a.conflict-clinic-20261121T170233Z.db", "d/e/.git", "d/~$report.xlsx"},
		},
		{
			name:  "names that are not UTF-8",
			files: []string{"d/a\xff", "d/\xe9/b"}, rules: []string{"d/>x"},
			want: []string{"x/a\xff < d/a\xff", "x/\xe9/b < d/\xe9/b"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.name, "UTF-8") && runtime.GOOS != "linux" {
				t.Skip("names are UTF-8 here")
			}
			root := t.TempDir()
			write(t, root, tt.files...)
			got, all := walk(t, rulesOf(t, root, tt.exclude, tt.rules...))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.left, left(all)); diff != "" {
				t.Errorf("left out: %s", diff)
			}
			if len(all.Unreadable) > 0 {
				t.Errorf("unreadable: %v", all.Unreadable)
			}
		})
	}
}

func TestWalkReportsClashes(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		rules []string
		want  [2]string
	}{
		{"a file and a rule", []string{".env", "config/.env"}, []string{".env>config/.env", "config/"}, [2]string{"config/.env", ".env"}},
		{"though the other is not there", []string{"config/.env"}, []string{".env>config/.env", "config/"}, [2]string{"config/.env", ".env"}},
		{"two folders", []string{"a/sub/x", "b/y"}, []string{"a/>x/", "b/>x/sub/"}, [2]string{"a/sub", "b"}},
		{"a file and a folder of rules", []string{"a/config", "env"}, []string{"a/>.", "env>config/env"}, [2]string{"a/config", "env"}},
		{"a file of the root and a rule below", []string{"a", "b/c"}, []string{".|*", "a/", "b/>a/b/"}, [2]string{"a", "b"}},
		{"a rule's file and a rule below", []string{"a", "b"}, []string{"a>x", "b>x/y"}, [2]string{"a", "b"}},
		{"the same names from two folders", []string{"in/a", "a"}, []string{"in/>.", "a"}, [2]string{"in/a", "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, tt.files...)
			tree, err := rulesOf(t, root, nil, tt.rules...).Open()
			if err != nil {
				t.Fatal(err)
			}
			var visit func(string) error
			visit = func(remote string) error {
				list, err := tree.ReadDir(remote)
				if err != nil {
					return err
				}
				for _, e := range list.Entries {
					if e.IsDir() {
						if err := visit(join(remote, e.Name)); err != nil {
							return err
						}
					}
				}
				return nil
			}
			err = visit("")
			clash, ok := errors.AsType[*ClashError](err)
			if !ok || clash.Local != tt.want {
				t.Errorf("got %v, want a clash of %q", err, tt.want)
			}
		})
	}
}

// TestWalkAgreesWithWhy holds random rules over a random tree to this: a file is walked,
// once, if and only if Why says that it travels, and under that name.
func TestWalkAgreesWithWhy(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	root := t.TempDir()
	var files []string
	for _, path := range randomTree(t, rnd, root) {
		if !strings.HasSuffix(path, "/") {
			files = append(files, path)
		}
	}
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	path := func() string {
		p := pick("a", "b", "c", "ab", "abc", "aa", "b-c")
		for rnd.IntN(2) == 0 {
			p += "/" + pick("a", "b", "c", "ab", "x")
		}
		return p
	}
	valid, clashes := 0, 0
	for range 1000 {
		m := &Manifest{Version: ManifestVersion}
		for range 1 + rnd.IntN(4) {
			s := SyncPath{Local: path() + pick("", "/"), Pattern: pick("", "", "**/*", "*", "*.b", "**/a*", "[ab]/**", "{a,b}/*")}
			if rnd.IntN(6) == 0 {
				s.Local = "."
			}
			if rnd.IntN(2) == 0 {
				s.Remote = pick(path(), "r/"+path(), path(), ".")
			}
			m.SyncPaths = append(m.SyncPaths, s)
		}
		if rnd.IntN(2) == 0 {
			m.ExcludePatterns = randomPatterns(rnd)
		}
		r, err := New(t.Context(), root, m)
		if err != nil {
			continue
		}
		valid++
		tree, err := r.Open()
		if err != nil {
			t.Fatal(err)
		}
		walked := make(map[string]string)
		var visit func(remote string) error
		visit = func(remote string) error {
			list, err := tree.ReadDir(remote)
			if err != nil {
				return err
			}
			for i, e := range list.Entries {
				name := join(remote, e.Name)
				if i > 0 && list.Entries[i-1].Name >= e.Name {
					t.Errorf("%s and %s in this order", list.Entries[i-1].Name, e.Name)
				}
				if e.IsDir() {
					if err := visit(name); err != nil {
						return err
					}
				} else if before, ok := walked[e.Local]; ok {
					t.Errorf("%s is walked as %s and as %s", e.Local, before, name)
				} else {
					walked[e.Local] = name
				}
			}
			return nil
		}
		if err := visit(""); err != nil {
			if _, ok := errors.AsType[*ClashError](err); !ok {
				t.Error(err)
			}
			clashes++
			continue
		}
		for _, f := range files {
			v, err := r.Why(t.Context(), f)
			if err != nil || v.Remote != walked[f] {
				t.Errorf("%s is walked as %q, but Why says %+v, %v", f, walked[f], v, err)
			}
			if back, ok := r.Local(v.Remote); v.Taken && (!ok || back != f) {
				t.Errorf("%s travels as %s and comes back as %q, %v", f, v.Remote, back, ok)
			}
		}
		if t.Failed() {
			t.Fatalf("%s", m.Encode())
		}
	}
	t.Logf("%d manifests, %d clashes", valid, clashes)
}

func TestWalkReportsDatabases(t *testing.T) {
	root := t.TempDir()
	write(t, root,
		"d/app.db:"+sqliteMagic, "d/app.db-wal:x", "d/app.db-shm:x",
		"d/idle.db:"+sqliteMagic, "d/idle.db-wal:", "d/idle.db-shm:",
		"d/old.db:"+sqliteMagic, "d/old.db-journal:x",
		"d/alone.db:"+sqliteMagic,
		"d/sealed.db:not what it says", "d/sealed.db-wal:x",
		"d/orphan.db-wal:x", "d/folder.db/x", "d/folder.db-journal:x", "d/-wal:x",
		"one.db:"+sqliteMagic, "one.db-wal:x", "short.db:SQLite format 3", "short.db-shm:")
	got, all := walk(t, rulesOf(t, root, nil, "d/", "one.db>db/one", "one.db-wal", "short.db"))
	want := []string{"d/-wal", "d/alone.db", "d/app.db", "d/folder.db-journal", "d/folder.db/x", "d/idle.db", "d/old.db",
		"d/orphan.db-wal", "d/sealed.db", "d/sealed.db-wal", "db/one < one.db", "short.db"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"d/app.db-shm", "d/app.db-wal", "d/idle.db-shm", "d/idle.db-wal", "d/old.db-journal", "one.db-wal"}, left(all)); diff != "" {
		t.Error(diff)
	}
	facts := make(map[string]string)
	for _, e := range all.Entries {
		if len(e.Sidecars) > 0 || e.SQLite || e.Busy {
			facts[e.Local] = fmt.Sprint(e.Sidecars, e.SQLite, e.Busy)
		}
	}
	wantFacts := map[string]string{
		"d/app.db":    "[-shm -wal] true true",
		"d/idle.db":   "[-shm -wal] true false",
		"d/old.db":    "[-journal] true true",
		"d/sealed.db": "[-wal] false true",
		"one.db":      "[-wal] true true",
		"short.db":    "[-shm] false false",
	}
	if diff := cmp.Diff(wantFacts, facts); diff != "" {
		t.Error(diff)
	}
}

func TestWalkReportsOpenDocuments(t *testing.T) {
	root := t.TempDir()
	write(t, root, "d/report.xlsx", "d/~$report.xlsx", "d/Befund Müller.docx", "d/~$fund Müller.docx", "d/note.odt", "d/.~lock.note.odt#",
		"d/closed.xlsx", "d/port.xlsx", "plan.xlsx", "~$plan.xlsx", "letter.docx", "~$tter.docx")
	_, all := walk(t, rulesOf(t, root, nil, "d/", "plan.xlsx", "letter.docx"))
	got := make(map[string]string)
	for _, e := range all.Entries {
		if e.OpenIn != "" {
			got[e.Local] = e.OpenIn
		}
	}
	want := map[string]string{"d/report.xlsx": "~$report.xlsx", "d/Befund Müller.docx": "~$fund Müller.docx", "d/note.odt": ".~lock.note.odt#",
		"plan.xlsx": "~$plan.xlsx", "letter.docx": "~$tter.docx"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWalkMarksSecrets(t *testing.T) {
	root := t.TempDir()
	write(t, root, ".env", "d/.env", "d/keys/a/b", "d/x.pem", "d/public.pem", "d/x")
	m := parse(t, `{"version": "1.0", "sync_paths": [{"local": "."}], "secrets": [".env", "keys/", "*.pem", "!public.pem"]}`)
	r, err := New(t.Context(), root, m)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	_, all := walk(t, r)
	for _, e := range all.Entries {
		if e.Secret {
			got = append(got, e.Local)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{".env", "d/.env", "d/keys/a/b", "d/x.pem"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWalkFollowsNoLink(t *testing.T) {
	root := t.TempDir()
	outside := t.TempDir()
	write(t, outside, "secret", "sub/x")
	write(t, root, "d/a")
	for link, target := range map[string]string{"d/link": outside, "d/file": filepath.Join(outside, "secret"), "folder": outside, "plain": outside, "way": outside, "d/gone": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(root, filepath.FromSlash(link))); err != nil {
			t.Skip(err)
		}
	}
	r := rulesOf(t, root, nil, "d/", "folder/", "plain", "way/sub/", "way/secret>s")
	got, all := walk(t, r)
	if diff := cmp.Diff([]string{"d/a", "d/file", "d/gone", "d/link", "plain"}, got); diff != "" {
		t.Error(diff)
	}
	for _, e := range all.Entries {
		if slices.Contains([]string{"d/file", "d/gone", "d/link", "plain"}, e.Local) && e.Type != fs.ModeSymlink {
			t.Errorf("%s is of type %v", e.Local, e.Type)
		}
	}
	var bad []string
	for _, u := range all.Unreadable {
		if !errors.Is(u.Err, ErrSymlink) {
			t.Errorf("%s: %v", u.Local, u.Err)
		}
		bad = append(bad, u.Local)
	}
	slices.Sort(bad)
	if diff := cmp.Diff([]string{"folder", "way/secret", "way/sub"}, bad); diff != "" {
		t.Error(diff)
	}
	// A folder that became a link since its parent was listed.
	tree, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	if list, err := tree.ReadDir("d/link"); err != nil || len(list.Entries) > 0 || len(list.Unreadable) != 1 {
		t.Errorf("ReadDir of a link: %+v, %v", list, err)
	}
	// The root itself may be one.
	again := filepath.Join(t.TempDir(), "again")
	if err := os.Symlink(root, again); err != nil {
		t.Fatal(err)
	}
	if got, _ := walk(t, rulesOf(t, again, nil, "d/a")); len(got) != 1 {
		t.Errorf("through a root that is a link: %q", got)
	}
}

func TestWalkListsUnreadable(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("everything can be read")
	}
	root := t.TempDir()
	write(t, root, "d/a", "d/closed/b", "only/closed/b")
	for _, dir := range []string{"d/closed", "only/closed"} {
		if err := os.Chmod(filepath.Join(root, dir), 0); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(filepath.Join(root, dir), 0o700)
	}
	got, all := walk(t, rulesOf(t, root, nil, "d/", "only/closed/b"))
	if diff := cmp.Diff([]string{"d/a", "d/closed/ < d/closed/"}, got); diff != "" {
		t.Error(diff)
	}
	if len(all.Unreadable) != 2 || !errors.Is(all.Unreadable[0].Err, fs.ErrPermission) {
		t.Errorf("unreadable: %v", all.Unreadable)
	}
}

func TestOpenRefusesAMissingRoot(t *testing.T) {
	root := t.TempDir()
	r := rulesOf(t, filepath.Join(root, "gone"), nil, "d/")
	if _, err := r.Open(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	write(t, root, "gone")
	if _, err := r.Open(); err == nil {
		t.Error("a file is no root")
	}
}

func TestLeaveOut(t *testing.T) {
	root := t.TempDir()
	write(t, root, "d/a", "d/store/l/1", "d/storefront")
	r := rulesOf(t, root, nil, "d/")
	r.LeaveOut(filepath.Join(root, "d", "store"), "it is the store")
	r.LeaveOut(t.TempDir(), "elsewhere")
	r.LeaveOut(root, "not everything")
	got, all := walk(t, r)
	if diff := cmp.Diff([]string{"d/a", "d/storefront"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]LeftOut{{"d/store", "satchel's own", "it is the store"}}, all.LeftOut); diff != "" {
		t.Error(diff)
	}
	if local, ok := r.Local("d/store/l/1"); ok {
		t.Errorf("Local(d/store/l/1) = %q", local)
	}
}

func TestReadDirIsSafeConcurrently(t *testing.T) {
	root := t.TempDir()
	for i := range 20 {
		write(t, root, fmt.Sprintf("d/%d/a.db:%s", i, sqliteMagic), fmt.Sprintf("d/%d/a.db-wal:x", i))
	}
	tree, err := rulesOf(t, root, []string{"*.pyc"}, "d/>x/", ".env>x/.env").Open()
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 20 {
				if list, err := tree.ReadDir(fmt.Sprintf("x/%d", i)); err != nil || len(list.Entries) != 1 {
					t.Errorf("%+v, %v", list, err)
				}
			}
		})
	}
	wait.Wait()
}

func BenchmarkReadDir(b *testing.B) {
	root := b.TempDir()
	for i := range 2000 {
		write(b, root, fmt.Sprintf("d/file-%04d.txt", i))
	}
	tree, err := rulesOf(b, root, []string{"*.pyc", "__pycache__/", ".venv/", "node_modules/"}, "d/>data/|**/*", ".env>config/.env").Open()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.ReadDir("data"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/file")
}
