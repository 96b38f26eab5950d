// Package azure keeps objects as block blobs in a container of Azure Blob Storage.
//
//	cred, how, err := azure.SignIn(ctx, loc, azure.LoginOptions{Dir: configDir})
//	s, err := azure.Open(loc, cred, azure.Options{Connections: 4})
//	err = s.Put(ctx, "l/7ffffffffffffffe", entry) // one request: Put Blob, If-None-Match: *
//
// Object NAME is blob PREFIX/NAME, PREFIX being the location's. Blobs whose names are no
// object names are not listed.
//
// What is transient is tried again, up to seven times in all, with pauses of 0.8 s and
// growing up to 30 s, or those that the service asks for: a minute without a network is
// survived. Requests counts each try. A try ends when its peer stalls for a minute, and in
// any case after a minute and what the bytes take at 64 KiB/s; none begins more than five
// minutes, and as much for the bytes, after its call did. A bad certificate ends a call at
// once, and so does a host that is not there, unless the service has answered this Store
// before. A token that the service refuses is replaced once.
//
// An error is an *Error: it says what to do, carries the service's code and never a key, a
// signature or a token. A Store is safe for concurrent use.
//
// The protocol is https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api.
package azure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"satchel/store"
	"satchel/store/throttle"
)

// Options tune a Store. The zero value is usable.
type Options struct {
	// Connections is how many calls at a time the caller means to make; as many
	// connections are kept open between them. 0 is 4.
	Connections int

	// Upload and Download limit what goes over all connections, TLS and headers included.
	Upload, Download *throttle.Limit

	// AnyHost sends a bearer token, and a SAS that did not come with the store's own URL,
	// to hosts that are neither Azure's nor loopback: an Azure Stack, a proxy of one's own.
	AnyHost bool

	// Tier is where data packs are put: "hot", "cool" or "cold"; "" is the account's default.
	Tier string

	// Transport replaces the network, for tests; nil is a transport with the environment's
	// proxies and with timeouts.
	Transport http.RoundTripper

	pace pace // for tests
}

// Store is a container, or the part of it under a prefix. It implements store.Store.
type Store struct {
	loc       store.Location
	container *container.Client
	host      string // and port
	wire      *wire
	pace      pace
	cred      Credential
	secrets   []string        // never to be shown
	tier      blob.AccessTier // of data packs; "" is the account's
}

var _ store.Store = (*Store)(nil)

// Open returns the store at an Azure location. It makes no request: what is wrong with
// the network, the container or the credential shows at the first call.
func Open(loc store.Location, cred Credential, opts Options) (*Store, error) {
	if loc.Kind != store.Azure {
		return nil, fmt.Errorf("store %s is not in Azure", loc)
	}
	if err := loc.Validate(); err != nil {
		return nil, err
	}
	if err := cred.check(loc, opts.AnyHost); err != nil {
		return nil, err
	}
	connections := opts.Connections
	if connections <= 0 {
		connections = 4
	}
	rt := opts.Transport
	if rt == nil {
		rt = limitedTransport(connections, opts.Upload, opts.Download)
	}
	tier, err := parseTier(opts.Tier)
	if err != nil {
		return nil, err
	}
	s := &Store{loc: loc, pace: opts.pace.limited(connections, opts.Upload, opts.Download).orDefault(), cred: cred, secrets: cred.secrets()}
	s.tier = tier
	s.wire = &wire{rt: rt, quiet: s.pace.stall}
	if u, err := url.Parse(loc.Endpoint); err == nil {
		s.host = u.Host
	}
	client, err := cred.client(loc.ContainerURL(), clientOptions(s.wire))
	if err != nil {
		return nil, s.fail(context.Background(), "open", "", err)
	}
	s.container = client
	return s, nil
}

// Location is where the store is, without any SAS it came with.
func (s *Store) Location() store.Location { return s.loc }

// Requests is the number of HTTP requests so far, retries included.
func (s *Store) Requests() int64 { return s.wire.requests.Load() }

