package main

import (
	"encoding/hex"
	"fmt"
	"time"

	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/seal"
)

type deviceCmd struct {
	List   deviceListCmd   `cmd:"" help:"List the computers."`
	Rename deviceRenameCmd `cmd:"" help:"Call a computer otherwise."`
	Grant  deviceGrantCmd  `cmd:"" help:"Give a computer a right: push, prune, enrol or admin."`
	Take   deviceTakeCmd   `cmd:"" help:"Take a right from a computer."`
	Revoke deviceRevokeCmd `cmd:"" help:"Shut a computer out: it was lost, stolen or given away."`
}

func isDevice(k seal.PrincipalKind) bool { return k == seal.Device }

type deviceListCmd struct {
	All bool `help:"Also those that were revoked."`
}

func (deviceListCmd) Help() string {
	return `Lists the computers that belong to the repository: what they may do, and when they last pushed.

Example:
  satchel device list --all`
}

func (c deviceListCmd) Run(a *app) error {
	return a.reading(func(s *session) error {
		last := map[seal.ID]int64{}
		for _, v := range s.state().Snapshots(ledger.Workspace{}) {
			last[v.Author] = max(last[v.Author], v.Time)
		}
		for _, m := range s.state().Members() {
			if m.Principal.Kind != seal.Device || m.Revoked != 0 && !c.All {
				continue
			}
			s.printDevice(m, last[m.Principal.ID])
		}
		s.unfinished()
		return nil
	})
}

func (s *session) printDevice(m ledger.Member, last int64) {
	here := s.access.Me != nil && m.Principal.ID == s.access.Me.Principal.ID
	if s.a.JSON {
		f := memberFields(m, map[string]any{"here": here, "last_snapshot": nil})
		if last != 0 {
			f["last_snapshot"] = stamp(last)
		}
		s.a.json("device", f)
		return
	}
	when := "no snapshot"
	if last != 0 {
		when = "pushed " + ago(s.a.now().Sub(time.Unix(0, last)))
	}
	text := ""
	switch {
	case m.Revoked != 0:
		text = "  (revoked)"
	case here:
		text = "  (this computer)"
	}
	fmt.Fprintf(s.a.out, "%x  %-28s %-28s %s%s\n", m.Principal.ID[:4], quoted(m.Principal.Name), rightWords(m.Principal.Rights), when, text)
}

type deviceRenameCmd struct {
	Device string `arg:"" help:"Its name, or the first digits of its id."`
	Name   string `arg:"" help:"Its new name."`
}

func (deviceRenameCmd) Help() string {
	return `Snapshots that it pushed show the new name too. A computer may rename itself; others need an admin.

Example:
  satchel device rename DESKTOP-4F7QK2 "reception"`
}

func (c deviceRenameCmd) Run(a *app) error {
	return a.describing(c.Device, true, func(p *seal.Principal) { p.Name = c.Name })
}

type deviceGrantCmd struct {
	Device string `arg:"" help:"Its name, or the first digits of its id."`
	Right  string `arg:"" enum:"push,prune,enrol,admin" help:"push, prune, enrol or admin."`
}

func (deviceGrantCmd) Help() string {
	return `push saves; prune lets snapshots go and frees what they held; enrol lets others join; admin does what this command
does, and changes keys. Only an admin grants.

Example:
  satchel device grant office prune`
}

func (c deviceGrantCmd) Run(a *app) error {
	return a.describing(c.Device, false, func(p *seal.Principal) { p.Rights |= rightOf(c.Right) })
}

type deviceTakeCmd deviceGrantCmd

func (deviceTakeCmd) Help() string {
	return `Take prune from all computers but one, and that one alone can let snapshots go: one that is stolen, or has caught
something, then deletes nothing. (In Azure, give the others a role or a SAS that cannot delete.)

Example:
  satchel device take laptop prune`
}

func (c deviceTakeCmd) Run(a *app) error {
	return a.describing(c.Device, false, func(p *seal.Principal) { p.Rights &^= rightOf(c.Right) })
}

func rightOf(name string) seal.Rights {
	for _, r := range rights {
		if r.name == name {
			return r.Rights
		}
	}
	return 0
}

