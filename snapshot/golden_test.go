package snapshot_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"satchel/index"
	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/canon"
	"satchel/store/dir"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

var updateGolden = flag.Bool("update", false, "make the golden repository and the list of its damages anew")

const (
	goldenDir    = "testdata/golden"
	goldenLimit  = 300 << 10 // bytes of all its objects
	secondReader = "../store/pack/testdata/reader.py"
	debianPython = "/usr/bin/python3"
)

// goldenFile is golden.json: how the golden repository opens, and what is in it, as the
// disk had it when it was pushed.
type goldenFile struct {
	RecoveryCode string           `json:"recovery_code"`
	Passphrase   string           `json:"passphrase"`
	Generation   uint32           `json:"generation"`
	KEK          string           `json:"kek"`
	Head         uint64           `json:"head"`
	Checkpoint   uint64           `json:"checkpoint"`
	Voids        []uint64         `json:"voids"` // positions of entries that everybody skips
	Snapshots    []goldenSnapshot `json:"snapshots"`
	Damages      []goldenDamage   `json:"damages"`
}

type goldenSnapshot struct {
	ID        string       `json:"id"`
	Time      string       `json:"time"` // the store's clock
	Workspace string       `json:"workspace"`
	Files     uint64       `json:"files"`
	Bytes     uint64       `json:"bytes"`
	Tree      []goldenNode `json:"tree"`
}

