package stats

import (
	"errors"
	"math"
	"testing"
)

func TestMonth(t *testing.T) {
	p, err := ParsePrices([]byte(`{"date": "d", "currency": "C", "redundancy": {"LRS": {
		"hot": {"gb_month": 1, "writes": 10, "reads": 100, "lists": 1000},
		"cool": {"gb_month": 0.5, "writes": 20, "reads": 200, "lists": 9999}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	sums := &Sums{Objects: []Kind{{"d", 1, 8 << 30}, {"t", 1, 1 << 30}, {"satchel", 1, 1 << 29}}}
	got, err := p.Month(sums, "LRS", "cool", Calls{Writes: 10_000, Reads: 20_000, Lists: 5_000})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Cost{Storage: 8*0.5 + 1 + 0.5, Operations: 20 + 400 + 500}); math.Abs(got.Storage-want.Storage) > 1e-9 || math.Abs(got.Operations-want.Operations) > 1e-9 {
		t.Errorf("%v, want %v", got, want)
	}
	for _, c := range [][2]string{{"GRS", "hot"}, {"LRS", "cold"}} {
		if _, err := p.Month(sums, c[0], c[1], Calls{}); !errors.Is(err, ErrNoPrice) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestPricesAreChecked(t *testing.T) {
	if _, err := ParsePrices(nil); err != nil {
		t.Errorf("the built-in list: %v", err)
	}
	for _, text := range []string{"", "{}", `{"date": "d", "currency": "C", "redundancy": {"LRS": {"cool": {}}}}`, `{"date": "d", "currency": "C", "redundancy": {"LRS": {"hot": {"gb_month": -1}}}}`,
		`{"date": "d", "currency": "C", "prices": 1, "redundancy": {"LRS": {"hot": {}}}}`} {
		if _, err := ParsePrices([]byte(text)); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}
