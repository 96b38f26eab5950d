package account

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"
)

// keepDays is how long what was deleted is to be kept, at least.
const keepDays = 7

// blobService checks what holds for all containers.
func (i *inspector) blobService(ctx context.Context) {
	var resp armstorage.BlobServicesClientGetServicePropertiesResponse
	client, err := armstorage.NewBlobServicesClient(i.id.SubscriptionID, i.token, i.opts)
	if err == nil {
		resp, err = client.GetServiceProperties(ctx, i.id.ResourceGroupName, i.id.Name, nil)
	}
	if err != nil {
		i.unseen(err, "versioning", "soft-delete-blobs", "soft-delete-containers")
		return
	}
	p := of(resp.BlobServiceProperties.BlobServiceProperties)
	set := func(flags string) string {
		return fmt.Sprintf("az storage account blob-service-properties update --resource-group %s --account-name %s %s", i.id.ResourceGroupName, i.id.Name, flags)
	}
	if is(p.IsVersioningEnabled) {
		i.add("versioning", Pass, "so it is", "")
	} else {
		i.add("versioning", Fail, "it is off", set("--enable-versioning true"))
	}
	i.softDelete("soft-delete-blobs", p.DeleteRetentionPolicy, set("--enable-delete-retention true --delete-retention-days 30"))
	i.softDelete("soft-delete-containers", p.ContainerDeleteRetentionPolicy, set("--enable-container-delete-retention true --container-delete-retention-days 30"))
}

func (i *inspector) softDelete(id string, p *armstorage.DeleteRetentionPolicy, fix string) {
	switch days := of(of(p).Days); {
	case !is(of(p).Enabled):
		i.add(id, Fail, "it is off", fix)
	case days < keepDays:
		i.add(id, Fail, fmt.Sprintf("for %d days", days), fix)
	default:
		i.add(id, Pass, fmt.Sprintf("for %d days", days), "")
	}
}

// lifecycle looks for rules that would take from the repository what it needs: only data packs
// (d/) may be cooled, and nothing deleted or archived. Old versions are another matter.
func (i *inspector) lifecycle(ctx context.Context) {
	var resp armstorage.ManagementPoliciesClientGetResponse
	client, err := armstorage.NewManagementPoliciesClient(i.id.SubscriptionID, i.token, i.opts)
	if err == nil {
		resp, err = client.Get(ctx, i.id.ResourceGroupName, i.id.Name, armstorage.ManagementPolicyNameDefault, nil)
	}
	switch {
	case isCode(err, http.StatusNotFound):
		i.add("lifecycle", Pass, "there is no rule", "")
		return
	case err != nil:
		i.unseen(err, "lifecycle")
		return
	}
	var bad []string
	rules := of(of(resp.Properties).Policy).Rules
	for _, r := range rules {
		if what := i.harm(r); what != "" {
			bad = append(bad, fmt.Sprintf("rule %q %s", of(r.Name), what))
		}
	}
	if len(bad) == 0 {
		i.add("lifecycle", Pass, fmt.Sprintf("no harm in the rules there are (%d)", len(rules)), "")
		return
	}
	i.add("lifecycle", Fail, strings.Join(bad, "; "), fmt.Sprintf(
		"In the portal, Lifecycle management: remove these, or limit them to the prefix %s; what old snapshots hold goes by satchel prune. The rules: az storage account management-policy show --resource-group %s --account-name %s", i.ours()+"d/", i.id.ResourceGroupName, i.id.Name))
}

// ours is the prefix of the repository's blobs, as lifecycle rules have it.
func (i *inspector) ours() string {
	l := i.target.Location
	if l.Prefix == "" {
		return l.Container + "/"
	}
	return l.Container + "/" + l.Prefix + "/"
}

// harm says what a rule would do to the repository; "" if nothing that hurts.
func (i *inspector) harm(r *armstorage.ManagementPolicyRule) string {
	def := of(r.Definition)
	if r.Enabled != nil && !*r.Enabled {
		return ""
	}
	all, data := i.reaches(def.Filters)
	if !all && !data {
		return ""
	}
	base := of(of(def.Actions).BaseBlob)
	switch {
	case base.Delete != nil:
		return "deletes blobs of the repository"
	case base.TierToArchive != nil:
		return "archives blobs of the repository, which then cannot be read"
	case all && (base.TierToCool != nil || base.TierToCold != nil):
		return "cools the ledger and trees, which are read every time"
	}
	return ""
}

// reaches reports whether a filter takes more of the repository than data packs, and whether it takes
// those.
func (i *inspector) reaches(f *armstorage.ManagementPolicyFilter) (all, data bool) {
	if f == nil {
		return true, true
	}
	if len(f.BlobIndexMatch) > 0 { // ours have no tags
		return false, false
	}
	block := len(f.BlobTypes) == 0
	for _, t := range f.BlobTypes {
		block = block || strings.EqualFold(of(t), "blockBlob")
	}
	if !block {
		return false, false
	}
	if len(f.PrefixMatch) == 0 {
		return true, true
	}
	for _, p := range f.PrefixMatch {
		switch prefix := of(p); {
		case strings.HasPrefix(prefix, i.ours()+"d"):
			data = true
		case strings.HasPrefix(i.ours(), prefix), strings.HasPrefix(prefix, i.ours()):
			all = true
		}
	}
	return all, data || all
}

// container checks the one of the store.
func (i *inspector) container(ctx context.Context) {
	var resp armstorage.BlobContainersClientGetResponse
	client, err := armstorage.NewBlobContainersClient(i.id.SubscriptionID, i.token, i.opts)
	if err == nil {
		resp, err = client.Get(ctx, i.id.ResourceGroupName, i.id.Name, i.target.Location.Container, nil)
	}
	if err != nil {
		i.unseen(err, "container-access", "immutability")
		return
	}
	p := of(resp.ContainerProperties)
	if level := of(p.PublicAccess); level == "" || level == armstorage.PublicAccessNone {
		i.add("container-access", Pass, "so it is", "")
	} else {
		i.add("container-access", Fail, "the world may read: "+string(level), fmt.Sprintf("az storage container set-permission --account-name %s --name %s --public-access off --auth-mode key", i.id.Name, i.target.Location.Container))
	}
	i.add("immutability", Pass, immutability(p), "")
}

func immutability(p armstorage.ContainerProperties) string {
	var found []string
	if is(p.HasImmutabilityPolicy) {
		policy := of(of(p.ImmutabilityPolicy).Properties)
		found = append(found, fmt.Sprintf("blobs are kept for %d days (%s)", of(policy.ImmutabilityPeriodSinceCreationInDays), strings.ToLower(string(of(policy.State)))))
	}
	if is(of(p.ImmutableStorageWithVersioning).Enabled) {
		found = append(found, "versions may have policies of their own")
	}
	if is(p.HasLegalHold) {
		found = append(found, "a legal hold is on")
	}
	if len(found) == 0 {
		return "none does: who may delete can delete"
	}
	return strings.Join(found, "; ") + "; a prune deletes later what it may not delete now"
}
