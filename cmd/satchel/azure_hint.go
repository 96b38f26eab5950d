package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"satchel/store/azure"
)

// cloudHint is what to do about an answer of Azure's, in one line and perhaps a command.
func cloudHint(e *azure.Error, system string) string {
	refused := e.Status == 401 || e.Status == 403
	switch {
	case refused && e.Skewed():
		return "Set this computer's clock right: " + clockHints[system] + ". Then try again"
	case refused && !e.Expired.IsZero():
		return "The shared access signature ended on " + e.Expired.Local().Format("2006-01-02 15:04") + ": make a new one, or sign in: satchel login"
	case e.Code == azure.NotSignedIn:
		return signInHint(e.Error())
	case refused && e.Tenant != "" && e.Who != nil && e.Who.Tenant != e.Tenant:
		return fmt.Sprintf("You are signed in to tenant %s, and the account is in another: satchel login --tenant %s", e.Who.Tenant, e.Tenant)
	}
	if hint := codeHints[e.Code]; hint != nil {
		return hint(e)
	}
	switch {
	case strings.HasPrefix(e.Code, "KeyVault"):
		return "The account encrypts with a key in a Key Vault that it cannot reach: check that the key is enabled and that the account's identity has the role Key Vault Crypto Service Encryption User on it"
	case refused:
		return "Sign in: satchel login; or set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING. The role needed is Storage Blob Data Contributor"
	}
	return ""
}

var clockHints = map[string]string{
	"windows": "Settings, Time & language, Date & time, Sync now",
	"darwin":  "System Settings, General, Date & Time, Set time automatically",
	"linux":   "timedatectl set-ntp true",
}

// codeHints are by the service's x-ms-error-code:
// https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and, for those of every
// service, /common-rest-api-error-codes.
var codeHints = map[string]func(*azure.Error) string{
	"AuthorizationPermissionMismatch": missingRight,
	"AuthorizationFailure": func(e *azure.Error) string {
		if e.With == "sign-in" {
			return firewallHint(e)
		}
		return "The key or signature is wrong or lacks the right, or the account's firewall refuses this network (see Networking in the portal)"
	},
	"AuthorizationSourceIPMismatch": func(e *azure.Error) string {
		if e.With == "sign-in" {
			return firewallHint(e)
		}
		return "The shared access signature is for other addresses than this computer's: make one for this network, or sign in: satchel login"
	},
	"AuthorizationProtocolMismatch":     says("The shared access signature is for https alone: write https:// in the store's URL"),
	"AuthorizationResourceTypeMismatch": says("The shared access signature is not for containers and objects: make one with the resource types Container and Object, or one of the container"),
	"AuthorizationServiceMismatch":      says("The shared access signature is for another service than Blob: make one with the service Blob, or one of the container"),
	"AuthenticationFailed": func(e *azure.Error) string {
		switch e.With {
		case "account key":
			return "The key is not accepted: copy it anew from Access keys in the portal, and check that it is that of account " + e.Account
		case "shared access signature":
			return "The shared access signature is not accepted: copy it whole, or make a new one; it ends with the key that signed it"
		}
		return "The sign-in is not accepted: satchel login, with --tenant if the account is in another than yours"
	},
	"InvalidAuthenticationInfo":          says("The sign-in is not accepted: satchel login, with --tenant if the account is in another than yours"),
	"KeyBasedAuthenticationNotPermitted": says("The account takes no keys, and no signatures made with them: sign in, satchel login"),
	"InsufficientAccountPermissions":     missingRight,
	"AccountIsDisabled":                  says("The account is disabled: see its subscription in the portal; an unpaid one is disabled whole"),
	"AccountBeingCreated":                says("The account is being made: try again in a minute"),
	"NoAuthenticationInformation":        says("Nothing signs in: satchel login"),
	"PublicAccessNotPermitted":           says("Nothing signs in, and the account has no public containers: satchel login"),
	"ContainerBeingDeleted":              says("It was deleted just now, and its name is free again in half a minute or more: wait, then try again"),
	"ContainerDisabled":                  says("The container was disabled by an administrator: ask whoever manages the account"),
	"BlobArchived": func(e *azure.Error) string {
		return "It lies in the archive tier and comes back within 15 hours. Start that, then try again later:\n    satchel rehydrate, with the snapshot and paths you want; or for this one\n    " + setTier(e)
	},
	"BlobBeingRehydrated":       says("It is on its way back from the archive tier, which takes up to 15 hours: try again later"),
	"BlobImmutableDueToPolicy":  says("A policy of the container keeps it until its time is over, or a legal hold does: see Access policy of the container in the portal. A later prune deletes it"),
	"LeaseIdMissing":            says("Somebody holds a lease on it: break it in the portal, Break lease"),
	"ServerBusy":                says("The account has more requests than it serves: try again in a few minutes, with fewer --connections"),
	"OperationTimedOut":         says("The service did not get it done in time: try again in a few minutes"),
	"InternalError":             says("The service has trouble: try again in a few minutes; https://azure.status.microsoft says more"),
	"FeatureVersionMismatch":    says("The account has a feature that this satchel does not know: install a newer one"),
	"AuthorizationNotSupported": says("The account does not take this way to sign in: satchel login"),
}

