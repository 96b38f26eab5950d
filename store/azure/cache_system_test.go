//go:build windows || linux || (darwin && cgo)

package azure

import (
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity/cache"
)

// testCache is the system's keeping of tokens, apart from the user's.
func testCache() (azidentity.Cache, error) { return cache.New(&cache.Options{Name: "satchel-test"}) }
