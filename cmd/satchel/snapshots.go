package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"text/tabwriter"

	"satchel/store/ledger"
	"satchel/store/pack"
)

type snapshotsCmd struct {
	All bool `help:"Those of every workspace in the repository, and the safety snapshots."`
}

func (snapshotsCmd) Help() string {
	return `Lists the snapshots of this workspace, oldest first: when, by which device, how large. * marks the one
that the files here come from.

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
	if a.JSON {
		for _, v := range all {
			info, _ := s.state().Workspace(v.Workspace)
			a.json("snapshot", map[string]any{"id": hex.EncodeToString(v.ID[:]), "time": stamp(v.Time), "device": s.deviceName(v), "workspace": info.Name,
				"workspace_id": hex.EncodeToString(v.Workspace[:]), "parents": ids(v.Parents), "files": v.Files, "bytes": v.Bytes, "bytes_new": v.NewBytes,
				"problems": v.Problems, "safety": v.Flags&ledger.FlagSafety != 0, "base": v.ID == s.lineage.Base})
		}
		return nil
	}
	t := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "  ID\tTIME\tDEVICE\tFILES\tSIZE\tNEW\tWORKSPACE")
	for _, v := range all {
		mark := " "
		if v.ID == s.lineage.Base {
			mark = "*"
		}
		info, _ := s.state().Workspace(v.Workspace)
		fmt.Fprintf(t, "%s %x\t%s\t%s\t%s\t%s\t%s\t%s%s\n", mark, v.ID[:4], moment(v.Time), quoted(s.deviceName(v)), thousands(int64(v.Files)),
			size(int64(v.Bytes)), size(int64(v.NewBytes)), quoted(info.Name), incomplete(v)+ofSafety(v))
	}
	return t.Flush()
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
