package when

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Skip(err)
	}
	return l
}

func TestParse(t *testing.T) {
	ny := zone(t, "America/New_York")
	now := time.Date(2026, 11, 21, 15, 30, 0, 0, ny) // a Saturday; summer time ended on 1 November
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d+1, 0, 0, 0, 0, ny).Add(-1) }
	at := func(d, h, m, s int) time.Time { return time.Date(2026, 11, d, h, m, s, 0, ny) }
	for phrase, want := range map[string]time.Time{
		"now":                       now,
		"today":                     now,
		"today 09:00":               at(21, 9, 0, 0),
		"yesterday":                 day(2026, 11, 20),
		"  Yesterday   14:00 ":      at(20, 14, 0, 0),
		"yesterday 2pm":             at(20, 14, 0, 0),
		"yesterday 2:30pm":          at(20, 14, 30, 0),
		"friday":                    day(2026, 11, 20),
		"last friday":               day(2026, 11, 20),
		"last fri 14:00:05":         at(20, 14, 0, 5),
		"saturday":                  day(2026, 11, 14),
		"last sunday":               day(2026, 11, 15),
		"2026-11-20":                day(2026, 11, 20),
		"2026-11-20 17:30":          at(20, 17, 30, 0),
		"2026-11-20T17:00:00Z":      time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC),
		"2026-11-20t17:00:00+01:00": time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC),
		"3h":                        now.Add(-3 * time.Hour),
		"3h ago":                    now.Add(-3 * time.Hour),
		"90 minutes ago":            now.Add(-90 * time.Minute),
		"1d12h":                     at(20, 3, 30, 0),
		"2 days ago":                at(19, 15, 30, 0),
		"1 week ago":                at(14, 15, 30, 0),
		"21 days ago":               time.Date(2026, 10, 31, 15, 30, 0, 0, ny), // across the change of the clock
		"1 month ago":               time.Date(2026, 10, 21, 15, 30, 0, 0, ny),
		"1 year ago":                time.Date(2025, 11, 21, 15, 30, 0, 0, ny),
	} {
		got, err := Parse(phrase, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", phrase, got, err, want)
		}
	}
}

func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	now := time.Date(2026, 11, 21, 15, 30, 0, 0, time.UTC)
	for _, phrase := range []string{"", " ", "tomorrow", "last", "last week", "last month", "noon", "14:00", "1/2/2026", "20.11.2026", "2026-13-01", "2026-02-30",
		"2026-11-20 25:00", "yesterday evening", "ago", "3", "3 ago", "h", "3 fortnights ago", "-3h", "3.5h", "yesterday 14:00 15:00", "friday friday",
		"2026-11-22", "today 23:00", "99999999999999999999h", "2pm", "yesterday 0pm", "yesterday 13pm", "1M", "2026-11-20T17:00:00", "monday 2026-11-16"} {
		got, err := Parse(phrase, now)
		var refused *Error
		if !errors.As(err, &refused) {
			t.Errorf("%q is %v, %v", phrase, got, err)
		} else if !strings.Contains(err.Error(), "yesterday") {
			t.Errorf("%q is refused without examples: %v", phrase, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"yesterday", "last friday 14:00", "2 days ago", "1d12h", "2026-11-20T17:00:00Z"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 21, 15, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := Parse(s, now); err == nil && got.After(now) {
			t.Errorf("%q is %v, after now", s, got)
		}
	})
}
