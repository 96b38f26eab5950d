package azure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"satchel/store"
)

// Bounds in bytes: beyond any blob (190.7 TiB); and beyond any object, so that no answer
// makes us allocate without end.
const (
	maxBlob = int64(1) << 50
	maxRead = 16 * store.MaxObject
)

// progress is how many bytes of a broken answer make up for its break.
const progress = 1 << 20

// Get implements store.Store. A connection that breaks in the middle is taken up again
// where it broke, if the object is still the same.
func (s *Store) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	data, err := s.get(ctx, name, off, n)
	if err != nil {
		return nil, s.fail(ctx, "get", name, err)
	}
	return data, nil
}

// errShort: the object ends before the range does. It is not the network's
// io.ErrUnexpectedEOF.
var errShort = errors.New("the object is shorter than that")

func (s *Store) get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	switch {
	case off < 0:
		return nil, fmt.Errorf("offset %d is negative", off)
	case n == 0, off > maxBlob: // no range of HTTP's says that
		return s.getNone(ctx, name, off)
	}
	count, expect := int64(blob.CountToEnd), int64(store.MaxObject)
	if n > 0 {
		count, expect = min(n, maxBlob), n
	}
	c := s.begin(ctx, min(expect, maxRead))
	resp, err := s.download(c, name, off, count, nil)
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable { // the object ends at off or before
		if n > 0 {
			return nil, errShort
		}
		return s.getNone(ctx, name, off)
	}
	if err != nil {
		return nil, err
	}
	size, err := answered(resp, off, n)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return s.read(c, name, off, make([]byte, size), resp)
}

// read fills data from an answer and, where that breaks, from others that go on there.
func (s *Store) read(c *call, name string, off int64, data []byte, resp blob.DownloadStreamResponse) ([]byte, error) {
	etag, rest, failures := resp.ETag, data, 0
	for {
		n, err := io.ReadFull(resp.Body, rest)
		resp.Body.Close()
		if err == nil {
			return data, nil
		}
		if rest, off = rest[n:], off+int64(n); n >= progress {
			failures = 0
		}
		if failures++; !c.pause(failures) {
			return nil, ended(err)
		}
		if resp, err = s.download(c, name, off, int64(len(rest)), etag); err != nil {
			return nil, err
		}
		if size, err := answered(resp, off, int64(len(rest))); err != nil || size != int64(len(rest)) || !same(etag, resp.ETag) {
			resp.Body.Close()
			return nil, errors.New("the object changed while it was read")
		}
	}
}

// ended is what an answer's end before its time is called; io.ErrUnexpectedEOF would be a
// short object.
func ended(err error) error {
	if errors.Is(err, errStalled) || errors.Is(err, context.DeadlineExceeded) {
		return errStalled
	}
	return errBroken
}

func same(a, b *azcore.ETag) bool { return a == nil || b != nil && *a == *b }

// download begins an answer with count bytes at off. The caller closes its body.
func (s *Store) download(c *call, name string, off, count int64, etag *azcore.ETag) (blob.DownloadStreamResponse, error) {
	opts := &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: off, Count: count}}
	if etag != nil {
		opts.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: etag}}
	}
	return s.blob(name).DownloadStream(c, opts)
}

// getNone gets no bytes at off, for which the object must be as long as that.
func (s *Store) getNone(ctx context.Context, name string, off int64) ([]byte, error) {
	size, err := s.size(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case off > size:
		return nil, errShort
	}
	return []byte{}, nil
}

// answered returns how many bytes follow, if they are those asked for: n at off, or all
// from off on. Something between here and the service may cut or ignore a range.
func answered(resp blob.DownloadStreamResponse, off, n int64) (int64, error) {
	if resp.RequestID == nil || resp.ContentLength == nil || *resp.ContentLength < 0 {
		return 0, errNotStorage
	}
	size := *resp.ContentLength
	first, total := int64(0), size // without a range the answer is the object
	if resp.ContentRange != nil {
		var last int64
		if _, err := fmt.Sscanf(*resp.ContentRange, "bytes %d-%d/%d", &first, &last, &total); err != nil || last-first+1 != size {
			return 0, errNotStorage
		}
	}
	switch {
	case first != off, n < 0 && off+size != total, n >= 0 && size > n, n >= 0 && size < n && off+size != total:
		return 0, errors.New("the answer is another range than was asked for")
	case n >= 0 && size < n:
		return 0, errShort
	case size > maxRead:
		return 0, fmt.Errorf("%d bytes are too many for one call", size)
	}
	return size, nil
}
