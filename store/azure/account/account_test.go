package account

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	authorizationfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor"
	monitorfake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"
	storagefake "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage/fake"

	"satchel/store"
)

// manager is Azure Resource Manager, of the SDK's fakes, with one account.
type manager struct {
	subscriptions []string
	account       *armstorage.Account
	service       *armstorage.BlobServicePropertiesProperties
	rules         []*armstorage.ManagementPolicyRule // nil: there is no policy
	container     *armstorage.ContainerProperties
	logs          []*armmonitor.LogSettings
	roles         []*armauthorization.RoleAssignmentProperties
	denied        string // calls whose name begins so are refused
	unregistered  bool   // the subscription has never had a log
	calls         []string
	writes        []string
}

const (
	group     = "/subscriptions/sub-2/resourceGroups/clinic"
	accountID = group + "/providers/Microsoft.Storage/storageAccounts/acct"
)

// whole is an account as satchel azure template makes it.
func whole() *manager {
	return &manager{
		subscriptions: []string{"sub-1", "sub-2"},
		account: &armstorage.Account{ID: to.Ptr(accountID), Name: to.Ptr("acct"), SKU: &armstorage.SKU{Name: to.Ptr(armstorage.SKUNameStandardGRS)}, Properties: &armstorage.AccountProperties{
			EnableHTTPSTrafficOnly: to.Ptr(true), MinimumTLSVersion: to.Ptr(armstorage.MinimumTLSVersionTLS12), AllowBlobPublicAccess: to.Ptr(false), AllowSharedKeyAccess: to.Ptr(false),
			NetworkRuleSet: &armstorage.NetworkRuleSet{DefaultAction: to.Ptr(armstorage.DefaultActionDeny), IPRules: []*armstorage.IPRule{{IPAddressOrRange: to.Ptr("192.0.2.1")}}},
			Encryption:     &armstorage.Encryption{KeySource: to.Ptr(armstorage.KeySourceMicrosoftStorage)},
		}},
		service: &armstorage.BlobServicePropertiesProperties{IsVersioningEnabled: to.Ptr(true),
			DeleteRetentionPolicy: &armstorage.DeleteRetentionPolicy{Enabled: to.Ptr(true), Days: to.Ptr[int32](30)}, ContainerDeleteRetentionPolicy: &armstorage.DeleteRetentionPolicy{Enabled: to.Ptr(true), Days: to.Ptr[int32](7)}},
		rules:     []*armstorage.ManagementPolicyRule{rule("cool", "backup/p/d/", armstorage.ManagementPolicyBaseBlob{TierToCool: after(30)})},
		container: &armstorage.ContainerProperties{PublicAccess: to.Ptr(armstorage.PublicAccessNone)},
		logs:      []*armmonitor.LogSettings{{Enabled: to.Ptr(true), CategoryGroup: to.Ptr("allLogs")}},
		roles: []*armauthorization.RoleAssignmentProperties{
			{PrincipalID: to.Ptr("jane"), PrincipalType: to.Ptr(armauthorization.PrincipalTypeUser), RoleDefinitionID: to.Ptr("/providers/x/ba92f5b4-2d11-453d-a403-e96b0029c9fe"), Scope: to.Ptr(accountID + "/blobServices/default/containers/backup")},
			{PrincipalID: to.Ptr("admin"), PrincipalType: to.Ptr(armauthorization.PrincipalTypeGroup), RoleDefinitionID: to.Ptr("/providers/x/8e3af657-a8ff-443c-a75c-2fe8c4bcb635"), Scope: to.Ptr("/subscriptions/sub-2")},
		},
	}
}

func after(days float32) *armstorage.DateAfterModification {
	return &armstorage.DateAfterModification{DaysAfterModificationGreaterThan: &days}
}

// rule acts on what begins with a prefix; "" is everything.
func rule(name, prefix string, base armstorage.ManagementPolicyBaseBlob) *armstorage.ManagementPolicyRule {
	f := &armstorage.ManagementPolicyFilter{BlobTypes: []*string{to.Ptr("blockBlob")}}
	if prefix != "" {
		f.PrefixMatch = []*string{&prefix}
	}
	return &armstorage.ManagementPolicyRule{Name: &name, Enabled: to.Ptr(true), Definition: &armstorage.ManagementPolicyDefinition{Filters: f, Actions: &armstorage.ManagementPolicyAction{BaseBlob: &base}}}
}

