package seal

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

const codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

func TestRecoveryCodeIsTyped(t *testing.T) {
	code := ok(NewRecoveryCode(fixed(1)))
	if len(code) != 44 || strings.Count(code, "-") != 8 {
		t.Fatal(code)
	}
	sloppy := strings.NewReplacer("0", "o", "1", "l").Replace(code)
	for name, typed := range map[string]string{
		"as printed":     code,
		"lower case":     strings.ToLower(code),
		"no hyphens":     strings.ReplaceAll(code, "-", ""),
		"spaces":         "  " + strings.ReplaceAll(code, "-", " ") + "\r\n",
		"dashes":         strings.ReplaceAll(code, "-", " – "),
		"in two lines":   code[:20] + "\n" + code[20:],
		"o for 0":        sloppy,
		"O and I":        strings.NewReplacer("0", "O", "1", "I").Replace(code),
		"hyphens astray": "-" + code[:7] + "-" + code[7:] + "-",
	} {
		if got, err := ParseRecoveryCode(typed); err != nil || got != code {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if !LooksLikeRecoveryCode(typed) && name != "hyphens astray" {
			t.Errorf("%s: does not look like a code", name)
		}
	}
	if _, err := NewRecoveryCode(iotest.ErrReader(errors.New("dry"))); err == nil {
		t.Error("a code without randomness")
	}
}

func TestGoldenRecoveryCode(t *testing.T) {
	for bits, want := range map[[codeBytes]byte]string{
		{}: "0000-0000-0000-0000-0000-0000-0000-0000-D9TY",
		{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}: "0410-6105-0R3G-G28A-1C60-T3GF-208H-44RM-4PC1",
	} {
		if got := group(codeText(bits)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestEveryWrongLetterIsNoticed(t *testing.T) {
	code := ok(NewRecoveryCode(fixed(1)))
	for at := range code {
		if code[at] == '-' {
			continue
		}
		for _, c := range codeAlphabet {
			wrong := code[:at] + string(c) + code[at+1:]
			if _, err := ParseRecoveryCode(wrong); wrong != code && err == nil {
				t.Errorf("%s passes for %s", wrong, code)
			}
		}
		if at > 0 && code[at-1] != code[at] && code[at-1] != '-' {
			swapped := code[:at-1] + code[at:at+1] + code[at-1:at] + code[at+1:]
			if _, err := ParseRecoveryCode(swapped); err == nil {
				t.Errorf("%s passes for %s", swapped, code)
			}
		}
	}
}

func TestRecoveryCodeErrorsSayWhat(t *testing.T) {
	code := ok(NewRecoveryCode(fixed(1)))
	last := map[bool]string{true: "1", false: "0"}[strings.HasSuffix(code, "0")]
	for name, c := range map[string]struct{ typed, says string }{
		"nothing":        {"", "0 letters and digits: a code has 36"},
		"too short":      {code[:len(code)-1], "35 letters"},
		"too long":       {code + "0", "37 letters"},
		"endless":        {strings.Repeat("0", 1<<20), "letters and digits"},
		"letter U":       {"U" + code[1:], `"U"`[1:2] + "' after 0 characters"},
		"an asterisk":    {code[:5] + "*", "'*' after 4 characters"},
		"umlaut":         {"ä" + code, "'ä'"},
		"not UTF-8":      {"\xff" + code, "after 0"},
		"mistyped":       {code[:len(code)-1] + last, "checksum"},
		"groups swapped": {code[5:10] + code[:5] + code[10:], "checksum"},
	} {
		_, err := ParseRecoveryCode(c.typed)
		if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 100 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLooksLikeRecoveryCode(t *testing.T) {
	code := ok(NewRecoveryCode(fixed(1)))
	for s, want := range map[string]bool{
		code:                    true,
		code[:41]:               true, // three letters are missing
		code + "0":              true,
		"U" + code[1:]:          true,
		"":                      false,
		"correct horse battery": false,
		"spinning-abroad-uncle-2-trapeze-mango-fable": false,
		"averylongpassphrasewithoutanydigitsxx":       false,
		strings.Repeat("1", 60):                       false,
		code[:20]:                                     false,
		code[:43] + "!":                               false,
	} {
		if got := LooksLikeRecoveryCode(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func FuzzRecoveryCode(f *testing.F) {
	f.Add(ok(NewRecoveryCode(fixed(1))))
	f.Add("0000-0000-0000-0000-0000-0000-0000-0000-0000")
	f.Add("oooo iiii LLLL –")
	f.Fuzz(func(t *testing.T, s string) {
		code, err := ParseRecoveryCode(s)
		if err != nil {
			return
		}
		if again, err := ParseRecoveryCode(code); err != nil || again != code || len(code) != 44 {
			t.Errorf("%q is %q, and that %q, %v", s, code, again, err)
		}
	})
}
