package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"satchel/store/storetest/azurite"
)

// besideTime is how long the processes run beside each other: SATCHEL_BESIDE seconds, or eight.
func besideTime(t *testing.T) time.Duration {
	s := os.Getenv("SATCHEL_BESIDE")
	if s == "" {
		return 8 * time.Second
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Second
}

// Four computers push while two prune with no grace, and all of them are killed again and again.
// What a push that ended well has saved can be restored, bit for bit, until it is forgotten; and
// in the end the store holds nothing but what is needed.
func TestKilledPushesBesidePrunes(t *testing.T) {
	t.Run("folder", func(t *testing.T) { beside(t, filepath.Join(t.TempDir(), "store")) })
	t.Run("azurite", func(t *testing.T) {
		srv := azurite.Start(t, azurite.Options{})
		beside(t, srv.URL+"/"+srv.Container(t), "AZURE_STORAGE_KEY="+srv.Key)
	})
}

func beside(t *testing.T, at string, env ...string) {
	p := newParty(t, seeded(t), at, env)
	until := time.Now().Add(besideTime(t))
	g, ctx := errgroup.WithContext(t.Context())
	for _, m := range p.all {
		g.Go(func() error {
			for time.Now().Before(until) && ctx.Err() == nil {
				if err := m.work(); err != nil {
					return fmt.Errorf("%s: %w", m.name, err)
				}
			}
			return nil
		})
	}
	err := g.Wait()
	for _, k := range slices.Sorted(maps.Keys(p.ends)) {
		t.Logf("%4d %s", p.ends[k], k)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.verify()
}

// A party is computers that share a repository. Office and home share a workspace too.
type party struct {
	t    *testing.T
	seed uint64
	all  []*member

	mu    sync.Mutex        // guards what follows
	acked map[string]string // snapshot → files, of pushes that ended well
	ends  map[string]int    // how commands ended
}

// A member is a computer of a party.
type member struct {
	*computer
	party *party
	name  string
	work  func() error
	rand  *mrand.Rand
	steps uint64                   // changes so far
	held  map[string][]uint64      // by path: the contents that it had
	had   map[string]bool          // files that were to be pushed
	took  map[string]time.Duration // a command that was not killed
}

func newParty(t *testing.T, r *mrand.Rand, at string, env []string) *party {
	p := &party{t: t, seed: r.Uint64(), acked: map[string]string{}, ends: map[string]int{}}
	for _, name := range []string{"office", "home", "lab", "ward", "desk", "attic"} {
		m := &member{computer: newComputer(t, name, at), party: p, name: name, rand: mrand.New(mrand.NewPCG(r.Uint64(), 0)),
			had: map[string]bool{}, held: map[string][]uint64{}, took: map[string]time.Duration{}}
		m.env = append(m.env, env...)
		m.work = m.push
		switch name {
		case "lab", "ward":
			m.ws = filepath.Join(t.TempDir(), name)
		case "desk", "attic":
			m.ws, m.work = filepath.Join(t.TempDir(), name), m.prune
		}
		os.MkdirAll(m.ws, 0o755)
		p.all = append(p.all, m)
	}
	office, home := p.all[0], p.all[1]
	office.run("init", "--no-manifest")
	office.change()
	office.had[office.tree()] = true
	office.run("push")
	home.run("pull", "--workspace", "clinic")
	for _, m := range p.all[2:] {
		m.run("snapshots", "--all")
	}
	return p
}

// change gives a few files contents that are new, or new to this computer, or those that they had
// before: just what others are about to forget.
func (m *member) change() {
	for range 1 + m.rand.IntN(3) {
		m.steps++
		n := m.steps
		if m.rand.IntN(4) > 0 {
			n += uint64(m.name[0]) << 32 // nobody else has it
		}
		path := fmt.Sprintf("%s/%d", []string{m.name, m.name + "/deep", "common"}[m.rand.IntN(3)], m.rand.IntN(2))
		if h := m.held[path]; len(h) > 1 && m.rand.IntN(2) == 0 {
			n = h[len(h)-2]
		}
		m.held[path] = append(m.held[path], n)
		m.write(path, m.party.content(n))
	}
}

// content is that of a number.
func (p *party) content(n uint64) string {
	return noise(mrand.New(mrand.NewPCG(p.seed, n)), []int{2_000, 40_000, 150_000, 1_200_000}[n%4])
}

// An end is how a command ended.
type end struct {
	code        int
	out, errout string
}

// killed is the exit code of a process that was.
const killed = -1

// try runs a command; every other time it is killed on its way.
func (m *member) try(args ...string) end {
	after := time.Duration(0)
	if took := m.took[args[0]]; took > 0 && m.rand.IntN(2) == 0 {
		after = 1 + time.Duration(m.rand.Int64N(int64(took)))
	}
	began := time.Now()
	e := m.exec(after, args...)
	if e.code >= 0 {
		m.took[args[0]] = time.Since(began)
	}
	m.party.mu.Lock()
	defer m.party.mu.Unlock()
	m.party.ends[fmt.Sprintf("%s: %d", args[0], e.code)]++
	return e
}

// exec runs a command, and kills it after a while if that is not zero.
func (m *member) exec(after time.Duration, args ...string) end {
	cmd := m.command(args...)
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout
	if err := cmd.Start(); err != nil {
		return end{code: exitFailed, errout: err.Error()}
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	cmd.Wait()
	return end{cmd.ProcessState.ExitCode(), out.String(), errout.String()}
}

// or reports an end that none of these codes says.
func (e end) or(codes ...int) error {
	if slices.Contains(codes, e.code) {
		return nil
	}
	return fmt.Errorf("it ended with %d:\n%s%s", e.code, e.out, e.errout)
}

// lines are what a command said with --json, of one type.
func (e end) lines(kind string) (out []map[string]any) {
	for line := range strings.Lines(e.out) {
		var v map[string]any
		if json.Unmarshal([]byte(line), &v) == nil && v["message_type"] == kind {
			out = append(out, v)
		}
	}
	return out
}

// push changes something and pushes; where another has pushed it pulls.
func (m *member) push() error {
	m.change()
	files := m.tree()
	m.had[files] = true
	e := m.try("push", "--json")
	switch {
	case e.code == exitBehind:
		return m.pull()
	case e.code == exitFailed && strings.Contains(e.out, "was pruned meanwhile"): // five times
		return nil
	case e.code != exitDone:
		return e.or(killed)
	}
	id, _ := e.lines("summary")[0]["snapshot"].(string)
	if id == "" {
		return nil // the files were so already
	}
	m.party.mu.Lock()
	m.party.acked[id] = files
	m.party.mu.Unlock()
	if m.rand.IntN(4) > 0 {
		return nil
	}
	return m.restores(id)
}

func (m *member) pull() error {
	if err := m.try("pull").or(exitDone, exitBehind, killed); err != nil {
		return err
	}
	if err := m.exec(0, "status", "--quiet").or(exitDone); err != nil { // ends what was interrupted
		return err
	}
	return filepath.WalkDir(m.ws, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), ".conflict-") {
			err = os.Remove(path)
		}
		return err
	})
}