// TLS is the version of TLS that the latest answer came by, as crypto/tls numbers them; 0 if there
// was none or it came by plain http.
func (s *Store) TLS() uint16 { return uint16(s.wire.tls.Load()) }

// Now implements store.Store. The date is the service's to the second.
func (s *Store) Now() time.Time { return s.wire.clock.now() }

// CreateContainer makes the container, for init. It reports store.ErrExists if it is
// there; a container that was just deleted cannot be made again for half a minute or
// more, which is an *Error with code ContainerBeingDeleted.
func (s *Store) CreateContainer(ctx context.Context) error {
	_, err := s.container.Create(s.begin(ctx, 0), nil)
	if err != nil {
		return s.fail(ctx, "create container", "", err)
	}
	return nil
}

// Put implements store.Store. A CRC-64 goes with the bytes and the service checks it.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := checkName(name); err != nil {
		return s.fail(ctx, "put", name, err)
	}
	p := &payload{data: data}
	defer p.close()
	rctx := withPayload(s.begin(ctx, int64(len(data))), p)
	resp, err := s.blob(name).Upload(rctx, streaming.NopCloser(bytes.NewReader(data)), &blockblob.UploadOptions{
		Tier: s.tierOf(name),
		AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
		},
		TransactionalValidation: blob.TransferValidationTypeCRC64(crc64.Checksum(data, crcTable)),
	})
	if err == nil && resp.RequestID == nil {
		err = errNotStorage
	}
	if err == nil {
		return nil
	}
	failed := s.fail(ctx, "put", name, err)
	denied := errors.Is(failed, store.ErrDenied) && failed.Status == http.StatusForbidden && failed.Code != string(bloberror.AuthenticationFailed)
	if denied && s.isThere(ctx, name) {
		// A credential that may create and not write is told so, not that the name is taken.
		return failed.because(store.ErrExists)
	}
	return failed
}

// crcTable is of the polynomial that Azure Storage uses (that of NVMe), reversed.
var crcTable = crc64.MakeTable(0x9A6C9329AC4BC9B5)

func (s *Store) isThere(ctx context.Context, name string) bool {
	_, err := s.size(ctx, name)
	return err == nil
}

// size asks for an object's size in bytes.
func (s *Store) size(ctx context.Context, name string) (int64, error) {
	props, err := s.blob(name).GetProperties(s.begin(ctx, 0), nil)
	if err != nil {
		return 0, err
	}
	if props.RequestID == nil || props.ContentLength == nil {
		return 0, errNotStorage
	}
	return *props.ContentLength, nil
}

// errNotStorage: something answers there that is not Blob Storage.
var errNotStorage = errors.New("the answer is not one of Azure Blob Storage; check the store's name, and whether this network wants a sign-in")

// Delete implements store.Store. It deletes the blob's snapshots too; what the account
// keeps by versioning or soft delete is the account's affair. After a lost answer it is
// ErrNotFound that says that the object is gone.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return s.fail(ctx, "delete", name, err)
	}
	resp, err := s.blob(name).Delete(s.begin(ctx, 0), &blob.DeleteOptions{
		DeleteSnapshots: to.Ptr(blob.DeleteSnapshotsOptionTypeInclude),
	})
	if err == nil && resp.RequestID == nil {
		err = errNotStorage
	}
	if err != nil {
		return s.fail(ctx, "delete", name, err)
	}
	return nil
}

// full is the name of the blob that keeps an object; of "" it is the prefix of all.
func (s *Store) full(name string) string {
	if s.loc.Prefix == "" {
		return name
	}
	return s.loc.Prefix + "/" + name
}

func (s *Store) blob(name string) *blockblob.Client {
	return s.container.NewBlockBlobClient(s.full(name))
}

func checkName(name string) error {
	if !store.ValidName(name) {
		return errors.New("is not a valid object name")
	}
	return nil
}
