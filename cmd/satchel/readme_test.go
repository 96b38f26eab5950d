package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestReadmeNamesEveryDependency: what the code imports and what README explains are the same.
func TestReadmeNamesEveryDependency(t *testing.T) {
	root := filepath.Join("..", "..")
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	imported := map[string]bool{}
	required := regexp.MustCompile(`(?m)^\s+(\S+) v`).FindAllSubmatch(mod, -1)
	module := func(path string) (best string) {
		for _, m := range required {
			if name := string(m[1]); (path == name || strings.HasPrefix(path, name+"/")) && len(name) > len(best) {
				best = name
			}
		}
		return best
	}
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.Contains(file, "testdata") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil && module(path) != "" {
				imported[module(path)] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z.]+\.[a-z]+/\S+) \| \S`).FindAllSubmatch(readme, -1) {
		explained[string(m[1])] = true
	}
	for name := range imported {
		if !explained[name] {
			t.Errorf("README does not say what %s buys", name)
		}
	}
	for name := range explained {
		if !imported[name] {
			t.Errorf("README explains %s, which nothing imports", name)
		}
	}
}
