package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"satchel/snapshot"
	"satchel/snapshot/retention"
	"satchel/store/access"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

type keyCmd struct {
	List    keyListCmd    `cmd:"" help:"List what opens the repository."`
	Add     keyAddCmd     `cmd:"" help:"Add a passphrase, a recovery code or an age recipient."`
	Remove  keyRemoveCmd  `cmd:"" help:"Remove one of them, and change the keys."`
	Rotate  keyRotateCmd  `cmd:"" help:"Change the keys: what follows is sealed under new ones."`
	Rekey   keyRekeyCmd   `cmd:"" help:"Seal under the keys in force what was sealed under older ones."`
	Test    keyTestCmd    `cmd:"" help:"Prove that a passphrase or recovery code still opens the repository."`
	Confirm keyConfirmCmd `cmd:"" help:"Say that the recovery code is in a safe place."`
}

type keyListCmd struct{}

func (keyListCmd) Help() string {
	return `Lists passphrases, recovery codes, age recipients and keys in Key Vault. Computers are listed by satchel device list.

Example:
  satchel key list`
}

func (keyListCmd) Run(a *app) error {
	return a.reading(func(s *session) error {
		for _, m := range s.state().Members() {
			if m.Revoked != 0 || m.Principal.Kind == seal.Device {
				continue
			}
			whole, err := s.access.Slot(a.ctx, m.Principal.ID)
			if err != nil {
				return err
			}
			if a.JSON {
				a.json("key", memberFields(m, map[string]any{"whole": whole}))
				continue
			}
			text := ""
			switch {
			case !whole:
				text = "  (it was not added to its end: remove it)"
			case m.Principal.Kind == seal.KeyVault:
				text = "  (RSA, not post-quantum)"
			}
			fmt.Fprintf(a.out, "%x  %-14v %-28s %s%s\n", m.Principal.ID[:4], m.Principal.Kind, quoted(m.Principal.Name), rightWords(m.Principal.Rights), text)
		}
		a.say("The keys in force are of generation %d.", s.state().Generation())
		s.unfinished()
		return nil
	})
}

// unfinished says that somebody was revoked whose keys are still in force.
func (s *session) unfinished() {
	if access.Unfinished(s.state()) {
		s.a.note("! Somebody was revoked, and the keys were not changed to the end: satchel key rotate")
	}
}

func memberFields(m ledger.Member, more map[string]any) map[string]any {
	f := map[string]any{"id": hex.EncodeToString(m.Principal.ID[:]), "kind": m.Principal.Kind.String(), "name": m.Principal.Name,
		"rights": rightNames(m.Principal.Rights), "enrolled_entry": m.Enrolled, "revoked_entry": nil}
	if m.Revoked != 0 {
		f["revoked_entry"] = m.Revoked
	}
	for k, v := range more {
		f[k] = v
	}
	return f
}

// rights are those that there are, by name.
var rights = []struct {
	name string
	seal.Rights
}{{"push", seal.Push}, {"prune", seal.Prune}, {"enrol", seal.Enrol}, {"admin", seal.Admin}}

func rightNames(r seal.Rights) []string {
	names := []string{}
	for _, one := range rights {
		if r&one.Rights != 0 {
			names = append(names, one.name)
		}
	}
	return names
}

func rightWords(r seal.Rights) string {
	if r == 0 {
		return "reads alone"
	}
	return strings.Join(rightNames(r), ", ")
}

type keyAddCmd struct {
	Passphrase keyAddPassphraseCmd `cmd:"" help:"Another passphrase."`
	Recovery   keyAddRecoveryCmd   `cmd:"" help:"Another recovery code, also as a page to print."`
	Age        keyAddAgeCmd        `cmd:"" help:"An age recipient, who can read everything."`
}

type keyAddPassphraseCmd struct {
	Name string `default:"passphrase" placeholder:"NAME" help:"What it is called."`
}

func (keyAddPassphraseCmd) Help() string {
	return `Asks for the new passphrase, or takes it from SATCHEL_NEW_PASSPHRASE. A computer that is no admin asks first for one that
the repository has.

Example:
  satchel key add passphrase --name "Dr. Kim"`
}

