package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

//go:embed completion
var completionScripts embed.FS

type completionCmd struct {
	Shell string `arg:"" name:"shell" enum:"bash,zsh,fish,powershell" help:"bash, zsh, fish or powershell."`
}

func (completionCmd) Help() string {
	return `Prints the script; its first lines say where it goes.

Example:
  eval "$(satchel completion bash)"`
}

func (c completionCmd) Run(a *app) error {
	ending := c.Shell
	if ending == "powershell" {
		ending = "ps1"
	}
	script, err := completionScripts.ReadFile("completion/satchel." + ending)
	if err != nil {
		panic(err) // the enum above is wrong
	}
	_, err = a.bytes.Write(script)
	return err
}

// completeCmd answers the scripts of completionCmd, a candidate to a line. Where it prints none,
// the shell offers files.
type completeCmd struct {
	Shell string   `required:""`
	Word  string   `required:"" help:"What is typed of the word so far."`
	Words []string `arg:"" optional:"" help:"The words before it."`
}

func (c completeCmd) Run(a *app, k *kong.Context) error {
	for _, found := range candidates(k.Model.Node, c.Words, c.Word) {
		switch {
		case c.Shell == "bash":
			fmt.Fprintln(a.out, found.text)
		case c.Shell == "zsh":
			fmt.Fprintf(a.out, "%s:%s\n", found.text, found.help)
		default:
			fmt.Fprintf(a.out, "%s\t%s\n", found.text, found.help)
		}
	}
	return nil
}

type candidate struct{ text, help string }

// candidates are the words that may stand after those before and begin with word.
func candidates(top *kong.Node, before []string, word string) (out []candidate) {
	node, flag := reached(top, before)
	switch {
	case flag != nil:
		out = values(flag.Value)
	case strings.HasPrefix(word, "-"):
		for _, group := range node.AllFlags(true) {
			for _, f := range group {
				out = append(out, candidate{"--" + f.Name, f.Help})
			}
		}
	case len(node.Children) > 0:
		for _, child := range node.Children {
			if !child.Hidden {
				out = append(out, candidate{child.Name, child.Help})
			}
		}
	case len(node.Positional) > 0:
		out = values(node.Positional[0])
	}
	return slices.DeleteFunc(out, func(c candidate) bool { return !strings.HasPrefix(c.text, word) })
}

func values(v *kong.Value) (out []candidate) {
	if v.Enum == "" {
		return nil
	}
	for _, text := range v.EnumSlice() {
		if text != "" {
			out = append(out, candidate{text, v.Help})
		}
	}
	return out
}

// reached is the command that words have come to, and the flag whose value comes next, if one does.
func reached(node *kong.Node, words []string) (*kong.Node, *kong.Flag) {
	for i := 0; i < len(words); i++ {
		f := flagOf(node, words[i])
		switch {
		case f != nil && i == len(words)-1:
			return node, f
		case f != nil:
			i++ // its value
		default:
			node = childOf(node, words[i])
		}
	}
	return node, nil
}

// flagOf is the flag that word spells, if its value is the next word.
func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			if takes := !f.IsBool() && !f.IsCounter(); takes && (word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short)) {
				return f
			}
		}
	}
	return nil
}

// childOf is the command below node that word names, else node.
func childOf(node *kong.Node, word string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == word || slices.Contains(child.Aliases, word) {
			return child
		}
	}
	return node
}
