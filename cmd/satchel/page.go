package main

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"time"

	"rsc.io/qr"

	"satchel/store/seal"
)

var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>satchel recovery code</title>
<style>
body { font-family: sans-serif; max-width: 40em; margin: 3em auto; color: #000; background: #fff; }
code { font-size: 1.4em; letter-spacing: 0.05em; }
svg { width: 60mm; height: 60mm; }
td { padding: 0.2em 1em 0.2em 0; vertical-align: top; }
</style>
</head>
<body>
<h1>Recovery code</h1>
<p>Whoever has this code can read all that satchel keeps for you, and let computers join. Keep this page as you would
keep the records themselves, away from the computers. Delete the file that it was printed from.</p>
<p><code>{{.Code}}</code></p>
{{.Symbol}}
<table>
<tr><td>Name</td><td>{{.Name}}</td></tr>
<tr><td>Store</td><td>{{.Store}}</td></tr>
<tr><td>Repository</td><td>{{.Repository}}</td></tr>
<tr><td>Made on</td><td>{{.Made}}</td></tr>
</table>
<h2>When every computer is lost</h2>
<ol>
<li>Install satchel on a new computer and sign in: <code>satchel login</code></li>
<li><code>satchel pull --store {{.Store}} FOLDER</code></li>
<li>Type the code when it asks. Small letters and missing hyphens do not matter; I and L read as 1, O as 0.</li>
</ol>
<p>Try it once a year: <code>satchel key test</code></p>
</body>
</html>
`))

// recoveryPage is a page to print: the code in letters and as a QR code, and what to do with it. It loads
// nothing from anywhere.
func recoveryPage(code, name, store string, repo seal.RepoID, now time.Time) ([]byte, error) {
	symbol, err := qr.Encode(code, qr.Q)
	if err != nil {
		return nil, fmt.Errorf("QR code: %w", err)
	}
	var b bytes.Buffer
	err = pageTemplate.Execute(&b, map[string]any{"Code": code, "Symbol": template.HTML(svg(symbol)), "Name": name, "Store": store,
		"Repository": repo.String(), "Made": now.Format("2006-01-02")})
	return b.Bytes(), err
}

// quiet is the white border of a QR code, in modules (ISO/IEC 18004 §6.3.8).
const quiet = 4

// svg draws a QR code, a module as one unit.
func svg(c *qr.Code) string {
	var path strings.Builder
	for y := range c.Size {
		for x := range c.Size {
			if c.Black(x, y) {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	side := c.Size + 2*quiet
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path d="%s"/></svg>`, side, side, path.String())
}