// describing changes what a computer is called or may do. Its own name may be changed by itself.
func (a *app) describing(device string, itself bool, change func(*seal.Principal)) error {
	return a.writing(func(s *session) error {
		m, err := s.member(device, isDevice)
		if err != nil {
			return err
		}
		was := m.Principal
		change(&m.Principal)
		if m.Principal == was {
			a.say("%s is that already.", quoted(was.Name))
			return nil
		}
		if err := m.Principal.Check(); err != nil {
			return usageError{err}
		}
		author := s.access.Me
		if !itself || m.Principal.ID != author.Principal.ID {
			if author, err = s.access.Author(a.ctx, seal.Admin); err != nil {
				return err
			}
		}
		_, err = s.access.Log.Append(a.ctx, author, ledger.Describe, func(st *ledger.State) (any, error) {
			return ledger.MemberContent{Principal: m.Principal.ID, Name: m.Principal.Name, Rights: m.Principal.Rights}, nil
		})
		if err != nil {
			return err
		}
		if a.JSON {
			a.json("device", memberFields(m, nil))
		}
		a.say("%s: %s", quoted(m.Principal.Name), rightWords(m.Principal.Rights))
		return nil
	})
}

// lacksRight: this computer may not do that.
type lacksRight struct{ device, right string }

func (e *lacksRight) Error() string {
	return fmt.Sprintf("this computer has not the right %s in the repository", e.right)
}

func (s *session) lacks(right string) error {
	m, _ := s.state().Member(s.access.Me.Principal.ID)
	return &lacksRight{m.Principal.Name, right}
}

// may reports whether this computer has a right.
func (s *session) may(r seal.Rights) bool {
	m, ok := s.state().Member(s.access.Me.Principal.ID)
	return ok && m.Principal.Rights&r != 0
}

type deviceRevokeCmd struct {
	Reason string `placeholder:"TEXT" help:"Why; the ledger keeps it."`
	Device string `arg:"" help:"Its name, or the first digits of its id."`
}

func (deviceRevokeCmd) Help() string {
	return `What the computer signs from now on is void, it gets no key that comes, and the keys are changed at once. It then
says what is left to do in Azure, and what whoever has the computer could read.

Example:
  satchel device revoke laptop --reason "stolen on 2026-11-20"`
}

func (c deviceRevokeCmd) Run(a *app) error {
	return a.administering(seal.Admin, func(s *session, author *seal.Identity) error {
		m, err := s.member(c.Device, isDevice)
		if err != nil {
			if m, err = s.halfRevoked(c.Device, err); err != nil {
				return err
			}
		}
		if m.Principal.ID == author.Principal.ID {
			return usageError{fmt.Errorf("%s is this computer: revoke it from another one, which is an admin or has the passphrase", quoted(m.Principal.Name))}
		}
		if err := s.access.Revoke(a.ctx, author, m.Principal.ID, c.Reason); err != nil {
			return err
		}
		if a.JSON {
			a.json("device", memberFields(m, map[string]any{"revoked": true, "generation": s.state().Generation(), "could_read": len(s.state().Snapshots(ledger.Workspace{}))}))
		}
		s.tellRevoked(m)
		return nil
	})
}

// halfRevoked finds a computer whose revocation was cut off before the keys were changed.
func (s *session) halfRevoked(word string, otherwise error) (ledger.Member, error) {
	_, at := s.state().KEK(s.state().Generation())
	for _, m := range s.state().Members() {
		if m.Revoked > at && isDevice(m.Principal.Kind) && (m.Principal.Name == word || hex.EncodeToString(m.Principal.ID[:4]) == word) {
			return m, nil
		}
	}
	return ledger.Member{}, otherwise
}

// tellRevoked says what is left to do, and what cannot be undone.
func (s *session) tellRevoked(m ledger.Member) {
	a := s.a
	a.say("%s is shut out: what it signs from now on is void, and the keys in force are of generation %d.", quoted(m.Principal.Name), s.state().Generation())
	a.say("\nWhat whoever has it could read, and can go on reading as long as it reaches the store:\n"+
		"  all that lies on its own disk, unless that is encrypted;\n"+
		"  every snapshot that the repository has now (%s), with the keys that it had.", count(len(s.state().Snapshots(ledger.Workspace{})), "snapshot"))
	a.say("What is pushed from now on it cannot read.")
	if s.at.Kind != store.Azure {
		a.say("\nLeft to do: take away its access to %s. Whoever can write there can still delete files.", s.at)
		return
	}
	a.say("\nLeft to do in Azure, today:\n"+
		"  Sign the person out everywhere and change the password: Entra admin center, Users, Revoke sessions.\n"+
		"  If it signed in by itself: remove its role assignment on the storage account.\n"+
		"  If it had an account key or connection string: az storage account keys renew --account-name %[1]s --key primary (and secondary).\n"+
		"  If it had a SAS: renew the key that signed it; one that is signed by a user ends with az storage account revoke-delegation-keys --name %[1]s.\n"+
		"Until then it can still read what it could, and delete what its role lets it.", s.at.Account)
}
