package when

import (
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for phrase, want := range map[string]time.Duration{
		"0": 0, "0d": 0, "30d": 30 * day, "12w": 84 * day, "6mo": 186 * day, "2y": 732 * day, "72h": 72 * time.Hour, "36h30m": 36*time.Hour + 30*time.Minute,
		"90 Days": 90 * day, "1 year 2 months": year + 2*month, "90min": 90 * time.Minute, "1d12h": 36 * time.Hour, "100y": 100 * year,
	} {
		if got, err := Duration(phrase); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", phrase, got, err, want)
		}
	}
	for phrase, part := range map[string]string{
		"": "nothing", "30": "no unit", "6m": "minutes (min) or months (mo)", "1d6m": "months (mo)", "6M": "M could be", "1h6M": "M could be", "-3d": "not understood",
		"1.5d": "not understood", "d": "not understood", "3 days ago": "not understood", "yesterday": "not understood", "101y": "hundred", "99y99y": "hundred",
		"2000000s": "not understood", "99999999999999999999h": "not understood",
	} {
		if got, err := Duration(phrase); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is %v, %v; want %q", phrase, got, err, part)
		}
	}
}

func TestDurationInWords(t *testing.T) {
	for want, d := range map[string]time.Duration{"90d": 90 * day, "36h": 36 * time.Hour, "36h30m": 36*time.Hour + 30*time.Minute, "10m": 10 * time.Minute,
		"10s": 10 * time.Second, "0s": 0, "1h0m5s": time.Hour + 5*time.Second} {
		if got := Words(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

func TestUntil(t *testing.T) {
	ny := zone(t, "America/New_York")
	now := time.Date(2026, 11, 21, 15, 30, 0, 0, ny)
	for phrase, want := range map[string]time.Time{
		"2027-03-31":                time.Date(2027, 4, 1, 0, 0, 0, 0, ny).Add(-1),
		"2026-11-21":                time.Date(2026, 11, 22, 0, 0, 0, 0, ny).Add(-1),
		"2027-03-31 17:30":          time.Date(2027, 3, 31, 17, 30, 0, 0, ny),
		"2027-03-31T17:30:00+01:00": time.Date(2027, 3, 31, 16, 30, 0, 0, time.UTC),
		"90d":                       now.Add(90 * day),
		"2 years":                   now.Add(2 * year),
	} {
		if got, err := Until(phrase, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", phrase, got, err, want)
		}
	}
	for _, phrase := range []string{"", "2026-11-20", "2026-11-21 15:30", "yesterday", "friday", "6m", "0", "2027-03-31 25:00", "2027-03-31 17:30 sharp", "2020-01-01T00:00:00Z"} {
		if got, err := Until(phrase, now); err == nil {
			t.Errorf("%q is %v", phrase, got)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30d", "36h30m", "1 year 2 months", "100y", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Duration(s)
		if err != nil {
			return
		}
		if d < 0 || d > maxDuration {
			t.Errorf("%q is %v", s, d)
		}
	})
}
