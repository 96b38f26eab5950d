//go:build !windows

package seal

import (
	"strings"
	"testing"
)

func TestKeyProtectedByWindowsSaysSo(t *testing.T) {
	if _, err := unprotect(protectionDPAPI, nil); err == nil || !strings.Contains(err.Error(), "Windows") {
		t.Error(err)
	}
}
