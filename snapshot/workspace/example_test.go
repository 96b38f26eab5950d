package workspace_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"satchel/snapshot/workspace"
)

func Example() {
	root, err := os.MkdirTemp("", "workspace")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)
	for name, content := range map[string]string{
		".env":     "KEY=1",
		"app.log":  "started",
		"main.pyc": "",
		workspace.ManifestName: `{
			"version": "1.0",
			"sync_paths": [
				{"local": ".env", "remote": "config/.env"},
				{"local": ".", "pattern": "*.{log,pyc}"}
			],
			"exclude_patterns": ["*.pyc"]
		}`,
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			log.Fatal(err)
		}
	}

	ctx := context.Background()
	rules, err := workspace.Load(ctx, root, nil)
	if err != nil {
		log.Fatal(err)
	}
	tree, err := rules.Open()
	if err != nil {
		log.Fatal(err)
	}
	var visit func(remote string)
	visit = func(remote string) {
		list, err := tree.ReadDir(remote)
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range list.Entries {
			if e.IsDir() {
				visit(remote + e.Name + "/")
			} else {
				fmt.Printf("%s is %s\n", e.Local, remote+e.Name)
			}
		}
	}
	visit("")
	why, err := rules.Why(ctx, "main.pyc")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s: %s\n", why.Path, why.Rule, why.Reason)
	// Output:
	// .gitignore-sync.json is .gitignore-sync.json
	// app.log is app.log
	// .env is config/.env
	// main.pyc: exclude pattern "*.pyc": the manifest excludes it
}
