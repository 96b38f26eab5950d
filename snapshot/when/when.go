// Package when turns the words that a person says for a moment in the past into that
// moment. It is strict: what it does not know for certain it refuses, with examples,
// because a wrong guess in a restore costs work.
//
//	t, err := when.Parse("last friday 14:00", time.Now())
//	d, err := when.Duration("90d")
//
// Grammar, in any case, with single or several blanks:
//
//	moment   = rfc3339 | day [ clock ] | span [ "ago" ] | "now"
//	rfc3339  = 2026-11-20T17:00:00Z, 2026-11-20T17:00:00+01:00
//	day      = date | "today" | "yesterday" | [ "last" ] weekday
//	date     = 2026-11-20
//	weekday  = "monday" | "mon" | … | "sunday" | "sun"
//	clock    = 14:00 | 14:00:05 | 2pm | 2:30pm
//	span     = number unit { number unit }
//	unit     = "s" | "m" | "h" | "d" | "w" | "mo" | "y" | "second(s)" | "minute(s)" | "min" | "hour(s)" | "day(s)" |
//	           "week(s)" | "month(s)" | "year(s)"
//
// Times without a zone are in now's location. A day without a clock is its last
// nanosecond, so that the newest snapshot "yesterday" is the last of that day; today is
// now. A weekday is the latest one before today. Days, weeks, months and years are
// those of the calendar: "1 day ago" is the same time on the clock, also across a change
// of summer time. A moment after now is refused, as is a span that has no number: "m" is
// minutes, a month is "mo".
//
// A span is also a [Duration], and a moment to come for [Until]. There "m" is minutes only behind
// hours, as in 36h30m: alone it could be months, and a wrong guess would let snapshots go.
package when

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// examples are shown with every refusal.
const examples = "say it like: yesterday, last friday 14:00, 2026-11-20, 2026-11-20 17:30, 3h, 2 days ago"

// Error is a phrase that is not understood.
type Error struct {
	Phrase string
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%q: %s; %s", e.Phrase, e.Reason, examples)
}

var weekdays = map[string]time.Weekday{
	"sunday": time.Sunday, "sun": time.Sunday, "monday": time.Monday, "mon": time.Monday, "tuesday": time.Tuesday, "tue": time.Tuesday,
	"wednesday": time.Wednesday, "wed": time.Wednesday, "thursday": time.Thursday, "thu": time.Thursday, "friday": time.Friday, "fri": time.Friday,
	"saturday": time.Saturday, "sat": time.Saturday,
}

var capitalM = regexp.MustCompile(`\d\s*M\b`)

// Parse understands a phrase said at now.
func Parse(phrase string, now time.Time) (time.Time, error) {
	refuse := func(reason string) (time.Time, error) { return time.Time{}, &Error{phrase, reason} }
	trimmed := strings.TrimSpace(phrase)
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(trimmed))
	if err != nil {
		if capitalM.MatchString(trimmed) {
			return refuse("M could be minutes or months")
		}
		words := strings.Fields(strings.ToLower(trimmed))
		var reason string
		if t, reason = parse(words, now); reason != "" {
			return refuse(reason)
		}
	}
	if t.After(now) {
		return refuse("that is in the future (" + t.In(now.Location()).Format("Mon 2 Jan 2006 15:04:05") + ")")
	}
	return t, nil
}

// parse returns a reason where it does not understand.
func parse(words []string, now time.Time) (time.Time, string) {
	switch {
	case len(words) == 0:
		return now, "there is nothing there"
	case len(words) == 1 && words[0] == "now":
		return now, ""
	}
	if day, rest, ok := parseDay(words, now); ok {
		switch {
		case len(rest) == 0 && sameDay(day, now):
			return now, ""
		case len(rest) == 0:
			return day.AddDate(0, 0, 1).Add(-1), ""
		case len(rest) == 1:
			h, m, s, ok := parseClock(rest[0])
			if !ok {
				return now, fmt.Sprintf("%q is not a time of day", rest[0])
			}
			return time.Date(day.Year(), day.Month(), day.Day(), h, m, s, 0, now.Location()), ""
		}
		return now, "there are too many words"
	}
	return parseSpan(words, now)
}

func sameDay(a, b time.Time) bool {
	return a.Year() == b.Year() && a.YearDay() == b.YearDay()
}

// parseDay takes a day off the front: its midnight.
func parseDay(words []string, now time.Time) (day time.Time, rest []string, ok bool) {
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	last := words[0] == "last"
	if last {
		words = words[1:]
		if len(words) == 0 {
			return day, nil, false
		}
	}
	if w, is := weekdays[words[0]]; is {
		back := (int(midnight.Weekday()) - int(w) + 7) % 7
		if back == 0 {
			back = 7
		}
		return midnight.AddDate(0, 0, -back), words[1:], true
	}
	if last {
		return day, nil, false
	}
	switch words[0] {
	case "today":
		return midnight, words[1:], true
	case "yesterday":
		return midnight.AddDate(0, 0, -1), words[1:], true
	}
	day, err := time.ParseInLocation("2006-01-02", words[0], now.Location())
	return day, words[1:], err == nil
}

func parseClock(s string) (h, m, sec int, ok bool) {
	for _, layout := range []string{"15:04", "15:04:05", "3pm", "3:04pm"} {
		if t, err := time.Parse(layout, s); err == nil && (layout[0] != '3' || s[0] != '0') {
			return t.Hour(), t.Minute(), t.Second(), true
		}
	}
	return 0, 0, 0, false
}

// parseSpan understands 3h, 1d12h, 2 days ago.
func parseSpan(words []string, now time.Time) (time.Time, string) {
	if len(words) > 1 && words[len(words)-1] == "ago" {
		words = words[:len(words)-1]
	}
	span, reason := parseParts(words)
	t := now
	for _, p := range span {
		switch d := units[p.unit]; {
		case d < day:
			t = t.Add(-time.Duration(p.n) * d)
		case d == month:
			t = t.AddDate(0, -p.n, 0)
		case d == year:
			t = t.AddDate(-p.n, 0, 0)
		default:
			t = t.AddDate(0, 0, -p.n*int(d/day))
		}
	}
	return t, reason
}
