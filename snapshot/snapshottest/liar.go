package snapshottest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"

	"satchel/snapshot"
	"satchel/store/canon"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// A Liar is an enrolled device whose satchel was tampered with: what it commits is sealed,
// signed and hashed as it should be, and only the content is evil.
type Liar struct {
	*Device
	builder *pack.Builder
	session pack.Session
	enc     *pack.Encoder
	packs   []ledger.PackRef
}

// node is snapshot's, with no check.
type node struct {
	Entries []snapshot.Entry `cbor:"1,keyasint,omitempty"`
	Parts   []pack.ID        `cbor:"2,keyasint,omitempty"`
}

// Lie makes a Liar of a device. It syncs first.
func (d *Device) Lie() *Liar {
	d.T.Helper()
	d.ok(d.Sync())
	l := &Liar{Device: d}
	var err error
	l.session, err = pack.NewSession(d.State().Position(), rand.Reader)
	d.ok(err)
	l.enc, err = pack.NewEncoder()
	d.ok(err)
	return l
}

// Frame puts a frame into a tree pack as it is.
func (l *Liar) Frame(f *pack.Frame) {
	l.T.Helper()
	if l.builder != nil && !l.builder.Fits(f) {
		l.finish()
	}
	if l.builder == nil {
		b, err := pack.NewBuilder(seal.Tree, l.session, l.Access.Keys, rand.Reader, nil)
		l.ok(err)
		l.builder = b
	}
	l.ok(l.builder.Add(f))
}

// Forged puts bytes into the repository under an id that need not be theirs.
func (l *Liar) Forged(id pack.ID, b []byte) pack.ID {
	l.T.Helper()
	f, err := l.enc.Encode(b, []pack.Chunk{{ID: id, Size: len(b)}})
	l.ok(err)
	l.Frame(f)
	return id
}

// Chunk puts bytes into the repository. No two may be the same within a Liar.
func (l *Liar) Chunk(b []byte) pack.ID {
	l.T.Helper()
	return l.Forged(pack.Sum(b), b)
}

// Node is a directory with these entries, in this order.
func (l *Liar) Node(es ...snapshot.Entry) pack.ID {
	l.T.Helper()
	return l.Chunk(canon.Marshal(node{Entries: es}))
}

// Parts is a directory of these parts.
func (l *Liar) Parts(ids ...pack.ID) pack.ID {
	l.T.Helper()
	return l.Chunk(canon.Marshal(node{Parts: ids}))
}

// File is an honest entry of a file.
func (l *Liar) File(name, content string) snapshot.Entry {
	l.T.Helper()
	id := l.Chunk([]byte(content))
	return snapshot.Entry{Name: []byte(name), Mode: 0o644, Size: uint64(len(content)), Mtime: 1e18, IDs: id[:]}
}

// Folder is an honest entry of a directory.
func Folder(name string, id pack.ID) snapshot.Entry {
	return snapshot.Entry{Name: []byte(name), Type: snapshot.Dir, Mode: 0o755, Mtime: 1e18, Node: id}
}

// Link is an entry of a symbolic link.
func Link(name, target string) snapshot.Entry {
	return snapshot.Entry{Name: []byte(name), Type: snapshot.Symlink, Mode: 0o777, Mtime: 1e18, Target: []byte(target)}
}

func (l *Liar) finish() {
	l.T.Helper()
	if l.builder == nil {
		return
	}
	p, err := l.builder.Finish()
	l.ok(err)
	l.builder = nil
	l.ok(l.Store.Put(context.Background(), p.Key.Name(), p.Data))
	l.Registers(p.Key, int64(len(p.Data)), p.Directory.Encoding())
}

// Registers has the commit register a pack with this directory, which need not be one.
func (l *Liar) Registers(k pack.Key, size int64, directory []byte) {
	l.packs = append(l.packs, ledger.PackRef{Key: k, Size: size, Hash: sha256.Sum256(directory), Directory: directory})
}

// Commit makes a snapshot of the root, which says of itself what change has it say, and
// returns its id. Commits follow each other.
func (l *Liar) Commit(root pack.ID, files uint64, change func(*snapshot.Manifest, *ledger.CommitContent)) pack.ID {
	l.T.Helper()
	m := snapshot.Manifest{Workspace: l.Lineage.Workspace, Name: "clinic", Device: l.Access.Me.Principal.ID, DeviceAs: l.Name, Root: root, Started: 1e18, Read: 1e18, Files: files}
	if newest, ok := snapshot.Newest(l.State(), l.Lineage.Workspace); ok {
		m.Parents = []pack.ID{newest.ID}
	}
	rand.Read(m.Nonce[:])
	c := ledger.CommitContent{Workspace: m.Workspace, Name: m.Name, Parents: m.Parents, Root: root, Files: files, Clock: 1e18}
	if change != nil {
		change(&m, &c)
	}
	c.Snapshot = l.Chunk(canon.Marshal(m))
	l.finish()
	c.Packs = l.packs
	_, err := l.Access.Log.Append(context.Background(), l.Access.Me, ledger.Commit, func(*ledger.State) (any, error) { return c, nil })
	l.ok(err)
	l.packs = nil
	l.session, err = pack.NewSession(l.State().Position(), rand.Reader)
	l.ok(err)
	return c.Snapshot
}
