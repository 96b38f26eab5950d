package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store/dir"
	"satchel/store/ledger"
)

// newcomer is a new one, in a folder w of its own, and how satchel ends and what it says there.
func newcomer(t *testing.T, store, code string) (w string, satchel func(args ...string) (exit int, stdout, stderr string)) {
	t.Helper()
	work := t.TempDir()
	for k, v := range deviceEnv(work, "clinic") {
		t.Setenv(k, v)
	}
	for _, k := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"} {
		t.Setenv(k, "")
	}
	t.Setenv("SATCHEL_STORE", store)
	t.Setenv("SATCHEL_PASSPHRASE", code)
	w = filepath.Join(work, "w")
	if err := os.MkdirAll(w, 0o755); err != nil {
		t.Fatal(err)
	}
	return w, func(args ...string) (int, string, string) {
		var out, errw bytes.Buffer
		exit := run(context.Background(), append([]string{"-C", w, "--workspace", "clinic"}, args...), nil, &out, &errw)
		return exit, out.String(), errw.String()
	}
}

// hostile is a folder store with an honest snapshot, and a device that lies.
func hostile(t *testing.T) (store string, l *snapshottest.Liar) {
	t.Helper()
	store = t.TempDir()
	s, err := dir.Open(store)
	if err != nil {
		t.Fatal(err)
	}
	d := snapshottest.Found(t, s)
	d.Write("docs/honest.txt", "honest")
	d.MustPush()
	return store, d.Lie()
}

// What a lying device has pushed is refused by every command that reads it, with the snapshot
// and the path, and 6.
func TestCommandsRefuseLies(t *testing.T) {
	for _, lie := range snapshottest.Lies() {
		if !slices.Contains([]string{`the name "../x"`, "a link and a folder through it", "a larger size", "folders without end"}, lie.Name) {
			continue // the others are package restore's
		}
		t.Run(lie.Name, func(t *testing.T) {
			store, l := hostile(t)
			id := l.Commit(lie.Root(l), 1, nil)
			w, satchel := newcomer(t, store, l.Code())
			snap := strconv.Quote(lie.Path)
			for _, args := range [][]string{{"pull"}, {"restore", "latest", "--to", filepath.Join(w, "to")}, {"check"}, {"pull", "--json"}} {
				exit, out, errw := satchel(args...)
				said := out + errw
				if exit != exitDamaged || !strings.Contains(strings.ReplaceAll(said, `\"`, `"`), strings.Trim(snap, `"`)) ||
					args[0] != "check" && !strings.Contains(said, hex.EncodeToString(id[:4])) {
					t.Errorf("%v ends with %d and says %s", args, exit, said)
				}
			}
			for _, evil := range []string{"docs", "x", "to/docs", "../x"} {
				if _, err := os.Lstat(filepath.Join(w, evil)); err == nil {
					t.Errorf("%s was made", evil)
				}
			}
			if exit, _, errw := satchel("ls"); lie.Name != "a larger size" && exit != exitDamaged {
				t.Errorf("ls ends with %d: %s", exit, errw)
			}
		})
	}
}

// A manifest that is not of the tree or the workspace that the ledger says is refused by every command
// that reads it, and check names the snapshot.
func TestManifestOfAnotherSnapshotIsRefused(t *testing.T) {
	for name, change := range map[string]func(m *snapshot.Manifest){
		"root":      func(m *snapshot.Manifest) { m.Root[0] ^= 1 },
		"workspace": func(m *snapshot.Manifest) { m.Workspace[0] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			store, l := hostile(t)
			id := l.Commit(l.Node(l.File("evil", "evil")), 1, func(m *snapshot.Manifest, _ *ledger.CommitContent) { change(m) })
			w, satchel := newcomer(t, store, l.Code())
			for _, args := range [][]string{{"pull"}, {"restore"}, {"restore", "latest", "--to", filepath.Join(w, "to")}, {"ls"}, {"cat", "evil"}, {"check"}} {
				exit, out, errw := satchel(args...)
				if exit != exitDamaged || !strings.Contains(out+errw, "a manifest of another snapshot") || !strings.Contains(out+errw, hex.EncodeToString(id[:4])) {
					t.Errorf("%v ends with %d: %s%s", args, exit, out, errw)
				}
			}
			if here, err := os.ReadDir(w); err != nil || len(here) > 0 {
				t.Errorf("%v, %v", here, err)
			}
		})
	}
}

