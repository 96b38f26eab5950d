package azure

import (
	"context"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// tiers are those that objects may be written to: what lies in archive cannot be read back at once, as a push does.
var tiers = map[string]blob.AccessTier{"hot": blob.AccessTierHot, "cool": blob.AccessTierCool, "cold": blob.AccessTierCold}

// tierOf is the tier for a new object; nil is the account's. Only data packs lie elsewhere than all
// else: trees, index and ledger are read by every pull.
func (s *Store) tierOf(name string) *blob.AccessTier {
	if s.tier == "" || !strings.HasPrefix(name, "d/") {
		return nil
	}
	return to.Ptr(s.tier)
}

// Rehydrating is what became of objects in the archive tier.
type Rehydrating struct {
	Started, Waiting int   // begun by this call, and before
	Bytes            int64 // of both
}

// Rehydrate asks the service to bring those objects back from the archive tier to hot that wanted
// names, which takes up to 15 hours. It lists the store: one request for each 5,000 objects,
// and one for each that it begins with.
func (s *Store) Rehydrate(ctx context.Context, wanted func(name string) bool) (out Rehydrating, err error) {
	for item, err := range s.rows(ctx, s.full(""), otherPage, container.ListBlobsInclude{}) {
		if err != nil {
			return out, s.fail(ctx, "list", "", err)
		}
		o, ok := s.object(item)
		if !ok || value(item.Properties.AccessTier) != blob.AccessTierArchive || !wanted(o.Name) {
			continue
		}
		out.Bytes += o.Size
		if value(item.Properties.ArchiveStatus) != "" {
			out.Waiting++
			continue
		}
		if _, err := s.blob(o.Name).SetTier(s.begin(ctx, 0), blob.AccessTierHot, nil); err != nil {
			return out, s.fail(ctx, "bring back", o.Name, err)
		}
		out.Started++
	}
	return out, nil
}

// parseTier understands Options.Tier.
func parseTier(tier string) (blob.AccessTier, error) {
	t, ok := tiers[tier]
	if tier != "" && !ok {
		return "", fmt.Errorf("tier %q is none of hot, cool and cold", tier)
	}
	return t, nil
}