// RoundTrip implements http.RoundTripper.
func (m *manager) RoundTrip(r *http.Request) (*http.Response, error) {
	name, _ := r.Context().Value(runtime.CtxAPINameKey{}).(string)
	if m.calls = append(m.calls, name); r.Method != http.MethodGet {
		m.writes = append(m.writes, r.Method+" "+r.URL.Path)
	}
	client, _, _ := strings.Cut(name, ".")
	switch {
	case r.URL.Host != "management.azure.com":
		return answer(r, http.StatusNotFound, `{"error":{"code":"`+r.URL.Host+`"}}`), nil
	case m.denied != "" && strings.HasPrefix(name, m.denied):
		return answer(r, http.StatusForbidden, `{"error":{"code":"AuthorizationFailed"}}`), nil
	case m.unregistered && client == "DiagnosticSettingsClient":
		return answer(r, http.StatusConflict, `{"error":{"code":"MissingSubscriptionRegistration","message":"The subscription is not registered to use namespace 'Microsoft.Insights'"}}`), nil
	case client == "":
		return m.listSubscriptions(r), nil
	case client == "DiagnosticSettingsClient":
		return monitorfake.NewDiagnosticSettingsServerTransport(&monitorfake.DiagnosticSettingsServer{NewListPager: m.settings}).Do(r)
	case client == "RoleAssignmentsClient":
		return authorizationfake.NewRoleAssignmentsServerTransport(&authorizationfake.RoleAssignmentsServer{NewListForScopePager: m.assignments}).Do(r)
	}
	return storagefake.NewServerFactoryTransport(&storagefake.ServerFactory{
		AccountsServer:           storagefake.AccountsServer{NewListPager: m.accounts(r)},
		BlobServicesServer:       storagefake.BlobServicesServer{GetServiceProperties: m.serviceProperties},
		ManagementPoliciesServer: storagefake.ManagementPoliciesServer{Get: m.policy},
		BlobContainersServer:     storagefake.BlobContainersServer{Get: m.getContainer},
	}).Do(r)
}

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

func (m *manager) listSubscriptions(r *http.Request) *http.Response {
	var page struct {
		Value []map[string]string `json:"value"`
	}
	for _, s := range m.subscriptions {
		page.Value = append(page.Value, map[string]string{"subscriptionId": s})
	}
	data, err := json.Marshal(page)
	if err != nil {
		panic(err)
	}
	return answer(r, http.StatusOK, string(data))
}

func (m *manager) accounts(r *http.Request) func(*armstorage.AccountsClientListOptions) azfake.PagerResponder[armstorage.AccountsClientListResponse] {
	return func(*armstorage.AccountsClientListOptions) (resp azfake.PagerResponder[armstorage.AccountsClientListResponse]) {
		list := []*armstorage.Account{{ID: to.Ptr("/subscriptions/sub-1/resourceGroups/x/providers/Microsoft.Storage/storageAccounts/other"), Name: to.Ptr("other")}}
		if strings.Contains(r.URL.Path, "/sub-2/") && m.account != nil {
			list = append(list, m.account)
		}
		resp.AddPage(http.StatusOK, armstorage.AccountsClientListResponse{AccountListResult: armstorage.AccountListResult{Value: list}}, nil)
		return resp
	}
}

func (m *manager) serviceProperties(_ context.Context, group, name string, _ *armstorage.BlobServicesClientGetServicePropertiesOptions) (resp azfake.Responder[armstorage.BlobServicesClientGetServicePropertiesResponse], errs azfake.ErrorResponder) {
	if group != "clinic" || name != "acct" {
		errs.SetResponseError(http.StatusNotFound, "ResourceNotFound")
	}
	resp.SetResponse(http.StatusOK, armstorage.BlobServicesClientGetServicePropertiesResponse{BlobServiceProperties: armstorage.BlobServiceProperties{BlobServiceProperties: m.service}}, nil)
	return resp, errs
}

