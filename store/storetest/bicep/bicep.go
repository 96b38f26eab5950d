// Package bicep reads Bicep for tests, with the grammar for tree-sitter that editors use.
//
//	for _, problem := range bicep.Parse(t, text) { // "8:1: cannot be parsed"
//
// It knows the syntax. What Azure makes of a name, a type or an API version it does not know: that
// takes Microsoft's compiler, which no registry has.
package bicep

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"satchel/store/storetest/npm"
)

var files = map[string]string{
	"package.json": `{
  "private": true,
  "dependencies": {"tree-sitter-bicep": "1.1.0", "web-tree-sitter": "0.25.10"}
}
`,
	"parse.cjs": `const {Parser, Language} = require('web-tree-sitter');
const text = require('fs').readFileSync(0, 'utf8');
const walk = (n) => {
  if (n.isError || n.isMissing) {
    console.log((n.startPosition.row + 1) + ':' + (n.startPosition.column + 1) + ': ' + (n.isMissing ? 'lacks ' + n.type : 'cannot be parsed'));
    return;
  }
  n.children.forEach(walk);
};
(async () => {
  await Parser.init();
  const parser = new Parser();
  parser.setLanguage(await Language.load(require.resolve('tree-sitter-bicep/tree-sitter-bicep.wasm')));
  walk(parser.parse(text).rootNode);
})().catch((err) => { console.error(err); process.exit(1); });
`,
}

// Parse returns what cannot be parsed, by line and column; nothing if all can.
func Parse(t testing.TB, text string) (problems []string) {
	t.Helper()
	dir := npm.Install(t, "bicep-1.1.0", files)
	cmd := exec.Command(npm.Find(t, "node"), filepath.Join(dir, "parse.cjs"))
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("bicep: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		problems = append(problems, strings.TrimSpace(line))
	}
	return problems
}
