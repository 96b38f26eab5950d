//go:build !unix

package workspace

import "os"

// openDir opens a folder; for anything else, links included, it reports errNotFolder.
func openDir(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, errNotFolder
	}
	return os.Open(path)
}