func (c keyAddPassphraseCmd) Run(a *app) error {
	return a.administering(seal.Enrol|seal.Admin, func(s *session, author *seal.Identity) error {
		secret := a.getenv("SATCHEL_NEW_PASSPHRASE")
		var err error
		if secret == "" && a.terminal() {
			secret, err = a.newPassphrase()
		}
		if err != nil {
			return err
		}
		if secret == "" {
			return usageError{errors.New("no new passphrase: type it at a terminal, or set SATCHEL_NEW_PASSPHRASE")}
		}
		id, err := s.access.AddPerson(a.ctx, author, seal.Passphrase, c.Name, access.Lock{Secret: secret, LogN: a.scrypt})
		if err != nil {
			return err
		}
		return s.added(id)
	})
}

// added tells of a new way in.
func (s *session) added(id *seal.Identity) error {
	if s.a.JSON {
		s.a.json("key", map[string]any{"id": hex.EncodeToString(id.Principal.ID[:]), "kind": id.Principal.Kind.String(), "name": id.Principal.Name, "added": true})
	}
	s.a.say("Added the %v %s (%x).", id.Principal.Kind, quoted(id.Principal.Name), id.Principal.ID[:4])
	return nil
}

type keyAddRecoveryCmd struct {
	Name string `default:"recovery code" placeholder:"NAME" help:"What it is called."`
	Page string `placeholder:"FILE.html" help:"Write a page to print, with a QR code, and show the code nowhere else."`
}

func (keyAddRecoveryCmd) Help() string {
	return `Makes another recovery code. It is shown once, or written on a page to print: print it, delete the file, and keep the
paper away from the computers. The old code goes on opening the repository until it is removed.

Example:
  satchel key add recovery --page recovery.html
  satchel key remove 3f2a9c01`
}

func (c keyAddRecoveryCmd) Run(a *app) error {
	return a.administering(seal.Enrol|seal.Admin, func(s *session, author *seal.Identity) error {
		place, err := a.place()
		if err != nil {
			return err
		}
		kept := recoveryPath(place, s.access.Repository)
		if _, err := os.Lstat(kept); err == nil && c.Page == "" {
			return fmt.Errorf("an earlier recovery code waits in %s: bring it to a safe place first, then satchel key confirm", kept)
		}
		code, err := seal.NewRecoveryCode(a.rand)
		if err != nil {
			return err
		}
		if c.Page != "" {
			if kept, err = a.abs(c.Page); err != nil {
				return err
			}
			page, err := recoveryPage(code, c.Name, s.at.String(), s.access.Repository, a.now())
			if err == nil {
				err = durable.CreateExclusive(kept, page, 0o600)
			}
			if err != nil {
				return err
			}
		} else if err := durable.WriteFile(kept, []byte(code+"\n"), 0o600); err != nil {
			return err
		}
		id, err := s.access.AddPerson(a.ctx, author, seal.Recovery, c.Name, access.Lock{Secret: code})
		if err != nil {
			return fmt.Errorf("%w (the code in %s opens nothing unless satchel key test says so)", err, kept)
		}
		if err := s.added(id); err != nil || c.Page == "" {
			return errors.Join(err, a.handOver(place, s.access.Repository, code))
		}
		a.note("The page is in %s. Print it, delete the file, and keep the paper away from this computer.", kept)
		return nil
	})
}

type keyAddAgeCmd struct {
	Name      string `default:"age recipient" placeholder:"NAME" help:"What it is called."`
	Recipient string `arg:"" help:"age1… or age1pq1…"`
}

func (keyAddAgeCmd) Help() string {
	return `Gives the keys to whoever holds the age identity, now and after each change: for an escrow in a safe. It can read
everything, and neither push nor let a computer join.

Example:
  satchel key add age age1pq1… --name "the safe"`
}

