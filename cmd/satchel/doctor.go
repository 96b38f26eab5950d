package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"satchel/snapshot/workspace"
	"satchel/snapshot/workspace/volume"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/azure"
	"satchel/store/azure/account"
	"satchel/store/dir"
)

type doctorCmd struct {
	Report       string `placeholder:"FILE" type:"path" help:"Write a dated page for the compliance folder; into a folder, under a name with the date."`
	Subscription string `placeholder:"ID" help:"The Azure subscription of the account, if you see many."`
}

func (doctorCmd) Help() string {
	return `Checks the store, the way there and, as far as you may see it, how the Azure account is set up. Each check is a
pass, a failure or "cannot see from here", with what to do. It changes nothing; one object is made and deleted, to see that a
name is taken once. No passphrase is asked for.

Example:
  satchel doctor
  satchel doctor --report compliance/`
}

func (c doctorCmd) Run(a *app) error {
	root, err := a.root("")
	if err != nil {
		return err
	}
	rules, err := workspace.Load(a.ctx, root, nil)
	if err != nil {
		return err
	}
	at, err := a.locate(rules.Manifest())
	if err != nil {
		return err
	}
	d := &doctor{a: a, at: at}
	d.disk(root)
	if at.Kind == store.Azure {
		d.azure(c.Subscription)
	} else {
		d.folder()
	}
	if err := d.print(); err != nil {
		return err
	}
	if c.Report != "" {
		if err := d.report(c.Report); err != nil {
			return err
		}
	}
	if n := d.count(account.Fail); n > 0 {
		return fmt.Errorf("%s failed", count(n, "check"))
	}
	return nil
}

// doctor collects what is found.
type doctor struct {
	a      *app
	at     located
	who    string // signed in as
	checks []account.Check
}

func (d *doctor) add(id, title string, r account.Result, found, fix string) {
	d.checks = append(d.checks, account.Check{ID: id, Title: title, Result: r, Found: found, Fix: fix})
}

// failed adds what went wrong, with the words that any command has for it.
func (d *doctor) failed(id, title string, err error) {
	_, hint := explain(d.a, err)
	if errors.Is(err, store.ErrNoContainer) {
		hint = noneHint(d.a)
	}
	if hint == "" {
		hint = "See the message"
	}
	d.add(id, title, account.Fail, err.Error(), hint)
}

func (d *doctor) count(r account.Result) (n int) {
	for _, c := range d.checks {
		if c.Result == r {
			n++
		}
	}
	return n
}

// disk checks where the workspace is.
func (d *doctor) disk(root string) {
	const title = "The disk under the workspace is encrypted"
	answer := d.a.encryption(d.a.ctx, root)
	found := fmt.Sprintf("%s is %v: %s", quoted(answer.Volume), answer.State, quoted(answer.Why))
	shut := &gateError{root, answer}
	switch answer.State {
	case volume.Encrypted:
		d.add("device-encryption", title, account.Pass, found, "")
	case volume.Unknown:
		d.add("device-encryption", title, account.Unseen, found, shut.hint(runtime.GOOS))
	default:
		d.add("device-encryption", title, account.Fail, found, shut.hint(runtime.GOOS))
	}
}

const (
	titleHere       = "The store is there"
	titleCreateOnly = "A name that is taken stays as it is"
	titleRepository = "There is a repository"
)

// folder checks a store on a disk.
func (d *doctor) folder() {
	if d.at.builtin {
		d.add("elsewhere", "The store is not on this computer alone", account.Fail, d.at.String(), "satchel azure template prints what makes a private account; then satchel init --store https://ACCOUNT.blob.core.windows.net/CONTAINER")
	}
	if name := dir.Synced(d.at.Path); name != "" {
		d.add("synchronised", "No other program copies the store about", account.Fail, "it is synchronised by "+name, "Move it to a folder that is not, and name that with --store")
	} else {
		d.add("synchronised", "No other program copies the store about", account.Pass, "none that is known does", "")
	}
	s, err := dir.Open(d.at.Path)
	if err == nil {
		err = s.Probe(d.a.ctx)
	}
	switch {
	case errors.Is(err, store.ErrUnsafe):
		d.add("store", titleHere, account.Pass, d.at.String(), "")
		d.failed("create-only", titleCreateOnly, err)
	case err != nil:
		d.failed("store", titleHere, err)
		d.add("create-only", titleCreateOnly, account.Unseen, "there is no store to try it on", "satchel init")
		return
	default:
		d.add("store", titleHere, account.Pass, d.at.String(), "")
		d.add("create-only", titleCreateOnly, account.Pass, "tried", "")
	}
	d.repository(s)
}

// repository looks which one it is; that takes no key.
func (d *doctor) repository(s store.Store) {
	pin, err := access.Look(d.a.ctx, s)
	if err != nil {
		d.failed("repository", titleRepository, err)
		return
	}
	d.add("repository", titleRepository, account.Pass, pin.Repository.String(), "")
}

