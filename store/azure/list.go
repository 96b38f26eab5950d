package azure

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"satchel/store"
)

// A listing's first page is short: whoever wants the newest ledger entries takes no more.
const (
	firstPage = 100
	otherPage = 5000 // the service's maximum
)

// List implements store.Store. It takes one request for the first 100 rows and one for
// each 5,000 after them, and asks only when the consumer gets there.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		if err := s.list(ctx, prefix, yield); err != nil && err != errStop {
			yield(store.Object{}, s.fail(ctx, "list", prefix, err))
		}
	}
}

var (
	errStop    = errors.New("stop") // the consumer wants no more
	errRepeats = errors.New("the service repeats a page")
)

func (s *Store) list(ctx context.Context, prefix string, yield func(store.Object, error) bool) error {
	if !store.ValidPrefix(prefix) {
		return errors.New("is not a valid prefix")
	}
	last := ""
	for item, err := range s.rows(ctx, s.full(prefix), firstPage, container.ListBlobsInclude{}) {
		if err != nil {
			return err
		}
		o, ok := s.object(item)
		if !ok {
			continue
		}
		if o.Name <= last || !strings.HasPrefix(o.Name, prefix) {
			return fmt.Errorf("%s follows %s: the service does not list by name", o.Name, last)
		}
		if last = o.Name; !yield(o, nil) {
			return errStop
		}
	}
	return nil
}

// rows yields the blobs of the container whose whole names begin with full, a page at a time: the
// first has no more than first of them. An error is yielded once and ends it.
func (s *Store) rows(ctx context.Context, full string, first int32, what container.ListBlobsInclude) iter.Seq2[*container.BlobItem, error] {
	return func(yield func(*container.BlobItem, error) bool) {
		marker, size := "", first
		for {
			page, err := s.page(ctx, full, marker, size, what)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range page.Segment.BlobItems {
				if !yield(item, nil) {
					return
				}
			}
			next := value(page.NextMarker)
			if next == "" {
				return
			}
			if next == marker { // a page may be empty, but goes on elsewhere
				yield(nil, errRepeats)
				return
			}
			marker, size = next, otherPage
		}
	}
}

// page fetches one page of a listing.
func (s *Store) page(ctx context.Context, full, marker string, size int32, what container.ListBlobsInclude) (container.ListBlobsFlatResponse, error) {
	opts := &container.ListBlobsFlatOptions{MaxResults: to.Ptr(size), Include: what}
	if full != "" {
		opts.Prefix = to.Ptr(full)
	}
	if marker != "" {
		opts.Marker = to.Ptr(marker)
	}
	page, err := s.container.NewListBlobsFlatPager(opts).NextPage(s.begin(ctx, 0))
	if err != nil {
		return page, err
	}
	// What is not from the service could read as an empty listing.
	if page.Segment == nil || page.RequestID == nil || page.ServiceEndpoint == nil {
		return page, errNotStorage
	}
	return page, nil
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// object makes a row of a blob, unless it is none of ours. Accounts with a hierarchical
// namespace list folders too.
func (s *Store) object(item *container.BlobItem) (store.Object, bool) {
	if item == nil || item.Name == nil || item.Properties == nil {
		return store.Object{}, false
	}
	name, ok := strings.CutPrefix(*item.Name, s.full(""))
	if !ok || !store.ValidName(name) || value(item.Properties.ResourceType) == "directory" {
		return store.Object{}, false
	}
	return store.Object{
		Name: name,
		Size: value(item.Properties.ContentLength),
		Time: value(item.Properties.LastModified),
	}, true
}