func (c keyAddAgeCmd) Run(a *app) error {
	return a.administering(seal.Enrol|seal.Admin, func(s *session, author *seal.Identity) error {
		id, err := seal.NewEscrow(s.access.Repository, seal.AgeRecipient, c.Name, c.Recipient, a.rand)
		if err != nil {
			return usageError{err}
		}
		if err := s.access.AddEscrow(a.ctx, author, id); err != nil {
			return err
		}
		return s.added(id)
	})
}

type keyRemoveCmd struct {
	Reason string `placeholder:"TEXT" help:"Why; the ledger keeps it."`
	ID     string `arg:"" name:"key" help:"Its name, or the first digits of its id."`
}

func (keyRemoveCmd) Help() string {
	return `Removes a passphrase, recovery code or recipient, and changes the keys, so that what follows is closed to it. What was
sealed before stays open to whoever has the old keys and can read the store. The last passphrase or recovery code stays.

Example:
  satchel key remove 3f2a9c01 --reason "Dr. Kim left"`
}

func (c keyRemoveCmd) Run(a *app) error {
	return a.administering(seal.Admin, func(s *session, author *seal.Identity) error {
		m, err := s.member(c.ID, func(k seal.PrincipalKind) bool { return k != seal.Device })
		if err != nil {
			return err
		}
		if err := s.access.Revoke(a.ctx, author, m.Principal.ID, c.Reason); err != nil {
			return err
		}
		if a.JSON {
			a.json("key", memberFields(m, map[string]any{"removed": true, "generation": s.state().Generation()}))
		}
		a.say("Removed the %v %s. The keys in force are of generation %d now.", m.Principal.Kind, quoted(m.Principal.Name), s.state().Generation())
		return nil
	})
}

type keyRotateCmd struct{}

func (keyRotateCmd) Help() string {
	return `Makes a new generation of keys, for everybody who belongs to the repository. What follows is sealed under it; what was
sealed before stays as it is.

Example:
  satchel key rotate`
}

func (keyRotateCmd) Run(a *app) error {
	return a.administering(seal.Admin, func(s *session, author *seal.Identity) error {
		if err := s.access.Rotate(a.ctx, author); err != nil {
			return err
		}
		if a.JSON {
			a.json("key", map[string]any{"rotated": true, "generation": s.state().Generation()})
		}
		a.say("The keys in force are of generation %d now.", s.state().Generation())
		return nil
	})
}

type keyRekeyCmd struct{}

func (keyRekeyCmd) Help() string {
	return `Reads every pack that older keys open, seals it anew, and lets the old one go; satchel prune deletes it three days later.
After that the old keys open nothing but the ledger's old entries. Without this command each push does a part of it,
64 MiB at most. It takes about as long as sending the repository once more.

Example:
  satchel key rekey`
}

func (keyRekeyCmd) Run(a *app) error {
	return a.writing(func(s *session) error {
		if !s.may(seal.Prune) {
			return s.lacks("prune")
		}
		var p snapshot.Progress
		push, err := s.push(&p)
		if err != nil {
			return err
		}
		stop := a.showProgress(&p, "sent")
		out, err := retention.Rekey(a.ctx, push, 0)
		stop()
		if err != nil {
			return err
		}
		for _, name := range out.Damaged {
			a.problem(name, "is damaged, and older keys open it still: satchel check says whom it hurts")
		}
		if a.JSON {
			a.json("rekey", map[string]any{"packs": out.Packs, "bytes": out.Bytes, "left": out.Left, "generation": s.state().Generation(), "requests": s.store.requests()})
		}
		a.say("Sealed %s anew (%s sent), %d left · %s", count(out.Packs, "pack"), size(out.Bytes), out.Left, count(s.store.requests(), "request"))
		if out.Packs > 0 {
			a.say("satchel prune deletes the old ones in three days.")
		}
		if len(out.Damaged) > 0 {
			return errLeft
		}
		return nil
	})
}

// errLeft ends a rekey that could not read everything.
var errLeft = fmt.Errorf("%w: not every pack could be sealed anew", pack.ErrDamaged)

// rekeyEach is how many bytes of packs a push seals anew beside its own, after the keys were changed.
const rekeyEach = 64 << 20

