package ledger

import (
	"encoding/binary"

	"satchel/store/canon"
)

// An element is a part of the state, as FORMAT.md §7 lists them.
type element interface {
	append(b []byte) []byte // its canonical encoding
}

func (v scalars) append(b []byte) []byte       { return append(b, canon.Marshal(v)...) }
func (v Snapshot) append(b []byte) []byte      { return append(b, canon.Marshal(v)...) }
func (v WorkspaceInfo) append(b []byte) []byte { return append(b, canon.Marshal(v)...) }
func (v segment) append(b []byte) []byte       { return append(b, canon.Marshal(v)...) }
func (v Member) append(b []byte) []byte        { return append(b, canon.Marshal(v)...) }
func (v Hold) append(b []byte) []byte          { return append(b, canon.Marshal(v)...) }
func (v snapshotTag) append(b []byte) []byte   { return append(b, canon.Marshal(v)...) }
func (v generation) append(b []byte) []byte    { return append(b, canon.Marshal(v)...) }

// Of packs and dead names there may be hundreds of thousands, and a command reads them all.

func (v Pack) append(b []byte) []byte {
	b = canon.AppendUint(canon.AppendArray(b, 5), uint64(v.Tag))
	b = canon.AppendInt(canon.AppendBytes(b, v.Key[:]), v.Size)
	return canon.AppendUint(canon.AppendBytes(b, v.Hash[:]), v.Position)
}

func parsePack(b []byte) (v Pack, err error) {
	a := canon.ParseArray(b, 5)
	v.Tag = uint8(a.Uint())
	a.Bytes(v.Key[:])
	v.Size = a.Int()
	a.Bytes(v.Hash[:])
	v.Position = a.Uint()
	return v, a.End()
}

func (v DeadName) append(b []byte) []byte {
	b = canon.AppendUint(canon.AppendArray(b, 4), uint64(v.Tag))
	b = canon.AppendUint(canon.AppendText(b, v.Name), v.Position)
	return canon.AppendInt(b, v.Time)
}

func parseDead(b []byte) (v DeadName, err error) {
	a := canon.ParseArray(b, 4)
	v.Tag, v.Name, v.Position, v.Time = uint8(a.Uint()), a.Text(), a.Uint(), a.Int()
	return v, a.End()
}

// parse reads any other element.
func parse[V any](b []byte) (v V, err error) {
	err = canon.Unmarshal(b, &v)
	return v, err
}

// sorted is elements in one buffer, each after its length (u32).
type sorted struct {
	buf []byte
	at  []uint32 // where each begins
}

func (p *sorted) add(e element) {
	at := len(p.buf)
	p.buf = e.append(append(p.buf, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(p.buf[at:], uint32(len(p.buf)-at-4))
	p.at = append(p.at, uint32(at))
}

func addAll[K comparable, V element](p *sorted, m map[K]V) {
	for _, v := range m {
		p.add(v)
	}
}

// element is that which begins there, with its length.
func (p *sorted) element(at uint32) []byte {
	return p.buf[at : at+4+binary.BigEndian.Uint32(p.buf[at:])]
}
