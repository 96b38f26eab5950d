package seal

import (
	"bytes"
	"testing"
)

func TestProtectedByTheAccount(t *testing.T) {
	plain := []byte("private halves")
	protection, b, err := protect(plain)
	if err != nil || protection != protectionDPAPI || bytes.Contains(b, plain) {
		t.Fatalf("%d, %x, %v", protection, b, err)
	}
	if got, err := unprotect(protection, b); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%q, %v", got, err)
	}
	b[len(b)/2] ^= 1
	_, err = unprotect(protection, b)
	wantErr(t, "changed", err, ErrCorrupt)
}
