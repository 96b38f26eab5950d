package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// size is a number of bytes in words: 18.4 MiB.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= 1024; f < 1000 || unit == "TiB" {
			if f < 100 {
				return fmt.Sprintf("%.1f %s", f, unit)
			}
			return fmt.Sprintf("%.0f %s", f, unit)
		}
	}
	return ""
}

// thousands groups digits: 4,211.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// seconds is a duration as a person says it: 1.9 s, 3 min 5 s.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// ago is how long ago, roughly.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return count(int(d.Minutes()), "minute") + " ago"
	case d < 48*time.Hour:
		return count(int(d.Hours()), "hour") + " ago"
	}
	return count(int(d.Hours()/24), "day") + " ago"
}

// moment is a time of the ledger's in local time, for a person.
func moment(ns int64) string { return time.Unix(0, ns).Local().Format("2006-01-02 15:04:05") }

// stamp is a time of the ledger's in UTC with nine fixed decimals, for a program.
func stamp(ns int64) string {
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z")
}

// quoted shows a path as it is, or quoted where it would confuse a terminal.
func quoted(path string) string {
	if q := strconv.Quote(path); q != `"`+path+`"` && !onlyBackslashes(path, q) {
		return q
	}
	return path
}

// onlyBackslashes reports whether quoting changes nothing but backslashes.
func onlyBackslashes(path, q string) bool {
	return strings.ReplaceAll(path, `\`, `\\`) == q[1:len(q)-1]
}
