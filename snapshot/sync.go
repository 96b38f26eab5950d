package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"satchel/index"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
)

// syncBatch is how many bytes of directories are handed to the index at once.
const syncBatch = 16 << 20

// SyncIndex makes the index hold exactly the live packs of the ledger's state. It compares
// the two sets, whatever the index was before, so an index that is new, stale or an old copy comes out right.
// A pack of which nobody can tell what it holds, as it is damaged, is left out until it can be: what
// lies elsewhere can be restored, and a push takes the rest for unknown.
func SyncIndex(ctx context.Context, log *ledger.Log, x *index.Index) error {
	s := log.State()
	tie := index.Tie{Position: s.Position(), Hash: s.Head()}
	if x.Tie() == tie {
		return nil
	}
	var gone []pack.Key
	here := map[pack.Key]bool{}
	for k, err := range x.Packs() {
		if err != nil {
			return err
		}
		if p, live := s.Pack(k.Key); live && p.Hash == k.Hash {
			here[k.Key] = true
		} else {
			gone = append(gone, k.Key)
		}
	}
	var want []ledger.Pack
	for p := range s.LivePacks() {
		if !here[p.Key] {
			want = append(want, p)
		}
	}
	slices.SortFunc(want, ledger.Pack.Compare)
	var add []index.Pack
	size := 0
	update := func(to index.Tie, gone []pack.Key) error {
		err := x.Update(to, add, gone)
		if errors.Is(err, pack.ErrDirectory) { // registered with one that is none: as good as damaged
			add = slices.DeleteFunc(add, func(p index.Pack) bool { _, err := pack.ParseDirectory(p.Directory); return err != nil })
			tie = index.Tie{}
			err = x.Update(tie, add, gone)
		}
		add, size = nil, 0
		return err
	}
	err := log.Directories(ctx, want, func(p ledger.Pack, encoding []byte) error {
		add = append(add, index.Pack{Key: p.Key, Size: p.Size, Hash: p.Hash, Directory: encoding})
		if size += len(encoding); size < syncBatch {
			return nil
		}
		return update(index.Tie{}, nil)
	})
	if lost(err) {
		tie, err = index.Tie{}, nil // so that the next call asks again
	}
	if err == nil {
		err = update(tie, gone)
	}
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return nil
}

// lost reports whether an error says that a pack is gone or damaged.
func lost(err error) bool {
	return errors.Is(err, pack.ErrDamaged) || errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer)
}
