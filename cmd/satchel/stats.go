package main

import (
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"satchel/snapshot/stats"
)

type statsCmd struct {
	Redundancy string `default:"LRS" placeholder:"SKU" help:"For the estimate: LRS, ZRS, GRS or RA-GRS, as far as the price list has it."`
	In         string `name:"data-tier" default:"hot" enum:"hot,cool,cold,archive" placeholder:"TIER" help:"For the estimate: the tier of data packs."`
	Prices     string `type:"existingfile" placeholder:"FILE" help:"A price list of your own; --show-prices prints the one that is built in."`
	ShowPrices bool   `help:"Print the price list, for a copy to change."`
}

func (statsCmd) Help() string {
	return `Tells what the repository holds: how large all snapshots are, what is left of that when each chunk is kept once,
and when that is compressed; whose it is; what the last commands here asked of the store; and what a month costs.

The estimate leaves out egress, early deletion, and what versioning or soft delete keep.

Example:
  satchel stats
  satchel stats --data-tier cool --prices ours.json`
}

func (c statsCmd) Run(a *app) error {
	prices, err := c.prices()
	if err != nil {
		return usageError{err}
	}
	if c.ShowPrices {
		_, err := a.bytes.Write(stats.Builtin())
		return err
	}
	s, err := a.open("", false)
	if err != nil {
		return err
	}
	defer s.close()
	sums, err := stats.Gather(a.ctx, s.state(), s.index, s.store)
	if err != nil {
		return err
	}
	calls, recent := s.month()
	cost, priced := prices.Month(sums, c.Redundancy, c.In, calls)
	if priced != nil && !errors.Is(priced, stats.ErrNoPrice) {
		return priced
	}
	if a.JSON {
		f := map[string]any{"logical": sums.Logical, "unique": sums.Unique, "packed": sums.Packed, "stored": sums.Stored(), "chunks": sums.Chunks, "objects": sums.Objects,
			"unregistered": sums.Unknown, "workspaces": sums.Workspaces, "devices": sums.Devices, "calls_30_days": calls, "last_runs": recent,
			"month": nil, "currency": prices.Currency, "prices_of": prices.Date, "redundancy": c.Redundancy, "tier": c.In}
		if priced == nil {
			f["month"] = map[string]any{"storage": cost.Storage, "operations": cost.Operations}
		}
		a.json("stats", f)
		return nil
	}
	s.printSums(sums)
	s.printRuns(recent)
	if priced != nil {
		a.say("No estimate: %v. --prices FILE takes another", priced)
		return nil
	}
	a.say("A month: about %.2f %s for storage and %.2f for the requests of this computer (%s, data packs %s, list prices of %s, %s)", cost.Storage, prices.Currency, cost.Operations,
		c.Redundancy, c.In, prices.Date, prices.Region)
	return nil
}

func (c statsCmd) prices() (*stats.Prices, error) {
	if c.Prices == "" {
		return stats.ParsePrices(nil)
	}
	text, err := os.ReadFile(c.Prices)
	if err != nil {
		return nil, err
	}
	p, err := stats.ParsePrices(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Prices, err)
	}
	return p, nil
}

// lastRuns is how many commands stats lists.
const lastRuns = 5

// month adds up the calls of the last 30 days, and returns the last runs.
func (s *session) month() (calls stats.Calls, recent []ran) {
	all := s.runs()
	for _, r := range all {
		if s.a.now().Sub(r.Time) < 30*24*time.Hour {
			calls.Writes, calls.Reads, calls.Lists = calls.Writes+r.Calls.Writes, calls.Reads+r.Calls.Reads, calls.Lists+r.Calls.Lists
		}
	}
	return calls, all[max(0, len(all)-lastRuns):]
}

// kinds are the objects of FORMAT §1, as a person would call them.
var kinds = map[string]string{"d": "data packs", "t": "tree packs", "l": "ledger", "i": "index", "s": "checkpoints", "k": "keys", "a": "journal", "satchel": "bootstrap"}

func (s *session) printSums(sums *stats.Sums) {
	a := s.a
	a.say("All snapshots: %s of files. Each chunk once: %s%s. Compressed and sealed: %s%s.", size(sums.Logical), size(sums.Unique), ratio(sums.Logical, sums.Unique),
		size(sums.Packed), ratio(sums.Unique, sums.Packed))
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	for _, k := range sums.Objects {
		name := kinds[k.Name]
		if name == "" {
			name = k.Name
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", quoted(name), count(k.Count, "object"), size(k.Bytes))
	}
	fmt.Fprintf(t, "  stored\t\t%s\n", size(sums.Stored()))
	if sums.Unknown.Count > 0 {
		fmt.Fprintf(t, "  of these left over, or of a push under way\t%s\t%s\n", count(sums.Unknown.Count, "object"), size(sums.Unknown.Bytes))
	}
	fmt.Fprintln(t, "\nWORKSPACE\tSNAPSHOTS\tNEWEST\tALL\tNEW DATA")
	for _, w := range sums.Workspaces {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", quoted(w.Name), w.Snapshots, size(w.Newest), size(w.Logical), size(w.New))
	}
	fmt.Fprintln(t, "\nDEVICE\tSNAPSHOTS\t\t\tNEW DATA")
	for _, d := range sums.Devices {
		fmt.Fprintf(t, "%s\t%d\t\t\t%s\n", quoted(d.Name), d.Snapshots, size(d.New))
	}
	t.Flush()
}

func (s *session) printRuns(recent []ran) {
	if len(recent) == 0 {
		return
	}
	fmt.Fprintln(s.a.out, "\nThe last commands here, and their requests:")
	t := tabwriter.NewWriter(s.a.out, 0, 8, 2, ' ', 0)
	for _, r := range recent {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", moment(r.Time.UnixNano()), quoted(r.Command), count(r.Requests, "request"))
	}
	t.Flush()
	fmt.Fprintln(s.a.out)
}

// ratio is " (3.1 times less)", or nothing where it is not less.
func ratio(before, after int64) string {
	if after <= 0 || before <= after {
		return ""
	}
	return fmt.Sprintf(" (%.1f times less)", float64(before)/float64(after))
}