func (m *manager) policy(context.Context, string, string, armstorage.ManagementPolicyName, *armstorage.ManagementPoliciesClientGetOptions) (resp azfake.Responder[armstorage.ManagementPoliciesClientGetResponse], errs azfake.ErrorResponder) {
	if m.rules == nil {
		errs.SetResponseError(http.StatusNotFound, "ManagementPolicyNotFound")
	}
	p := armstorage.ManagementPolicy{Properties: &armstorage.ManagementPolicyProperties{Policy: &armstorage.ManagementPolicySchema{Rules: m.rules}}}
	resp.SetResponse(http.StatusOK, armstorage.ManagementPoliciesClientGetResponse{ManagementPolicy: p}, nil)
	return resp, errs
}

func (m *manager) getContainer(_ context.Context, _, _, container string, _ *armstorage.BlobContainersClientGetOptions) (resp azfake.Responder[armstorage.BlobContainersClientGetResponse], errs azfake.ErrorResponder) {
	if container != "backup" {
		errs.SetResponseError(http.StatusNotFound, "ContainerNotFound")
	}
	resp.SetResponse(http.StatusOK, armstorage.BlobContainersClientGetResponse{BlobContainer: armstorage.BlobContainer{ContainerProperties: m.container}}, nil)
	return resp, errs
}

func (m *manager) settings(uri string, _ *armmonitor.DiagnosticSettingsClientListOptions) (resp azfake.PagerResponder[armmonitor.DiagnosticSettingsClientListResponse]) {
	r := &armmonitor.DiagnosticSettingsResource{Properties: &armmonitor.DiagnosticSettings{Logs: m.logs}}
	page := armmonitor.DiagnosticSettingsClientListResponse{}
	if "/"+uri == accountID+"/blobServices/default" {
		page.Value = append(page.Value, r)
	}
	resp.AddPage(http.StatusOK, page, nil)
	return resp
}

func (m *manager) assignments(scope string, _ *armauthorization.RoleAssignmentsClientListForScopeOptions) (resp azfake.PagerResponder[armauthorization.RoleAssignmentsClientListForScopeResponse]) {
	page := armauthorization.RoleAssignmentsClientListForScopeResponse{}
	if "/"+scope == accountID+"/blobServices/default/containers/backup" {
		for _, p := range m.roles {
			page.Value = append(page.Value, &armauthorization.RoleAssignment{Properties: p})
		}
	}
	resp.AddPage(http.StatusOK, page, nil)
	return resp
}

type anybody struct{}

func (anybody) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// inspect looks at the store backup/p of the account.
func inspect(t *testing.T, m *manager) map[string]Check {
	t.Helper()
	loc := store.AzureLocation("acct", "backup")
	loc.Prefix = "p"
	list := Inspect(t.Context(), Target{Location: loc}, anybody{}, Options{Transport: m, Reader: "--assignee me"})
	byID := map[string]Check{}
	for n, c := range list {
		if n >= len(titles) || c.ID != titles[n].id || c.Title == "" || c.Found == "" || (c.Result == Pass) != (c.Fix == "") {
			t.Errorf("check %d is %+v", n, c)
		}
		byID[c.ID] = c
	}
	if len(list) != len(titles) || len(m.writes) > 0 {
		t.Errorf("%d checks of %d; written: %v", len(list), len(titles), m.writes)
	}
	return byID
}

func TestAccountInOrder(t *testing.T) {
	got := inspect(t, whole())
	for id, c := range got {
		if c.Result != Pass {
			t.Errorf("%s: %s: %s", id, c.Result, c.Found)
		}
	}
	want := "Owner: group admin (the subscription); Storage Blob Data Contributor: user jane"
	if got["roles"].Found != want {
		t.Errorf("roles: %s", got["roles"].Found)
	}
}

