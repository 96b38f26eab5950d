package check

import (
	"context"
	"crypto/sha256"

	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// checkpoint compares a checkpoint's state object with what the ledger says of it: its
// payload's hash is the one that the fold of the entries had when the checkpoint was valid.
func (c *checker) checkpoint(ctx context.Context, p ledger.Checkpointed, open bool) error {
	name := ledger.StateName(p.Object)
	data, ok, err := c.read(ctx, name, true)
	if err != nil || !ok || !open {
		return err
	}
	payload, err := c.Log.Keys.OpenObject(seal.State, 0, data)
	if err != nil {
		c.problem(name, Damage, "the state does not open: %v", err)
	} else if sha256.Sum256(payload) != p.Payload {
		c.problem(name, Damage, "the state is not the one that the ledger's entries add up to")
	}
	return nil
}

// detail looks at what the journal tells beside the ledger.
func (c *checker) detail(ctx context.Context, name string) error {
	data, ok, err := c.read(ctx, name, true)
	if err != nil || !ok || !c.Decrypt {
		return err
	}
	payload, err := c.Log.Keys.OpenObject(seal.Journal, 0, data)
	if err == nil {
		_, err = ledger.ParseDetail(payload)
	}
	if err != nil {
		c.problem(name, Damage, "the journal's detail does not open: %v", err)
	}
	return nil
}

// segment compares the directories in an index segment with the ledger's state.
func (c *checker) segment(ctx context.Context, h ledger.Hash) error {
	name := ledger.SegmentName(h)
	data, ok, err := c.read(ctx, name, true)
	if err != nil || !ok || !c.Decrypt {
		return err
	}
	payload, err := c.Log.Keys.OpenObject(seal.Segment, 0, data)
	if err != nil {
		c.problem(name, Damage, "the index segment does not open: %v", err)
		return nil
	}
	entries, err := pack.ParseSegment(payload)
	if err != nil {
		c.problem(name, Damage, "%v", err)
		return nil
	}
	for _, e := range entries {
		p, live := c.state.Pack(e.Key)
		if live && (p.Size != e.Size || len(e.Directory) > 0 && p.Hash != sha256.Sum256(e.Directory)) {
			c.problem(name, Damage, "what it says of pack %s is not what was registered", e.Key.Name())
		}
	}
	return nil
}
