//go:build windows || linux || (darwin && cgo)

package azure

import (
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity/cache"
)

// persistentCache is the system's keeping of tokens: DPAPI on Windows, the keychain on
// macOS, the kernel's keyring on Linux, which a restart empties and a container may refuse.
func persistentCache() (azidentity.Cache, error) {
	return cache.New(&cache.Options{Name: "satchel"})
}
