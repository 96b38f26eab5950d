package azurite

import (
	"path/filepath"
	"testing"

	"satchel/store/storetest/npm"
)

// version is the release of Azurite that the tests run on.
const version = "3.37.0"

// install returns the path of the blob service's script.
func install(t testing.TB) string {
	t.Helper()
	return filepath.Join(npm.Install(t, "azurite-"+version, files), "node_modules", "azurite", "dist", "src", "blob", "main.js")
}

// files are a package that depends on Azurite alone. Its telemetry, two thirds of its
// size and switched off here, is replaced by an empty package.
var files = map[string]string{
	"package.json": `{
  "private": true,
  "dependencies": {"azurite": "` + version + `"},
  "devDependencies": {"applicationinsights": "file:./applicationinsights"},
  "overrides": {"applicationinsights": "$applicationinsights"}
}
`,
	"applicationinsights/package.json": `{"name": "applicationinsights", "version": "0.0.0", "main": "index.js"}` + "\n",
	"applicationinsights/index.js":     "module.exports = {};\n",
}
