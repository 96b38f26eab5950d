package seal

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// A recovery code is 160 random bits and a checksum of 20 bits, as 36 digits of Crockford's
// base32 in 9 groups of 4 (FORMAT §6; https://www.crockford.com/base32.html).
const (
	codeBytes  = 20
	codeDigits = 36
	codeGroup  = 4
)

var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewRecoveryCode returns a new code as it is printed: XXXX-XXXX-…, 44 characters.
func NewRecoveryCode(rand io.Reader) (string, error) {
	var bits [codeBytes]byte
	if _, err := io.ReadFull(rand, bits[:]); err != nil {
		return "", fmt.Errorf("seal: new recovery code: %w", err)
	}
	return group(codeText(bits)), nil
}

// codeText returns the 36 digits: 180 bits, the first of bits ‖ SHA-256("satchel recovery" ‖ bits).
func codeText(bits [codeBytes]byte) string {
	sum := sha256.Sum256(append([]byte("satchel recovery"), bits[:]...))
	return crockford.EncodeToString(append(bits[:], sum[:3]...))[:codeDigits]
}

func group(digits string) string {
	var b strings.Builder
	for i := 0; i < len(digits); i += codeGroup {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(digits[i : i+codeGroup])
	}
	return b.String()
}

// ParseRecoveryCode returns a typed code as it is printed. Case, spaces and hyphens of any length
// do not matter; I and L are read as 1, O as 0. The error says what is wrong: a character
// that no code has, too many or too few, or the checksum, and shows nothing else of the code.
func ParseRecoveryCode(s string) (canonical string, err error) {
	var digits []byte
	for _, r := range s {
		switch c := codeDigit(r); c {
		case separator:
		case notADigit:
			return "", fmt.Errorf("recovery code: %q after %d characters is in no code", r, len(digits))
		default:
			digits = append(digits, c)
		}
		if len(digits) > 2*codeDigits {
			break
		}
	}
	if len(digits) != codeDigits {
		return "", fmt.Errorf("recovery code: %d letters and digits: a code has %d", len(digits), codeDigits)
	}
	b, err := crockford.DecodeString(string(digits) + "0") // 185 bits, of which 23 bytes are whole
	if err != nil || codeText([codeBytes]byte(b)) != string(digits) {
		return "", errors.New("recovery code: mistyped somewhere: its checksum does not match")
	}
	return group(string(digits)), nil
}

const (
	separator byte = 0
	notADigit byte = 1
)

// codeDigit returns the digit that r stands for, separator or notADigit.
func codeDigit(r rune) byte {
	switch {
	case unicode.IsSpace(r) || unicode.Is(unicode.Pd, r):
		return separator
	case r >= 'a' && r <= 'z':
		r += 'A' - 'a'
	}
	switch {
	case r == 'I' || r == 'L':
		return '1'
	case r == 'O':
		return '0'
	case r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' && r != 'U':
		return byte(r)
	}
	return notADigit
}

// LooksLikeRecoveryCode reports whether what was typed is meant as a recovery code, rightly typed
// or not, and not as a passphrase: 32 to 40 letters and digits with at least one digit, in one
// piece or in groups of at most five.
func LooksLikeRecoveryCode(s string) bool {
	var n, digits, run, longest int
	for _, r := range s {
		if codeDigit(r) == separator {
			run = 0
			continue
		}
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
		if unicode.IsDigit(r) {
			digits++
		}
		n++
		run++
		longest = max(longest, run)
	}
	return n >= codeDigits-4 && n <= codeDigits+4 && digits > 0 && (longest == n || longest <= codeGroup+1)
}
