package restore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"satchel/snapshot"
)

// naming is what is known of the names in one folder.
type naming struct {
	here   map[string]string // what is in the folder, by fold
	exact  map[string]bool   // the same, by name
	winner map[string]string // of the snapshot's names, by fold
	alias  map[string]string // names here that are others of the snapshot, and are to become those
}

// fold is the same for all names that some file system takes for one: whether this one does
// is asked of it.
func fold(name string) string {
	if !utf8.ValidString(name) {
		return name
	}
	return norm.NFC.String(cases.Fold().String(norm.NFKC.String(name)))
}

// newNaming lists a local folder, which need not be there.
func (p *Plan) newNaming(local string) *naming {
	n := &naming{here: map[string]string{}, exact: map[string]bool{}, winner: map[string]string{}, alias: map[string]string{}}
	if p.o.Empty || local == "" {
		return n
	}
	entries, err := p.o.Root.ReadDir(local)
	if err != nil {
		return n // there is none, or what is wrong shows when something is put there
	}
	for _, e := range entries {
		n.here[fold(e.Name())], n.exact[e.Name()] = e.Name(), true
	}
	return n
}

// prefer lets the names win that are here already.
func (n *naming) prefer(es []snapshot.Entry) {
	for i := range es {
		if name := string(es[i].Name); n.exact[name] {
			n.winner[fold(name)] = name
		}
	}
}

// unheld says why an entry cannot be at a local path, "" if it can. If the file system has it
// under another spelling already, that is to be renamed.
func (p *Plan) unheld(n *naming, local string, e *snapshot.Entry) (string, error) {
	name := path.Base(local)
	if err := p.holder.HoldsName([]byte(name)); err != nil {
		return "cannot be here: " + err.Error(), nil
	}
	if !p.holder.Makes(e.Type) {
		return fmt.Sprintf("is a %v, which cannot be made here", e.Type), nil
	}
	if odd(name) && !n.exact[name] {
		why, err := p.probe(name, "")
		if err != nil {
			return "", err
		}
		if why != nil {
			return fmt.Sprintf("cannot be here: this file system refuses its name (%v)", reason(why)), nil
		}
	}
	key := fold(name)
	if first, taken := n.winner[key]; taken && first != name {
		same, err := p.same(n, first, name, path.Dir(local))
		if err != nil || same {
			return fmt.Sprintf("collides with %s: they are one name here", first), err
		}
	} else {
		n.winner[key] = name
	}
	if other, ok := n.here[key]; ok && !n.exact[name] {
		if same, err := p.same(n, other, name, path.Dir(local)); err != nil {
			return "", err
		} else if same {
			n.alias[other] = name
		}
	}
	return "", nil
}

// odd names are those that some file systems refuse, or change.
func odd(name string) bool {
	return !utf8.ValidString(name) || strings.ContainsAny(name, "<>:\"\\|?*") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") ||
		len(name) > 127 || strings.ContainsFunc(name, unicode.IsControl)
}

// same asks whether two names in a folder are one file.
func (p *Plan) same(n *naming, a, b, dir string) (bool, error) {
	if n.exact[a] && n.exact[b] {
		return false, nil
	}
	if n.exact[a] || n.exact[b] {
		ia, aerr := p.o.Root.Lstat(path.Join(dir, a))
		ib, berr := p.o.Root.Lstat(path.Join(dir, b))
		if absent(aerr) || absent(berr) {
			return false, nil
		}
		return aerr == nil && berr == nil && os.SameFile(ia, ib), errors.Join(aerr, berr)
	}
	key := a + "/" + b
	if same, known := p.probed[key]; known {
		return same, nil
	}
	why, err := p.probe(a, b)
	if err != nil {
		return false, err
	}
	if p.probed == nil {
		p.probed = map[string]bool{}
	}
	p.probed[key] = why == errSame
	return p.probed[key], nil
}

var (
	errSame    = errors.New("another name is the same here")
	errRenamed = errors.New("it becomes another")
)

// probe makes a file of a name in a folder of its own, and says why that is not possible, or
// errSame if the file has the other name too.
func (p *Plan) probe(name, other string) (why, err error) {
	r, dir := p.o.Root, stagePrefix+strings.ToLower(rand.Text())
	if err := r.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.RemoveAll(dir)) }()
	f, err := r.OpenFile(dir+"/"+name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if cannotHold(err) {
		return err, nil
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, err
	}
	if other != "" {
		if _, err = r.Lstat(dir + "/" + other); err == nil {
			return errSame, nil
		} else if absent(err) || cannotHold(err) {
			return nil, nil
		}
		return nil, err
	}
	entries, err := r.ReadDir(dir)
	if err == nil && (len(entries) != 1 || entries[0].Name() != name) {
		return errRenamed, nil
	}
	return nil, err
}
