package main

import (
	"errors"
	"strings"
	"testing"
)

// What has begun to write is not run again: its first part would stand twice in the output.
func TestFirstTryWritesOnce(t *testing.T) {
	var b strings.Builder
	f := &firstTry{Writer: &b}
	lost := errors.New("lost")
	tries := 0
	write := func(text string) func() error {
		return func() error { tries++; _, _ = f.Write([]byte(text)); return lost }
	}
	if err := f.run(func() error { tries++; return lost }); err != lost {
		t.Error(err)
	}
	if err := f.run(write("part")); err != lost {
		t.Error(err)
	}
	if err := f.run(write("part")); err != lost || tries != 2 || b.String() != "part" {
		t.Errorf("%v after %d tries: %q", err, tries, b.String())
	}
}
