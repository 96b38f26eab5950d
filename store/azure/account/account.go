// Package account looks at a storage account from the side of those who manage it, and says
// what is not as it should be for a repository, with the command that mends it.
//
//	checks := account.Inspect(ctx, account.Target{Location: loc}, cred.Token(), account.Options{})
//	for _, c := range checks {
//		fmt.Println(c.Result, c.Title, c.Found, c.Fix)
//	}
//
// It only reads: Azure Resource Manager's view of the account, its blob service, lifecycle
// rules, container, diagnostic settings and role assignments. Whatever the sign-in may not see is
// Unseen and no failure. What can be seen without such rights is the command's affair. A call of
// Inspect is safe beside others.
package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"satchel/store"
	"satchel/store/azure"
)

// Result is what a check came to.
type Result string

// The results of a check.
const (
	Pass   Result = "pass"
	Fail   Result = "fail"
	Unseen Result = "cannot see from here"
)

// Check is one question about the account, and the answer.
type Check struct {
	ID     string // for programs, and it stays
	Title  string // what should be so
	Result Result
	Found  string // what is so
	Fix    string // what to do, a command mostly; "" after a Pass
}

// Target is what to look at.
type Target struct {
	Location     store.Location
	Subscription string // "" is any that the sign-in sees
}

// Options tune Inspect.
type Options struct {
	// Transport replaces the network, for tests.
	Transport http.RoundTripper

	// Reader is who is to be given the right to see, as the role command names them; "" is
	// a placeholder.
	Reader string
}

// inspector is one call of Inspect.
type inspector struct {
	target Target
	token  azcore.TokenCredential
	opts   *arm.ClientOptions
	id     *arm.ResourceID // the account's
	checks []Check
	reader string
}

// Inspect makes all checks, always the same ones in the same order.
func Inspect(ctx context.Context, target Target, token azcore.TokenCredential, opts Options) []Check {
	i := &inspector{target: target, token: token, reader: opts.Reader}
	if i.reader == "" {
		i.reader = `--assignee "NAME@DOMAIN"`
	}
	i.opts = &arm.ClientOptions{DisableRPRegistration: true} // it only reads
	i.opts.Telemetry = policy.TelemetryOptions{ApplicationID: "satchel"}
	if opts.Transport != nil {
		i.opts.Transport = &http.Client{Transport: opts.Transport}
	}
	in, ours := azure.Cloud(target.Location.Endpoint)
	i.opts.Cloud = in
	switch {
	case !ours:
		i.blind("the store's host is not one of Azure's, so it is not known who manages it", "")
		return i.checks
	case token == nil:
		i.blind("management takes a sign-in with Entra ID, and this is none", "satchel doctor --auth browser")
		return i.checks
	}
	account, err := i.find(ctx)
	if err != nil {
		i.blind(why(err), i.readerFix())
		return i.checks
	}
	i.settings(account)
	i.blobService(ctx)
	i.lifecycle(ctx)
	i.container(ctx)
	i.logging(ctx)
	i.roles(ctx)
	return i.checks
}

// titles are all checks, in order.
var titles = []struct{ id, title string }{
	{"https-only", "The account takes https alone"},
	{"minimum-tls", "TLS 1.2 or newer"},
	{"public-access", "No blob can be public"},
	{"shared-key", "Account keys are switched off"},
	{"network", "The account is closed to networks that nobody named"},
	{"encryption-key", "Who keeps the key of the service's own encryption"},
	{"redundancy", "Copies outlive a data centre"},
	{"versioning", "Versions are kept"},
	{"soft-delete-blobs", "Deleted blobs are kept for at least 7 days"},
	{"soft-delete-containers", "Deleted containers are kept for at least 7 days"},
	{"lifecycle", "No lifecycle rule deletes, archives or cools what a repository needs"},
	{"container-access", "The container is private"},
	{"immutability", "Whether a policy keeps blobs from being deleted"},
	{"diagnostic-logging", "Reads, writes and deletions are logged"},
	{"roles", "Who has which role"},
}

func (i *inspector) add(id string, r Result, found, fix string) {
	for _, t := range titles {
		if t.id == id {
			i.checks = append(i.checks, Check{id, t.title, r, found, fix})
			return
		}
	}
	panic("no such check: " + id)
}

// blind answers everything with Unseen.
func (i *inspector) blind(found, fix string) {
	for _, t := range titles {
		i.add(t.id, Unseen, found, fix)
	}
}

// unseen answers some with Unseen.
func (i *inspector) unseen(err error, ids ...string) {
	for _, id := range ids {
		i.add(id, Unseen, why(err), i.readerFix())
	}
}

func (i *inspector) readerFix() string {
	return fmt.Sprintf(`az role assignment create --role Reader %s --scope "$(az storage account show --name %s --query id --output tsv)"`, i.reader, i.target.Location.Account)
}

// set is the command that changes the account.
func (i *inspector) set(flags string) string {
	return fmt.Sprintf("az storage account update --resource-group %s --name %s %s", i.id.ResourceGroupName, i.id.Name, flags)
}

// errNotFound: none of the subscriptions has the account.
var errNotFound = errors.New("none of the subscriptions that this sign-in sees has the account")

// why is an error's first line, without the page around it.
func why(err error) string {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		switch {
		case answer.StatusCode == http.StatusForbidden:
			return "this sign-in may not read it: the role Reader is missing"
		case answer.ErrorCode != "":
			return fmt.Sprintf("%d %s", answer.StatusCode, answer.ErrorCode)
		}
		return fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func isCode(err error, status int) bool {
	var answer *azcore.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == status
}

// is reports whether an optional flag is set.
func is(b *bool) bool { return b != nil && *b }

// of is an optional value, or its zero.
func of[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
