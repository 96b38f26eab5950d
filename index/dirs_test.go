package index

import (
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func one(path string, d Dir) iter.Seq2[string, Dir] { return maps.All(map[string]Dir{path: d}) }

func someDir(n int) Dir {
	d := Dir{Node: fmt.Appendf(nil, "node %d", n)}
	for i := range n % 5 {
		d.Stats = append(d.Stats, Stat{Size: int64(n), Mtime: -int64(i), Ctime: 1 << 62, Inode: 1<<64 - 1, Beside: 5, Mode: 1 << 31, Read: int64(n)})
	}
	return d
}

func TestDirRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := mustOpen(t, path)
	a, b := [16]byte{1}, [16]byte{2}
	want := map[string]Dir{}
	for i := range 3000 {
		want[fmt.Sprintf("%d/%d", i%7, i)] = someDir(i)
	}
	want[""] = Dir{Node: []byte{}}
	want[strings.Repeat("p", maxPath)] = someDir(4)
	x.step = 10_000
	if err := x.PutDirs(a, maps.All(want), nil); err != nil {
		t.Fatal(err)
	}
	if err := x.PutDirs(b, one("0/0", someDir(9)), nil); err != nil {
		t.Fatal(err)
	}
	x.Close()
	x = mustOpen(t, path)
	for p, d := range want {
		got, ok, err := x.Dir(a, p)
		if diff := gocmp.Diff(d, got); !ok || err != nil || diff != "" {
			t.Fatal(p, ok, err, diff)
		}
	}
	if d, ok, err := x.Dir(b, "0/0"); !ok || err != nil || string(d.Node) != "node 9" {
		t.Fatal(d, ok, err)
	}
	for _, p := range []string{"", "0", "0/0/", "1/1"} {
		if d, ok, err := x.Dir(b, p); ok || err != nil {
			t.Fatal(p, d, err)
		}
	}
}

func TestDirTakesTheNewest(t *testing.T) {
	x := newIndex(t)
	for i := range 4 {
		if err := x.PutDirs(repo, one("d", someDir(i)), nil); err != nil {
			t.Fatal(err)
		}
		if d, ok, err := x.Dir(repo, "d"); !ok || err != nil || gocmp.Diff(d, someDir(i)) != "" {
			t.Fatal(d, ok, err)
		}
	}
}

func TestGoneDirectoriesTakeWhatIsBelow(t *testing.T) {
	x := newIndex(t)
	paths := []string{"", "a", "a!", "a/b", "a/b/c", "a0", "ab", "b", "b/a"}
	all := map[string]Dir{}
	for i, p := range paths {
		all[p] = someDir(i)
	}
	other := [16]byte{9}
	for _, test := range []struct{ gone, left string }{
		{"a", " a! a0 ab b b/a"},
		{"a/b", " a a! a0 ab b b/a"},
		{"none", " a a! a/b a/b/c a0 ab b b/a"},
		{"", "nothing"},
	} {
		for _, w := range [][16]byte{repo, other} {
			if err := x.PutDirs(w, maps.All(all), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.PutDirs(repo, nil, []string{test.gone}); err != nil {
			t.Fatal(err)
		}
		left := "nothing"
		for _, p := range paths {
			_, ok, err := x.Dir(repo, p)
			_, okOther, errOther := x.Dir(other, p)
			if err != nil || errOther != nil || !okOther {
				t.Fatal(err, errOther, okOther)
			}
			if ok && p == "" {
				left = ""
			} else if ok {
				left += " " + p
			}
		}
		if left != test.left {
			t.Errorf("gone %q: left %q, want %q", test.gone, left, test.left)
		}
	}
}

func TestADirectoryMayComeBackInTheSameCall(t *testing.T) {
	x := newIndex(t)
	x.PutDirs(repo, maps.All(map[string]Dir{"a": someDir(1), "a/b": someDir(2)}), nil)
	if err := x.PutDirs(repo, one("a", someDir(3)), []string{"a"}); err != nil {
		t.Fatal(err)
	}
	d, ok, err := x.Dir(repo, "a")
	_, below, _ := x.Dir(repo, "a/b")
	if !ok || err != nil || gocmp.Diff(d, someDir(3)) != "" || below {
		t.Fatal(d, ok, err, below)
	}
}

func TestWhatIsTooLargeIsForgotten(t *testing.T) {
	x := newIndex(t)
	x.PutDirs(repo, one("a", someDir(1)), nil)
	if err := x.PutDirs(repo, one("a", Dir{Node: make([]byte, maxDir)}), nil); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxPath+1)
	if err := x.PutDirs(repo, one(long, someDir(1)), []string{long}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"a", long} {
		if _, ok, err := x.Dir(repo, p); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
}

// TestPutDirsLetsTheWalkRead: the sequence may ask the index while it is read.
func TestPutDirsLetsTheWalkRead(t *testing.T) {
	x := newIndex(t)
	x.step = 10_000
	walk := func(yield func(string, Dir) bool) {
		for i := range 2000 {
			if _, ok, err := x.Dir(repo, fmt.Sprint(i)); ok || err != nil {
				t.Error(ok, err)
			}
			if !yield(fmt.Sprint(i), someDir(i)) {
				return
			}
		}
	}
	if err := x.PutDirs(repo, walk, nil); err != nil {
		t.Fatal(err)
	}
}
