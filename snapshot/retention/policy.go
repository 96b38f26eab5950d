package retention

import (
	"fmt"
	"slices"
	"time"

	"satchel/snapshot"
	"satchel/snapshot/when"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Policy says which snapshots of a workspace stay. The rules add up: a snapshot stays if any of
// them keeps it. The zero Policy keeps all.
//
//	Last      the newest n
//	Hourly    the newest of each of the n most recent hours that have one
//	Daily, Weekly, Monthly, Yearly   the same; a week begins on Monday (ISO 8601)
//	Within    those that are no older
//	Tags      those with such a tag
//
// Whatever it says, heads stay, as devices push on from them, and what is held, and the newest that
// each device has pushed: its files come from that one, should it sleep for months. Safety
// snapshots count for nothing: each stays for snapshot.SafetyKept.
type Policy struct {
	Last, Hourly, Daily, Weekly, Monthly, Yearly int

	Within time.Duration
	Tags   []string
}

// Empty reports whether it has no rule.
func (p Policy) Empty() bool {
	return max(p.Last, p.Hourly, p.Daily, p.Weekly, p.Monthly, p.Yearly) <= 0 && p.Within <= 0 && len(p.Tags) == 0
}

// History is what a Policy decides about: a workspace as the ledger has it.
type History struct {
	Snapshots []ledger.Snapshot // live, oldest first
	Heads     []pack.ID
	Tags      map[pack.ID][]string
	Holds     map[pack.ID]ledger.Hold // in force
}

// HistoryOf is a workspace's at a moment of the store's clock.
func HistoryOf(s *ledger.State, w ledger.Workspace, now time.Time) History {
	info, _ := s.Workspace(w)
	h := History{Snapshots: s.Snapshots(w), Heads: info.Heads, Tags: map[pack.ID][]string{}, Holds: map[pack.ID]ledger.Hold{}}
	for _, v := range h.Snapshots {
		h.Tags[v.ID] = s.Tags(v.ID)
		if hold, held := s.Hold(v.ID, now.UnixNano()); held {
			h.Holds[v.ID] = hold
		}
	}
	return h
}

// NewestOfDevice is why a snapshot stays that a device's files may come from.
const NewestOfDevice = "newest of its device"

// Verdict is what becomes of a snapshot, and why, in words.
type Verdict struct {
	Snapshot ledger.Snapshot
	Keep     bool
	Reasons  []string
}

// Apply judges each snapshot, in the order of the history. now is the store's clock, as the times
// of snapshots are; in loc days begin and end.
func (p Policy) Apply(h History, now time.Time, loc *time.Location) []Verdict {
	j := judgement{Policy: p, History: h, now: now, loc: loc, why: map[pack.ID][]string{}}
	j.count()
	var out []Verdict
	for _, v := range h.Snapshots {
		out = append(out, j.verdict(v))
	}
	return out
}

type judgement struct {
	Policy
	History
	now time.Time
	loc *time.Location
	why map[pack.ID][]string // by the rules that count
}

// period is a rule that keeps the newest of each of the n most recent periods; key names that
// which a moment is in.
type period struct {
	name string
	n    int
	key  func(t time.Time) string
}

func (p Policy) periods() []period {
	layout := func(layout string) func(time.Time) string {
		return func(t time.Time) string { return t.Format(layout) }
	}
	return []period{
		{"hourly", p.Hourly, layout("2006-01-02 15:00 -0700")}, // of the two hours that have one name when summer ends, each counts
		{"daily", p.Daily, layout("2006-01-02")},
		{"weekly", p.Weekly, func(t time.Time) string {
			year, week := t.ISOWeek()
			return fmt.Sprintf("%d-W%02d", year, week)
		}},
		{"monthly", p.Monthly, layout("2006-01")},
		{"yearly", p.Yearly, layout("2006")},
	}
}

// count applies the rules that count snapshots.
func (j *judgement) count() {
	last := 0
	var left []period
	for _, p := range j.periods() {
		if p.n > 0 {
			left = append(left, p)
		}
	}
	before := make([]string, len(left)) // the period seen last
	pushed := map[seal.ID]bool{}        // by whom
	for _, v := range slices.Backward(j.Snapshots) {
		if v.Flags&ledger.FlagSafety != 0 {
			continue
		}
		if !pushed[v.Author] && !j.Empty() {
			if pushed[v.Author] = true; !slices.Contains(j.Heads, v.ID) {
				j.add(v, NewestOfDevice)
			}
		}
		if last++; last <= j.Last {
			j.add(v, fmt.Sprintf("last %d", j.Last))
		}
		for i := range left {
			p := &left[i]
			if key := p.key(time.Unix(0, v.Time).In(j.loc)); p.n > 0 && key != before[i] {
				before[i] = key
				p.n--
				j.add(v, p.name+" "+key)
			}
		}
	}
}

func (j *judgement) add(v ledger.Snapshot, reason string) {
	j.why[v.ID] = append(j.why[v.ID], reason)
}

// verdict adds to the rules that count those that look at one snapshot alone.
func (j *judgement) verdict(v ledger.Snapshot) Verdict {
	safety, at := v.Flags&ledger.FlagSafety != 0, time.Unix(0, v.Time)
	if slices.Contains(j.Heads, v.ID) {
		j.add(v, "head")
	}
	if h, held := j.Holds[v.ID]; held {
		j.add(v, holdWords(h, j.loc))
	}
	for _, tag := range j.Policy.Tags {
		if slices.Contains(j.History.Tags[v.ID], tag) {
			j.add(v, "tag "+tag)
		}
	}
	until := "safety, until " + at.Add(snapshot.SafetyKept).In(j.loc).Format(time.DateOnly)
	switch {
	case safety && j.now.Sub(at) <= snapshot.SafetyKept:
		j.add(v, until)
	case safety:
	case j.Empty():
		j.add(v, "no policy")
	case j.Within > 0 && j.now.Sub(at) <= j.Within:
		j.add(v, "within "+when.Words(j.Within))
	}
	switch why := j.why[v.ID]; {
	case len(why) > 0:
		return Verdict{v, true, why}
	case safety:
		return Verdict{v, false, []string{until}}
	}
	return Verdict{v, false, []string{"no rule keeps it"}}
}

func holdWords(h ledger.Hold, loc *time.Location) string {
	text := "held: " + h.Reason
	if h.Until != 0 {
		text += " until " + time.Unix(0, h.Until).In(loc).Format(time.DateOnly)
	}
	return text
}
