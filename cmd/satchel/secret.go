package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"satchel/store/access"
	"satchel/store/seal"
)

// secret finds the passphrase or recovery code: SATCHEL_PASSPHRASE, then _FILE, then
// _COMMAND, then whoever sits at the terminal. Empty with no error if there is none.
func (a *app) secret(ctx context.Context) (string, error) {
	if s := a.getenv("SATCHEL_PASSPHRASE"); s != "" {
		return s, nil
	}
	if path := a.getenv("SATCHEL_PASSPHRASE_FILE"); path != "" {
		b, err := os.ReadFile(path)
		return firstLine(b), err
	}
	if line := a.getenv("SATCHEL_PASSPHRASE_COMMAND"); line != "" {
		shell, flag := "sh", "-c"
		if runtime.GOOS == "windows" {
			shell, flag = "cmd", "/C"
		}
		cmd := exec.CommandContext(ctx, shell, flag, line)
		cmd.Stderr = os.Stderr
		b, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("SATCHEL_PASSPHRASE_COMMAND: %w", err)
		}
		return firstLine(b), nil
	}
	return "", nil
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r")
}

// joinSecret is secret, or a question at the terminal.
func (a *app) joinSecret(ctx context.Context) (string, error) {
	s, err := a.secret(ctx)
	if s != "" || err != nil {
		return s, err
	}
	if !a.terminal() {
		return "", access.ErrNoSecret
	}
	fmt.Fprintf(a.err, "This computer is new to the repository in %s.\nIt joins once, with the passphrase or the recovery code.\n", a.at)
	return a.ask("Passphrase or recovery code: ")
}

// newPassphrase asks for the passphrase of a repository that is being made; empty for none.
// It offers words, and asks again until the answer is strong enough.
func (a *app) newPassphrase() (string, error) {
	fmt.Fprintln(a.err, "Other computers join with a passphrase, or with the recovery code that is shown next.")
	if words, err := seal.Diceware(6); err == nil {
		fmt.Fprintf(a.err, "Six words at random are a good one, such as: %s\n", words)
	}
	for {
		s, err := a.ask("New passphrase (empty: the recovery code alone): ")
		if s == "" || err != nil {
			return "", err
		}
		if err := seal.CheckPassphrase(s); err != nil {
			fmt.Fprintln(a.err, err)
			continue
		}
		again, err := a.ask("The same again: ")
		if err != nil || again == s {
			return s, err
		}
		fmt.Fprintln(a.err, "The two differ.")
	}
}
