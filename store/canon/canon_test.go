package canon_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"satchel/store/canon"
)

type pair struct {
	_ struct{} `cbor:",toarray"`
	A []byte
	B uint64
}

type record struct {
	Name  []byte            `cbor:"1,keyasint,omitempty"`
	Text  string            `cbor:"2,keyasint,omitempty"`
	Size  uint64            `cbor:"3,keyasint,omitempty"`
	Time  int64             `cbor:"4,keyasint,omitempty"`
	Hash  [4]byte           `cbor:"5,keyasint,omitzero"`
	Pairs []pair            `cbor:"6,keyasint,omitempty"`
	Flag  bool              `cbor:"7,keyasint,omitempty"`
	Sub   *record           `cbor:"8,keyasint,omitempty"`
	Raw   cbor.RawMessage   `cbor:"24,keyasint,omitempty"`
	Many  map[string]uint64 `cbor:"25,keyasint,omitempty"`
}

func TestRoundTrip(t *testing.T) {
	for name, c := range map[string]struct {
		v   record
		hex string
	}{
		"nothing":       {record{}, "a0"},
		"nil is empty":  {record{Name: []byte{}, Pairs: []pair{}}, "a0"},
		"array in full": {record{Pairs: []pair{{}}}, "a106818240" + "00"},
		"numbers":       {record{Size: 24, Time: -1}, "a2031818" + "0420"},
		"byte array":    {record{Hash: [4]byte{1, 2, 3, 4}}, "a1054401020304"},
		"large keys":    {record{Flag: true, Raw: cbor.RawMessage{0x81, 0x01}}, "a207f5" + "1818" + "8101"},
		"sorted keys":   {record{Many: map[string]uint64{"b": 1, "aa": 2}}, "a11819a2" + "616201" + "62616102"},
		"nested":        {record{Sub: &record{Text: "é"}}, "a108a10262c3a9"},
		"extremes":      {record{Size: math.MaxUint64, Time: math.MinInt64}, "a2031bffffffffffffffff" + "043b7fffffffffffffff"},
	} {
		t.Run(name, func(t *testing.T) {
			b := canon.Marshal(c.v)
			if got := hex.EncodeToString(b); got != c.hex {
				t.Fatalf("Marshal = %s, want %s", got, c.hex)
			}
			var v record
			if err := canon.Unmarshal(b, &v); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(canon.Marshal(v), b) {
				t.Errorf("decodes to %+v", v)
			}
		})
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                   "",
		"trailing byte":             "a000",
		"cut off":                   "a10144aabb",
		"long length":               "a1031817",
		"long number":               "a103190018",
		"long string length":        "a101580141",
		"keys out of order":         "a204200318" + "18",
		"key twice":                 "a2031818031818",
		"zero value written":        "a10300",
		"empty string written":      "a10140",
		"zero array written":        "a1054400000000",
		"false written":             "a107f4",
		"null":                      "a108f6",
		"undefined":                 "a108f7",
		"float":                     "a103f93c00",
		"float in the raw message":  "a11818f93c00",
		"long form in raw message":  "a1181818" + "01",
		"tag":                       "a103c101",
		"indefinite map":            "bf0301ff",
		"indefinite bytes":          "a1015f4101ff",
		"text for bytes":            "a1016161",
		"bytes for text":            "a1024161",
		"not UTF-8":                 "a10261ff",
		"short byte array":          "a10543010203",
		"long byte array":           "a105450102030405",
		"array for a byte array":    "a1058401020304",
		"negative for unsigned":     "a10320",
		"out of range":              "a1041bffffffffffffffff",
		"array too short":           "a106818140",
		"array too long":            "a10681834000" + "00",
		"array longer than input":   "a1069a00100000",
		"map longer than input":     "ba00010000",
		"bytes longer than input":   "a1015bffffffffffffffff",
		"array of a billion nulls":  "a1069a3b9aca00",
		"deep":                      "a11818" + strings.Repeat("81", 16) + "00",
		"reserved length":           "1c",
		"break":                     "ff",
		"unknown key, out of order": "a203181802416120",
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(in)
			if err != nil {
				t.Fatal(err)
			}
			var v record
			if err := canon.Unmarshal(b, &v); !errors.Is(err, canon.ErrNotCanonical) {
				t.Errorf("Unmarshal = %v, %+v", err, v)
			}
		})
	}
}

func TestUnknownKeyIsNewer(t *testing.T) {
	for _, in := range []string{"a11363616263", "a108a11301", "a16161" + "01"} {
		b, _ := hex.DecodeString(in)
		var v record
		if err := canon.Unmarshal(b, &v); !errors.Is(err, canon.ErrUnknownKey) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestMarshalPanics(t *testing.T) {
	for name, v := range map[string]any{
		"float":      1.5,
		"nil":        nil,
		"not UTF-8":  "\xff",
		"raw":        record{Raw: cbor.RawMessage{0x18, 0x01}},
		"channel":    make(chan int),
		"depth":      nest(canon.MaxDepth + 1),
		"nil struct": []*record{nil},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			canon.Marshal(v)
		})
	}
	canon.Marshal(nest(canon.MaxDepth))
}

func nest(n int) any {
	if n == 0 {
		return uint64(1)
	}
	return []any{nest(n - 1)}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(canon.Marshal(record{Name: []byte("a"), Pairs: []pair{{A: []byte("b"), B: 1}}, Sub: &record{Size: 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v record
		if canon.Unmarshal(b, &v) != nil {
			return
		}
		if again := canon.Marshal(v); !bytes.Equal(again, b) {
			t.Error(cmp.Diff(b, again))
		}
	})
}