// Each setting that is not in order fails its own check alone, with the command that mends it.
func TestAccountNotInOrder(t *testing.T) {
	properties := func(m *manager) *armstorage.AccountProperties { return m.account.Properties }
	set := func(rules ...*armstorage.ManagementPolicyRule) func(*manager) {
		return func(m *manager) { m.rules = append(m.rules, rules...) }
	}
	type base = armstorage.ManagementPolicyBaseBlob
	update := "az storage account update --resource-group clinic --name acct "
	for _, tt := range []struct {
		name   string
		change func(*manager)
		id     string
		found  string
		fix    string
	}{
		{"http", func(m *manager) { properties(m).EnableHTTPSTrafficOnly = to.Ptr(false) }, "https-only", "not so", update + "--https-only true"},
		{"TLS 1.1", func(m *manager) { properties(m).MinimumTLSVersion = to.Ptr(armstorage.MinimumTLSVersionTLS11) }, "minimum-tls", "TLS1_1", update + "--min-tls-version TLS1_2"},
		{"no TLS set", func(m *manager) { properties(m).MinimumTLSVersion = nil }, "minimum-tls", "TLS1_0", update + "--min-tls-version TLS1_2"},
		{"public blobs", func(m *manager) { properties(m).AllowBlobPublicAccess = nil }, "public-access", "not so", update + "--allow-blob-public-access false"},
		{"keys", func(m *manager) { properties(m).AllowSharedKeyAccess = nil }, "shared-key", "not so", update + "--allow-shared-key-access false"},
		{"open", func(m *manager) { properties(m).NetworkRuleSet = nil }, "network", "every network", "--default-action Deny"},
		{"one data centre", func(m *manager) { m.account.SKU.Name = to.Ptr(armstorage.SKUNameStandardLRS) }, "redundancy", "Standard_LRS", update + "--sku Standard_GRS"},
		{"no versions", func(m *manager) { m.service.IsVersioningEnabled = nil }, "versioning", "off", "--enable-versioning true"},
		{"no soft delete", func(m *manager) { m.service.DeleteRetentionPolicy = nil }, "soft-delete-blobs", "off", "--delete-retention-days 30"},
		{"short soft delete", func(m *manager) { m.service.ContainerDeleteRetentionPolicy.Days = to.Ptr[int32](6) }, "soft-delete-containers", "6 days", "--container-delete-retention-days 30"},
		{"a rule deletes", set(rule("old", "", base{Delete: after(90)})), "lifecycle", `rule "old" deletes blobs`, "backup/p/d/"},
		{"a rule deletes packs", set(rule("old", "backup/p/d/", base{Delete: after(90)})), "lifecycle", "deletes blobs", "satchel prune"},
		{"a rule deletes in the container", set(rule("old", "backup", base{Delete: after(90)})), "lifecycle", "deletes blobs", "satchel prune"},
		{"a rule deletes the ledger", set(rule("old", "backup/p/l/7", base{Delete: after(90)})), "lifecycle", "deletes blobs", "satchel prune"},
		{"a rule archives", set(rule("ice", "backup/p/d/", base{TierToArchive: after(90)})), "lifecycle", "cannot be read", "satchel prune"},
		{"a rule cools all", set(rule("cool all", "backup/", base{TierToCool: after(30)})), "lifecycle", "cools the ledger", "backup/p/d/"},
		{"world readable", func(m *manager) { m.container.PublicAccess = to.Ptr(armstorage.PublicAccessBlob) }, "container-access", "the world may read", "--public-access off"},
		{"no log", func(m *manager) { m.logs = nil }, "diagnostic-logging", "StorageRead, StorageWrite, StorageDelete", "--resource " + accountID + "/blobServices/default"},
		{"half a log", func(m *manager) {
			m.logs = []*armmonitor.LogSettings{{Enabled: to.Ptr(true), Category: to.Ptr("StorageWrite")}, {Enabled: to.Ptr(false), Category: to.Ptr("StorageRead")}}
		}, "diagnostic-logging", "not logged: StorageRead, StorageDelete", "az monitor diagnostic-settings create"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := whole()
			tt.change(m)
			for id, c := range inspect(t, m) {
				want := map[bool]Result{true: Fail, false: Pass}[id == tt.id]
				if c.Result != want || id == tt.id && (!strings.Contains(c.Found, tt.found) || !strings.Contains(c.Fix, tt.fix)) {
					t.Errorf("%s: %s: %s\n%s", id, c.Result, c.Found, c.Fix)
				}
			}
		})
	}
}

