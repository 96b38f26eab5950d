package snapshot

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store/canon"
	"satchel/store/durable"
	"satchel/store/pack"
)

// everything is a directory of which each field of FORMAT.md §5 stands somewhere.
func everything() []Entry {
	owned := func(e Entry) Entry {
		e.Owner, e.Group, e.UID, e.GID = "anna", "staff", 1000, 50
		return e
	}
	f := owned(file("file", 1, 2))
	f.Mode, f.Mtime, f.Btime, f.Flags = 0o4755, -1, 1<<60+1, durable.Hidden|durable.NoDump
	f.Link, f.Depth, f.Marks = 1<<63|1, 1, MarkGrew
	f.Xattrs = []Xattr{{Name: []byte("system.posix_acl_access"), Value: []byte{2, 0, 0, 0}}, {Name: []byte("user.\xff"), Value: nil}}
	f.Holes = []Hole{{Offset: 0, Length: 512}, {Offset: 1000, Length: 1000}}
	f.Streams = []Stream{{Name: []byte("Zone.Identifier"), Content: Entry{Size: 3, IDs: bytes.Repeat([]byte{3}, 32)}}, {Name: []byte("ß")}}
	return []Entry{
		{Name: []byte("block"), Type: BlockDevice, Mode: 0o660, Group: "disk", GID: 6, Owner: "root", Device: 8<<32 | 1},
		{Name: []byte("char"), Type: CharDevice, Mode: 0o666, Device: 1<<32 | 3},
		owned(Entry{Name: []byte("dir"), Type: Dir, Mode: 0o2775, Node: pack.ID{1}, Xattrs: f.Xattrs[:1], Btime: 5}),
		{Name: []byte("fifo"), Type: Fifo, Mode: 0o600},
		f,
		owned(Entry{Name: []byte("link"), Type: Symlink, Mode: 0o777, Target: []byte("a\xff")}),
		{Name: []byte("n\xff"), Mode: 0o600, UID: 7},
		{Name: []byte("socket"), Type: Socket, Mode: 0o600},
	}
}

