package index

import (
	"encoding/hex"
	"testing"

	"satchel/store/pack"
)

// TestFormat holds the values to the bytes of format 1: whoever changes them changes the
// format's number and the package's documentation too.
func TestFormat(t *testing.T) {
	p := Pack{Key: pack.Key{0: 'd', 1: 1, 56: 2}, Size: 0x1234, Hash: [32]byte{0: 3, 31: 4}, Directory: []byte("encoding")}
	zeros := func(n int) string { return hex.EncodeToString(make([]byte, n)) }
	key := "6401" + zeros(54) + "02"
	hash := "03" + zeros(30) + "04"
	row := row{id: 0x0102_030405060708, at: 9<<16 | 10}
	value, err := merge(rows{prefix: 0x0102}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := state{repo: [16]byte{1, 15: 2}, tie: Tie{Position: 3, Hash: p.Hash}, next: 4, packs: 5, chunks: 6}
	d := Dir{Node: []byte("node"), Stats: []Stat{{1, 2, 3, 4, 5, 6, 7}}}
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"head", s.encode(), "00000001" + "01" + zeros(14) + "02" + "0000000000000003" + hash + "00000004" + "00000005" + "0000000000000006" + "1d2d3a391d89e7a1"},
		{"row", row.append(nil), "030405060708" + "00000009" + "000a"},
		{"no rows", value, "03f89f52"},
		{"packs", listing{9, p.Size, p.Hash}.encode(p.Key), "00000009" + "0000000000001234" + hash + "fba2faad"},
		{"directories", encodeDirectory(9, &p, true), key + "0000000000001234" + hash + "01" + "9376354b524eefbb" + "656e636f64696e67"},
		{"dead", appendCRC(numberKey(9), nil), "30d5900b"},
		{"dirs", d.encode(dirKey([16]byte{1}, "a/b")), "ab28fc0113bb21e6" + "00000004" + "6e6f6465" + "0000000000000001" + "0000000000000002" + "0000000000000003" +
			"0000000000000004" + "0000000000000005" + "00000006" + "0000000000000007"},
		{"underway", encodeUnderway(append(make([]byte, 16), p.Key[:]...), &p), "0000000000001234" + hash + "3ba9e410d10abaed" + "656e636f64696e67"},
	} {
		if got := hex.EncodeToString(test.got); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", test.name, got, test.want)
		}
	}
}
