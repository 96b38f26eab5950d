package seal

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckPassphrase(t *testing.T) {
	for s, good := range map[string]bool{
		"correct horse battery":                            true,
		"Mein Hund bellt um halb sieben":                   true,
		"vK9#qTz2!mWx":                                     true, // 12 random ASCII characters
		"x7fq2mzt9wkb4hrd8":                                true, // 17 random lower-case letters and digits
		"мама мыла раму вчера":                             true,
		"":                                                 false,
		"password123":                                      false,
		"aaaaaaaaaaaaaaaaaaaaaaaa":                         false,
		"abcdefghijklmnop":                                 false,
		"zyxwvutsrqponmlkjihg":                             false,
		"12345678901234567890":                             false,
		"qwertyuiopasdfghjklzxcvbnm":                       false,
		"1qaz2wsx3edc4rfv":                                 false,
		"P4ssw0rd!P4ssw0rd!P4ssw0rd!":                      false,
		"passwordpasswordpasswordpassword":                 false,
		"letmein letmein letmein":                          false,
		"Summer2026! Winter2025!":                          false,
		"hospital clinic doctor 2026":                      false,
		"ilovemywifeandkids":                               false,
		"abcabcabcabcabcabcabcabc":                         false,
		"xkcd xkcd xkcd xkcd xkcd":                         false,
		"monkey dragon 1987":                               false,
		"!@#$%^&*()!@#$%^&*()":                             false,
		strings.Repeat("correct horse ", 1):                false,
		strings.Repeat("ab", 1000):                         false,
		strings.Repeat("\u0308", 1000):                     false,
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff": false,
	} {
		err := CheckPassphrase(s)
		if good != (err == nil) {
			t.Errorf("%.40q: %v", s, err)
		}
		var weak *WeakPassphraseError
		if err != nil && (!errors.As(err, &weak) || weak.Bits >= PassphraseBits || len(strings.Fields(weak.Suggestion)) != 6) {
			t.Errorf("%.40q: %v", s, err)
		}
		if s != "" && err != nil && strings.Contains(err.Error(), s) {
			t.Errorf("the error shows it: %v", err)
		}
	}
}

func TestEightCharactersAreNeverEnough(t *testing.T) {
	for _, s := range []string{"aB3$eF6&", "ÄB3$éF6 ", "漢字仮名交文書", "🐎🔋🦄🎩🌵🍓🚲🪁", "Tr0ub4do"} {
		if err := CheckPassphrase(s); err == nil {
			t.Errorf("%q passes", s)
		}
	}
}

func TestStrengthByHand(t *testing.T) {
	for s, want := range map[string]float64{
		"":         0,
		"a":        4.70,           // log2 26
		"horse":    4.70 + 4*3.5,   // a word
		"a horse":  3*4.75 + 4*3.5, // log2 27, and letters after a space count in full
		"aaaa":     4.70,           // a run
		"dcba":     4.70,           // backwards
		"ASDF":     4.70,           // on the keyboard
		"xyzzy":    4.70 + 2*3.5,   // x, yz free, z and y
		"moomoo":   4.70 + 4*3.5,   // the second moo is free but for the m and the first o, "oom" and "omo" are new
		"p4ssw0rd": 5.17,           // log2 36, once
		"in 1984":  3*5.21 + 3.5,   // log2 37: i, n, space, year
		"Aa1 ~":    5 * 6.57,       // log2 95
		"é":        6.64,           // log2 100
		"e\u0301":  6.64,           // the same
	} {
		if got := strength(s); got < want-0.03 || got > want+0.03 {
			t.Errorf("%q is worth %.2f bits, want %.2f", s, got, want)
		}
	}
}

func TestDicewarePasses(t *testing.T) {
	for range 100 {
		words := ok(Diceware(6))
		if err := CheckPassphrase(words); err != nil {
			t.Errorf("%q: %v", words, err)
		}
	}
	if _, err := Diceware(-1); err == nil {
		t.Error("-1 words")
	}
}
