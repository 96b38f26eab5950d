package seal

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/sethvargo/go-diceware/diceware"
	"golang.org/x/text/unicode/norm"
)

// PassphraseBits is what a passphrase has to be worth. With scrypt at PassphraseLogN, a
// machine that makes a million guesses a second needs 19 million years for half of 2^70.
const PassphraseBits = 70

// WeakPassphraseError is a passphrase that is worth too little.
type WeakPassphraseError struct {
	Bits       float64 // the estimate of it
	Suggestion string  // six diceware words to take instead
}

func (e *WeakPassphraseError) Error() string {
	s := fmt.Sprintf("this passphrase is worth about %.0f bits, and at least %d are needed: take a longer one", math.Floor(e.Bits), PassphraseBits)
	if e.Suggestion != "" {
		s += fmt.Sprintf(", or these words: %s", e.Suggestion)
	}
	return s
}

// CheckPassphrase returns a *WeakPassphraseError unless s is worth PassphraseBits by this estimate,
// which can be done by hand.
//
// Each character counts log2 of the sum of the classes that occur anywhere in s: 26 for a–z, 26 for
// A–Z, 10 for digits, 1 for the space, 32 for other ASCII characters, 100 for all else. A letter
// after a letter of the same case counts 3.5 bits at most, because people write words. And
// nothing is counted for
//
//   - all but the first character of a run: three or more that are equal, or follow each other,
//     in either direction, in the alphabet, the digits or a row of the keyboard: aaaa, abcd, 4321, qwerty;
//   - the last of any three characters that stood together earlier in s;
//   - all but the first character of a common word, also with digits for letters (p4ssw0rd), and
//     of a year from 1900 to 2099.
//
// Case does not matter to these three. It is a guess at how hard s is to guess, and too kind to a
// famous quotation.
func CheckPassphrase(s string) error {
	bits := strength(s)
	if bits >= PassphraseBits {
		return nil
	}
	suggestion, err := Diceware(6)
	if err != nil {
		suggestion = "" // the error stands without it
	}
	return &WeakPassphraseError{bits, suggestion}
}

// Diceware returns words chosen at random from the EFF's large list, separated by spaces: 12.9
// bits each.
func Diceware(words int) (string, error) {
	list, err := diceware.GenerateWithWordList(words, diceware.WordListEffLarge())
	if err != nil {
		return "", fmt.Errorf("seal: diceware: %w", err)
	}
	return strings.Join(list, " "), nil
}

const (
	letterBits  = 3.5 // of a letter within a word
	maxStrength = 512 // characters that are looked at
)

// strength is the estimate that CheckPassphrase describes, in bits.
func strength(s string) float64 {
	chars := []rune(norm.NFC.String(s))
	chars = chars[:min(len(chars), maxStrength)]
	lower := make([]rune, len(chars))
	for i, r := range chars {
		lower[i] = unicode.ToLower(r)
	}
	each := math.Log2(pool(chars))
	known := common(string(lower), len(lower))
	for i := 2; i < len(lower); i++ {
		if isRun([3]rune(lower[i-2:])) {
			known[i-1], known[i] = true, true
		}
	}
	bits := 0.0
	for i, r := range chars {
		switch {
		case known[i] || repeats(lower, i):
		case i > 0 && sameCase(chars[i-1], r):
			bits += min(each, letterBits)
		default:
			bits += each
		}
	}
	return bits
}

// pool is the number of characters in the classes that occur; at least 1.
func pool(chars []rune) float64 {
	sizes := map[string]float64{}
	for _, r := range chars {
		switch {
		case r >= 'a' && r <= 'z':
			sizes["lower"] = 26
		case r >= 'A' && r <= 'Z':
			sizes["upper"] = 26
		case r >= '0' && r <= '9':
			sizes["digit"] = 10
		case r == ' ':
			sizes["space"] = 1
		case r <= unicode.MaxASCII:
			sizes["other ASCII"] = 32
		default:
			sizes["all else"] = 100
		}
	}
	n := 0.0
	for _, size := range sizes {
		n += size
	}
	return max(n, 1)
}

func sameCase(a, b rune) bool {
	return unicode.IsLower(a) && unicode.IsLower(b) || unicode.IsUpper(a) && unicode.IsUpper(b)
}

// rows are the keyboard rows and columns, US and German, that are walked along.
var rows = strings.Fields("qwertyuiop qwertzuiop asdfghjkl zxcvbnm yxcvbnm 1qaz 2wsx 3edc 4rfv 5tgb 6yhn 7ujm !@#$%^&*() 890")

// isRun reports whether three characters are equal or follow each other in either direction.
func isRun(c [3]rune) bool {
	if d := c[1] - c[0]; d >= -1 && d <= 1 && c[2]-c[1] == d {
		return true
	}
	there, back := string(c[:]), string([]rune{c[2], c[1], c[0]})
	return slices.ContainsFunc(rows, func(row string) bool {
		return strings.Contains(row, there) || strings.Contains(row, back)
	})
}

// repeats reports whether the three characters that end at i stood together earlier.
func repeats(s []rune, i int) bool {
	for j := 2; j < i; j++ {
		if s[j] == s[i] && s[j-1] == s[i-1] && s[j-2] == s[i-2] {
			return true
		}
	}
	return false
}

// words are some of the most common words of leaked passwords, and those that lie near here.
var words = strings.Fields(`
	password passwort passwd passphrase secret letmein welcome login admin administrator root user guest default
	qwerty monkey dragon football baseball soccer hockey superman batman pokemon master shadow sunshine princess
	iloveyou love trustno flower summer winter spring autumn monday friday january december
	michael jennifer jordan charlie thomas robert daniel george andrew
	satchel backup computer laptop office home clinic doctor physician patient hospital medical medicine health hipaa
	test hello changeme access internet google microsoft windows azure apple`)

// unleet undoes the usual digits for letters; each is one byte for one byte.
var unleet = strings.NewReplacer("4", "a", "@", "a", "0", "o", "1", "i", "!", "i", "3", "e", "5", "s", "$", "s", "7", "t")

// common marks, by character, what is inside a common word or year but not its first character.
func common(lower string, n int) []bool {
	known := make([]bool, n)
	mark := func(text, word string) {
		for from := 0; ; {
			at := strings.Index(text[from:], word)
			if at < 0 {
				return
			}
			from += at + len(word)
			first := len([]rune(text[:from])) - len(word)
			for i := first + 1; i < first+len(word); i++ {
				known[i] = true
			}
		}
	}
	plain := unleet.Replace(lower)
	for _, w := range words {
		mark(lower, w)
		mark(plain, w)
	}
	for year := 1900; year < 2100; year++ {
		mark(lower, fmt.Sprint(year))
	}
	return known
}