// azure checks a container, and then its account.
func (d *doctor) azure(subscription string) {
	cred, err := d.a.signIn(d.at)
	var s *azure.Store
	if err == nil {
		s, err = azure.Open(d.at.Location, cred, azure.Options{AnyHost: d.a.AnyHost})
	}
	if err != nil {
		d.failed("sign-in", "Signing in works", err)
		d.rest("container")
		d.account(subscription, azure.Credential{})
		return
	}
	d.who = cred.String()
	if who := cred.Who(); who != nil {
		d.who = fmt.Sprintf("%s (%s, tenant %s)", d.who, firstSet(who.Name, who.ObjectID), who.Tenant)
	}
	d.add("sign-in", "Signing in works", account.Pass, d.who, "")
	d.container(s)
	d.account(subscription, cred)
}

func firstSet(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// ofContainer are the checks of a container, in order.
var ofContainer = []struct{ id, title string }{
	{"container", titleHere},
	{"tls", "The way there is encrypted"},
	{"clock", "The clock is right"},
	{"data-role", "The data can be read"},
	{"create-only", titleCreateOnly},
	{"repository", titleRepository},
	{"plaintext", "Nothing lies there in plain"},
}

// rest answers what is left of the checks of a container, as there is nothing to see.
func (d *doctor) rest(from string) {
	i := slices.IndexFunc(ofContainer, func(c struct{ id, title string }) bool { return c.id == from })
	for _, c := range ofContainer[i:] {
		d.add(c.id, c.title, account.Unseen, "what comes before it failed", "See above")
	}
}

func (d *doctor) container(s *azure.Store) {
	_, err := access.Look(d.a.ctx, s)
	e, _ := errors.AsType[*azure.Error](err)
	away := errors.Is(err, store.ErrNoContainer)
	if away || e != nil && e.Status == 0 {
		d.failed("container", titleHere, err)
	} else {
		d.add("container", titleHere, account.Pass, d.at.String(), "")
	}
	if e != nil && e.Status == 0 {
		d.rest("tls")
		return
	}
	d.transport(s)
	if away {
		d.rest("data-role")
		return
	}
	if errors.Is(err, store.ErrDenied) {
		d.failed("data-role", "The data can be read", err)
		d.rest("create-only")
		return
	}
	d.add("data-role", "The data can be read", account.Pass, "so it is", "")
	if err := s.Probe(d.a.ctx); err != nil {
		d.failed("create-only", titleCreateOnly, err)
	} else {
		d.add("create-only", titleCreateOnly, account.Pass, "tried", "")
	}
	d.repository(s)
	d.plaintext(s)
}

// maxDrift is how far a clock may be off and do no harm yet; the ledger takes ten minutes.
const maxDrift = 5 * time.Minute

// transport checks the way there, once something has answered.
func (d *doctor) transport(s *azure.Store) {
	switch v := s.TLS(); {
	case v >= tls.VersionTLS12:
		d.add("tls", "The way there is encrypted", account.Pass, tls.VersionName(v), "")
	default: // the location allows it to this computer alone
		d.add("tls", "The way there is encrypted", account.Pass, "plain http, which does not leave this computer", "")
	}
	drift := s.Now().Sub(d.a.now()).Round(time.Second)
	if drift.Abs() > maxDrift {
		d.add("clock", "The clock is right", account.Fail, fmt.Sprintf("it is %v off", drift.Abs()), "Set it: "+clockHints[runtime.GOOS])
		return
	}
	d.add("clock", "The clock is right", account.Pass, "within "+(drift.Abs()+time.Second).String(), "")
}

// plaintext looks for what the script left, readable for whoever may read the container.
func (d *doctor) plaintext(s *azure.Store) {
	const title = "Nothing lies there in plain"
	blobs, bytes := 0, int64(0)
	for f, err := range s.Foreign(d.a.ctx, true) {
		if err != nil {
			d.add("plaintext", title, account.Unseen, err.Error(), "A role or signature that may list the container")
			return
		}
		blobs, bytes = blobs+1, bytes+f.Size
	}
	if blobs == 0 {
		d.add("plaintext", title, account.Pass, "no blob of the script sync-push, and no version of one", "")
		return
	}
	d.add("plaintext", title, account.Fail, fmt.Sprintf("%s of the script sync-push, %s, old versions and deleted ones included", count(blobs, "blob"), size(bytes)), "satchel import takes them over; then satchel import --remove-originals")
}

func (d *doctor) account(subscription string, cred azure.Credential) {
	reader := ""
	if who := cred.Who(); who != nil {
		reader = assignee(who)
	}
	d.checks = append(d.checks, account.Inspect(d.a.ctx, account.Target{Location: d.at.Location, Subscription: subscription}, cred.Token(), account.Options{Reader: reader})...)
}
