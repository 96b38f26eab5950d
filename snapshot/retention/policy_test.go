package retention

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/snapshot"
	"satchel/store/ledger"
	"satchel/store/pack"
)

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Skip(err)
	}
	return l
}

// at makes a history of snapshots of those times; the last is the head.
func at(times ...time.Time) History {
	h := History{Tags: map[pack.ID][]string{}, Holds: map[pack.ID]ledger.Hold{}}
	for i, t := range times {
		h.Snapshots = append(h.Snapshots, ledger.Snapshot{ID: pack.ID{byte(i >> 8), byte(i), 1}, Time: t.UnixNano(), Position: uint64(i + 2)})
	}
	h.Heads = []pack.ID{h.Snapshots[len(times)-1].ID}
	return h
}

// told are the verdicts as lines: the time, and reasons of what stays.
func told(vs []Verdict, loc *time.Location) (lines []string) {
	for _, v := range vs {
		mark := "-"
		if v.Keep {
			mark = "+"
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", mark, time.Unix(0, v.Snapshot.Time).In(loc).Format("01-02 15:04"), strings.Join(v.Reasons, ", ")))
	}
	return lines
}

func TestPolicy(t *testing.T) {
	ny := location(t, "America/New_York")
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, ny)
	day := func(month time.Month, d, h, m int) time.Time { return time.Date(2026, month, d, h, m, 0, 0, ny) }
	four := at(day(10, 30, 9, 0), day(11, 19, 9, 0), day(11, 20, 9, 0), day(11, 20, 17, 0))
	change := func(h History, f func(h *History)) History {
		h.Snapshots = slices.Clone(h.Snapshots)
		f(&h)
		return h
	}
	for _, c := range []struct {
		name   string
		policy Policy
		of     History
		want   []string
	}{
		{"none", Policy{}, four, []string{"+ 10-30 09:00 no policy", "+ 11-19 09:00 no policy", "+ 11-20 09:00 no policy", "+ 11-20 17:00 head, no policy"}},
		{"last", Policy{Last: 2}, four, []string{"- 10-30 09:00 no rule keeps it", "- 11-19 09:00 no rule keeps it", "+ 11-20 09:00 last 2", "+ 11-20 17:00 last 2, head"}},
		{"daily", Policy{Daily: 2}, four, []string{"- 10-30 09:00 no rule keeps it", "+ 11-19 09:00 daily 2026-11-19", "- 11-20 09:00 no rule keeps it", "+ 11-20 17:00 daily 2026-11-20, head"}},
		{"days that have none do not count", Policy{Daily: 3}, four, []string{"+ 10-30 09:00 daily 2026-10-30", "+ 11-19 09:00 daily 2026-11-19", "- 11-20 09:00 no rule keeps it", "+ 11-20 17:00 daily 2026-11-20, head"}},
		{"several", Policy{Hourly: 1, Weekly: 1, Monthly: 9, Yearly: 1}, four, []string{"+ 10-30 09:00 monthly 2026-10", "- 11-19 09:00 no rule keeps it", "- 11-20 09:00 no rule keeps it",
			"+ 11-20 17:00 hourly 2026-11-20 17:00 -0500, weekly 2026-W47, monthly 2026-11, yearly 2026, head"}},
		{"within", Policy{Within: 27 * time.Hour}, four, []string{"- 10-30 09:00 no rule keeps it", "- 11-19 09:00 no rule keeps it", "+ 11-20 09:00 within 27h", "+ 11-20 17:00 head, within 27h"}},
		{"a tag", Policy{Tags: []string{"audit", "tax"}}, change(four, func(h *History) {
			h.Tags = map[pack.ID][]string{h.Snapshots[0].ID: {"audit"}, h.Snapshots[1].ID: {"other"}}
		}),
			[]string{"+ 10-30 09:00 tag audit", "- 11-19 09:00 no rule keeps it", "- 11-20 09:00 no rule keeps it", "+ 11-20 17:00 head"}},
		{"a hold", Policy{Last: 1}, change(four, func(h *History) {
			h.Holds = map[pack.ID]ledger.Hold{h.Snapshots[0].ID: {Reason: "a court asks", Until: day(12, 24, 0, 0).UnixNano()}, h.Snapshots[1].ID: {Reason: "mine"}}
		}), []string{"+ 10-30 09:00 held: a court asks until 2026-12-24", "+ 11-19 09:00 held: mine", "- 11-20 09:00 no rule keeps it", "+ 11-20 17:00 last 1, head"}},
		{"two heads", Policy{Last: 1}, change(four, func(h *History) { h.Heads = []pack.ID{h.Snapshots[0].ID, h.Snapshots[3].ID} }),
			[]string{"+ 10-30 09:00 head", "- 11-19 09:00 no rule keeps it", "- 11-20 09:00 no rule keeps it", "+ 11-20 17:00 last 1, head"}},
		{"safety counts for nothing", Policy{Last: 1, Daily: 2}, change(four, func(h *History) { h.Snapshots[1].Flags, h.Snapshots[2].Flags = ledger.FlagSafety, ledger.FlagSafety }),
			[]string{"+ 10-30 09:00 daily 2026-10-30", "+ 11-19 09:00 safety, until 2026-12-19", "+ 11-20 09:00 safety, until 2026-12-20", "+ 11-20 17:00 last 1, daily 2026-11-20, head"}},
		{"safety goes without a policy", Policy{}, at(now.Add(-snapshot.SafetyKept-1), now.Add(-snapshot.SafetyKept), now), nil},
		{"night of winter time", Policy{Hourly: 3}, at(day(11, 1, 0, 30), day(11, 1, 1, 30), day(11, 1, 1, 30).Add(time.Hour), day(11, 1, 2, 30)),
			[]string{"- 11-01 00:30 no rule keeps it", "+ 11-01 01:30 hourly 2026-11-01 01:00 -0400", "+ 11-01 01:30 hourly 2026-11-01 01:00 -0500", "+ 11-01 02:30 hourly 2026-11-01 02:00 -0500, head"}},
		{"a day of 25 hours", Policy{Daily: 1}, at(day(11, 1, 0, 30), day(11, 1, 23, 30)), []string{"- 11-01 00:30 no rule keeps it", "+ 11-01 23:30 daily 2026-11-01, head"}},
	} {
		if c.name == "safety goes without a policy" {
			c.of.Snapshots[0].Flags, c.of.Snapshots[1].Flags = ledger.FlagSafety, ledger.FlagSafety
			c.want = []string{"- 10-22 12:59 safety, until 2026-11-21", "+ 10-22 13:00 safety, until 2026-11-21", "+ 11-21 12:00 head, no policy"}
		}
		if diff := cmp.Diff(c.want, told(c.policy.Apply(c.of, now, ny), ny)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// What is one day in one place is two in another.
func TestDaysAreOfThePlace(t *testing.T) {
	evening := time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)
	h := at(evening, evening.Add(time.Hour))
	now := evening.Add(24 * time.Hour)
	for name, want := range map[string]int{"UTC": 1, "Europe/Berlin": 2} { // 23:00 and midnight
		loc := location(t, name)
		if got := len(kept(Policy{Daily: 2}, h, now, loc).Snapshots); got != want {
			t.Errorf("%s: %d stay, want %d", name, got, want)
		}
	}
}

// kept is what a policy leaves of a history.
func kept(p Policy, h History, now time.Time, loc *time.Location) History {
	out := h
	out.Snapshots = nil
	for _, v := range p.Apply(h, now, loc) {
		if v.Keep {
			out.Snapshots = append(out.Snapshots, v.Snapshot)
		}
	}
	return out
}

func randomHistory(r *rand.Rand, now time.Time) History {
	n := 1 + r.IntN(80)
	var times []time.Time
	for t := now; len(times) < n; {
		spans := []time.Duration{time.Minute, time.Hour, 24 * time.Hour, 20 * 24 * time.Hour}
		t = t.Add(-time.Duration(1 + r.Int64N(int64(spans[r.IntN(len(spans))]))))
		times = append(times, t)
	}
	slices.Reverse(times)
	h := at(times...)
	for i := range h.Snapshots {
		id := h.Snapshots[i].ID
		switch r.IntN(8) {
		case 0:
			if id != h.Heads[0] {
				h.Snapshots[i].Flags = ledger.FlagSafety
			}
		case 1:
			h.Tags[id] = []string{"audit"}
		case 2:
			h.Holds[id] = ledger.Hold{Reason: "a court asks"}
		case 3:
			if h.Snapshots[i].Flags == 0 {
				h.Heads = append(h.Heads, id)
			}
		}
	}
	return h
}

func randomPolicy(r *rand.Rand) Policy {
	n := func() int { return max(0, r.IntN(12)-6) }
	p := Policy{Last: n(), Hourly: n(), Daily: n(), Weekly: n(), Monthly: n(), Yearly: n(), Within: time.Duration(n()) * 50 * time.Hour}
	if r.IntN(3) == 0 {
		p.Tags = []string{"audit"}
	}
	return p
}

// generous is a policy that keeps no less, and has a rule if p has one.
func generous(r *rand.Rand, p Policy) Policy {
	for _, n := range []*int{&p.Last, &p.Hourly, &p.Daily, &p.Weekly, &p.Monthly, &p.Yearly} {
		*n += r.IntN(3)
	}
	p.Within += time.Duration(r.IntN(3)) * 100 * time.Hour
	return p
}

func TestPolicyProperties(t *testing.T) {
	const seed = 20261122
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	zones := []*time.Location{time.UTC, location(t, "America/New_York"), location(t, "Australia/Lord_Howe"), location(t, "America/St_Johns"), location(t, "Pacific/Apia")}
	for i := range 4000 {
		loc := zones[i%len(zones)]
		now := time.Date(2011+r.IntN(16), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), 0, 0, loc)
		h, p := randomHistory(r, now), randomPolicy(r)
		first := kept(p, h, now, loc)
		if again := kept(p, first, now, loc); len(again.Snapshots) != len(first.Snapshots) {
			t.Fatalf("%d: %+v keeps %d of what it kept, which were %d", i, p, len(again.Snapshots), len(first.Snapshots))
		}
		if more := generous(r, p); !p.Empty() {
			larger := kept(more, h, now, loc)
			for _, v := range first.Snapshots {
				if !slices.ContainsFunc(larger.Snapshots, func(w ledger.Snapshot) bool { return w.ID == v.ID }) {
					t.Fatalf("%d: %+v keeps one of %v that %+v does not", i, p, time.Unix(0, v.Time), more)
				}
			}
		}
		for _, v := range h.Snapshots {
			_, held := h.Holds[v.ID]
			must := held || slices.Contains(h.Heads, v.ID) || p.Empty() && v.Flags == 0
			if must && !slices.ContainsFunc(first.Snapshots, func(w ledger.Snapshot) bool { return w.ID == v.ID }) {
				t.Fatalf("%d: %+v lets go what nothing may", i, p)
			}
		}
	}
}

// Without its safety snapshots a history keeps what it kept with them.
func TestSafetySnapshotsChangeNothing(t *testing.T) {
	const seed = 7
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	safety := func(v ledger.Snapshot) bool { return v.Flags != 0 }
	for range 1000 {
		h, p := randomHistory(r, now), randomPolicy(r)
		with := slices.DeleteFunc(kept(p, h, now, time.UTC).Snapshots, safety)
		h.Snapshots = slices.DeleteFunc(h.Snapshots, safety)
		if diff := cmp.Diff(with, kept(p, h, now, time.UTC).Snapshots, cmp.Comparer(func(a, b ledger.Snapshot) bool { return a.ID == b.ID })); diff != "" {
			t.Fatal(diff)
		}
	}
}

// A device that sleeps for months finds the snapshot that its files come from, whatever the others
// pushed since.
func TestNewestOfEachDeviceStays(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	h := at(now.AddDate(0, -6, 0), now.AddDate(0, -5, 0), now.AddDate(0, -4, 0), now)
	for i := range 2 {
		h.Snapshots[i].Author[0] = 7
	}
	want := []string{"- 05-21 12:00 no rule keeps it", "+ 06-21 12:00 newest of its device", "- 07-21 12:00 no rule keeps it", "+ 11-21 12:00 last 1, head"}
	if got := told(Policy{Last: 1}.Apply(h, now, time.UTC), time.UTC); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
