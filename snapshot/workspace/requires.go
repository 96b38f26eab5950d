package workspace

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A Requirement is a file that says what has to be installed for the code beside it.
type Requirement struct {
	Hash    string // SHA-256, hexadecimal
	Install string // a command that does it
}

// requirements are the files by name, the first that matches; "*" may stand in it.
var requirements = []struct{ name, install string }{
	{"requirements*.txt", "pip install -r "},
	{"pyproject.toml", "pip install -e ."},
	{"Pipfile.lock", "pipenv sync"},
	{"poetry.lock", "poetry install"},
	{"uv.lock", "uv sync"},
	{"environment.yml", "conda env update"},
	{"package.json", "npm install"},
	{"package-lock.json", "npm install"},
	{"yarn.lock", "yarn install"},
	{"pnpm-lock.yaml", "pnpm install"},
	{"go.mod", "go mod download"},
	{"Cargo.lock", "cargo fetch"},
	{"Gemfile.lock", "bundle install"},
	{"composer.lock", "composer install"},
}

// requirementBytes is how large such a file may be.
const requirementBytes = 16 << 20

// Requirements finds what the code in a folder and in those directly below it requires, by path
// below the root. It follows no links, and leaves out what can be rebuilt and what begins with a dot.
func Requirements(root string) (map[string]Requirement, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	found := map[string]Requirement{}
	dirs := []string{"."}
	for depth := 0; depth < 2; depth++ {
		var below []string
		for _, dir := range dirs {
			more, err := requirementsIn(r, dir, found)
			if err != nil {
				return nil, err
			}
			below = append(below, more...)
		}
		dirs = below
	}
	return found, nil
}

// requirementsIn adds those of one folder, and returns the folders in it.
func requirementsIn(r *os.Root, dir string, found map[string]Requirement) (folders []string, err error) {
	entries, err := fs.ReadDir(r.FS(), dir)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		switch rebuilt, _ := rebuildableName(p + "/"); {
		case e.IsDir() && !strings.HasPrefix(e.Name(), ".") && rebuilt == "":
			folders = append(folders, p)
		case e.Type() == 0:
			if install := installs(e.Name()); install != "" {
				if sum, ok := sumOf(r, p); ok {
					found[p] = Requirement{sum, install}
				}
			}
		}
	}
	return folders, err
}

// installs returns the command for a file of this name, "" if it is no requirement.
func installs(name string) string {
	for _, q := range requirements {
		if ok, _ := path.Match(q.name, name); ok {
			if strings.HasSuffix(q.install, " ") {
				return q.install + name
			}
			return q.install
		}
	}
	return ""
}

func sumOf(r *os.Root, p string) (string, bool) {
	f, err := r.Open(filepath.FromSlash(p))
	if err != nil {
		return "", false
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, requirementBytes+1))
	return hex.EncodeToString(h.Sum(nil)), err == nil && n <= requirementBytes
}
