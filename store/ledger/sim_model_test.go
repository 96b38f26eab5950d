package ledger_test

import (
	"context"
	"fmt"
	"strings"

	"satchel/snapshot"
	"satchel/store/canon"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
	"satchel/store/storetest"
)

// A model is what the store ought to be: the fold of the entries in the order in which they
// came, and for each snapshot what its tree needs, walked from the packs' bytes alone.
type model struct {
	b       *base
	mem     *storetest.Memory
	dec     *pack.Decoder
	replica *ledger.Replica
	chunks  map[pack.ID][]byte
	holds   map[string][]pack.ID // what a pack holds, by name
	needs   map[pack.ID][]pack.ID
	files   map[pack.ID]map[string]string // of a snapshot
	acked   map[pack.ID]bool
	err     error // the first violation
}

func newModel(b *base, mem *storetest.Memory, broken ledger.Breach) *model {
	dec, err := pack.NewDecoder()
	if err != nil {
		panic(err)
	}
	m := &model{b: b, mem: mem, dec: dec, replica: b.replica.Clone(broken), chunks: map[pack.ID][]byte{}, holds: map[string][]pack.ID{},
		needs: map[pack.ID][]pack.ID{}, files: map[pack.ID]map[string]string{}, acked: map[pack.ID]bool{}}
	for o := range mem.List(context.Background(), "") {
		m.unpack(o.Name)
	}
	m.check()
	return m
}

func (m *model) fail(format string, a ...any) {
	if m.err == nil {
		m.err = fmt.Errorf(format, a...)
	}
}

// effect is called after every change of the store.
func (m *model) effect(kind storetest.Kind, name, by string) {
	switch {
	case m.err != nil:
		return
	case kind == storetest.Delete:
		m.deleted(name, by)
	case strings.HasPrefix(name, ledger.Prefix):
		if n, _ := ledger.ParseName(name); n != m.replica.Position()+1 {
			m.fail("%s wrote entry %d after entry %d", by, n, m.replica.Position())
			return
		}
		raw, _ := m.mem.Get(context.Background(), name, 0, -1)
		if _, err := m.replica.Fold(raw); err != nil {
			m.fail("entry of %s: %w", by, err)
			return
		}
	default:
		m.unpack(name)
		return
	}
	m.check()
}

// deleted: an object may go only if it is dead at the head, or of a session that can register
// nothing any more and has not.
func (m *model) deleted(name, by string) {
	k, err := pack.ParseName(name)
	_, live := m.replica.Pack(k)
	if m.replica.Died[name] && !live || err == nil && k.Session().Began() < m.replica.Horizon() && !live {
		return
	}
	m.fail("%s deleted %s, which is not dead", by, name)
}

// unpack reads all that a pack holds, from its own bytes.
func (m *model) unpack(name string) {
	k, err := pack.ParseName(name)
	if err != nil || m.holds[name] != nil {
		return
	}
	ctx := context.Background()
	data, err := m.mem.Get(ctx, name, 0, -1)
	if err != nil {
		m.fail("%w", err)
		return
	}
	d, err := pack.ReadDirectory(ctx, m.mem, m.b.keys, k, int64(len(data)))
	var o *seal.Opener
	if err == nil {
		o, err = pack.Opener(m.b.keys, k, d)
	}
	if err != nil {
		m.fail("%w", err)
		return
	}
	for i, f := range d.Frames() {
		plain, err := m.dec.Frame(nil, o, k, d, i, data[f.Offset:f.Offset+int64(f.Stored)], nil)
		if err != nil {
			m.fail("%w", err)
			return
		}
		for c := f.First; c < f.First+f.Chunks; c++ {
			m.chunks[d.ID(c)] = plain[:d.Size(c)]
			plain = plain[d.Size(c):]
			m.holds[name] = append(m.holds[name], d.ID(c))
		}
	}
}