// Names, texts, modes and times that are possible, but meant to deceive, do no harm: no command
// prints a character that moves the cursor or turns the line around.
func TestNamesAreShownNotObeyed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("these names are not possible there")
	}
	const escape, bidi, c1 = "\x1b[2J\x1b]0;owned\x07", "gnp.\u202etxt.exe", "\u009b31m"
	store, l := hostile(t)
	var es []snapshot.Entry
	for i, name := range []string{"\r" + escape, "\xff\xfe", "line\nbreak", bidi, c1} {
		e := l.File(name, strings.Repeat("x", i+1))
		e.Mtime = [...]int64{math.MinInt64, math.MaxInt64, -1, 0, 1}[i]
		es = append(es, e)
	}
	slices.SortFunc(es, func(a, b snapshot.Entry) int { return bytes.Compare(a.Name, b.Name) })
	l.Commit(l.Node(append(es, snapshottest.Folder("\xff\xff", l.Node(snapshottest.Link("l", escape+bidi))))...), 6,
		func(m *snapshot.Manifest, c *ledger.CommitContent) {
			m.Name, m.DeviceAs, m.Version = escape, escape+bidi, escape
			m.Problems = []snapshot.Problem{{Path: []byte(escape), Mark: snapshot.MarkUnread, Text: escape + bidi + "\nall is well"}}
			m.Git = &snapshot.Git{Commit: escape, Branch: bidi}
			c.Problems = 1
		})
	w, satchel := newcomer(t, store, l.Code())
	for _, args := range [][]string{{"ls"}, {"ls", "-l"}, {"ls", "--problems"}, {"ls", "--json"}, {"snapshots"}, {"snapshots", "--json"}, {"status"},
		{"status", "--json"}, {"pull"}, {"status"}, {"check"}, {"check", "--json"}, {"find", "*"}, {"diff"}, {"cat", "no" + escape}, {"--workspace", escape + bidi, "ls"}} {
		exit, out, errw := satchel(args...)
		if args[0] == "pull" && exit != exitDone {
			t.Errorf("pull ends with %d: %s", exit, errw)
		}
		for _, r := range out + errw {
			if r != '\n' && r != '\t' && !strconv.IsPrint(r) || r == utf8.RuneError && !slices.Contains(args, "--json") {
				t.Errorf("%v prints %q in %q", args, r, out+errw)
				break
			}
		}
		for line := range strings.Lines(out) {
			if slices.Contains(args, "--json") && !json.Valid([]byte(line)) {
				t.Errorf("%v: not JSON: %s", args, line)
			}
		}
	}
	here, err := os.ReadDir(w)
	if err != nil || len(here) != 6 {
		t.Errorf("%d of 6 were pulled: %v", len(here), err)
	}
	if got := seen(string(asciiControls([]byte("\u202e\U000e0001é")))); got != `\u202e\udb40\udc01é` {
		t.Errorf("JSON %s", got)
	}
}

// A folder or a host may have any name; the ledger takes only text.
func TestPushFromAFolderOfAnyName(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems take only text")
	}
	for name, want := range map[string]string{"bad\xffname\x1b[2J": "badname[2J", "\xff\xfe": "workspace", strings.Repeat("ü", 120): strings.Repeat("ü", 64)} {
		store, l := hostile(t)
		w, satchel := newcomer(t, store, l.Code())
		odd := filepath.Join(w, name)
		if err := os.MkdirAll(odd, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(odd, "f\xff"), []byte("f"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("SATCHEL_DEVICE", name)
		t.Chdir(odd)
		var out, errw bytes.Buffer
		if exit := run(context.Background(), []string{"push"}, nil, &out, &errw); exit != exitDone || !strings.Contains(out.String(), want) {
			t.Errorf("%q: exit %d, %s%s", name, exit, &out, &errw)
		}
		if exit, out, errw := satchel("snapshots", "--all"); exit != exitDone || !strings.Contains(out, want) {
			t.Errorf("%q: exit %d, %s%s", name, exit, out, errw)
		}
	}
}
