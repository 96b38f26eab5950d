package restore

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"satchel/index"
	"satchel/snapshot"
	"satchel/store/durable"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// A Change brings the files of a workspace folder to another state, and loses none of them:
// what only this device has is in a safety snapshot first, on this device, and undo brings
// it back. Ledger and index are up to date.
type Change struct {
	Push   *snapshot.Push // of the folder, by its rules; nothing is pushed
	Safety *snapshot.Safety
	Reader *snapshot.Reader
	Root   durable.Root
	Local  func(remote string) (string, bool) // where a remote path belongs

	Device  func(ledger.Snapshot) string // name of who pushed it
	Offline bool                         // the repository may not be reached: use what is known of its trees here
	DryRun  bool                         // plan only
	Planned func(*Plan) error            // may refuse a plan before anything is touched; nil: does not
	Start   func() (stop func())         // called when files begin to be fetched; nil: nothing to do
}

// Changed is what a Change did, or with DryRun would do.
type Changed struct {
	*Plan
	From     ledger.Snapshot     // the snapshot that the files came from, zero if there is none
	Before   *snapshot.Staged    // what was here
	Merged   []snapshot.Conflict // paths that both sides changed, remote
	Copies   []string            // local paths of the other side's versions
	Survived []string            // remote paths changed on one side and removed on the other
	Step     snapshot.Step       // what undo goes back to

	local    map[string]string  // of copies, by remote path
	next     *snapshot.Next     // of the lineage
	progress *snapshot.Progress // of the fetch
}

// Copy is the local path of the other side's version of a conflict, "" if it has none.
func (c *Changed) Copy(f snapshot.Conflict) string { return c.local[f.Copy] }

// PullOptions say what a pull does where both sides changed something.
type PullOptions struct {
	Prefer snapshot.Side
	Force  bool // become what the snapshot is
}

// Pull brings the files to the snapshot to: as it is where nothing was changed here, else
// merged with what was. Conflicts of the Plan are files that changed while it was made;
// nothing was touched then.
func (c *Change) Pull(ctx context.Context, to ledger.Snapshot, o PullOptions) (*Changed, error) {
	out, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	l, s := c.Push.Lineage, c.Push.Log.State()
	out.Step.What = fmt.Sprintf("pull of %x", to.ID[:4])
	target := to.Root
	base := snapshot.Common(s, to.ID, append(slices.Clone(l.Merged), out.From.ID)...)
	if !o.Force && out.Before.Root != base.Root {
		if target, err = c.merge(ctx, out, base, to, o.Prefer); err != nil {
			return nil, err
		}
	}
	out.next = &snapshot.Next{ID: to.ID, Base: to.ID}
	for _, id := range append([]pack.ID{out.From.ID}, l.Merged...) {
		if id != (pack.ID{}) && !snapshot.Ancestor(s, id, to.ID) {
			out.next.Merged = append(out.next.Merged, id)
		}
	}
	if !o.Force && len(out.Before.Packs) > 0 && out.Before.Files > 0 {
		out.next.Merged = append(out.next.Merged, out.Before.ID)
	}
	return out, c.run(ctx, out, Options{Target: target, Limit: snapshot.Limit(to.Files + out.Before.Files), Snapshot: to.ID, Follow: true, Force: o.Force})
}

// Restore puts back what take takes of a snapshot, and removes nothing.
func (c *Change) Restore(ctx context.Context, from ledger.Snapshot, take func(remote string, dir bool) Taken, force bool) (*Changed, error) {
	out, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	out.Step.What = fmt.Sprintf("restore from %x", from.ID[:4])
	return out, c.run(ctx, out, Options{Target: from.Root, Limit: snapshot.Limit(from.Files), Take: take, Force: force})
}

// Undo brings the files back to what they were before a step of Safety, and the lineage with
// them.
func (c *Change) Undo(ctx context.Context, step snapshot.Step) (*Changed, error) {
	out, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.Push.Index.Update(index.Tie{}, step.Packs, nil); err != nil {
		return nil, err
	}
	out.Step.What = "undo of the " + step.What
	next := step.Before.Next
	next.ID = step.Before.ID
	out.next = &next
	return out, c.run(ctx, out, Options{Target: step.Before.Root, Limit: snapshot.Limit(step.Files), Snapshot: step.Before.ID, Follow: true})
}

