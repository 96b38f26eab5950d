package canon_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"satchel/store/canon"
)

// row is what the functions for arrays write one item at a time.
type row struct {
	_     struct{} `cbor:",toarray"`
	Size  uint64
	Time  int64
	Bytes [4]byte
	Text  string
}

func appendRow(b []byte, v row) []byte {
	b = canon.AppendUint(canon.AppendArray(b, 4), v.Size)
	b = canon.AppendBytes(canon.AppendInt(b, v.Time), v.Bytes[:])
	return canon.AppendText(b, v.Text)
}

func parseRow(b []byte) (v row, err error) {
	a := canon.ParseArray(b, 4)
	v.Size, v.Time = a.Uint(), a.Int()
	a.Bytes(v.Bytes[:])
	v.Text = a.Text()
	return v, a.End()
}

// They read and write what Marshal and Unmarshal do, and refuse what those refuse.
func FuzzArray(f *testing.F) {
	for _, v := range []row{{}, {Size: 23, Time: -24, Text: "é"}, {Size: 24, Time: -25}, {Size: 255, Time: 255}, {Size: 256, Time: -257},
		{Size: math.MaxUint16 + 1, Time: math.MaxUint32 + 1}, {Size: math.MaxUint64, Time: math.MinInt64}, {Time: math.MaxInt64, Text: string(make([]byte, 300))}} {
		f.Add(canon.Marshal(v))
	}
	for _, bad := range []string{"", "84", "8400004401020304", "85000044010203046000", "840000440102030460" + "00", "84000043010203" + "60", "841800" + "004401020304" + "60",
		"84003bffffffffffffffff4401020304" + "60", "84001bffffffffffffffff4401020304" + "60", "8400004401020304" + "61ff", "8400004401020304" + "7affffffff", "840000044401020304", "a400004401020304" + "60"} {
		b, err := hex.DecodeString(bad)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want row
		werr := canon.Unmarshal(b, &want)
		got, err := parseRow(b)
		switch {
		case (err == nil) != (werr == nil):
			t.Fatalf("%x: %v, Unmarshal says %v", b, err, werr)
		case err != nil && !errors.Is(err, canon.ErrNotCanonical):
			t.Fatal(err)
		case err == nil && got != want:
			t.Fatalf("%+v, want %+v", got, want)
		case err == nil && !bytes.Equal(appendRow(nil, got), b):
			t.Fatalf("%x is written for %x", appendRow(nil, got), b)
		}
	})
}
