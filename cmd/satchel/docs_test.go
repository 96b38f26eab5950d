package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Whatever the documents tell a person to type is there: the command, and its flags.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	parser, err := kong.New(new(cli), kong.Name("satchel"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	typed := regexp.MustCompile("(?m)^satchel [a-z][^\n#]*|`satchel [a-z][^`]*`")
	lines := 0
	for _, file := range append(files, filepath.Join("..", "..", "README.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range typed.FindAllString(string(text), -1) {
			lines++
			if why := unknown(parser.Model.Node, strings.Fields(strings.Trim(line, "`"))[1:]); why != "" {
				t.Errorf("%s: %s: %s", file, line, why)
			}
		}
	}
	if lines < 50 {
		t.Errorf("only %d commands were found", lines)
	}
}

// unknown says which word of a command line the program does not know; "" if none.
func unknown(node *kong.Node, words []string) string {
	for i, word := range words {
		name, isFlag := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		switch {
		case isFlag && !hasFlag(node, name):
			return "no flag --" + name
		case !isFlag && i == 0 && childOf(node, word) == node:
			return "no command " + word
		case !isFlag && i == 1 && len(node.Children) > 0 && childOf(node, word) == node:
			return "no command " + words[0] + " " + word
		case !isFlag && i < 2:
			node = childOf(node, word)
		}
	}
	return ""
}

func hasFlag(node *kong.Node, name string) bool {
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			if f.Name == name {
				return true
			}
		}
	}
	return false
}