// begin stages what is here.
func (c *Change) begin(ctx context.Context) (*Changed, error) {
	room, err := c.Safety.Room()
	if err != nil {
		return nil, fmt.Errorf("safety snapshot: %w", err)
	}
	p, l := c.Push, c.Push.Lineage
	out := &Changed{progress: p.Progress}
	out.From, _ = p.Log.State().Snapshot(l.Base)
	quiet := *p
	quiet.Progress, quiet.Rules = nil, p.Rules.WithConflicts()
	if out.Before, err = quiet.Stage(ctx, out.From, room); err != nil {
		return nil, err
	}
	if out.From.ID == (pack.ID{}) {
		out.From = sameTree(p.Log.State(), l.Workspace, out.Before.Root)
	}
	var nodes map[pack.ID][]byte
	if c.Offline {
		if nodes, err = snapshot.KnownNodes(p.Index, l.StateKey()); err != nil {
			return nil, err
		}
	}
	c.Reader.Lend(nodes, room)
	out.Step = snapshot.Step{Time: p.Now(), Packs: out.Before.Packs, Files: out.Before.Files, Bytes: out.Before.Bytes, Parent: out.From.ID,
		Before: snapshot.State{ID: out.Before.ID, Root: out.Before.Root, Next: snapshot.Next{Base: l.Base, Merged: l.Merged, Lacks: l.Lacks}},
		Sent:   len(out.Before.Packs) == 0}
	return out, nil
}

// sameTree is the newest snapshot that is what the files here are: the base of a device that
// has forgotten its own.
func sameTree(s *ledger.State, w ledger.Workspace, root pack.ID) (same ledger.Snapshot) {
	for _, v := range s.Snapshots(w) {
		if v.Root == root && v.Flags&ledger.FlagSafety == 0 {
			same = v
		}
	}
	return same
}

// merge makes the tree that has both sides' changes.
func (c *Change) merge(ctx context.Context, out *Changed, base, to ledger.Snapshot, prefer snapshot.Side) (pack.ID, error) {
	device, pushed := c.Device(to), time.Unix(0, to.Time)
	place := func(remote string) bool {
		_, file := c.Local(remote)
		_, dir := c.Local(remote + "/")
		return file || dir
	}
	m := snapshot.Merge{Place: place, Reader: c.Reader, Prefer: prefer, Copy: func(name string) string { return snapshot.ConflictName(name, device, pushed) }}
	merged, err := m.Trees(ctx, base.Root, out.Before.Root, to.Root)
	if err != nil {
		return pack.ID{}, err
	}
	c.Reader.Lend(merged.Nodes, c.Safety.Store)
	out.Merged, out.Survived, out.local = merged.Conflicts, merged.Kept, map[string]string{}
	for _, f := range merged.Conflicts {
		if f.Copy == "" {
			continue
		}
		local, ok := c.Local(f.Path)
		if !ok {
			local, ok = c.Local(f.Path + "/")
		}
		if ok {
			out.local[f.Copy] = path.Join(path.Dir(local), path.Base(f.Copy))
			out.Copies = append(out.Copies, out.local[f.Copy])
		}
	}
	return merged.Root, nil
}

// where is c.Local with the places of conflict copies.
func (c *Change) where(out *Changed) func(string) (string, bool) {
	if len(out.local) == 0 {
		return c.Local
	}
	return func(remote string) (string, bool) {
		bare := strings.TrimSuffix(remote, "/")
		for at, rest := bare, ""; at != "." && at != ""; at, rest = path.Dir(at), path.Join(path.Base(at), rest) {
			if local, ok := out.local[at]; ok {
				return path.Join(local, rest), true
			}
		}
		return c.Local(remote)
	}
}

// run plans, notes what undo goes back to, and carries the plan out.
func (c *Change) run(ctx context.Context, out *Changed, o Options) (err error) {
	p := c.Push
	o.Store, o.Keys, o.Index, o.Reader = snapshot.Over(c.Safety.Store, p.Store), p.Keys, p.Index, c.Reader
	o.Root, o.Base, o.Local, o.State, o.Progress, o.Workers = c.Root, out.Before.Root, c.where(out), p.Lineage.StateKey(), out.progress, p.Workers
	o.Images = p.Images
	o.Holder, o.Lacks = p.Holder, p.Lineage.Lacks
	o.Ready = func(lacks snapshot.Lacks) error {
		if out.next == nil {
			return nil
		}
		out.next.Lacks = lacks
		return p.Lineage.Save()
	}
	if out.Plan, err = Make(ctx, o); err != nil || len(out.Conflicts) > 0 || c.DryRun {
		return err
	}
	if c.Planned != nil {
		if err := c.Planned(out.Plan); err != nil {
			return err
		}
	}
	if c.Start != nil {
		defer c.Start()()
	}
	if err := c.Safety.Add(ctx, out.Step); err != nil {
		return fmt.Errorf("safety snapshot: %w", err)
	}
	if p.Lineage.Next = out.next; out.next != nil {
		if err := p.Lineage.Save(); err != nil {
			return err
		}
	}
	return out.Plan.Run(ctx, func() error { return c.Done(o.Snapshot) })
}

// Done notes that the last step has been taken: by Run, or by Recover of what a crash had
// interrupted. id is what Recover says of it.
func (c *Change) Done(id pack.ID) error {
	if id != (pack.ID{}) {
		if err := c.Push.Lineage.Arrive(id); err != nil {
			return err
		}
	}
	return c.Safety.Done()
}
