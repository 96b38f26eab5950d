package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/dir"
	"satchel/store/durable"
)

// safety opens what this folder was before satchel changed it.
func (s *session) safety() (*snapshot.Safety, error) {
	return snapshot.OpenSafety(s.lineage.SpoolPath(), func(path string) (store.Store, error) {
		d, err := dir.Open(path)
		if err != nil {
			return nil, err // not a Store that holds a nil pointer
		}
		return d, nil
	})
}

// change runs f, which changes the files of the folder by these rules.
func (s *session) change(rules *workspace.Rules, local func(string) (string, bool), p *snapshot.Progress, dry bool,
	f func(context.Context, *restore.Change) (*restore.Changed, error)) (out *restore.Changed, err error) {
	root, err := durable.OpenRoot(s.root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	err = s.retry(s.a.ctx, func(ctx context.Context) error {
		push, err := s.push(p)
		if err != nil {
			return err
		}
		push.Rules = rules
		c := &restore.Change{Push: push, Safety: push.Safety, Reader: s.reader, Root: root, Local: orConflict(rules, local), Device: s.deviceName, Offline: s.alone, DryRun: dry,
			Start: func() func() { return s.a.showProgress(p, "fetched") }}
		out, err = f(ctx, c)
		return err
	})
	if err == nil && len(out.Conflicts) > 0 {
		err = &wouldLose{out.Conflicts, "They changed while satchel was at work, or cannot be kept: close what writes to them and try again"}
	}
	return out, err
}

// orConflict is local for conflict copies too, which have a place on this computer.
func orConflict(rules *workspace.Rules, local func(string) (string, bool)) func(string) (string, bool) {
	kept := rules.WithConflicts()
	return func(remote string) (string, bool) {
		if l, ok := local(remote); ok || !strings.Contains(remote, ".conflict-") {
			return l, ok
		}
		return kept.Local(remote)
	}
}

// conflictsLeft ends a pull after which a person has to look.
type conflictsLeft struct{ n int }

func (e *conflictsLeft) Error() string {
	return fmt.Sprintf("%s changed on both sides, and both versions are here", countVerb(e.n, "file was", "files were"))
}

func countVerb(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(int64(n)) + " " + many
}

var errNoUndo = errors.New("there is nothing to undo")
