package workspace

import "context"

// TracksManifest reports whether git tracks the manifest in the root: it then comes with
// the code, and nobody else overwrites it.
func TracksManifest(ctx context.Context, root string) (bool, error) {
	top, _, err := workTree(ctx, root)
	if err != nil || top == "" {
		return false, err
	}
	out, err := git(ctx, root, "ls-files", "-z", "--", ManifestName)
	return out != "", err
}
