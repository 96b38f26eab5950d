package access

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/seal"
	"satchel/store/storetest"
)

var ctx = context.Background()

const passphrase = "walrus ponder elevate juniper stoic mahogany"

func ok[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("%s: %v, want %v", what, err, w)
		}
	}
}

// A device is a computer: two folders, and how it is asked for a secret.
type device struct {
	t      testing.TB
	place  Place
	name   string
	secret string // "" if nobody can be asked
	asked  int
}

func newDevice(t testing.TB, name, secret string) *device {
	dir := t.TempDir()
	return &device{t: t, place: Place{filepath.Join(dir, "config"), filepath.Join(dir, "state")}, name: name, secret: secret}
}

func (d *device) config(s store.Store) Config {
	c := Config{Store: s, Location: "https://store/container", Place: d.place, Device: d.name, Rand: rand.Reader}
	if d.secret != "" {
		c.Secret = func(context.Context) (string, error) { d.asked++; return d.secret, nil }
	}
	return c
}

// founding is cheap: the work factors are those of tests.
func founding(pass string) Founding {
	return Founding{Passphrase: pass, PassphraseLN: 3, RecoveryLN: 2}
}

func (d *device) found(s store.Store) (*Access, string) {
	d.t.Helper()
	a, code, err := Found(ctx, d.config(s), founding(passphrase))
	check(d.t, err)
	d.t.Cleanup(func() { a.Log.Close() })
	return a, code
}

// open opens the repository; the next open is that of another run.
func (d *device) open(s store.Store) (*Access, error) {
	a, err := Open(ctx, d.config(s))
	if err == nil {
		d.t.Cleanup(func() { a.Log.Close() })
	} else if a != nil {
		d.t.Error("an Access beside an error")
	}
	return a, err
}

// use syncs and appends an entry, as an enrolled device can.
func use(t testing.TB, a *Access) {
	t.Helper()
	check(t, a.Log.Sync(ctx))
	_, err := a.Log.Append(ctx, a.Me, ledger.Register, func(*ledger.State) (any, error) { return ledger.RegisterContent{}, nil })
	check(t, err)
}

func TestFoundThenOpenAsksTheStoreNothing(t *testing.T) {
	c := storetest.NewCounter(storetest.NewMemory())
	office := newDevice(t, "OFFICE", "")
	a, code := office.found(c)
	if _, err := seal.ParseRecoveryCode(code); err != nil {
		t.Error(err)
	}
	if n := c.Counts(); n.Get != 1 || n.List != 1 || n.Put != 8 { // ring, 3 slots, 2 people, entry 1, satchel
		t.Errorf("founding costs %+v", n)
	}
	use(t, a)
	check(t, a.Log.Close())
	c.Reset()
	b, err := office.open(c)
	check(t, err)
	if c.Total() != 0 {
		t.Errorf("%d calls to open: %+v", c.Total(), c.Trace())
	}
	if b.Pin != a.Pin || b.Joined || b.Me == nil || b.Me.Principal != a.Me.Principal || b.Keyring.Generation() != 1 {
		t.Errorf("opened %+v, founded %+v", b, a)
	}
	use(t, b)
	for _, m := range b.Log.State().Members() {
		want := map[string]seal.Rights{"OFFICE": 15, "passphrase": 12, "recovery code": 12}
		if m.Principal.Rights != want[m.Principal.Name] {
			t.Errorf("%s has rights %d", m.Principal.Name, m.Principal.Rights)
		}
	}
}

func TestJoin(t *testing.T) {
	for name, secret := range map[string]func(code string) string{
		"passphrase":                  func(string) string { return passphrase },
		"passphrase with a newline":   func(string) string { return passphrase + "\r\n" },
		"recovery code":               func(code string) string { return code },
		"recovery code, as is spoken": func(code string) string { return strings.ToLower(strings.ReplaceAll(code, "-", " ")) + "\n" },
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.NewMemory()
			first, code := newDevice(t, "OFFICE", "").found(m)
			home := newDevice(t, "HOME", secret(code))
			a, err := home.open(m)
			check(t, err)
			if !a.Joined || a.Me == nil || a.Pin != first.Pin || home.asked != 1 {
				t.Errorf("joined %+v, asked %d times", a, home.asked)
			}
			use(t, a)
			member, there := a.Log.State().Member(a.Me.Principal.ID)
			if !there || member.Principal.Rights != seal.Push|seal.Prune || member.Principal.Name != "HOME" {
				t.Errorf("%+v", member)
			}
			check(t, a.Log.Close())
			home.secret = ""
			c := storetest.NewCounter(m)
			a, err = home.open(c)
			check(t, err)
			if a.Joined || c.Total() != 0 {
				t.Errorf("the next run: joined %v, %d calls", a.Joined, c.Total())
			}
			use(t, a)
			check(t, first.Log.Sync(ctx))
			if len(first.Log.Voids()) != 0 || first.Log.State().Digest() != a.Log.State().Digest() {
				t.Errorf("the founder sees another state, voids %v", first.Log.Voids())
			}
		})
	}
}

