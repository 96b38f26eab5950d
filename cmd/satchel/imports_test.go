package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers are the top-level folders, the highest first. A package imports from its own folder
// and from those below it. chunker stands beside index.
var layers = []string{"cmd", "restore", "snapshot", "index", "store"}

// TestImportsRunDownwards looks at every file of the program, for whichever system it is.
func TestImportsRunDownwards(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && file != root || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		files++
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := filepath.ToSlash(rel)
		for _, spec := range parsed.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := refused(from, to); why != "" {
				t.Errorf("%s imports %s: %s", from, to, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d files were looked at", files)
	}
}

// refused says why the package from, a folder of this repository, must not import to; "" if it may.
func refused(from, to string) string {
	ours, isOurs := strings.CutPrefix(to, "satchel/")
	top, _, _ := strings.Cut(from, "/")
	switch {
	case from == "store" && (isOurs || strings.Contains(strings.Split(to, "/")[0], ".")):
		return "store imports the standard library alone"
	case forTests(from):
		return ""
	case strings.HasPrefix(to, "github.com/Azure/") && !ofAzure(from):
		return "a provider's SDK stops at its driver"
	case !isOurs:
		return ""
	case forTests(ours):
		return "it is for tests"
	case (ofAzure(ours) && !ofAzure(from) || ours == "store/dir") && top != "cmd":
		return "only the command chooses a driver"
	case top == "chunker":
		return "chunker knows nothing but bytes"
	case ours == "chunker":
		if top != "snapshot" {
			return "only snapshot cuts"
		}
		return ""
	}
	below, _, _ := strings.Cut(ours, "/")
	i, j := slices.Index(layers, top), slices.Index(layers, below)
	switch {
	case i < 0 || j < 0:
		return "the folder is not of the layout"
	case j < i:
		return "that is upwards"
	case below == "cmd":
		return "nothing imports a command"
	}
	return ""
}

// ofAzure reports whether a package is the driver of Azure's, or a part of it.
func ofAzure(folder string) bool {
	return folder == "store/azure" || strings.HasPrefix(folder, "store/azure/")
}

// forTests reports whether a package helps tests: storetest and what is in it, snapshottest.
func forTests(folder string) bool {
	return slices.ContainsFunc(strings.Split(folder, "/"), func(name string) bool { return strings.HasSuffix(name, "test") })
}

func TestRefusedImports(t *testing.T) {
	for _, c := range []struct {
		from, to string
		may      bool
	}{
		{"cmd/satchel", "satchel/store/azure", true},
		{"restore", "satchel/snapshot", true},
		{"snapshot", "satchel/snapshot/workspace", true},
		{"snapshot", "satchel/chunker", true},
		{"index", "satchel/store/pack", true},
		{"store/pack", "github.com/klauspost/compress/zstd", true},
		{"store/azure", "github.com/Azure/azure-sdk-for-go/sdk/azcore", true},
		{"store/azure/account", "github.com/Azure/azure-sdk-for-go/sdk/azcore", true},
		{"store/azure/account", "satchel/store/azure", true},
		{"snapshot", "satchel/store/azure/account", false},
		{"store/storetest", "satchel/store/dir", true},
		{"index", "satchel/snapshot", false},
		{"snapshot", "satchel/restore", false},
		{"store/ledger", "satchel/index", false},
		{"store/access", "satchel/store/dir", false},
		{"snapshot", "satchel/store/azure", false},
		{"restore", "satchel/chunker", false},
		{"chunker", "satchel/store", false},
		{"store", "satchel/store/pack", false},
		{"store", "golang.org/x/sys/unix", false},
		{"snapshot", "github.com/Azure/azure-sdk-for-go/sdk/azcore", false},
		{"snapshot", "satchel/store/storetest", false},
		{"snapshot", "satchel/store/storetest/azurite", false},
		{"restore", "satchel/store/durable/durabletest", false},
		{"restore", "satchel/cmd/satchel", false},
		{"restore", "satchel/util", false},
	} {
		if got := refused(c.from, c.to); (got == "") != c.may {
			t.Errorf("%s imports %s: %q", c.from, c.to, got)
		}
	}
}
