package account

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor"
)

// logged are the categories of a blob service's log, and the groups that have them all.
var logged = []string{"StorageRead", "StorageWrite", "StorageDelete"}

func (i *inspector) logging(ctx context.Context) {
	service := i.id.String() + "/blobServices/default"
	have := map[string]bool{}
	client, err := armmonitor.NewDiagnosticSettingsClient(i.token, i.opts)
	if err == nil {
		for pager := client.NewListPager(strings.TrimPrefix(service, "/"), nil); err == nil && pager.More(); {
			var page armmonitor.DiagnosticSettingsClientListResponse
			if page, err = pager.NextPage(ctx); err == nil {
				note(have, page.Value)
			}
		}
	}
	if err != nil {
		i.unseen(err, "diagnostic-logging")
		return
	}
	var missing []string
	for _, c := range logged {
		if !have[c] {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		i.add("diagnostic-logging", Pass, strings.Join(logged, ", "), "")
		return
	}
	i.add("diagnostic-logging", Fail, "not logged: "+strings.Join(missing, ", "), fmt.Sprintf(
		`az monitor diagnostic-settings create --name satchel --resource %s --workspace YOUR-LOG-WORKSPACE-ID --logs '[{"category":"StorageRead","enabled":true},{"category":"StorageWrite","enabled":true},{"category":"StorageDelete","enabled":true}]'`, service))
}

func note(have map[string]bool, settings []*armmonitor.DiagnosticSettingsResource) {
	for _, s := range settings {
		for _, l := range of(s.Properties).Logs {
			switch group := of(l.CategoryGroup); {
			case !is(l.Enabled):
			case group == "allLogs", group == "audit":
				for _, c := range logged {
					have[c] = true
				}
			default:
				have[of(l.Category)] = true
			}
		}
	}
}

// roleNames are those by which somebody comes to the data or the account:
// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var roleNames = map[string]string{
	"ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
	"b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
	"2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
	"17d1049b-9a84-46fb-8f53-869881c3d3ab": "Storage Account Contributor",
	"81a9662b-bebf-436f-a333-f67b29880f12": "Storage Account Key Operator",
	"8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
	"b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
	"acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
	"18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
}

// roles lists who has a role on the container or anything around it.
func (i *inspector) roles(ctx context.Context) {
	scope := strings.TrimPrefix(i.id.String(), "/") + "/blobServices/default/containers/" + i.target.Location.Container
	var list []string
	client, err := armauthorization.NewRoleAssignmentsClient(i.id.SubscriptionID, i.token, i.opts)
	if err == nil {
		pager := client.NewListForScopePager(scope, &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: to.Ptr("atScope()")})
		for err == nil && pager.More() {
			var page armauthorization.RoleAssignmentsClientListForScopeResponse
			if page, err = pager.NextPage(ctx); err == nil {
				for _, a := range page.Value {
					list = append(list, i.described(of(a.Properties)))
				}
			}
		}
	}
	switch {
	case err != nil:
		i.unseen(err, "roles")
	case len(list) == 0:
		i.add("roles", Pass, "nobody has one", "")
	default:
		slices.Sort(list)
		i.add("roles", Pass, strings.Join(slices.Compact(list), "; "), "")
	}
}

// described is an assignment: role, who, and where if that is more than the container.
func (i *inspector) described(p armauthorization.RoleAssignmentProperties) string {
	id := path.Base(of(p.RoleDefinitionID))
	name := roleNames[id]
	if name == "" {
		name = "role " + id
	}
	text := fmt.Sprintf("%s: %s %s", name, strings.ToLower(string(of(p.PrincipalType))), of(p.PrincipalID))
	if of(p.Condition) != "" {
		text += ", on a condition"
	}
	switch scope := of(p.Scope); {
	case strings.Contains(scope, "/containers/"):
		return text
	case strings.Contains(scope, "/storageAccounts/"):
		return text + " (the whole account)"
	case strings.Contains(scope, "/resourceGroups/"):
		return text + " (the resource group)"
	case strings.HasPrefix(scope, "/subscriptions/"):
		return text + " (the subscription)"
	default:
		return text + " (above the subscription)"
	}
}
