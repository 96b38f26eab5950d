package repair

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"satchel/index"
	"satchel/snapshot"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// IndexOptions is what Index needs.
type IndexOptions struct {
	Log      *ledger.Log  // up to date
	Index    *index.Index // empty
	Workers  int          // 0: 8, as each waits for the store most of the time
	Progress *snapshot.Progress
}

// Rebuilt is what Index did.
type Rebuilt struct {
	Packs int        // that the index has now
	Lost  []pack.Key // live packs of which nobody can tell what they hold
}

// batch is how many bytes of directories are handed to the index at once.
const batch = 16 << 20

// Index fills an empty index from the packs' own ends: it lists them, takes those that the
// ledger's state calls live, and believes a directory only if its hash is the state's. Neither
// the directories in ledger entries nor segments are needed; they serve where a pack's own
// end is damaged.
func Index(ctx context.Context, o IndexOptions) (*Rebuilt, error) {
	if o.Workers == 0 {
		o.Workers = 8
	}
	var live []ledger.Pack
	for _, kind := range []seal.Kind{seal.Data, seal.Tree} {
		for obj, err := range o.Log.Store.List(ctx, string(kind)+"/") {
			if err != nil {
				return nil, fmt.Errorf("packs: %w", err)
			}
			k, err := pack.ParseName(obj.Name)
			if err != nil {
				continue // a stranger
			}
			if p, ok := o.Log.State().Pack(k); ok && p.Size == obj.Size {
				live = append(live, p)
			}
		}
	}
	if o.Progress != nil {
		o.Progress.AllFiles.Store(int64(len(live)))
		o.Progress.Done.Store(true)
	}
	if err := o.fill(ctx, live); err != nil {
		return nil, err
	}
	if err := snapshot.SyncIndex(ctx, o.Log, o.Index); err != nil {
		return nil, err
	}
	return o.result()
}

// fill reads directories and adds them.
func (o *IndexOptions) fill(ctx context.Context, live []ledger.Pack) error {
	var mu sync.Mutex // guards what follows
	var add []index.Pack
	size := 0
	flush := func() error {
		err := o.Index.Update(index.Tie{}, add, nil)
		add, size = nil, 0
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(o.Workers)
	for _, p := range live {
		g.Go(func() error {
			d, err := pack.ReadDirectory(gctx, o.Log.Store, o.Log.Keys, p.Key, p.Size)
			if o.Progress != nil {
				o.Progress.Files.Add(1)
			}
			switch {
			case err == nil && d.Hash() != p.Hash, errors.Is(err, pack.ErrDamaged), errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer):
				return nil
			case err != nil:
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			add = append(add, index.Pack{Key: p.Key, Size: p.Size, Hash: p.Hash, Directory: d.Encoding()})
			if size += len(d.Encoding()); size < batch {
				return nil
			}
			return flush()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return flush()
}

func (o *IndexOptions) result() (*Rebuilt, error) {
	r := &Rebuilt{}
	here := map[pack.Key]bool{}
	for p, err := range o.Index.Packs() {
		if err != nil {
			return nil, err
		}
		here[p.Key] = true
	}
	r.Packs = len(here)
	for _, p := range o.Log.State().Packs() {
		if !here[p.Key] {
			r.Lost = append(r.Lost, p.Key)
		}
	}
	return r, nil
}
