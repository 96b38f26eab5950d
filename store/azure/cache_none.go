//go:build !(windows || linux || (darwin && cgo))

package azure

import (
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// persistentCache has none: azidentity/cache reaches the keychain through cgo.
func persistentCache() (azidentity.Cache, error) {
	return azidentity.Cache{}, errors.New("this build of satchel has no access to the keychain")
}