func TestNodeRefusesPropertiesThatAreNotCanonical(t *testing.T) {
	attr := func(name, value string) Xattr { return Xattr{Name: []byte(name), Value: []byte(value)} }
	stream := func(name string) Stream {
		return Stream{Name: []byte(name), Content: Entry{Size: 1, IDs: make([]byte, 32)}}
	}
	long := strings.Repeat("x", 64<<10)
	for _, c := range []struct {
		what   string
		change func(e *Entry)
	}{
		{"a long owner", func(e *Entry) { e.Owner = long[:257] }},
		{"a long group", func(e *Entry) { e.Group = long[:257] }},
		{"a device number of a file", func(e *Entry) { e.Device = 1 }},
		{"an unknown flag", func(e *Entry) { e.Flags = 128 }},
		{"attributes out of order", func(e *Entry) { e.Xattrs = []Xattr{attr("b", ""), attr("a", "")} }},
		{"an attribute twice", func(e *Entry) { e.Xattrs = []Xattr{attr("a", ""), attr("a", "")} }},
		{"an attribute without name", func(e *Entry) { e.Xattrs = []Xattr{attr("", "v")} }},
		{"an attribute with a NUL", func(e *Entry) { e.Xattrs = []Xattr{attr("a\x00", "v")} }},
		{"a long attribute name", func(e *Entry) { e.Xattrs = []Xattr{attr(long[:256], "v")} }},
		{"a long attribute", func(e *Entry) { e.Xattrs = []Xattr{attr("a", long+"x")} }},
		{"257 attributes", func(e *Entry) {
			for i := range 257 {
				e.Xattrs = append(e.Xattrs, attr(fmt.Sprintf("%03d", i), ""))
			}
		}},
		{"more than 1 MiB of attributes", func(e *Entry) {
			for i := range 16 {
				e.Xattrs = append(e.Xattrs, attr(fmt.Sprintf("%02d", i), long))
			}
		}},
		{"an empty hole", func(e *Entry) { e.Holes = []Hole{{}} }},
		{"a hole past the end", func(e *Entry) { e.Holes = []Hole{{Offset: 1, Length: 1000}} }},
		{"a hole without end", func(e *Entry) { e.Holes = []Hole{{Offset: 1, Length: 1<<64 - 1}} }},
		{"holes that touch", func(e *Entry) { e.Holes = []Hole{{Offset: 0, Length: 1}, {Offset: 1, Length: 1}} }},
		{"holes out of order", func(e *Entry) { e.Holes = []Hole{{Offset: 5, Length: 1}, {Offset: 1, Length: 1}} }},
		{"holes in a directory", func(e *Entry) {
			*e = Entry{Name: e.Name, Type: Dir, Node: pack.ID{1}, Holes: []Hole{{Offset: 0, Length: 1}}}
		}},
		{"a linked FIFO", func(e *Entry) { *e = Entry{Name: e.Name, Type: Fifo, Link: 1} }},
		{"streams of a link", func(e *Entry) {
			*e = Entry{Name: e.Name, Type: Symlink, Target: []byte("t"), Streams: []Stream{stream("a")}}
		}},
		{"streams out of order", func(e *Entry) { e.Streams = []Stream{stream("b"), stream("a")} }},
		{"a stream that reaches out", func(e *Entry) { e.Streams = []Stream{stream("a:b")} }},
		{"a stream of another file", func(e *Entry) { e.Streams = []Stream{stream("../a")} }},
		{"a stream that is no text", func(e *Entry) { e.Streams = []Stream{stream("\xff")} }},
		{"a stream with a mode", func(e *Entry) { e.Streams = []Stream{stream("a")}; e.Streams[0].Content.Mode = 1 }},
		{"a stream with a stream", func(e *Entry) {
			e.Streams = []Stream{stream("a")}
			e.Streams[0].Content.Streams = []Stream{stream("b")}
		}},
		{"a stream of bytes without chunks", func(e *Entry) { e.Streams = []Stream{{Name: []byte("a"), Content: Entry{Size: 1}}} }},
	} {
		e := file("a", 1)
		c.change(&e)
		if _, _, err := parseNode(canon.Marshal(node{Entries: []Entry{e}})); !errors.Is(err, ErrTree) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestHeavyDirectoryIsSplit(t *testing.T) {
	var es []Entry
	for i := range 40 {
		e := file(fmt.Sprintf("%02d", i))
		for j := range 15 {
			e.Xattrs = append(e.Xattrs, Xattr{Name: fmt.Appendf(nil, "user.%02d", j), Value: make([]byte, 60<<10)})
		}
		es = append(es, e)
	}
	chunks := map[pack.ID][]byte{}
	top, err := encodeNode(es, gather(chunks))
	if err != nil {
		t.Fatal(err)
	}
	_, parts, err := parseNode(chunks[top])
	if err != nil || len(parts) < 2 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	var got []Entry
	for _, p := range parts {
		if len(chunks[p]) > maxNode {
			t.Errorf("a part of %d bytes", len(chunks[p]))
		}
		part, _, err := parseNode(chunks[p])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if !reflect.DeepEqual(got, es) {
		t.Error("the entries do not come back")
	}
}

var updateNode = flag.Bool("update-node", false, "write testdata/node.hex and node.json anew")

// TestGoldenNode holds the encoding of every field to what was written once, and to what
// the second reader sees in it.
func TestGoldenNode(t *testing.T) {
	fields := listOf(everything())
	if *updateNode {
		b, err := json.MarshalIndent(fields, "", " ")
		write := func(name string, b []byte) {
			if err := errors.Join(err, os.WriteFile("testdata/"+name, append(b, '\n'), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		write("node.json", b)
		write("node.hex", []byte(hex.EncodeToString(canon.Marshal(node{Entries: everything()}))))
	}
	read := func(name string) string {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	b, err := hex.DecodeString(read("node.hex"))
	if err != nil {
		t.Fatal(err)
	}
	es, _, err := parseNode(b)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal([]byte(read("node.json")), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, plain(t, listOf(es))); diff != "" {
		t.Error("node.hex is read otherwise (-want +got):", diff)
	}
	if !bytes.Equal(canon.Marshal(node{Entries: everything()}), b) {
		t.Error("it is written otherwise")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the second reader runs on Debian's Python")
	}
	c := exec.Command("/usr/bin/python3", "testdata/node.py", "testdata/node.hex")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var second any
	if err := json.Unmarshal(out, &second); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Error("the second reader sees (-want +got):", diff)
	}
}

// plain takes a value through JSON.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// listOf gives the fields that are not empty, by the names of the second reader; bytes in hex, numbers
// as text.
func listOf(es []Entry) (out []map[string]any) {
	number := func(v any) string { return fmt.Sprint(v) }
	for _, e := range es {
		m := map[string]any{}
		v := reflect.ValueOf(e)
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() {
				name := strings.ToLower(v.Type().Field(i).Name)
				switch x := f.Interface().(type) {
				case []byte:
					m[name] = hex.EncodeToString(x)
				case pack.ID:
					m[name] = hex.EncodeToString(x[:])
				case string:
					m[name] = x
				case []Xattr:
					var all [][]string
					for _, a := range x {
						all = append(all, []string{hex.EncodeToString(a.Name), hex.EncodeToString(a.Value)})
					}
					m[name] = all
				case []Hole:
					var all [][]string
					for _, h := range x {
						all = append(all, []string{number(h.Offset), number(h.Length)})
					}
					m[name] = all
				case []Stream:
					var all [][]any
					for _, s := range x {
						all = append(all, []any{hex.EncodeToString(s.Name), listOf([]Entry{s.Content})[0]})
					}
					m[name] = all
				default:
					m[name] = number(f.Convert(reflect.TypeFor[int64]()).Interface())
					if f.CanUint() {
						m[name] = number(f.Uint())
					}
				}
			}
		}
		out = append(out, m)
	}
	return out
}
