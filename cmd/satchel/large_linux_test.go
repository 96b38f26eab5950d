package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"satchel/snapshot/snapshottest"
	"satchel/store/access"
	"satchel/store/dir"
)

var (
	largeSnapshots = flag.Int("large-snapshots", 200, "of BenchmarkLarge")
	largeChunks    = flag.Int("large-chunks", 50_000, "of BenchmarkLarge")
	largeKeep      = flag.String("large-keep", "", "a folder where BenchmarkLarge finds its repository, or leaves it")
)

// BenchmarkLarge runs the program against a repository that is large in number, and tells what each
// command takes: seconds, also of the processor; the most memory of its own (MB-own), and with the pages of files that it has mapped,
// which the system takes back when it needs them (MB-peak).
//
//	go test ./cmd/satchel -run '^$' -bench Large -benchtime 1x -large-snapshots 10000 -large-chunks 10000000
func BenchmarkLarge(b *testing.B) {
	c := newLarge(b)
	half := strconv.Itoa(*largeSnapshots / 2)
	for _, m := range []struct {
		name string
		args []string
	}{
		{"list-new", []string{"snapshots", "--workspace", "large"}},
		{"list", []string{"snapshots", "--workspace", "large"}},
		{"push", []string{"push"}},
		{"status", []string{"status"}},
		{"prune-dry", []string{"prune", "--workspace", "large", "--keep-last", half, "--dry-run"}},
		{"prune", []string{"prune", "--workspace", "large", "--keep-last", half, "--yes"}},
		{"prune-again", []string{"prune", "--workspace", "large", "--keep-last", half, "--yes", "--grace", "0"}},
	} {
		b.Run(m.name, func(b *testing.B) {
			for range b.N {
				c.measure(b, m.args...)
			}
		})
	}
}

// newLarge makes the repository, and a computer that has not seen it since.
func newLarge(b *testing.B) *computer {
	at := *largeKeep
	if at == "" {
		at = b.TempDir()
	}
	store := filepath.Join(at, "store")
	c := &computer{t: b, home: filepath.Join(at, "home"), ws: filepath.Join(at, "clinic")}
	c.env = c.environ("OFFICE", store)
	c.write("scan.bin", noise(mrand.New(mrand.NewPCG(uint64(time.Now().UnixNano()), 0)), 100<<20))
	if _, err := os.Stat(store); err == nil {
		return c
	}
	env := c.env
	c.env = append(env, "NOW="+time.Now().Add(-time.Duration(*largeSnapshots+1)*time.Hour).Format(time.RFC3339))
	c.run("init", "--no-manifest")
	c.env = env
	ctx := context.Background()
	s, err := dir.Open(store)
	if err != nil {
		b.Fatal(err)
	}
	a, err := access.Open(ctx, access.Config{Store: s, Location: store, Place: access.Place{Config: c.home + "/config/satchel", State: c.home + "/state/satchel"}, Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Log.Close()
	if err := a.Log.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	l := snapshottest.Large{Snapshots: *largeSnapshots, Chunks: *largeChunks, Step: time.Hour, Pretend: func(name string, size int64) error {
		path := filepath.Join(store, name)
		os.MkdirAll(filepath.Dir(path), 0o700)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		return os.Truncate(path, size)
	}}
	if err := l.Fill(ctx, a); err != nil {
		b.Fatal(err)
	}
	return c
}

// measure runs the program, and looks at it all the while.
func (c *computer) measure(b *testing.B, args ...string) {
	cmd := c.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	own, peak, done := 0, 0, make(chan error)
	go func() { done <- cmd.Wait() }()
	for ended := false; !ended; {
		select {
		case err := <-done:
			if ended = true; err != nil {
				b.Fatalf("satchel %s: %v\n%s", strings.Join(args, " "), err, out.String())
			}
		case <-time.After(5 * time.Millisecond):
			own, peak = max(own, figure(cmd.Process.Pid, "RssAnon:")), max(peak, figure(cmd.Process.Pid, "VmHWM:"))
		}
	}
	b.ReportMetric(time.Since(began).Seconds(), "s")
	b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s")
	b.ReportMetric(float64(own)/1e6, "MB-own")
	b.ReportMetric(float64(peak)/1e6, "MB-peak")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	b.Logf("%d lines, the last: %s", len(lines), lines[len(lines)-1])
}

// figure is one of /proc/PID/status, in bytes.
func figure(pid int, field string) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, line, _ := strings.Cut(string(status), field)
	line, _, _ = strings.Cut(line, "kB")
	kb, _ := strconv.Atoi(strings.TrimSpace(line))
	return kb << 10
}
