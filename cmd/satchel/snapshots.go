package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"satchel/snapshot/retention"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type snapshotsCmd struct {
	All bool `help:"Those of every workspace in the repository, and the safety snapshots."`
}

func (snapshotsCmd) Help() string {
	return `Lists the snapshots of this workspace, oldest first: when, by which device, how large. * marks the one
that the files here come from. Where the manifest has a policy ("retention"), each is told what that does with it, and why;
with --verbose and --json always.

Example:
  satchel snapshots
  satchel snapshots --json`
}

func (c snapshotsCmd) Run(a *app) error {
	s, err := a.open("", false)
	if err != nil {
		return err
	}
	defer s.close()
	w := ledger.Workspace{}
	if !c.All {
		if err := s.theOnly(); err != nil {
			return err
		}
		w = s.lineage.Workspace
	}
	all := s.state().Snapshots(w)
	if !c.All {
		all = slices.DeleteFunc(all, func(v ledger.Snapshot) bool { return v.Flags&ledger.FlagSafety != 0 })
	}
	if len(all) == 0 {
		return noSnapshot(s.workspaceName())
	}
	policy, err := s.manifestPolicy()
	said := map[pack.ID]retention.Verdict{}
	if err != nil {
		a.note("%v", err)
	} else {
		said = s.verdicts(policy)
	}
	if a.JSON {
		for _, v := range all {
			s.snapshotLine(v, said[v.ID])
		}
		return nil
	}
	t := a.table()
	heads, told := "  ID\tTIME\tDEVICE\tFILES\tSIZE\tNEW\tWORKSPACE", len(said) > 0 && (a.Verbose || !policy.Empty())
	if told {
		heads += "\tPOLICY"
	}
	fmt.Fprintln(t, heads)
	for _, v := range all {
		mark := " "
		if v.ID == s.lineage.Base {
			mark = "*"
		}
		info, _ := s.state().Workspace(v.Workspace)
		fmt.Fprintf(t, "%s %x\t%s\t%s\t%s\t%s\t%s\t%s%s\n", mark, v.ID[:4], moment(v.Time), quoted(s.deviceName(v)), thousands(int64(v.Files)),
			size(int64(v.Bytes)), size(int64(v.NewBytes)), quoted(info.Name), incomplete(v)+ofSafety(v)+s.remarks(v)+becomes(said[v.ID], told))
	}
	return t.Flush()
}

// verdicts are what a prune without flags would do.
func (s *session) verdicts(policy retention.Policy) map[pack.ID]retention.Verdict {
	said := map[pack.ID]retention.Verdict{}
	for _, w := range s.judge(policy, false) {
		for _, v := range w.verdicts {
			said[v.Snapshot.ID] = v
		}
	}
	return said
}

func (s *session) snapshotLine(v ledger.Snapshot, said retention.Verdict) {
	info, _ := s.state().Workspace(v.Workspace)
	f := s.said(v)
	delete(f, "snapshot")
	delete(f, "age_seconds")
	for name, value := range map[string]any{"id": hex.EncodeToString(v.ID[:]), "workspace": info.Name, "workspace_id": hex.EncodeToString(v.Workspace[:]),
		"parents": ids(v.Parents), "files": v.Files, "bytes": v.Bytes, "bytes_new": v.NewBytes, "problems": v.Problems, "safety": v.Flags&ledger.FlagSafety != 0,
		"base": v.ID == s.lineage.Base, "keep": said.Keep, "reasons": said.Reasons} {
		f[name] = value
	}
	s.a.json("snapshot", f)
}

// remarks are what was said of a snapshot.
func (s *session) remarks(v ledger.Snapshot) (text string) {
	if tags := s.state().Tags(v.ID); len(tags) > 0 {
		text += " [" + quoted(strings.Join(tags, ", ")) + "]"
	}
	h, held := s.holdOf(v)
	switch {
	case held && h.Until != 0:
		text += " (held until " + moment(h.Until) + ": " + quoted(h.Reason) + ")"
	case held:
		text += " (held: " + quoted(h.Reason) + ")"
	}
	return text
}

// becomes is the column of what the policy does with a snapshot.
func becomes(said retention.Verdict, told bool) string {
	switch {
	case !told:
		return ""
	case said.Keep:
		return "\tstays: " + reasons(said)
	}
	return "\tgoes: " + reasons(said)
}

func ofSafety(v ledger.Snapshot) string {
	if v.Flags&ledger.FlagSafety == 0 {
		return ""
	}
	return " (safety: before a pull or restore)"
}

func incomplete(v ledger.Snapshot) string {
	if v.Problems == 0 {
		return ""
	}
	return fmt.Sprintf(" (incomplete: %s)", count(v.Problems, "path"))
}

func ids(in []pack.ID) []string {
	out := []string{}
	for _, id := range in {
		out = append(out, hex.EncodeToString(id[:]))
	}
	return out
}
