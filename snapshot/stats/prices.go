package stats

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

//go:embed prices.json
var builtin []byte

// Builtin is the text of the price list that comes with satchel.
func Builtin() []byte { return bytes.Clone(builtin) }

// Prices is a price list: what a file that takes the place of the built-in one says.
type Prices struct {
	Date       string // month or day that they were looked up
	Region     string
	Currency   string
	Source     string
	Redundancy map[string]map[string]Price // by "LRS", "ZRS", …, then by "hot", "cool", …
}

// Price is that of one tier at one redundancy.
type Price struct {
	GBMonth float64 `json:"gb_month"` // of 2^30 bytes
	Writes  float64 // of 10,000, as are the others
	Reads   float64
	Lists   float64
}

// ErrNoPrice: the table has none of that redundancy or tier.
var ErrNoPrice = errors.New("no price")

// ParsePrices reads a price list, nil for the built-in one.
func ParsePrices(text []byte) (*Prices, error) {
	if text == nil {
		text = builtin
	}
	p := new(Prices)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, err
	}
	if p.Date == "" || p.Currency == "" || len(p.Redundancy) == 0 {
		return nil, errors.New("a price list has a date, a currency, and prices by redundancy and tier")
	}
	for redundancy, tiers := range p.Redundancy {
		if _, ok := tiers["hot"]; !ok {
			return nil, fmt.Errorf("%s has no price of the tier hot, in which all but data packs lies", redundancy)
		}
		for tier, price := range tiers {
			if min(price.GBMonth, price.Writes, price.Reads, price.Lists) < 0 {
				return nil, fmt.Errorf("%s, %s: a price is negative", redundancy, tier)
			}
		}
	}
	return p, nil
}

// Calls are requests to the store.
type Calls struct{ Writes, Reads, Lists int64 }

// Cost is what a month costs, in the table's currency.
type Cost struct{ Storage, Operations float64 }

// Month estimates: storage of what is there now, with data packs in the tier and all else hot, and
// that many calls. Egress, early deletion, minimum sizes and what versioning or soft delete keep are not in it. It
// reports ErrNoPrice where the table has none.
func (p *Prices) Month(s *Sums, redundancy, tier string, calls Calls) (c Cost, err error) {
	tiers, ok := p.Redundancy[redundancy]
	if !ok {
		return c, fmt.Errorf("%w of redundancy %s: the table of %s, %s, has %s", ErrNoPrice, redundancy, p.Date, p.Region, list(p.Redundancy))
	}
	data, ok := tiers[tier]
	if !ok {
		return c, fmt.Errorf("%w of tier %s: the table of %s, %s, has %s", ErrNoPrice, tier, p.Date, p.Region, list(tiers))
	}
	hot := tiers["hot"]
	const gb, many = 1 << 30, 10_000
	for _, k := range s.Objects {
		price := hot
		if k.Name == "d" {
			price = data
		}
		c.Storage += float64(k.Bytes) / gb * price.GBMonth
	}
	c.Operations = (float64(calls.Writes)*data.Writes + float64(calls.Reads)*data.Reads + float64(calls.Lists)*hot.Lists) / many
	return c, nil
}

func list[V any](m map[string]V) string { return strings.Join(slices.Sorted(maps.Keys(m)), ", ") }