// Joining costs: the listing of k/, "satchel", a person or two, the slot, the ring, the listing of
// l/, each entry once; and two writes to enrol.
func TestJoinRequests(t *testing.T) {
	m := storetest.NewMemory()
	a, code := newDevice(t, "OFFICE", "").found(m)
	const entries = 6
	for range entries - 1 {
		use(t, a)
	}
	c := storetest.NewCounter(m)
	_, err := newDevice(t, "HOME", code).open(c)
	check(t, err)
	people := 0
	for _, name := range c.Names(storetest.Get) {
		if strings.HasPrefix(name, "k/p/") {
			people++
		}
	}
	n := c.Counts()
	if n.List != 2 || n.Put != 2 || people < 1 || people > 2 || n.Get != 1+people+2+entries {
		t.Errorf("joining costs %+v, of which %d people: %v", n, people, c.Names(storetest.Get))
	}
}

func TestWrongSecret(t *testing.T) {
	m := storetest.NewMemory()
	_, code := newDevice(t, "OFFICE", "").found(m)
	typo := code[:len(code)-1] + map[bool]string{true: "2", false: "3"}[code[len(code)-1] != '2']
	for name, c := range map[string]struct {
		secret string
		says   string
	}{
		"another passphrase":       {"walrus ponder elevate juniper stoic", ""},
		"the passphrase, in caps":  {strings.ToUpper(passphrase), ""},
		"a mistyped code":          {typo, "checksum"},
		"a code that is too short": {code[:len(code)-2], "has 36"},
		"another code":             {ok(seal.NewRecoveryCode(rand.Reader)), ""},
		"a newline":                {"\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t, "HOME", c.secret)
			before := count(t, m)
			_, err := d.open(m)
			wantErr(t, "open", err, ErrSecret)
			if err != nil && (!strings.Contains(err.Error(), c.says) || c.says == "" && strings.Contains(err.Error(), strings.TrimSpace(c.secret)) && c.secret != "\n") {
				t.Errorf("it says %q", err)
			}
			if _, pinned, _ := d.place.Pinned("https://store/container"); pinned || count(t, m) != before {
				t.Error("something was written")
			}
		})
	}
	_, err := newDevice(t, "HOME", "").open(m)
	wantErr(t, "nobody to ask", err, ErrNoSecret)
	refused := errors.New("interrupted")
	cfg := newDevice(t, "HOME", "x").config(m)
	cfg.Secret = func(context.Context) (string, error) { return "", refused }
	_, err = Open(ctx, cfg)
	wantErr(t, "who is asked goes away", err, refused)
}

func count(t testing.TB, s store.Store) (n int) {
	t.Helper()
	for _, err := range s.List(ctx, "") {
		check(t, err)
		n++
	}
	return n
}

// A passphrase of short words and digits may look like a recovery code. It opens all the same.
func TestPassphraseThatLooksLikeACode(t *testing.T) {
	const pass = "otter 4812 pixel 9035 quilt 77 raven zebra"
	if !seal.LooksLikeRecoveryCode(pass) {
		t.Fatal("it does not")
	}
	m := storetest.NewMemory()
	a, _, err := Found(ctx, newDevice(t, "OFFICE", "").config(m), founding(pass))
	check(t, err)
	defer a.Log.Close()
	b, err := newDevice(t, "HOME", pass).open(m)
	check(t, err)
	use(t, b)
}

