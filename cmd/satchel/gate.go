package main

import (
	"cmp"
	"fmt"
	osuser "os/user"
	"strings"
	"unicode/utf8"

	"satchel/snapshot/workspace"
	"satchel/snapshot/workspace/volume"
	"satchel/store/ledger"
)

// acceptFlag is for the commands that read a workspace or write one.
type acceptFlag struct {
	Accept string `name:"accept-unknown-encryption" placeholder:"REASON" help:"Where require_device_encryption is set and the system does not say whether the disk is encrypted: go on for this reason, which the ledger keeps."`
}

// gate is what stands before a workspace: require_device_encryption of its manifest. It is asked before
// any key, index or store.
type gate struct {
	accept string // why an answer that is not known will do
	also   string // a folder that is written besides; "" if none is

	asked  map[string]volume.Answer // by folder
	passed []volume.Answer          // unknown ones that were accepted, and that the ledger is to be told of
}

// gateError is a gate that does not open.
type gateError struct {
	path   string
	answer volume.Answer
}

func (e *gateError) Error() string {
	a := e.answer
	text := fmt.Sprintf("%s requires device encryption, and the disk under %s (%s) is %v: %s", workspace.ManifestName, quoted(e.path), quoted(a.Volume), a.State, quoted(a.Why))
	if a.State == volume.Unknown {
		text = fmt.Sprintf("%s requires device encryption, and the system does not say whether the disk under %s (%s) is encrypted: %s", workspace.ManifestName, quoted(e.path), quoted(a.Volume), quoted(a.Why))
	}
	return text
}

// gateHints say how to open the gate, by what the system is.
var gateHints = map[string]string{
	"windows": "Turn it on: Settings, Privacy & security, Device encryption; or on Windows Pro search for Manage BitLocker. It runs while you work; then try again",
	"darwin":  "Turn it on: System Settings, Privacy & Security, FileVault; another disk in Finder, Encrypt. Then try again",
	"linux":   "Move the workspace onto an encrypted volume (LUKS: cryptsetup luksFormat, or the installer's choice to encrypt the disk; ZFS; fscrypt), then try again",
}

func (e *gateError) hint(system string) string {
	switch {
	case e.answer.State == volume.Converting:
		return "Wait until that is done, then try again"
	case e.answer.State == volume.Unknown:
		return `If you know that it is: --accept-unknown-encryption "REASON". The reason goes into the repository's journal`
	case gateHints[system] != "":
		return gateHints[system]
	}
	return gateHints["linux"]
}

// check asks for the disk under root if the manifest wants that.
func (g *gate) check(a *app, m *workspace.Manifest, root string) error {
	if g == nil || m == nil || !m.RequireDeviceEncryption {
		return nil
	}
	if len(g.accept) > 1024 || !utf8.ValidString(g.accept) {
		return usageError{fmt.Errorf("--accept-unknown-encryption: a reason has at most 1,024 bytes of text")}
	}
	if g.passed = nil; g.asked == nil {
		g.asked = map[string]volume.Answer{}
	}
	for _, path := range []string{root, g.also} {
		if path == "" {
			continue
		}
		answer, ok := g.asked[path]
		if !ok {
			answer = a.encryption(a.ctx, path)
			g.asked[path] = answer
		}
		if answer.State == volume.Unknown && strings.TrimSpace(g.accept) != "" {
			g.passed = append(g.passed, answer)
		} else if answer.State != volume.Encrypted {
			return &gateError{path, answer}
		}
	}
	return nil
}

// overridden tells the ledger, once, of gates that were passed without an answer: before anything is
// read or written behind them.
func (s *session) overridden() error {
	if s.gate == nil || len(s.gate.passed) == 0 {
		return nil
	}
	if s.access.Me == nil {
		return fmt.Errorf("--accept-unknown-encryption has to go into the journal: %w", errReadOnly)
	}
	for _, v := range s.gate.passed {
		d := ledger.Detail{Workspace: s.lineage.Workspace, Where: strings.ToValidUTF8(s.root, "?"), Reason: s.gate.accept,
			Gate: strings.ToValidUTF8(fmt.Sprintf("device encryption is %v: %s: %s", v.State, v.Volume, v.Why), "?")}
		if err := s.access.Log.Note(s.a.ctx, s.access.Me, ledger.Overrode, 0, d); err != nil {
			return err
		}
		s.a.note("The disk under %s (%s) was accepted as encrypted; the journal has the reason.", quoted(s.root), quoted(v.Volume))
	}
	s.gate.passed, s.gate = nil, nil
	return nil
}

// admit asks the gate again, for rules that may have come with a snapshot, and tells the ledger what was
// passed.
func (s *session) admit(rules *workspace.Rules) error {
	if err := s.gate.check(s.a, rules.Manifest(), s.root); err != nil {
		return err
	}
	return s.overridden()
}

// account is who signed in to Azure, "" if nobody did or it does not say.
func (a *app) account() string {
	if a.who == nil {
		return ""
	}
	if who := a.who(); who != nil {
		return printable(cmp.Or(who.Name, who.ObjectID), "")
	}
	return ""
}

// user is who sits here, for the journal: the account that the system knows.
func (a *app) user() string {
	u, err := osuser.Current()
	if err != nil {
		return ""
	}
	return printable(u.Username, "")
}