var pruneAll = []string{"prune", "--all", "--keep-last=1", "--grace=0", "--yes", "--json"}

func (m *member) prune() error { return m.try(pruneAll...).or(exitDone, killed) }

// restores asks for one of this computer's snapshots: it has the files that were acknowledged, or,
// where the push was killed when it was just committed, some that were to be pushed.
func (m *member) restores(id string) error {
	to, err := os.MkdirTemp(m.home, "restored")
	if err != nil {
		return err
	}
	defer os.RemoveAll(to)
	if err := m.exec(0, "restore", id, "--to", to).or(exitDone); err != nil {
		return err
	}
	m.party.mu.Lock()
	want, acked := m.party.acked[id]
	m.party.mu.Unlock()
	if got := (&computer{ws: to}).tree(); acked && got != want || !m.had[got] {
		return fmt.Errorf("snapshot %s has other files than were pushed:\n%s\n%s", id, got, want)
	}
	return nil
}

// says runs a command to its good end.
func (m *member) says(kind string, args ...string) []map[string]any {
	m.party.t.Helper()
	return end{out: m.run(append(args, "--json")...)}.lines(kind)
}

// verify looks at what is left when all have come to their end.
func (p *party) verify() {
	t, desk, attic := p.t, p.all[4], p.all[5]
	desk.run("check", "--decrypt", "--read-data")
	desk.run(pruneAll...)
	attic.run(pruneAll...)
	forgotten := map[string]bool{}
	for _, l := range desk.says("forgotten", "unforget", "--list") {
		forgotten[l["snapshot"].(string)] = true
	}
	live := map[string][]string{} // by device
	for _, l := range desk.says("snapshot", "snapshots", "--all") {
		by, id := l["device"].(string), l["id"].(string)
		live[by] = append(live[by], id)
		delete(forgotten, id)
	}
	var g errgroup.Group
	for _, m := range p.all {
		g.Go(func() error { return m.verify(live[m.name]) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for id := range p.acked {
		if !forgotten[id] && !slices.ContainsFunc(p.all, func(m *member) bool { return slices.Contains(live[m.name], id) }) {
			t.Errorf("snapshot %s was acknowledged, was not forgotten, and is not there", id)
		}
	}
	checked := desk.says("summary", "check", "--decrypt", "--read-data")[0]
	plan := desk.says("summary", append(pruneAll, "--plan")...)[0]
	if checked["unregistered"] != 0.0 || plan["forgotten"] != 0.0 || plan["condemned"] != 0.0 || plan["dead"] != 0.0 {
		t.Errorf("the store holds what nobody needs: %v, %v", checked, plan)
	}
	t.Logf("%d pushes were acknowledged; %d snapshots were forgotten", len(p.acked), len(forgotten))
}

func (m *member) verify(ids []string) error {
	for _, id := range ids {
		if err := m.restores(id); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}