func TestLook(t *testing.T) {
	m := storetest.NewMemory()
	_, err := Look(ctx, m)
	wantErr(t, "empty store", err, ErrNoRepository, store.ErrNotFound)
	_, err = newDevice(t, "HOME", passphrase).open(m)
	wantErr(t, "open", err, ErrNoRepository)
	a, _ := newDevice(t, "OFFICE", "").found(m)
	pin, err := Look(ctx, m)
	check(t, err)
	if pin.Repository != a.Repository || pin.Genesis != a.Genesis {
		t.Errorf("%+v", pin)
	}
	good := string(ok(m.Get(ctx, "satchel", 0, -1)))
	if want := `{"satchel":"repository","format":1,"repository":"` + a.Repository.String() + `","genesis":"`; !strings.HasPrefix(good, want) || len(good) != len(want)+64+3 {
		t.Error(good)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":              {"", ledger.ErrDamaged},
		"no JSON":              {"satchel", ledger.ErrDamaged},
		"cut off":              {good[:40], ledger.ErrDamaged},
		"something else":       {`{"kopia":"repository"}`, ledger.ErrDamaged},
		"array":                {`[1,2]`, ledger.ErrDamaged},
		"id is short":          {strings.Replace(good, a.Repository.String(), "abcd", 1), ledger.ErrDamaged},
		"id in upper case":     {strings.Replace(good, a.Repository.String(), strings.ToUpper(a.Repository.String()), 1), ledger.ErrDamaged},
		"genesis is no hash":   {strings.Replace(good, `"genesis":"`, `"genesis":"zz`, 1), ledger.ErrDamaged},
		"genesis is missing":   {strings.Replace(good, `"genesis"`, `"other"`, 1), ledger.ErrDamaged},
		"longer than 4 KiB":    {good + strings.Repeat(" ", 4<<10), ledger.ErrDamaged},
		"format 2":             {strings.Replace(good, `"format":1`, `"format":2`, 1), ledger.ErrTooNew},
		"format 2, other keys": {`{"satchel":"repository","format":2,"id":"?"}`, ledger.ErrTooNew},
		"format 0":             {strings.Replace(good, `"format":1`, `"format":0`, 1), ledger.ErrDamaged},
	} {
		s := m.Clone()
		s.Corrupt("satchel", func([]byte) []byte { return []byte(c.text) })
		_, err := Look(ctx, s)
		wantErr(t, name, err, c.want)
		if errors.Is(err, ErrNoRepository) {
			t.Errorf("%s: that is no repository: %v", name, err)
		}
	}
}

