package when

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Units of a span that is no moment. A month and a year are as long as the longest, so that what
// is kept for one is not let go a day early.
const (
	day   = 24 * time.Hour
	month = 31 * day
	year  = 366 * day
)

var units = map[string]time.Duration{
	"s": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": day, "day": day, "days": day,
	"w": 7 * day, "week": 7 * day, "weeks": 7 * day,
	"mo": month, "month": month, "months": month,
	"y": year, "year": year, "years": year,
}

// maxDuration is the longest that a Duration may be.
const maxDuration = 100 * year

// part is a number and its unit.
type part struct {
	n    int
	unit string
}

// parseParts takes a span apart: 1d12h, 2 days. It returns a reason where it does not understand.
func parseParts(words []string) (parts []part, reason string) {
	text := strings.Join(words, " ")
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		n, err := strconv.Atoi(text[:digits])
		if err != nil || n > 1_000_000 {
			return nil, "it is not understood"
		}
		text = strings.TrimLeft(text[digits:], " ")
		letters := len(text) - len(strings.TrimLeft(text, "abcdefghijklmnopqrstuvwxyz"))
		if _, known := units[text[:letters]]; !known {
			return nil, "it is not understood"
		}
		parts = append(parts, part{n, text[:letters]})
		text = text[letters:]
	}
	return parts, ""
}

// Duration understands how long something is kept: 30d, 12w, 6mo, 2y, 72h, 36h30m, and 0. Days
// have 24 hours, months 31 days and years 366.
func Duration(phrase string) (time.Duration, error) {
	refuse := func(reason string) (time.Duration, error) {
		return 0, fmt.Errorf("%q: %s; say it like: 30d, 12w, 6mo, 2y, 72h, 36h30m", phrase, reason)
	}
	words := strings.Fields(strings.ToLower(phrase))
	if len(words) == 1 && words[0] == "0" {
		return 0, nil
	}
	parts, reason := parseParts(words)
	switch {
	case capitalM.MatchString(phrase):
		return refuse("M could be minutes or months")
	case len(words) == 0:
		return refuse("there is nothing there")
	case reason != "" && strings.Trim(strings.Join(words, ""), "0123456789") == "":
		return refuse("it has no unit")
	case reason != "":
		return refuse(reason)
	}
	total := time.Duration(0)
	for i, p := range parts {
		if p.unit == "m" && (i == 0 || units[parts[i-1].unit] != time.Hour) {
			return refuse("m could be minutes (min) or months (mo)")
		}
		if time.Duration(p.n) > maxDuration/units[p.unit] {
			return refuse("that is more than a hundred years")
		}
		if total += time.Duration(p.n) * units[p.unit]; total > maxDuration {
			return refuse("that is more than a hundred years")
		}
	}
	return total, nil
}

// Words writes a Duration: 90d, 36h, 36h30m.
func Words(d time.Duration) string {
	if d%day == 0 && d > 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Until understands a moment to come: a date, which ends with its day, a date and a time of
// day, or a Duration from now.
func Until(phrase string, now time.Time) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(strings.TrimSpace(phrase)))
	if words := strings.Fields(strings.ToLower(phrase)); err != nil && len(words) > 0 {
		if date, rest, ok := parseDay(words, now); ok && words[0][0] >= '0' && words[0][0] <= '9' {
			t, err = endOf(date, rest)
		} else {
			var d time.Duration
			d, err = Duration(phrase)
			t = now.Add(d)
		}
	}
	switch {
	case err != nil:
		return t, fmt.Errorf("%q is not understood as a time to come; say it like: 2027-03-31, 2027-03-31 17:30, 90d, 2y", phrase)
	case !t.After(now):
		return t, fmt.Errorf("%q is in the past (%s)", phrase, t.In(now.Location()).Format("Mon 2 Jan 2006 15:04:05"))
	}
	return t, nil
}

// endOf is the time of day that rest says, or the last nanosecond.
func endOf(date time.Time, rest []string) (time.Time, error) {
	if len(rest) == 0 {
		return date.AddDate(0, 0, 1).Add(-1), nil
	}
	h, m, s, ok := parseClock(rest[0])
	if !ok || len(rest) > 1 {
		return date, fmt.Errorf("%q is not a time of day", strings.Join(rest, " "))
	}
	return time.Date(date.Year(), date.Month(), date.Day(), h, m, s, 0, date.Location()), nil
}