// What is another way to be in order.
func TestAccountInOrderToo(t *testing.T) {
	type base = armstorage.ManagementPolicyBaseBlob
	m := whole()
	p := m.account.Properties
	p.PublicNetworkAccess, p.NetworkRuleSet = to.Ptr(armstorage.PublicNetworkAccessDisabled), nil
	p.Encryption = &armstorage.Encryption{KeySource: to.Ptr(armstorage.KeySourceMicrosoftKeyvault), KeyVaultProperties: &armstorage.KeyVaultProperties{KeyName: to.Ptr("k"), KeyVaultURI: to.Ptr("https://v")}}
	m.account.SKU.Name = to.Ptr(armstorage.SKUNameStandardZRS)
	m.container.HasImmutabilityPolicy, m.container.HasLegalHold = to.Ptr(true), to.Ptr(true)
	m.logs = nil
	for _, c := range logged {
		m.logs = append(m.logs, &armmonitor.LogSettings{Enabled: to.Ptr(true), Category: to.Ptr(c)})
	}
	off := rule("off", "", base{Delete: after(1)})
	off.Enabled = to.Ptr(false)
	tagged := rule("tagged", "", base{Delete: after(1)})
	tagged.Definition.Filters.BlobIndexMatch = []*armstorage.TagFilter{{Name: to.Ptr("x")}}
	versions := rule("versions", "", base{})
	versions.Definition.Actions = &armstorage.ManagementPolicyAction{Version: &armstorage.ManagementPolicyVersion{Delete: &armstorage.DateAfterCreation{DaysAfterCreationGreaterThan: to.Ptr[float32](90)}}}
	pages := rule("pages", "", base{Delete: after(1)})
	pages.Definition.Filters.BlobTypes = []*string{to.Ptr("appendBlob")}
	m.rules = []*armstorage.ManagementPolicyRule{off, tagged, versions, pages, rule("others", "backup/q/", base{Delete: after(1)}), rule("logs", "logs", base{TierToArchive: after(1)}), rule("cold", "backup/p/d", base{TierToCold: after(90)})}
	for id, c := range inspect(t, m) {
		if c.Result != Pass {
			t.Errorf("%s: %s: %s", id, c.Result, c.Found)
		}
	}
	m.rules = nil
	if c := inspect(t, m)["lifecycle"]; c.Result != Pass || c.Found != "there is no rule" {
		t.Errorf("%+v", c)
	}
}

// What the sign-in may not see is told, and what that takes.
func TestAccountUnseen(t *testing.T) {
	for denied, ids := range map[string][]string{
		"Accounts":                 nil, // all
		"BlobServicesClient":       {"versioning", "soft-delete-blobs", "soft-delete-containers"},
		"ManagementPoliciesClient": {"lifecycle"},
		"BlobContainersClient":     {"container-access", "immutability"},
		"DiagnosticSettingsClient": {"diagnostic-logging"},
		"RoleAssignmentsClient":    {"roles"},
	} {
		m := whole()
		m.denied = denied
		got := inspect(t, m)
		want := map[string]bool{}
		for _, id := range ids {
			want[id] = true
		}
		for id, c := range got {
			if unseen := ids == nil || want[id]; unseen != (c.Result == Unseen) {
				t.Errorf("%s: %s is %s", denied, id, c.Result)
			} else if unseen && (!strings.Contains(c.Found, "Reader") || !strings.Contains(c.Fix, "az role assignment create --role Reader --assignee me --scope")) {
				t.Errorf("%s: %+v", denied, c)
			}
		}
	}
	m := whole()
	m.unregistered = true // which the SDK would mend by itself
	if c := inspect(t, m)["diagnostic-logging"]; c.Result != Unseen || !strings.Contains(c.Found, "MissingSubscriptionRegistration") {
		t.Errorf("%+v", c)
	}
	m = whole()
	m.account = nil
	if c := inspect(t, m)["versioning"]; c.Result != Unseen || c.Found != errNotFound.Error() {
		t.Errorf("%+v", c)
	}
	m = whole()
	list := Inspect(t.Context(), Target{Location: store.AzureLocation("acct", "backup")}, nil, Options{Transport: m})
	elsewhere, err := store.ParseLocation("https://backup.clinic.example/backup")
	if err != nil {
		t.Fatal(err)
	}
	list = append(list, Inspect(t.Context(), Target{Location: elsewhere}, anybody{}, Options{Transport: m})...)
	for _, c := range list {
		if c.Result != Unseen || len(m.calls) > 0 {
			t.Errorf("%+v after %v", c, m.calls)
		}
	}
}

// A cloud of its own has a management of its own.
func TestSovereignCloud(t *testing.T) {
	loc, err := store.ParseLocation("https://acct.blob.core.usgovcloudapi.net/backup")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Inspect(t.Context(), Target{Location: loc}, anybody{}, Options{Transport: whole()}) {
		if c.Result != Unseen || !strings.Contains(c.Found, "management.usgovcloudapi.net") {
			t.Errorf("%+v", c)
		}
	}
}