// check asserts what is to be true after each change.
func (m *model) check() {
	there := map[pack.ID]bool{}
	for _, p := range m.replica.Packs() {
		name := p.Key.Name()
		if m.replica.Died[name] {
			m.fail("position %d: %s is dead and registered", m.replica.Position(), name)
		}
		if _, err := m.mem.Get(context.Background(), name, 0, 0); err != nil {
			continue // nothing may need it
		}
		for _, id := range m.holds[name] {
			there[id] = true
		}
	}
	for _, v := range m.replica.Snapshots(ledger.Workspace{}) {
		if m.needs[v.ID] == nil {
			m.walk(v)
		}
		for _, id := range m.needs[v.ID] {
			if !there[id] {
				m.fail("position %d: snapshot %x needs chunk %x, which has no live location whose object exists", m.replica.Position(), v.ID[:4], id[:4])
				return
			}
		}
	}
	for id := range m.acked {
		if _, live := m.replica.Snapshot(id); !live && !m.replica.Forgot[id] {
			m.fail("position %d: snapshot %x was acknowledged, was not forgotten, and is not live", m.replica.Position(), id[:4])
		}
	}
}

// treeNode is a directory as the format has it.
type treeNode struct {
	Entries []snapshot.Entry `cbor:"1,keyasint,omitempty"`
	Parts   []pack.ID        `cbor:"2,keyasint,omitempty"`
}

// walk notes what a snapshot needs, and its files.
func (m *model) walk(v ledger.Snapshot) {
	needs, files := []pack.ID{v.ID}, map[string]string{}
	get := func(id pack.ID) []byte {
		needs = append(needs, id)
		return m.chunks[id]
	}
	var dir func(id pack.ID, path string)
	dir = func(id pack.ID, path string) {
		var n treeNode
		if err := canon.Unmarshal(get(id), &n); err != nil {
			m.fail("snapshot %x: folder %q: %w", v.ID[:4], path, err)
			return
		}
		for _, e := range n.Entries {
			full := path + string(e.Name)
			if e.Type == snapshot.Dir {
				dir(e.Node, full+"/")
				continue
			}
			var b strings.Builder
			for ids := e.IDs; len(ids) > 0; ids = ids[len(pack.ID{}):] {
				b.Write(get(pack.ID(ids)))
			}
			files[full] = b.String()
		}
	}
	dir(v.Root, "")
	m.needs[v.ID], m.files[v.ID] = needs, files
}

// acknowledge: a push has ended well, of these files.
func (m *model) acknowledge(id pack.ID, files map[string]string) {
	m.acked[id] = true
	m.check()
	got, known := m.files[id]
	for path, want := range files {
		if known && got[path] != want {
			m.fail("snapshot %x was acknowledged, and %q in it differs", id[:4], path)
		}
	}
}

// agrees: a device's state is the model's at the same position.
func (m *model) agrees(s *ledger.State) error {
	if m.replica.Digests[s.Position()] != s.Digest() {
		m.fail("a device's State(%d) is another than the model's", s.Position())
	}
	return nil
}

// rest: nothing is left but what live snapshots need.
func (m *model) rest() error {
	needed, states := map[pack.ID]bool{}, 0
	for _, v := range m.replica.Snapshots(ledger.Workspace{}) {
		for _, id := range m.needs[v.ID] {
			needed[id] = true
		}
	}
	segments := map[string]bool{}
	for _, h := range m.replica.Segments() {
		segments[ledger.SegmentName(h)] = true
	}
	for o := range m.mem.List(context.Background(), "") {
		switch kind, _, _ := strings.Cut(o.Name, "/"); kind {
		case "d", "t":
			k, _ := pack.ParseName(o.Name)
			_, live := m.replica.Pack(k)
			any := false
			for _, id := range m.holds[o.Name] {
				any = any || needed[id]
			}
			if !live || !any {
				m.fail("at rest %s is left: live %v, needed %v", o.Name, live, any)
			}
		case "i":
			if !segments[o.Name] {
				m.fail("at rest %s is left", o.Name)
			}
		case "s":
			states++
		}
	}
	if states > 2 {
		m.fail("at rest %d states are left", states)
	}
	return m.err
}