type goldenNode struct {
	Path   string `json:"path"`
	Type   string `json:"type"`
	Mode   string `json:"mode"` // octal
	Mtime  int64  `json:"mtime"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Target string `json:"target,omitempty"`
}

// goldenDamage is one thing done to the golden repository that a reader has to notice.
type goldenDamage struct {
	What   string `json:"what"`
	Op     string `json:"op"`     // flip, cut, drop, swap, kek
	Object string `json:"object"` // the name that an error has to say
	At     int    `json:"at,omitempty"`
	Bit    int    `json:"bit,omitempty"`
	With   string `json:"with,omitempty"`
	Exit   int    `json:"exit"` // of the second reader: 6 damage, 1 written by a newer satchel
}

// apply returns the objects that the damage leaves, and the KEK to be used.
func (d goldenDamage) apply(objects map[string][]byte, kek string) (map[string][]byte, string) {
	out := maps.Clone(objects)
	b := slices.Clone(objects[d.Object])
	switch d.Op {
	case "flip":
		b[d.At] ^= 1 << d.Bit
		out[d.Object] = b
	case "cut":
		out[d.Object] = b[:d.At]
	case "drop":
		delete(out, d.Object)
	case "swap":
		out[d.Object], out[d.With] = objects[d.With], objects[d.Object]
	case "kek":
		k, _ := hex.DecodeString(kek)
		k[d.At] ^= 1 << d.Bit
		kek = hex.EncodeToString(k)
	default:
		panic(d.Op)
	}
	return out, kek
}

// goldenClock begins on a fixed day and goes on by a second whenever it is asked.
func goldenClock(day int) func() time.Time {
	now := time.Date(2025, 6, day, 12, 0, 0, 123456789, time.UTC)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

// TestGoldenRepository holds this version to what an earlier one wrote: whoever holds the
// recovery code or the passphrase restores exactly what was pushed, by the newest checkpoint as well as by
// every entry from the first on.
func TestGoldenRepository(t *testing.T) {
	if *updateGolden {
		makeGolden(t)
	}
	g, objects := loadGolden(t)
	size := 0
	for _, b := range objects {
		size += len(b)
	}
	if size > goldenLimit {
		t.Errorf("%d bytes, at most %d", size, goldenLimit)
	}
	whole := maps.Clone(objects)
	maps.DeleteFunc(objects, func(name string, _ []byte) bool { return strings.HasPrefix(name, "s/") })
	for _, c := range []struct {
		name, secret string
		objects      map[string][]byte
	}{
		{"recovery code", g.RecoveryCode, whole},
		{"passphrase", g.Passphrase, whole},
		{"without the checkpoint's state", g.RecoveryCode, objects},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, g.restore(t, c.objects, c.secret))
		})
	}
}

// TestSecondReader compares this program with one that shares nothing with it but
// FORMAT.md: on the golden repository, and on one that was written a moment ago.
func TestSecondReader(t *testing.T) {
	needPython(t)
	t.Run("golden", func(t *testing.T) {
		g, objects := loadGolden(t)
		out := compareReader(t, writeObjects(t, objects), g)
		if want := fmt.Sprintf("sound: %d entries, 1 checkpoints, ", g.Head); !strings.Contains(out, want) {
			t.Errorf("%q does not say %q", out, want)
		}
		for _, n := range g.Voids {
			if !strings.Contains(out, fmt.Sprintf("entry %d is void", n)) {
				t.Errorf("%q does not say that entry %d is void", out, n)
			}
		}
		if got := strings.Count(out, "is void"); got != len(g.Voids) {
			t.Errorf("%d entries are void, want %v:\n%s", got, g.Voids, out)
		}
	})
	t.Run("fresh", func(t *testing.T) {
		root := t.TempDir()
		s, err := dir.Open(root)
		must(t, err)
		d := snapshottest.Found(t, s)
		var g goldenFile
		kek := kekOf(t, s, d.Access.Me, 1)
		g.KEK, g.Generation = hex.EncodeToString(kek[:]), 1
		must(t, os.Mkdir(filepath.Join(d.Root, "many"), 0o755))
		for i := range 8200 { // more than one node holds
			must(t, os.WriteFile(filepath.Join(d.Root, "many", fmt.Sprint(i)), nil, 0o600))
		}
		d.Write("noise", noise(1, 5<<20)) // a data pack, cuts by content
		d.Write("zeros", strings.Repeat("\x00", 5<<20))
		d.Write("pages.sqlite", goldenDatabase(66))
		d.Write("café/ß \t .txt", "names")
		must(t, os.Chmod(filepath.Join(d.Root, "noise"), 0o640))
		must(t, os.Symlink("../nowhere", filepath.Join(d.Root, "café", "link")))
		g.note(t, d, d.Push())
		d.Write("café/later", noise(2, 700))
		must(t, os.Remove(filepath.Join(d.Root, "zeros")))
		must(t, os.RemoveAll(filepath.Join(d.Root, "many")))
		p := d.Push()
		p.Yes = true
		g.note(t, d, p)
		if out := compareReader(t, root, &g); strings.Contains(out, "note:") {
			t.Error(out)
		}
	})
}

// TestSecondReaderRefusesDamage does each of the kept damages to the golden repository, and
// neither reader may take it for whole.
func TestSecondReaderRefusesDamage(t *testing.T) {
	needPython(t)
	g, objects := loadGolden(t)
	root := writeObjects(t, objects)
	for _, c := range g.Damages {
		t.Run(c.What, func(t *testing.T) {
			damaged, kek := c.apply(objects, g.KEK)
			for name := range objects {
				file := filepath.Join(root, filepath.FromSlash(name))
				switch b, there := damaged[name]; {
				case !there:
					must(t, os.Remove(file))
				case string(b) != string(objects[name]):
					must(t, os.WriteFile(file, b, 0o600))
				default:
					continue
				}
				defer func() { must(t, os.WriteFile(file, objects[name], 0o600)) }()
			}
			_, stderr, exit := runReader(t, root, kek, "check")
			if named := strings.Contains(stderr, c.Object) || c.With != "" && strings.Contains(stderr, c.With); exit != c.Exit || !named {
				t.Errorf("second reader: exit %d, want %d and the name of the object: %s", exit, c.Exit, stderr)
			}
			if c.Op == "kek" {
				if _, err := openRing(t, g, damaged, kek); !errors.Is(err, seal.ErrCorrupt) {
					t.Error("the ring opened by another KEK:", err)
				}
				return
			}
			err := g.restore(t, damaged, g.RecoveryCode)
			if n, ok := ledger.ParseName(c.Object); err == nil && ok && n < g.Checkpoint {
				// A new device begins at the checkpoint: what is before it is read without one only.
				maps.DeleteFunc(damaged, func(name string, _ []byte) bool { return strings.HasPrefix(name, "s/") })
				err = g.restore(t, damaged, g.RecoveryCode)
			}
			if err == nil {
				t.Error("it opens and restores as if it were whole")
			}
		})
	}
}

// restore opens the repository as a new device does and compares everything in it with what
// was pushed; its error is the first thing that is not so. The objects stay as they are.
func (g *goldenFile) restore(t *testing.T, objects map[string][]byte, secret string) error {
	t.Helper()
	m := storetest.NewMemory()
	m.Clock = goldenClock(2)
	for name, b := range objects {
		must(t, m.Put(ctx, name, b))
	}
	home := t.TempDir()
	c := goldenConfig(m, home, "CLINIC")
	c.Secret = func(context.Context) (string, error) { return secret, nil }
	a, err := access.Open(ctx, c)
	if err != nil {
		return err
	}
	defer a.Log.Close()
	for _, v := range a.Log.Voids() {
		if !slices.Contains(g.Voids, v.Position) {
			return fmt.Errorf("entry %d is skipped: %s", v.Position, v.Reason)
		}
	}
	x, err := index.Open(filepath.Join(home, "index.db"), a.Repository)
	must(t, err)
	defer x.Close()
	if err := snapshot.SyncIndex(ctx, a.Log, x); err != nil {
		return err
	}
	r, err := snapshot.NewReader(m, a.Keys, x)
	must(t, err)
	for _, want := range g.Snapshots {
		got, err := readSnapshot(a.Log.State(), r, want.ID)
		if err != nil {
			return fmt.Errorf("snapshot %s: %w", want.ID, err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			return fmt.Errorf("snapshot %s (-pushed +restored):\n%s", want.ID, diff)
		}
	}
	return scrub(a, objects, m)
}

// scrub reads what restoring passes over: names, the packs' own ends, segments and states.
func scrub(a *access.Access, objects map[string][]byte, s store.Store) error {
	for name, b := range objects {
		if sum := sha256.Sum256(b); len(path.Base(name)) == 64 && path.Base(name) != hex.EncodeToString(sum[:]) {
			return fmt.Errorf("%s: is not what its name says", name)
		}
		kind := seal.Kind(name[0])
		if strings.HasPrefix(name, "s/") || kind == seal.Segment {
			if _, err := a.Keys.OpenObject(kind, 0, b); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for _, p := range a.Log.State().Packs() {
		d, err := pack.ReadDirectory(ctx, s, a.Keys, p.Key, p.Size)
		if err != nil {
			return err
		}
		if d.Hash() != p.Hash {
			return fmt.Errorf("%s: another directory", p.Key.Name())
		}
	}
	for _, h := range a.Log.State().Segments() {
		if _, err := s.Get(ctx, ledger.SegmentName(h), 0, -1); err != nil {
			return err
		}
	}
	return nil
}

func readSnapshot(s *ledger.State, r *snapshot.Reader, id string) (goldenSnapshot, error) {
	g := goldenSnapshot{ID: id}
	b, err := hex.DecodeString(id)
	if err != nil {
		return g, err
	}
	v, ok := s.Snapshot(pack.ID(b))
	if !ok {
		return g, errors.New("is not in the ledger")
	}
	w, _ := s.Workspace(v.Workspace)
	g.Time, g.Workspace, g.Files, g.Bytes = goldenTime(v.Time), w.Name, v.Files, v.Bytes
	err = r.Walk(ctx, v.Root, func(remote string, e *snapshot.Entry) error {
		n := goldenNode{Path: remote, Type: e.Type.String(), Mode: fmt.Sprintf("%04o", e.Mode), Mtime: e.Mtime, Target: string(e.Target)}
		if e.Type == snapshot.File {
			h := sha256.New()
			if err := r.Content(ctx, e, func(p []byte) error { h.Write(p); n.Size += int64(len(p)); return nil }); err != nil {
				return fmt.Errorf("%s: %w", remote, err)
			}
			if n.Size != int64(e.Size) {
				return fmt.Errorf("%s: %d bytes, want %d", remote, n.Size, e.Size)
			}
			n.SHA256 = hex.EncodeToString(h.Sum(nil))
		}
		g.Tree = append(g.Tree, n)
		return nil
	})
	sortNodes(g.Tree)
	return g, err
}

// listTree is a folder on disk, as goldenNodes.
func listTree(t *testing.T, root string) []goldenNode {
	t.Helper()
	var out []goldenNode
	must(t, filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		info, err := os.Lstat(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		n := goldenNode{Path: filepath.ToSlash(rel), Mode: fmt.Sprintf("%04o", info.Mode().Perm()), Mtime: info.ModTime().UnixNano()}
		switch {
		case info.IsDir():
			n.Type = "dir"
		case info.Mode()&fs.ModeSymlink != 0:
			n.Type = "symlink"
			n.Target, err = os.Readlink(file)
		default:
			n.Type, n.Size = "file", info.Size()
			var b []byte
			b, err = os.ReadFile(file)
			sum := sha256.Sum256(b)
			n.SHA256 = hex.EncodeToString(sum[:])
		}
		out = append(out, n)
		return err
	}))
	sortNodes(out)
	return out
}

func sortNodes(ns []goldenNode) {
	slices.SortFunc(ns, func(a, b goldenNode) int { return cmp.Compare(a.Path, b.Path) })
}

func goldenTime(ns int64) string {
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z")
}

// note pushes, and notes what the disk had.
func (g *goldenFile) note(t *testing.T, d *snapshottest.Device, p *snapshot.Push) {
	t.Helper()
	must(t, d.Sync())
	out, err := p.Run(ctx)
	must(t, err)
	s := goldenSnapshot{ID: hex.EncodeToString(out.Snapshot[:]), Time: goldenTime(out.Time.UnixNano()), Workspace: "clinic", Tree: listTree(t, d.Root)}
	for _, n := range s.Tree {
		if n.Type != "dir" {
			s.Files, s.Bytes = s.Files+1, s.Bytes+uint64(n.Size)
		}
	}
	g.Snapshots = append(g.Snapshots, s)
}

// compareReader has the second reader list, extract and check a repository, and returns what
// the check said.
func compareReader(t *testing.T, root string, g *goldenFile) string {
	t.Helper()
	run := func(args ...string) string {
		t.Helper()
		stdout, stderr, exit := runReader(t, root, g.KEK, args...)
		if exit != 0 {
			t.Fatalf("reader.py %s: exit %d: %s", strings.Join(args, " "), exit, stderr)
		}
		return stdout
	}
	var want strings.Builder
	for _, s := range g.Snapshots {
		fmt.Fprintf(&want, "%s\t%s\t%s\t%d\t%d\n", s.ID, s.Time, s.Workspace, s.Files, s.Bytes)
	}
	if diff := gocmp.Diff(want.String(), run("list")); diff != "" {
		t.Error("list (-pushed +listed):", diff)
	}
	for _, s := range g.Snapshots {
		var lines []string
		for _, n := range s.Tree {
			lines = append(lines, fmt.Sprintf("%s\t%s\t%d\t%s\t%s", n.Type, n.Mode, n.Size, goldenTime(n.Mtime), strings.ReplaceAll(n.Path, "\t", `\t`)))
		}
		listed := strings.Split(strings.TrimSuffix(run("ls", s.ID[:16]), "\n"), "\n")
		slices.Sort(lines)
		slices.Sort(listed)
		if diff := gocmp.Diff(lines, listed); diff != "" {
			t.Errorf("snapshot %s (-pushed +listed): %.2000s", s.ID, diff)
		}
		if len(s.Tree) > 1000 {
			continue // many files take their time
		}
		to := filepath.Join(t.TempDir(), "out")
		run("extract", s.ID, to)
		if diff := gocmp.Diff(s.Tree, listTree(t, to)); diff != "" {
			t.Errorf("snapshot %s (-pushed +extracted): %s", s.ID, diff)
		}
	}
	return run("check")
}

func runReader(t *testing.T, root, kek string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs strings.Builder
	c := exec.CommandContext(t.Context(), debianPython, append([]string{secondReader, root, "--kek", kek}, args...)...)
	c.Env = append(os.Environ(), "PYTHONUTF8=1")
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(errs.String(), "Traceback") {
		t.Errorf("reader.py %v: %s", args, errs.String())
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// needPython makes sure of Debian's Python with the two packages that the second reader
// imports, and installs them where they are missing.
func needPython(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the second reader runs on Debian's Python")
	}
	imports := func() ([]byte, error) {
		return exec.CommandContext(t.Context(), debianPython, "-c", "import cryptography, zstandard").CombinedOutput()
	}
	if _, err := imports(); err == nil {
		return
	}
	var said strings.Builder
	install := []string{"apt-get", "install", "-y", "--no-install-recommends", "python3", "python3-cryptography", "python3-zstandard"}
	for _, args := range [][]string{install, {"apt-get", "update"}, install} {
		if os.Geteuid() != 0 {
			args = append([]string{"sudo", "-n"}, args...)
		}
		c := exec.CommandContext(t.Context(), args[0], args[1:]...)
		c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		b, err := c.CombinedOutput()
		fmt.Fprintf(&said, "%s: %v\n%s", strings.Join(args, " "), err, b)
		if _, err := imports(); err == nil {
			return
		}
	}
	out, err := imports()
	t.Fatalf("%s lacks what the second reader imports, and python3-cryptography and python3-zstandard cannot be installed: %v\n%s\n%s",
		debianPython, err, out, said.String())
}

func loadGolden(t *testing.T) (*goldenFile, map[string][]byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(goldenDir, "golden.json"))
	must(t, err)
	g := new(goldenFile)
	must(t, json.Unmarshal(b, g))
	objects := map[string][]byte{}
	root := filepath.Join(goldenDir, "repository")
	must(t, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		objects[filepath.ToSlash(rel)], err = os.ReadFile(file)
		return err
	}))
	return g, objects
}

// writeObjects puts objects into a new folder, as package dir does.
func writeObjects(t *testing.T, objects map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	for name, b := range objects {
		file := filepath.Join(root, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, b, 0o600))
	}
	return root
}

func goldenConfig(s store.Store, home, name string) access.Config {
	return access.Config{Store: s, Location: "test", Device: name, Rand: rand.Reader,
		Place: access.Place{Config: filepath.Join(home, "config"), State: filepath.Join(home, "state")}}
}

func kekOf(t *testing.T, s store.Store, me *seal.Identity, generation uint32) [32]byte {
	t.Helper()
	slot, err := s.Get(ctx, seal.SlotName(me.Principal.ID, generation), 0, -1)
	must(t, err)
	kek, err := me.UnwrapKEK(generation, slot)
	must(t, err)
	return kek
}

func openRing(t *testing.T, g *goldenFile, objects map[string][]byte, kek string) (*seal.Keyring, error) {
	t.Helper()
	var boot struct{ Repository string }
	must(t, json.Unmarshal(objects["satchel"], &boot))
	repo, err := seal.ParseRepoID(boot.Repository)
	must(t, err)
	k, err := hex.DecodeString(kek)
	must(t, err)
	payload, err := seal.KEK(repo, g.Generation, [32]byte(k)).OpenObject(seal.Ring, 0, objects[seal.RingName(g.Generation)])
	if err != nil {
		return nil, err
	}
	return seal.ParseKeyring(payload)
}

// goldenDatabase is a file that is cut every 256 KiB, into chunks that differ and compress
// to almost nothing; 65 of them need a list.
func goldenDatabase(chunks int) string {
	var b strings.Builder
	for i := range chunks {
		page := fmt.Sprintf("SQLite format 3\x00 piece %4d\n", i)
		b.WriteString(strings.Repeat(page, 256<<10/len(page)+1)[:256<<10])
	}
	return b.String()[:b.Len()-100]
}

// makeGolden makes the golden repository anew: two devices, three snapshots, a checkpoint,
// entries that are passed over, and what can be done to it.
func makeGolden(t *testing.T) {
	m := storetest.NewMemory()
	m.Clock = goldenClock(1)
	g := &goldenFile{Passphrase: "seven crates of copper wire by the door", Generation: 1}
	write := func(d *snapshottest.Device, name, content string, mode fs.FileMode, day int) {
		d.Write(name, content)
		file := filepath.Join(d.Root, filepath.FromSlash(name))
		must(t, os.Chmod(file, mode))
		at := time.Date(2025, 5, day, 7, 8, 9, 987654321, time.UTC)
		must(t, os.Chtimes(file, at, at))
	}
	push := func(d *snapshottest.Device) {
		p := d.Push()
		p.Now, p.Yes = goldenClock(1), true
		g.note(t, d, p)
	}

	office := &snapshottest.Device{T: t, Name: "OFFICE", Store: m, Root: t.TempDir(), Home: t.TempDir()}
	a, code, err := access.Found(ctx, goldenConfig(m, office.Home, office.Name),
		access.Founding{Passphrase: g.Passphrase, PassphraseLN: 4, RecoveryLN: 4})
	must(t, err)
	must(t, a.Log.Close())
	g.RecoveryCode = code
	kek := kekOf(t, m, a.Me, 1)
	g.KEK = hex.EncodeToString(kek[:])
	office.Lineage = new(snapshot.Lineage)
	_, err = rand.Read(office.Lineage.Workspace[:])
	must(t, err)
	office.Reopen(m)

	write(office, "readme.txt", "hello\n", 0o644, 1)
	write(office, "empty", "", 0o644, 2)
	write(office, "noise.bin", noise(1, 6000), 0o600, 3)
	write(office, "bin/run.sh", "#!/bin/sh\necho run\n", 0o755, 4)
	write(office, "Müller/żółć – π.txt", "names in UTF-8\n", 0o640, 5)
	must(t, os.Symlink("Müller/żółć – π.txt", filepath.Join(office.Root, "link")))
	push(office)
	write(office, "readme.txt", strings.Repeat("hello again\n", 500), 0o644, 6)
	write(office, "pages.sqlite", goldenDatabase(70), 0o644, 7)
	push(office)

	add := func(kind ledger.Kind, content any) {
		_, err := office.Access.Log.Append(ctx, office.Access.Me, kind, func(*ledger.State) (any, error) { return content, nil })
		must(t, err)
	}
	add(0x80, map[int]string{1: "of a kind that everybody passes over"})
	for office.State().SinceCheckpoint() < ledger.CheckpointEvery {
		add(ledger.Register, ledger.RegisterContent{})
	}
	must(t, office.Access.Log.Checkpoint(ctx, office.Access.Me))
	g.Checkpoint = office.State().Position()

	home := &snapshottest.Device{T: t, Name: "HOME", Store: m, Root: t.TempDir(), Home: t.TempDir()}
	c := goldenConfig(m, home.Home, home.Name)
	c.Secret = func(context.Context) (string, error) { return code, nil }
	a, err = access.Open(ctx, c)
	must(t, err)
	must(t, a.Log.Close())
	home.Lineage = &snapshot.Lineage{Workspace: office.Lineage.Workspace}
	home.Reopen(m)
	must(t, home.Sync())
	home.Lineage.Base = office.Lineage.Base

	// An entry that no key opens, then one that repeats a sequence number.
	void := func(raw []byte) {
		n := home.State().Position() + 1
		must(t, m.Put(ctx, ledger.Name(n), raw))
		must(t, home.Sync())
		g.Voids = append(g.Voids, n)
		if v := home.Access.Log.Voids(); len(v) != len(g.Voids) {
			t.Fatalf("voids %v, want %v", v, g.Voids)
		}
	}
	void([]byte(noise(2, 352)))
	void(repeatedSequence(t, home))

	write(home, "readme.txt", "hello from home\n", 0o644, 8)
	write(home, "noise.bin", noise(1, 6000), 0o600, 3)
	write(home, "pages.sqlite", goldenDatabase(70), 0o644, 7)
	write(home, "notes/deep/er/日本.md", "# 日本\n", 0o644, 9)
	push(home)
	g.Head = home.State().Position()

	objects := map[string][]byte{}
	for o, err := range m.List(ctx, "") {
		must(t, err)
		objects[o.Name], err = m.Get(ctx, o.Name, 0, -1)
		must(t, err)
	}
	g.damages(objects, home.State())
	must(t, os.RemoveAll(filepath.Join(goldenDir, "repository")))
	for name, b := range objects {
		file := filepath.Join(goldenDir, "repository", filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, b, 0o644))
	}
	b, err := json.MarshalIndent(g, "", " ")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(goldenDir, "golden.json"), append(b, '\n'), 0o644))
	must(t, os.WriteFile(filepath.Join(goldenDir, ".gitattributes"), []byte("repository/** -text\n"), 0o644))
}

// repeatedSequence is an entry that opens and is signed, and breaks a rule all the same.
func repeatedSequence(t *testing.T, d *snapshottest.Device) []byte {
	t.Helper()
	s, me := d.State(), d.Access.Me
	member, _ := s.Member(me.Principal.ID)
	prev, state := s.Head(), s.Digest()
	body := canon.Marshal(map[int]any{1: d.Access.Repository[:], 2: s.Position() + 1, 3: prev[:], 4: state[:], 5: member.Sequence + 2,
		6: s.Time() + 1, 7: []byte("sixteen bytes ..")[:16], 8: uint64(ledger.Register), 9: canon.Marshal(map[int]any{}), 10: s.Position() + 1 - s.SinceCheckpoint() - 1})
	signature := me.Sign(append([]byte("satchel/1 entry\x00"), body...))
	raw, err := d.Access.Keys.SealObject(seal.Ledger, s.Position()+1, canon.Marshal([]any{body, []any{[]any{me.Principal.ID[:], signature}}}), rand.Reader)
	must(t, err)
	return raw
}

// damages lists what is done to the golden repository: a bit in each part of objects of each
// kind, cuts, losses, swaps, another key.
func (g *goldenFile) damages(objects map[string][]byte, s *ledger.State) {
	names := slices.Sorted(maps.Keys(objects))
	first := func(prefix string) string {
		return names[slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, prefix) })]
	}
	add := func(what, op, object string, d goldenDamage) {
		d.What, d.Op, d.Object = what+" of "+strings.SplitN(object, "/", 3)[0], op, object
		d.Exit = cmp.Or(d.Exit, 6)
		if n, ok := ledger.ParseName(object); ok {
			d.What = fmt.Sprintf("%s of entry %d", what, n)
		} else if object == seal.RingName(1) {
			d.What = what + " of the ring"
		}
		g.Damages = append(g.Damages, d)
	}
	bit := func(what, object string, at int) {
		add(what, "flip", object, goldenDamage{At: at, Bit: (at*5 + 3) % 8})
	}
	ring, packs := seal.RingName(1), s.Packs()
	middle, last := ledger.Name(3), ledger.Name(g.Head)
	for _, o := range []string{ring, middle} {
		bit("commitment", o, 60)
		bit("ciphertext", o, 80+(len(objects[o])-96)/2)
		bit("tag", o, len(objects[o])-5)
	}
	bit("salt", middle, 20)
	add("a byte", "cut", middle, goldenDamage{At: len(objects[middle]) - 1})
	add("all", "cut", middle, goldenDamage{})
	for _, o := range []string{ledger.Name(1), ledger.Name(ledger.CheckpointEvery), ledger.Name(g.Checkpoint), ledger.Name(g.Checkpoint + 1), last} {
		bit("ciphertext", o, 100)
	}
	for _, o := range []string{packs[2].Key.Name(), first("i/"), first("s/")} {
		bit("ciphertext", o, 100)
	}
	o := packs[0].Key.Name()
	bit("magic", o, 3)
	bit("commitment", o, 79)
	bit("last byte", o, len(objects[o])-1)
	add("a header's rest", "cut", o, goldenDamage{At: 80})
	add("all", "cut", o, goldenDamage{})
	bit("directory", packs[1].Key.Name(), len(objects[packs[1].Key.Name()])-100)
	bit("footer", packs[1].Key.Name(), len(objects[packs[1].Key.Name()])-30)
	add("half", "cut", "satchel", goldenDamage{At: len(objects["satchel"]) / 2})
	add("the genesis hash", "flip", "satchel", goldenDamage{At: 130, Bit: 1})
	for _, o := range []string{"satchel", ring, middle, packs[0].Key.Name(), first("i/"), ledger.Name(1)} {
		add("loss", "drop", o, goldenDamage{})
	}
	add("swap", "swap", middle, goldenDamage{With: ledger.Name(2)})
	add("swap", "swap", packs[0].Key.Name(), goldenDamage{With: packs[1].Key.Name()})
	for _, newer := range []struct {
		what string
		at   int
	}{{"format", 8}, {"suite", 9}, {"an incompatible flag", 11}} {
		add(newer.what, "flip", last, goldenDamage{At: newer.at, Bit: 1, Exit: 1})
	}
	add("the generation", "flip", last, goldenDamage{At: 14, Bit: 1})
	add("another KEK instead", "kek", ring, goldenDamage{At: 7})
}
