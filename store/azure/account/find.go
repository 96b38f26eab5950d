package account

import (
	"context"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"
)

// find looks for the account in the subscriptions: its name, which is unique in a cloud, is all
// that a store's URL says of it.
func (i *inspector) find(ctx context.Context) (*armstorage.Account, error) {
	subscriptions := []string{i.target.Subscription}
	if i.target.Subscription == "" {
		var err error
		if subscriptions, err = i.subscriptions(ctx); err != nil {
			return nil, err
		}
	}
	var refused error
	for _, subscription := range subscriptions {
		client, err := armstorage.NewAccountsClient(subscription, i.token, i.opts)
		if err != nil {
			return nil, err
		}
		for pager := client.NewListPager(nil); pager.More(); {
			page, err := pager.NextPage(ctx)
			if err != nil {
				refused = err
				break
			}
			for _, a := range page.Value {
				if !strings.EqualFold(of(a.Name), i.target.Location.Account) {
					continue
				}
				if i.id, err = arm.ParseResourceID(of(a.ID)); err != nil {
					return nil, err
				}
				return a, nil
			}
		}
	}
	if refused != nil {
		return nil, refused
	}
	return nil, errNotFound
}

// subscriptions lists the ids of those that the sign-in sees:
// https://learn.microsoft.com/rest/api/resources/subscriptions/list
func (i *inspector) subscriptions(ctx context.Context) ([]string, error) {
	client, err := arm.NewClient("satchel", "v1.0.0", i.token, i.opts)
	if err != nil {
		return nil, err
	}
	var ids []string
	for next := runtime.JoinPaths(client.Endpoint(), "/subscriptions") + "?api-version=2022-12-01"; next != ""; {
		var page struct {
			Value    []struct{ SubscriptionID string }
			NextLink string
		}
		req, err := runtime.NewRequest(ctx, http.MethodGet, next)
		if err != nil {
			return nil, err
		}
		resp, err := client.Pipeline().Do(req)
		if err != nil {
			return nil, err
		}
		if !runtime.HasStatusCode(resp, http.StatusOK) {
			return nil, runtime.NewResponseError(resp)
		}
		if err := runtime.UnmarshalAsJSON(resp, &page); err != nil {
			return nil, err
		}
		for _, s := range page.Value {
			ids = append(ids, s.SubscriptionID)
		}
		if next = page.NextLink; next != "" && !strings.HasPrefix(next, client.Endpoint()) {
			break // a token goes nowhere else
		}
	}
	return ids, nil
}
