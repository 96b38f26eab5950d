package azure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"satchel/store"
)

var _ store.Foreigners = (*Store)(nil)

// foreignMark is the metadata by which a blob of the script's is known. satchel writes none.
const foreignMark = "sha256"

// Foreign implements store.Foreigners, over the whole container, whatever the store's prefix.
// An account that keeps no versions may refuse to list them; then there are none.
func (s *Store) Foreign(ctx context.Context, every bool) iter.Seq2[store.Foreign, error] {
	return func(yield func(store.Foreign, error) bool) {
		err := s.foreign(ctx, container.ListBlobsInclude{Metadata: true, Versions: every, Deleted: every}, yield)
		if every && (statusOf(err) == http.StatusBadRequest || statusOf(err) == http.StatusNotImplemented) {
			err = s.foreign(ctx, container.ListBlobsInclude{Metadata: true}, yield)
		}
		if err != nil && err != errStop {
			yield(store.Foreign{}, s.fail(ctx, "list", "", err))
		}
	}
}

func (s *Store) foreign(ctx context.Context, include container.ListBlobsInclude, yield func(store.Foreign, error) bool) error {
	for item, err := range s.rows(ctx, "", otherPage, include) {
		if err != nil {
			return err
		}
		if f, ok := foreign(item); ok && !yield(f, nil) {
			return errStop
		}
	}
	return nil
}

func foreign(item *container.BlobItem) (f store.Foreign, ok bool) {
	if item == nil || item.Name == nil || item.Properties == nil {
		return f, false
	}
	for key, text := range item.Metadata {
		if strings.EqualFold(key, foreignMark) {
			f.SHA256 = strings.ToLower(value(text))
		}
	}
	p := item.Properties
	f.Name, f.Size, f.Time = *item.Name, value(p.ContentLength), value(p.LastModified)
	f.Deleted, f.Days = value(item.Deleted), int(value(p.RemainingRetentionDays))
	if !value(item.IsCurrentVersion) {
		f.Version = value(item.VersionID)
	}
	return f, f.SHA256 != ""
}

// ReadForeign implements store.Foreigners. An answer that breaks is taken up where it broke.
func (s *Store) ReadForeign(ctx context.Context, f store.Foreign, w io.Writer) error {
	err := s.readForeign(s.begin(ctx, f.Size), f, w)
	if err != nil {
		return s.fail(ctx, "get", f.Name, err)
	}
	return nil
}

func (s *Store) readForeign(c *call, f store.Foreign, w io.Writer) error {
	b, err := s.foreignBlob(f)
	if err != nil {
		return err
	}
	resp, err := b.DownloadStream(c, nil)
	if err != nil {
		return err
	}
	if resp.RequestID == nil {
		resp.Body.Close()
		return errNotStorage
	}
	body := resp.NewRetryReader(c, &blob.RetryReaderOptions{MaxRetries: maxRetries})
	n, err := io.Copy(w, body)
	if err = errors.Join(err, body.Close()); err == nil && n != f.Size {
		err = fmt.Errorf("%d bytes came, and not %d", n, f.Size)
	}
	return err
}

// DeleteForeign implements store.Foreigners.
func (s *Store) DeleteForeign(ctx context.Context, f store.Foreign) error {
	b, err := s.foreignBlob(f)
	if err == nil {
		opts := &blob.DeleteOptions{}
		if f.Version == "" {
			opts.DeleteSnapshots = to.Ptr(blob.DeleteSnapshotsOptionTypeInclude)
		}
		_, err = b.Delete(s.begin(ctx, 0), opts)
	}
	if err != nil {
		return s.fail(ctx, "delete", f.Name, err)
	}
	return nil
}

func (s *Store) foreignBlob(f store.Foreign) (*blockblob.Client, error) {
	b := s.container.NewBlockBlobClient(f.Name)
	if f.Version == "" {
		return b, nil
	}
	return b.WithVersionID(f.Version)
}