func says(text string) func(*azure.Error) string {
	return func(*azure.Error) string { return text }
}

// missingRight names the role, and the command that gives it.
func missingRight(e *azure.Error) string {
	switch {
	case e.With == "shared access signature":
		return "The shared access signature lacks the right: it needs read, create and list (sp=rcl), and delete (sp=rcdl) to prune"
	case e.With == "account key":
		return "The key lacks the right, as one that may only read does"
	}
	return "The role Storage Blob Data Contributor is missing on the container (Owner is not enough). Whoever manages the account gives it:\n    " +
		roleCommand(e) + "\n  A new role takes up to ten minutes; --wait waits for it"
}

// roleCommand is the same in bash and in PowerShell.
func roleCommand(e *azure.Error) string {
	who := `--assignee "NAME@DOMAIN"`
	if e.Who != nil {
		who = assignee(e.Who)
	}
	scope := fmt.Sprintf("$(az storage account show --name %s --query id --output tsv)", e.Account)
	if e.Op != "create container" { // it is there
		scope += "/blobServices/default/containers/" + e.Container
	}
	return fmt.Sprintf(`az role assignment create --role "Storage Blob Data Contributor" %s --scope "%s"`, who, scope)
}

// assignee is how az names somebody.
func assignee(who *azure.Identity) string {
	return "--assignee-object-id " + who.ObjectID + " --assignee-principal-type " + map[bool]string{false: "User", true: "ServicePrincipal"}[who.App]
}

func firewallHint(e *azure.Error) string {
	return fmt.Sprintf("The account's firewall refuses this network, most likely. Whoever manages it lets your public address in:\n    az storage account network-rule add --account-name %s --ip-address YOUR.PUBLIC.ADDRESS", e.Account)
}

func setTier(e *azure.Error) string {
	return fmt.Sprintf("az storage blob set-tier --account-name %s --container-name %s --name %s --tier Hot --auth-mode login", e.Account, e.Container, e.Blob)
}

// entraHints are by Entra ID's own codes:
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
var entraHints = []struct{ code, hint string }{
	{"AADSTS50020", "That account is not known in the tenant: satchel login --tenant with the store's own, or ask to be invited there"},
	{"AADSTS90072", "That account is not known in the tenant: satchel login --tenant with the store's own, or ask to be invited there"},
	{"AADSTS90002", "There is no such tenant: check --tenant and AZURE_TENANT_ID"},
	{"AADSTS700016", "The application is not known in the tenant: check --client, --tenant, AZURE_CLIENT_ID and AZURE_TENANT_ID"},
	{"AADSTS7000215", "The application's secret is another: copy the value of AZURE_CLIENT_SECRET, not its id"},
	{"AADSTS7000222", "The application's secret has ended: make a new one under Certificates & secrets, and set AZURE_CLIENT_SECRET"},
	{"AADSTS53003", "The tenant's Conditional Access forbids it from here: use a device and network that it allows, or --auth browser instead of a code"},
	{"AADSTS50076", "The tenant wants a second factor: satchel login --auth browser"},
	{"AADSTS50079", "The tenant wants a second factor: satchel login --auth browser"},
	{"AADSTS65001", "The application may not ask for storage yet: an administrator of the tenant consents, or leave --client away"},
	{"AADSTS70043", "The sign-in has ended: satchel login"},
	{"AADSTS700082", "The sign-in has ended: satchel login"},
	{"AADSTS50173", "The sign-in has ended, as the password was changed: satchel login"},
}

// signInHint is what to do when Entra ID gives no token, by what it says.
func signInHint(text string) string {
	for _, h := range entraHints {
		if strings.Contains(text, h.code+":") {
			return h.hint
		}
	}
	return "Sign in: satchel login; or set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING. The role needed is Storage Blob Data Contributor"
}

// How long a new role may take to be known everywhere, and how often it is asked for.
const (
	rolePatience = 10 * time.Minute
	rolePause    = 10 * time.Second
)

// awaitRole calls f until the role that it lacks is there.
func (a *app) awaitRole(f func() error) error {
	for waited := time.Duration(0); ; waited += rolePause {
		err := f()
		if !a.Wait || waited >= rolePatience || !lacksRole(err) {
			return err
		}
		if waited == 0 {
			a.note("The role is not known there yet. Waiting for it, up to ten minutes …")
		}
		if err := a.sleep(a.ctx, rolePause); err != nil {
			return err
		}
	}
}

func lacksRole(err error) bool {
	e, ok := errors.AsType[*azure.Error](err)
	return ok && e.With == "sign-in" && e.Code == "AuthorizationPermissionMismatch"
}
