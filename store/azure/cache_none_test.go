//go:build !(windows || linux || (darwin && cgo))

package azure

import "github.com/Azure/azure-sdk-for-go/sdk/azidentity"

func testCache() (azidentity.Cache, error) { return persistentCache() }
