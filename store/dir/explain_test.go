//go:build unix

package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"satchel/store"
)

func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		err   error
		is    error
		words string
	}{
		{syscall.ENOSPC, syscall.ENOSPC, "disk is full"},
		{syscall.EDQUOT, syscall.EDQUOT, "disk is full"},
		{syscall.EROFS, syscall.EROFS, "read-only"},
		{syscall.EACCES, store.ErrDenied, "denied"},
		{syscall.EPERM, store.ErrDenied, "denied"},
		{fmt.Errorf("no links: %w (%w)", errors.ErrUnsupported, syscall.EPERM), store.ErrUnsafe, "unsafe"},
		{syscall.EIO, syscall.EIO, "input/output"},
	} {
		got := explain(&fs.PathError{Op: "write", Path: "x", Err: tt.err})
		if !errors.Is(got, tt.is) || !strings.Contains(got.Error(), tt.words) {
			t.Errorf("%v: %v; want %v and the words %q", tt.err, got, tt.is, tt.words)
		}
		if tt.is != store.ErrDenied && errors.Is(got, store.ErrDenied) {
			t.Errorf("%v: reads as denied", tt.err)
		}
	}
}

// When a disk is unmounted its empty mount point shows: another device.
func TestUnmounted(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Stat("/dev")
	if err != nil || sameVolume(s.info, other) {
		t.Skip("no second file system to compare with")
	}
	s.info = other // as if it had been opened there
	if err := s.Put(t.Context(), "a", nil); !errors.Is(err, store.ErrNoContainer) {
		t.Errorf("put: %v, want ErrNoContainer", err)
	}
	for _, err := range s.List(t.Context(), "") {
		if !errors.Is(err, store.ErrNoContainer) {
			t.Errorf("list: %v, want ErrNoContainer", err)
		}
		return
	}
	t.Error("the listing of an empty mount point is complete")
}