func FuzzBootstrap(f *testing.F) {
	pin := Pin{Repository: seal.RepoID{1, 2}, Genesis: ledger.Hash{3}}
	f.Add(pin.Bootstrap())
	f.Add([]byte(`{"satchel":"repository","format":1}`))
	f.Add([]byte(`{"satchel":"repository","format":1,"repository":"\u0030","genesis":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := storetest.NewMemory()
		check(t, m.Put(ctx, bootstrapName, b))
		pin, err := Look(ctx, m)
		if err != nil {
			if !errors.Is(err, ledger.ErrDamaged) && !errors.Is(err, ledger.ErrTooNew) {
				t.Error(err)
			}
			return
		}
		again := storetest.NewMemory()
		check(t, again.Put(ctx, bootstrapName, pin.Bootstrap()))
		if p, err := Look(ctx, again); err != nil || p != pin {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// A provider that shows a repository of its own, or another of the person's, is caught by who
// was here before, and by the genesis hash in the person's keys.
func TestRepositoryInAnothersPlace(t *testing.T) {
	mine, other := storetest.NewMemory(), storetest.NewMemory()
	office := newDevice(t, "OFFICE", "")
	a, _ := office.found(mine)
	use(t, a)
	check(t, a.Log.Close())
	b, _ := newDevice(t, "OFFICE", "").found(other) // with the same passphrase
	for range 5 {
		use(t, b)
	}
	t.Run("pinned device", func(t *testing.T) {
		a, err := office.open(other)
		check(t, err) // no request, so nothing is noticed yet
		wantErr(t, "sync", a.Log.Sync(ctx), ledger.ErrRollback)
		if _, err := a.Log.Append(ctx, a.Me, ledger.Register, func(*ledger.State) (any, error) { return ledger.RegisterContent{}, nil }); err == nil {
			t.Error("it writes to it")
		}
		check(t, a.Log.Close())
	})
	t.Run("pinned device, first look", func(t *testing.T) {
		fresh := newDevice(t, "HOME", passphrase)
		a, err := fresh.open(mine)
		check(t, err)
		check(t, a.Log.Close())
		check(t, os.Remove(fresh.place.LedgerPath(a.Repository)))
		a, err = fresh.open(other)
		check(t, err)
		wantErr(t, "sync without a copy", a.Log.Sync(ctx), ledger.ErrRollback)
		check(t, a.Log.Close())
	})
	swap := func(s *storetest.Memory, what string, from *storetest.Memory) *storetest.Memory {
		s = s.Clone()
		for o := range from.List(ctx, what) {
			data := ok(from.Get(ctx, o.Name, 0, -1))
			if _, err := s.Get(ctx, o.Name, 0, 0); err == nil {
				s.Corrupt(o.Name, func([]byte) []byte { return data })
			} else {
				check(t, s.Put(ctx, o.Name, data))
			}
		}
		return s
	}
	join := func(s store.Store) error {
		d := newDevice(t, "HOME", passphrase)
		a, err := d.open(s)
		if err == nil {
			err = a.Log.Sync(ctx)
		}
		if _, pinned, _ := d.place.Pinned("https://store/container"); err != nil && pinned {
			t.Error("it was pinned")
		}
		return err
	}
	t.Run("joiner, bootstrap swapped", func(t *testing.T) {
		wantErr(t, "join", join(swap(mine, "satchel", other)), ErrOther)
	})
	t.Run("joiner, genesis in the bootstrap swapped", func(t *testing.T) {
		s := mine.Clone()
		pin := ok(Look(ctx, s))
		pin.Genesis[0] ^= 1
		s.Corrupt("satchel", func([]byte) []byte { return pin.Bootstrap() })
		wantErr(t, "join", join(s), ErrOther)
	})
	t.Run("joiner, ledger swapped", func(t *testing.T) {
		wantErr(t, "join", join(swap(mine, "l/", other)), ledger.ErrRollback)
	})
	t.Run("joiner, everything but the person swapped", func(t *testing.T) {
		s := swap(mine, "satchel", other)
		s = swap(s, "l/", other)
		s = swap(s, "k/1/", other)
		wantErr(t, "join", join(s), ErrOther)
	})
	t.Run("joiner, the person's other keys beside", func(t *testing.T) {
		check(t, join(swap(mine, "k/p/", other))) // the one that fits is taken
	})
	t.Run("known device at a new location", func(t *testing.T) {
		s := mine.Clone()
		pin := ok(Look(ctx, s))
		c := office.config(s)
		c.Location = "elsewhere"
		a, err := Open(ctx, c)
		check(t, err)
		use(t, a)
		check(t, a.Log.Close())
		pin.Genesis[0] ^= 1
		s.Corrupt("satchel", func([]byte) []byte { return pin.Bootstrap() })
		c.Location = "a third place"
		_, err = Open(ctx, c)
		wantErr(t, "same id, another genesis", err, ErrOther)
	})
}

// What a store that lets nobody write makes of a joiner: a reader.
func TestReaderWhereNobodyMayWrite(t *testing.T) {
	m := storetest.NewMemory()
	first, _ := newDevice(t, "OFFICE", "").found(m)
	use(t, first)
	f := storetest.NewFaults(m)
	denied := func(kinds ...storetest.Kind) {
		f.Before = func(op storetest.Op) error {
			for _, k := range kinds {
				if op.Kind == k {
					return store.ErrDenied
				}
			}
			return nil
		}
	}
	denied(storetest.Put)
	home := newDevice(t, "HOME", passphrase)
	for run := range 2 {
		a, err := home.open(f)
		check(t, err)
		if a.Me != nil || a.Joined || home.asked != run+1 {
			t.Errorf("run %d: %+v, asked %d times", run, a, home.asked)
		}
		use(t, first)
		check(t, a.Log.Sync(ctx))
		if a.Log.State().Digest() != first.Log.State().Digest() {
			t.Errorf("run %d: another state", run)
		}
		check(t, a.Log.Close())
	}
	if _, pinned, _ := home.place.Pinned("https://store/container"); !pinned {
		t.Error("a reader does not pin")
	}
	// The right comes later.
	denied()
	a, err := home.open(f)
	check(t, err)
	if !a.Joined {
		t.Error("not joined")
	}
	use(t, a)
	check(t, a.Log.Close())

	// Who may not even read is no reader.
	for _, kind := range []storetest.Kind{storetest.Get, storetest.List} {
		denied(kind)
		a, err := newDevice(t, "CLINIC", passphrase).open(f)
		wantErr(t, string(kind)+" denied", err, store.ErrDenied)
		if a != nil {
			t.Error("a reader that cannot read")
		}
	}
	f.Before = func(op storetest.Op) error {
		if strings.HasPrefix(op.Name, "l/") {
			return store.ErrDenied
		}
		return nil
	}
	_, err = newDevice(t, "CLINIC", passphrase).open(f)
	wantErr(t, "ledger denied", err, store.ErrDenied)
}

func TestDamagedKeys(t *testing.T) {
	base := storetest.NewMemory()
	_, code := newDevice(t, "OFFICE", "").found(base)
	var people []string
	for o := range base.List(ctx, "k/p/") {
		people = append(people, o.Name)
	}
	slots := []string{}
	for o := range base.List(ctx, "k/1/") {
		if o.Name != "k/1/ring" {
			slots = append(slots, o.Name)
		}
	}
	kindOf := func(name string) seal.PrincipalKind { return ok(seal.PersonKind(ok(base.Get(ctx, name, 0, -1)))) }
	flip := func(at int) func(b []byte) []byte { return func(b []byte) []byte { b[len(b)-at] ^= 1; return b } }
	drop := func([]byte) []byte { return nil }
	for name, c := range map[string]struct {
		kind   seal.PrincipalKind // whose key is damaged; 0: the objects of names
		names  []string
		change func(b []byte) []byte
		secret string
		want   error
	}{
		"the other person's":          {seal.Recovery, nil, flip(3), passphrase, nil},
		"the other person's, garbage": {seal.Passphrase, nil, func([]byte) []byte { return []byte("garbage") }, code, nil},
		"this person's":               {seal.Passphrase, nil, flip(3), passphrase, ErrDamaged},
		"this person's, garbage":      {seal.Passphrase, nil, func([]byte) []byte { return []byte("garbage") }, passphrase, ErrDamaged},
		"this person's is gone":       {seal.Recovery, nil, drop, code, ErrSecret},
		"all slots":                   {0, slots, flip(1), passphrase, ErrDamaged},
		"all slots are gone":          {0, slots, drop, passphrase, ErrDamaged},
		"ring":                        {0, []string{"k/1/ring"}, flip(50), passphrase, ErrDamaged},
		"ring is gone":                {0, []string{"k/1/ring"}, drop, passphrase, ledger.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			s := base.Clone()
			for _, p := range people {
				if kindOf(p) == c.kind {
					s.Corrupt(p, c.change)
				}
			}
			for _, n := range c.names {
				s.Corrupt(n, c.change)
			}
			a, err := newDevice(t, "HOME", c.secret).open(s)
			if c.want == nil {
				check(t, err)
				use(t, a)
				return
			}
			wantErr(t, "join", err, c.want)
		})
	}
}

// What a device keeps may be lost piece by piece: it comes back from the store, or by the secret.
func TestLostPieces(t *testing.T) {
	for name, c := range map[string]struct {
		lose  func(t *testing.T, d *device, a *Access)
		asked int
	}{
		"slot":          {func(t *testing.T, d *device, a *Access) { check(t, os.Remove(d.place.keptPath(a.Repository, "slot"))) }, 0},
		"ring":          {func(t *testing.T, d *device, a *Access) { check(t, os.Remove(d.place.keptPath(a.Repository, "ring"))) }, 0},
		"ring, flipped": {func(t *testing.T, d *device, a *Access) { flipFile(t, d.place.keptPath(a.Repository, "ring")) }, 0},
		"slot, flipped": {func(t *testing.T, d *device, a *Access) { flipFile(t, d.place.keptPath(a.Repository, "slot")) }, 0},
		"slot, empty": {func(t *testing.T, d *device, a *Access) {
			check(t, os.WriteFile(d.place.keptPath(a.Repository, "slot"), nil, 0o600))
		}, 0},
		"pin":             {func(t *testing.T, d *device, a *Access) { check(t, os.Remove(d.place.PinPath(a.Location))) }, 0},
		"ledger":          {func(t *testing.T, d *device, a *Access) { check(t, os.Remove(d.place.LedgerPath(a.Repository))) }, 0},
		"the whole state": {func(t *testing.T, d *device, a *Access) { check(t, os.RemoveAll(d.place.State)) }, 0},
		"the key":         {func(t *testing.T, d *device, a *Access) { check(t, os.Remove(d.place.KeyPath(a.Repository))) }, 1},
		"everything": {func(t *testing.T, d *device, a *Access) {
			check(t, errors.Join(os.RemoveAll(d.place.State), os.RemoveAll(d.place.Config)))
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.NewMemory()
			d := newDevice(t, "OFFICE", passphrase)
			a, _ := d.found(m)
			use(t, a)
			check(t, a.Log.Close())
			c.lose(t, d, a)
			calls := 0
			for range 2 {
				s := storetest.NewCounter(m)
				b, err := d.open(s)
				check(t, err)
				calls = s.Total()
				use(t, b)
				check(t, b.Log.Close())
			}
			if calls != 0 {
				t.Errorf("the run after it opens with %d calls", calls)
			}
			if d.asked != c.asked {
				t.Errorf("asked %d times", d.asked)
			}
		})
	}
}

func flipFile(t testing.TB, path string) {
	t.Helper()
	b := ok(os.ReadFile(path))
	b[len(b)/2] ^= 1
	check(t, os.WriteFile(path, b, 0o600))
}

func TestPinThatIsNotOurs(t *testing.T) {
	m := storetest.NewMemory()
	d := newDevice(t, "OFFICE", "")
	a, _ := d.found(m)
	check(t, a.Log.Close())
	path := d.place.PinPath(a.Location)
	good := string(ok(os.ReadFile(path)))
	for name, text := range map[string]string{
		"no JSON":          "pinned",
		"cut off":          good[:20],
		"another location": strings.Replace(good, "https://store/container", "elsewhere", 1),
		"no id":            strings.Replace(good, a.Repository.String(), "", 1),
		"no hash":          strings.Replace(good, `"genesis": "`, `"genesis": "zz`, 1),
	} {
		check(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := d.open(m)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatADeviceKeepsIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes there")
	}
	m := storetest.NewMemory()
	d := newDevice(t, "OFFICE", "")
	a, code := d.found(m)
	use(t, a)
	check(t, a.Log.Close())
	for _, root := range []string{d.place.Config, d.place.State} {
		check(t, filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: mode %o", path, info.Mode().Perm())
			}
			if !info.IsDir() {
				b := ok(os.ReadFile(path))
				if bytes.Contains(b, []byte(passphrase)) || bytes.Contains(b, []byte(code)) {
					t.Errorf("%s holds a secret of the person's", path)
				}
			}
			return nil
		}))
	}
	for o := range m.List(ctx, "") {
		b := ok(m.Get(ctx, o.Name, 0, -1))
		if bytes.Contains(b, []byte(passphrase)) || bytes.Contains(b, []byte("OFFICE")) {
			t.Errorf("%s tells", o.Name)
		}
	}
}

func TestLedgerThatCannotBeOpenedIsAnErrorAndNoAccess(t *testing.T) {
	m := storetest.NewMemory()
	d := newDevice(t, "OFFICE", "")
	a, _ := d.found(m)
	check(t, a.Log.Close())
	check(t, os.Remove(d.place.LedgerPath(a.Repository)))
	check(t, os.Mkdir(d.place.LedgerPath(a.Repository), 0o700))
	if _, err := d.open(m); err == nil {
		t.Error("opened")
	}
}

func TestKeyringReachesItsGeneration(t *testing.T) {
	repo, kek := seal.RepoID{1}, [32]byte{2}
	me, err := seal.NewIdentity(repo, seal.Device, "office", seal.Push, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := seal.NewKeyring(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	next, err := old.Next(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[*seal.Keyring]error{old: seal.ErrCorrupt, next: nil} {
		slot, err := me.Principal.WrapKEK(repo, 2, kek)
		check(t, err)
		object, err := seal.KEK(repo, 2, kek).SealObject(seal.Ring, 0, k.Encode(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		o := opened{generation: 2, slot: slot, ring: object, kek: kek}
		if err := o.open(repo); !errors.Is(err, want) {
			t.Errorf("%v as keyring 2: %v, want %v", k, err, want)
		}
	}
}