// rekeySome seals a part of what older keys open still. It is no part of the push: what goes wrong is told, and
// the next push goes on.
func (s *session) rekeySome(push *snapshot.Push) {
	if len(s.state().Generations()) == 0 || !s.may(seal.Prune) {
		return
	}
	push.Index, push.Keys, push.Keyring, push.Progress = s.index, s.access.Keys, s.access.Keyring, nil
	out, err := retention.Rekey(s.a.ctx, push, rekeyEach)
	if err != nil {
		s.a.note("The snapshot is safe; sealing older packs under the new keys goes on with the next push: %v", err)
	} else if out.Packs > 0 {
		s.a.note("The keys were changed: %s of before sealed anew, %d left.", count(out.Packs, "pack"), out.Left)
	}
}

type keyTestCmd struct{}

func (keyTestCmd) Help() string {
	return `Asks for a passphrase or recovery code, as a new computer would, and opens the keys with it. Nothing is changed.

Example:
  satchel key test`
}

func (keyTestCmd) Run(a *app) error {
	return a.reading(func(s *session) error {
		secret, err := a.secret(a.ctx)
		if secret == "" && err == nil {
			if !a.terminal() {
				return access.ErrNoSecret
			}
			secret, err = a.ask("Passphrase or recovery code: ")
		}
		if err != nil {
			return err
		}
		who, err := s.access.Unlock(a.ctx, secret)
		if err != nil {
			return err
		}
		if a.JSON {
			a.json("key", map[string]any{"opens": true, "kind": who.Principal.Kind.String(), "name": who.Principal.Name, "generation": s.state().Generation()})
		}
		a.say("It opens the repository in %s: the %v %s, generation %d of the keys.", s.at, who.Principal.Kind, quoted(who.Principal.Name), s.state().Generation())
		return nil
	})
}

// administering opens the repository for a change that needs rights: this computer's own, else those of whoever
// gives a passphrase or recovery code.
func (a *app) administering(rights seal.Rights, f func(*session, *seal.Identity) error) error {
	return a.writing(func(s *session) error {
		author, err := s.access.Author(a.ctx, rights)
		if err != nil {
			return err
		}
		return f(s, author)
	})
}

// member finds a live principal of some kinds by name or id.
func (s *session) member(word string, of func(seal.PrincipalKind) bool) (ledger.Member, error) {
	var found []ledger.Member
	var names []string
	for _, m := range s.state().Members() {
		if m.Revoked != 0 || !of(m.Principal.Kind) {
			continue
		}
		id := hex.EncodeToString(m.Principal.ID[:])
		names = append(names, fmt.Sprintf("%s (%s)", quoted(m.Principal.Name), id[:8]))
		if m.Principal.Name == word || len(word) >= 8 && strings.HasPrefix(id, strings.ToLower(word)) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return ledger.Member{}, usageError{fmt.Errorf("none is called %s; there are %s", quoted(word), strings.Join(names, ", "))}
	}
	slices.Sort(names)
	return ledger.Member{}, usageError{fmt.Errorf("several are called %s: give the first eight digits of the id (%s)", quoted(word), strings.Join(names, ", "))}
}

type keyConfirmCmd struct{}

func (keyConfirmCmd) Help() string {
	return `Removes the file with the recovery code from this computer, and status reminds no more.

Example:
  satchel key confirm`
}

func (keyConfirmCmd) Run(a *app) error {
	s, err := a.open("", false)
	if err != nil {
		return err
	}
	defer s.close()
	place, err := a.place()
	if err != nil {
		return err
	}
	err = os.Remove(recoveryPath(place, s.access.Repository))
	if errors.Is(err, fs.ErrNotExist) {
		a.say("There is nothing to confirm: this computer holds no recovery code of %s.", s.at)
		return nil
	} else if err != nil {
		return err
	}
	a.say("Confirmed. The recovery code of %s is not on this computer.", s.at)
	if a.JSON {
		a.json("key", map[string]any{"confirmed": true, "store": s.at.String()})
	}
	return nil
}
