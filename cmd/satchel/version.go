package main

import (
	"fmt"
	"runtime"
)

type versionCmd struct{}

func (versionCmd) Help() string { return "Example:\n  satchel version" }

func (versionCmd) Run(a *app) error {
	if a.JSON {
		a.json("version", map[string]any{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "format": 1})
		return nil
	}
	fmt.Fprintf(a.out, "satchel %s (repository format 1, %s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
