// Package snapshottest gives tests a repository and devices that push to it.
//
//	a := snapshottest.Found(t, storetest.NewMemory())
//	a.Write("data/a.txt", "hello")
//	out, err := a.Push().Run(ctx)
//	b := a.Join(a.Store) // another device, with folders of its own
package snapshottest

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"satchel/index"
	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/ledger"
)

// Device is one computer with one workspace folder.
type Device struct {
	T       testing.TB
	Name    string
	Store   store.Store
	Access  *access.Access
	Index   *index.Index
	Reader  *snapshot.Reader
	Lineage *snapshot.Lineage
	Root    string // the workspace folder
	Home    string // keys, state and cache

	code string
}

// Found makes a repository in the store and its first device.
func Found(t testing.TB, s store.Store) *Device {
	t.Helper()
	d := &Device{T: t, Name: "OFFICE", Store: s, Root: t.TempDir(), Home: t.TempDir()}
	a, code, err := access.Found(context.Background(), d.config(s), access.Founding{RecoveryLN: 1})
	if err != nil {
		t.Fatal(err)
	}
	d.Access, d.code = a, code
	d.open()
	_, err = rand.Read(d.Lineage.Workspace[:])
	d.ok(err)
	return d
}

// Join makes another device of the repository, with the same workspace in a folder of its own.
func (d *Device) Join(s store.Store) *Device {
	d.T.Helper()
	e := &Device{T: d.T, Name: "HOME", Store: s, Root: d.T.TempDir(), Home: d.T.TempDir(), code: d.code}
	c := e.config(s)
	c.Secret = func(context.Context) (string, error) { return d.code, nil }
	a, err := access.Open(context.Background(), c)
	if err != nil {
		d.T.Fatal(err)
	}
	e.Access = a
	e.open()
	e.Lineage.Workspace = d.Lineage.Workspace
	return e
}

// Code is the recovery code of the repository.
func (d *Device) Code() string { return d.code }

func (d *Device) config(s store.Store) access.Config {
	return access.Config{Store: s, Location: "test", Place: d.place(), Device: d.Name, Rand: rand.Reader}
}

func (d *Device) place() access.Place {
	return access.Place{Config: filepath.Join(d.Home, "config"), State: filepath.Join(d.Home, "state")}
}

// IndexPath is the file of the device's index.
func (d *Device) IndexPath() string { return filepath.Join(d.Home, "index.db") }

// Images is the folder for private images of databases.
func (d *Device) Images() string { return filepath.Join(d.Home, "images") }

func (d *Device) open() {
	d.T.Helper()
	d.T.Cleanup(d.Close)
	var err error
	d.Lineage, err = snapshot.OpenLineage(d.place().State, d.Access.Repository, d.Root)
	d.ok(err)
	d.ok(d.Access.Log.Sync(context.Background()))
	d.OpenIndex()
}

// Reopen closes everything and opens it again through another view of the store, as the
// next run of the program would.
func (d *Device) Reopen(s store.Store) {
	d.T.Helper()
	d.Close()
	d.Store = s
	a, err := access.Open(context.Background(), d.config(s))
	d.ok(err)
	d.Access = a
	w := d.Lineage.Workspace
	d.Lineage, err = snapshot.OpenLineage(d.place().State, a.Repository, d.Root)
	d.ok(err)
	d.Lineage.Workspace = w
	d.OpenIndex()
}

// Close releases the device's files.
func (d *Device) Close() {
	if d.Index != nil {
		d.Index.Close()
		d.Access.Log.Close()
		d.Index = nil
	}
}

// OpenIndex opens the index, also after a test has done something to its file.
func (d *Device) OpenIndex() {
	d.T.Helper()
	var err error
	d.Index, err = index.Open(d.IndexPath(), d.Access.Repository)
	d.ok(err)
	d.Reader, err = snapshot.NewReader(d.Store, d.Access.Keys, d.Index)
	d.ok(err)
}

// Sync brings ledger and index up to date.
func (d *Device) Sync() error {
	if err := d.Access.Log.Sync(context.Background()); err != nil {
		return err
	}
	if err := d.Lineage.Adopt(d.Access.Log.State()); err != nil {
		return err
	}
	return snapshot.SyncIndex(context.Background(), d.Access.Log, d.Index)
}

// State is the ledger's.
func (d *Device) State() *ledger.State { return d.Access.Log.State() }

// Push is a push of the folder by its own rules, at one worker.
func (d *Device) Push() *snapshot.Push {
	d.T.Helper()
	rules, err := workspace.Load(context.Background(), d.Root, nil)
	d.ok(err)
	return &snapshot.Push{Store: d.Store, Keys: d.Access.Keys, Keyring: d.Access.Keyring, Log: d.Access.Log, Index: d.Index, Me: d.Access.Me,
		Lineage: d.Lineage, Rules: rules, Name: "clinic", Version: "test", Images: d.Images(), Workers: 1, Uploads: 1, Rand: rand.Reader, Now: time.Now,
		Sleep: func(context.Context, time.Duration) error { return nil }}
}

// MustPush syncs and pushes.
func (d *Device) MustPush() *snapshot.Pushed {
	d.T.Helper()
	d.ok(d.Sync())
	out, err := d.Push().Run(context.Background())
	d.ok(err)
	return out
}

// Write writes a file of the workspace, an hour old, so that its state can be trusted.
func (d *Device) Write(path, content string) {
	d.T.Helper()
	full := filepath.Join(d.Root, filepath.FromSlash(path))
	d.ok(os.MkdirAll(filepath.Dir(full), 0o755))
	d.ok(os.WriteFile(full, []byte(content), 0o644))
	d.Age(path)
}

// Age makes a file an hour old.
func (d *Device) Age(path string) {
	d.T.Helper()
	old := time.Now().Add(-time.Hour)
	d.ok(os.Chtimes(filepath.Join(d.Root, filepath.FromSlash(path)), old, old))
}

// Read returns a file of the workspace, "" if there is none.
func (d *Device) Read(path string) string {
	b, err := os.ReadFile(filepath.Join(d.Root, filepath.FromSlash(path)))
	if err != nil {
		return ""
	}
	return string(b)
}

func (d *Device) ok(err error) {
	d.T.Helper()
	if err != nil {
		d.T.Fatal(err)
	}
}

// Reachable fails the test if other users cannot enter the folders for temporary files.
func Reachable(t testing.TB) {
	t.Helper()
	for dir := os.TempDir(); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o001 == 0 {
			t.Fatalf("%s, where temporary files go, is closed to other users: set TMPDIR to a folder that is not (chmod 755)", dir)
		}
		if dir == filepath.Dir(dir) {
			return
		}
	}
}
