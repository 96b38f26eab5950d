package azure

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"satchel/store"
)

var _ store.Keeper = (*Store)(nil)

// Leftovers implements store.Keeper: it lists what soft delete and versioning keep. It needs the
// right to list, and a request for each 5,000 blobs.
//
// https://learn.microsoft.com/azure/storage/blobs/soft-delete-blob-overview
// https://learn.microsoft.com/azure/storage/blobs/versioning-overview
func (s *Store) Leftovers(ctx context.Context) (store.Leftovers, error) {
	var out store.Leftovers
	for item, err := range s.rows(ctx, s.full(""), otherPage, container.ListBlobsInclude{Deleted: true, Versions: true}) {
		if err != nil {
			return store.Leftovers{}, s.fail(ctx, "list deleted", "", err)
		}
		s.leftover(&out, item)
	}
	return out, nil
}

// leftover counts a row of a listing, unless it is an object that is there.
func (s *Store) leftover(out *store.Leftovers, item *container.BlobItem) {
	o, ok := s.object(item)
	switch {
	case !ok || value(item.IsCurrentVersion):
	case value(item.Deleted):
		out.Objects++
		out.Bytes += o.Size
		left := time.Duration(value(item.Properties.RemainingRetentionDays)) * 24 * time.Hour
		if until := s.Now().Add(left); until.After(out.Until) {
			out.Until = until
		}
	case item.VersionID != nil:
		out.Versions++
		out.VersionBytes += o.Size
	}
}
