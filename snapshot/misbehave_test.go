package snapshot_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/snapshot"
	"satchel/snapshot/snapshottest"
	"satchel/store"
	"satchel/store/azure"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/storetest/azurite"
	"satchel/store/storetest/proxy"
)

// openAzure opens a container of an emulator, straight or through a proxy.
func openAzure(t *testing.T, url string) *azure.Store {
	t.Helper()
	loc, err := store.ParseLocation(url)
	must(t, err)
	cred, err := azure.KeyCredential(azurite.Account, azurite.Key)
	must(t, err)
	s, err := azure.Open(loc, cred, azure.Options{})
	must(t, err)
	return s
}

// readBack is content for a store that may fail.
func readBack(d *snapshottest.Device, id pack.ID) (map[string]string, error) {
	v, ok := d.State().Snapshot(id)
	if !ok {
		return nil, fmt.Errorf("snapshot %x is not in the ledger", id[:4])
	}
	got := map[string]string{}
	return got, d.Reader.Walk(ctx, v.Root, func(remote string, e *snapshot.Entry) error {
		if e.Type != snapshot.File {
			return nil
		}
		var b strings.Builder
		err := d.Reader.Content(ctx, e, func(p []byte) error { b.Write(p); return nil })
		got[remote] = b.String()
		return err
	})
}

// saysWhatToDo checks that a command that failed by the network's fault says so: what was
// under way, and what to do now.
func saysWhatToDo(t *testing.T, err error) {
	t.Helper()
	var e *azure.Error
	text := err.Error()
	if !errors.As(err, &e) || !strings.Contains(text, "azure container") || !strings.Contains(text, "try again") && !strings.Contains(text, "check ") {
		t.Errorf("the error is: %v", err)
	}
	for _, sentinel := range []error{ledger.ErrDamaged, pack.ErrDamaged, snapshot.ErrMissing, snapshot.ErrTree, store.ErrNotFound, store.ErrDenied} {
		if errors.Is(err, sentinel) {
			t.Errorf("a failure of the network reads as %v: %v", sentinel, err)
		}
	}
}

// A push of 30 MB, a small one, and reading them back, through a network that resets
// connections at any byte, answers in the service's place, and sometimes ends a call for
// good: each run ends well or says what to do, one of the next finishes, and whatever was
// acknowledged reads back, byte for byte.
func TestPushThroughAMisbehavingNetwork(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	srv := azurite.Start(t, azurite.Options{})
	p := proxy.Start(t, srv.URL)
	container := "/" + srv.Container(t)
	straight, through := openAzure(t, srv.URL+container), openAzure(t, p.URL+container)
	must(t, straight.CreateContainer(ctx))
	d := snapshottest.Found(t, straight)

	passing := []proxy.Fault{
		{Effect: proxy.ResetRequest, N: 20 << 20},
		{Effect: proxy.ResetAnswer, N: 4 << 20},
		{Effect: proxy.ResetAnswer, N: 1000},
		{Effect: proxy.AnswerLanded, Status: 503},
	}
	final := []proxy.Fault{ // nobody waits for an hour
		{Effect: proxy.Answer, Status: 503, RetryAfter: "3600"},
		{Effect: proxy.AnswerLanded, Status: 503, RetryAfter: "3600"},
	}
	runs := uint64(0)
	// until runs something as often as it takes, each time with a repository opened anew.
	until := func(what string, misbehave func(seed uint64, run int), try func() error) {
		t.Helper()
		for n := 1; ; n++ {
			d.Reopen(through)
			runs++
			misbehave(seed+runs, n)
			err := try()
			p.Heal()
			if err == nil {
				t.Logf("%s took %d runs", what, n)
				return
			}
			t.Log(err)
			saysWhatToDo(t, err)
			if n == 30 {
				t.Fatalf("%s does not come to an end", what)
			}
		}
	}
	files, want := map[string]string{}, map[pack.ID]map[string]string{}
	write := func(path, data string) { d.Write(path, data); files[path] = data }
	for i, size := range []int{10 << 20, 300_000} {
		for k := range 3 {
			write(fmt.Sprintf("large/%d", k), noise(uint64(10*i+k), size))
		}
		for k := range 100 {
			write(fmt.Sprintf("small/%d/%d", i, k), noise(uint64(1000+100*i+k), 700))
		}
		until("a push", func(seed uint64, _ int) { p.Random(seed, 4, append(final, passing...)...) }, func() error {
			if err := d.Sync(); err != nil {
				return err
			}
			push := d.Push()
			push.Workers, push.Uploads = 3, 2
			_, err := push.Run(ctx)
			return err
		})
		d.Reopen(straight)
		all := d.State().Snapshots(ledger.Workspace{})
		if len(all) != i+1 {
			t.Fatalf("%d snapshots after %d pushes", len(all), i+1)
		}
		want[all[i].ID] = maps.Clone(files)
		for id, files := range want {
			if diff := cmp.Diff(files, content(t, d, id)); diff != "" {
				t.Fatalf("snapshot %x differs: %s", id[:4], diff[:min(len(diff), 500)])
			}
		}
	}
	for id, files := range want {
		until("reading", func(seed uint64, run int) {
			p.Random(seed, 10, passing...)
			if f := final[0]; run == 1 {
				f.Kind, f.After = proxy.Get, 10
				p.Add(f)
			}
		}, func() error {
			got, err := readBack(d, id)
			if err == nil && !maps.Equal(got, files) {
				t.Errorf("snapshot %x differs", id[:4])
			}
			return err
		})
	}
	t.Logf("%d requests, %d struck", p.Seen(proxy.Any), p.Struck())
}
