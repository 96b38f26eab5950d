package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"satchel/snapshot/retention"
	"satchel/store"
)

// reasons are a verdict's, in one line.
func reasons(v retention.Verdict) string { return quoted(strings.Join(v.Reasons, ", ")) }

// snapshots counts those that there are now.
func (p *pruning) snapshots() (n int) {
	for _, w := range p.all {
		n += len(w.verdicts)
	}
	return n
}

// plan says what a prune would do.
func (p *pruning) plan(objects bool) error {
	p.list()
	out, err := p.run()
	if err != nil {
		return err
	}
	dead := []deadObject{}
	if objects {
		if dead, err = p.dead(); err != nil {
			return err
		}
	}
	bytes := int64(0)
	for _, d := range dead {
		bytes += d.size
		if p.a.JSON {
			p.a.json("dead", map[string]any{"object": d.name, "bytes": d.size, "from": stamp(d.from.UnixNano())})
			continue
		}
		fmt.Fprintf(p.a.out, "dead  %s  %s  may be deleted from %s on\n", d.name, size(d.size), moment(d.from.UnixNano()))
	}
	if p.a.JSON {
		p.a.json("summary", map[string]any{"dry_run": true, "snapshots": p.snapshots(), "forgotten": out.Forgotten, "condemned": out.Condemned, "repacked": out.Repacked,
			"bytes_freed": out.Freed, "bytes_live": out.Live, "dead": len(dead), "bytes_dead": bytes, "requests": p.store.requests(), "seconds": p.took().Seconds()})
		return nil
	}
	p.a.say("%s of %s would go, and %s with them (%s written anew): %s of %s · %s · %s", thousands(int64(out.Forgotten)), count(p.snapshots(), "snapshot"),
		count(out.Condemned, "object"), thousands(int64(out.Repacked)), size(out.Freed), size(out.Freed+out.Live), count(p.store.requests(), "request"), seconds(p.took()))
	if objects {
		p.a.say("%s of %s are dead and wait to be deleted.", count(len(dead), "object"), size(bytes))
	}
	p.a.say("Nothing was changed.")
	return nil
}

// deadObject is one that nobody needs any more, and when its grace ends.
type deadObject struct {
	name string
	size int64
	from time.Time
}

// dead lists the dead objects that the store still has.
func (p *pruning) dead() (out []deadObject, err error) {
	since := map[string]int64{}
	for _, d := range p.state().DeadNames() {
		since[d.Name] = d.Time
	}
	if len(since) == 0 {
		return out, nil
	}
	for _, prefix := range []string{"d/", "i/", "s/", "t/"} {
		for o, err := range p.store.List(p.a.ctx, prefix) {
			if err != nil {
				return nil, err
			}
			if t, dead := since[o.Name]; dead {
				out = append(out, deadObject{o.Name, o.Size, time.Unix(0, t).Add(p.Grace)})
			}
		}
	}
	return out, nil
}

// pruned tells what a prune did.
func (p *pruning) pruned(out *retention.Report) {
	a := p.a
	denied, held := split(out.Later)
	until := p.waitsUntil()
	if a.JSON {
		for _, l := range out.Later {
			a.json("later", map[string]any{"object": l.Name, "text": l.Err.Error()})
		}
		f := map[string]any{"dry_run": false, "snapshots": p.snapshots() - out.Forgotten, "forgotten": out.Forgotten, "condemned": out.Condemned, "repacked": out.Repacked,
			"bytes_stored": out.Copied, "deleted": out.Deleted, "bytes_freed": out.Freed, "waiting": out.Waiting, "bytes_waiting": out.WaitBytes, "waiting_until": nil,
			"denied": denied, "held": held, "bytes_live": out.Live, "requests": p.store.requests(), "seconds": p.took().Seconds()}
		if out.Waiting > 0 {
			f["waiting_until"] = stamp(until.UnixNano())
		}
		if out.Deleted > 0 {
			p.leftovers()
		}
		a.json("summary", f)
		return
	}
	a.say("%s forgotten, %s stay · %s condemned, %s of them written anew (%s) · %s deleted, %s freed · %s · %s", count(out.Forgotten, "snapshot"),
		thousands(int64(p.snapshots()-out.Forgotten)), count(out.Condemned, "object"), thousands(int64(out.Repacked)), size(out.Copied), thousands(int64(out.Deleted)),
		size(out.Freed), count(p.store.requests(), "request"), seconds(p.took()))
	if out.Waiting > 0 {
		a.say("%s of %s wait for a later prune to delete them, the last from %s on. Until then: satchel unforget", count(out.Waiting, "object"), size(out.WaitBytes), moment(until.UnixNano()))
	}
	if out.Deleted > 0 {
		p.leftovers()
	}
	if denied > 0 {
		a.note("%s cannot be deleted from here: that needs the right to delete (the role Storage Blob Data Contributor, or a SAS that may delete). "+
			"They are dead, and a prune by somebody who has it deletes them: satchel prune --plan lists them", count(denied, "object"))
	}
	if held > 0 {
		a.note("%s kept by the store, which has a hold or a retention policy of its own; a later prune deletes what it lets go", countVerb(held, "object is", "objects are"))
	}
}

// leftovers tells what the store still holds of what was deleted, now or earlier.
func (p *pruning) leftovers() {
	a := p.a
	left, ok, err := p.store.leftovers(a.ctx)
	switch {
	case !ok:
	case err != nil:
		a.note("Whether soft delete or versioning of the account still keeps what was deleted cannot be seen from here: %v", err)
	case a.JSON:
		f := map[string]any{"objects": left.Objects, "bytes": left.Bytes, "until": nil, "versions": left.Versions, "bytes_versions": left.VersionBytes}
		if left.Objects > 0 {
			f["until"] = stamp(left.Until.UnixNano())
		}
		a.json("leftovers", f)
	default:
		if left.Objects > 0 {
			a.say("Soft delete of the account still keeps %s of %s that were deleted, the last until %s; they cost what they did.",
				count(left.Objects, "object"), size(left.Bytes), moment(left.Until.UnixNano()))
		}
		if left.Versions > 0 {
			a.say("Versioning of the account still keeps %s of %s that were deleted, until somebody or a lifecycle rule there deletes those versions; they cost what they did.",
				count(left.Versions, "object"), size(left.VersionBytes))
		}
	}
}

// split counts the objects that this credential may not delete, and those that nobody may yet.
func split(later []retention.Later) (denied, held int) {
	for _, l := range later {
		if errors.Is(l.Err, store.ErrDenied) {
			denied++
		}
	}
	return denied, len(later) - denied
}

// waitsUntil is when the grace of the last dead object ends.
func (p *pruning) waitsUntil() time.Time {
	last := int64(0)
	for _, d := range p.state().DeadNames() {
		last = max(last, d.Time)
	}
	return time.Unix(0, last).Add(p.Grace)
}
