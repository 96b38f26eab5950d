package check

import (
	"context"
	"slices"

	"satchel/index"
	"satchel/store/pack"
)

// suspects opens the packs in which the walk found damage and that nobody has looked into.
func (c *checker) suspects(ctx context.Context) (some bool, err error) {
	w, err := newWorker(c)
	if err != nil {
		return false, err
	}
	for object := range c.trees.what {
		k, err := pack.ParseName(object)
		p, live := c.state.Pack(k)
		if err != nil || !live || c.losses[k] != nil {
			continue
		}
		some = true
		if err := w.pack(ctx, p, true); err != nil {
			return some, err
		}
	}
	return some, nil
}

// settle puts the report together. If packs turned out to be damaged, the trees are walked
// once more for the paths that this hurts.
func (c *checker) settle(ctx context.Context) error {
	if c.trees != nil {
		some, err := c.suspects(ctx)
		if err == nil && (some || len(c.losses) > 0) {
			c.trees = &walker{lost: func(_ pack.ID, loc index.Location) bool { return c.lost(loc) }}
			err = c.trees.walk(ctx, c.Log, c.Index)
		}
		if err != nil {
			return err
		}
		c.report.Snapshots = len(c.trees.snapshots)
		for object, what := range c.trees.what {
			c.problem(object, Damage, "%s", what)
		}
		for id := range c.trees.missing {
			c.report.Lost[id] = true
		}
	}
	if err := c.judge(); err != nil {
		return err
	}
	if c.trees != nil && len(c.trees.hurts[""]) > 0 {
		c.problem("", Damage, "chunks that snapshots need are in no pack that can be read")
	}
	for _, p := range c.found {
		if c.trees != nil {
			p.Hurts = c.trees.hurtsOf(p.Object)
		}
		c.report.Problems = append(c.report.Problems, *p)
	}
	c.report.sort()
	return nil
}

// judge notes the damaged packs and what they have lost, and is lenient with those of
// which everything lies elsewhere too.
func (c *checker) judge() error {
	for k, l := range c.losses {
		c.report.Damaged = append(c.report.Damaged, k)
		c.Note.Add(k)
		d, known, err := c.Index.Directory(k)
		if err != nil {
			return err
		}
		elsewhere := c.trees != nil && !known && len(c.trees.missing) == 0
		if known {
			if elsewhere, err = c.elsewhere(k, d, l); err != nil {
				return err
			}
		}
		if p := c.found[k.Name()]; elsewhere && p != nil {
			p.Severity = Notice
			p.What += "; what snapshots need of it lies elsewhere too"
		}
	}
	return nil
}

// elsewhere reports whether each chunk of a damaged pack lies in another one, whole, and notes
// those that are nowhere.
func (c *checker) elsewhere(k pack.Key, d *pack.Directory, l *loss) (all bool, err error) {
	all = true
	for i := range d.Len() {
		locs, err := c.Index.Locations(d.ID(i))
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(locs, func(loc index.Location) bool { return loc.Pack != k && !c.lost(loc) }) {
			all = false
			if l.has(i) {
				c.report.Lost[d.ID(i)] = true
			}
		}
	}
	return all, nil
}
