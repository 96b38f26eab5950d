package store

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Kind says which driver serves a Location.
type Kind int

const (
	Dir   Kind = iota + 1 // a folder: store/dir
	Azure                 // a container in Azure Blob Storage, or an emulator: store/azure
)

// A Location names a store: where it is, not how to sign in. Locations compare with
// ==. Printing one, in any way, never shows its SAS.
type Location struct {
	Kind Kind

	// Path is the folder of a Dir, as it was given: it may be relative.
	Path string

	// Endpoint is the URL of an Azure account's blob service without a final slash, such
	// as https://acct.blob.core.windows.net, or http://127.0.0.1:10000/devstoreaccount1
	// in path style, which an IP address as the host implies.
	Endpoint  string
	Account   string // the first label of the host; in path style the first path element
	Container string
	Prefix    string // "" or a valid name; object NAME is blob PREFIX/NAME

	sas string
}

// maxPrefix bounds Location.Prefix, in bytes: with a slash and the longest name the
// blob's name stays within the 1,024 characters that Azure allows.
const maxPrefix = 256

// ParseLocation reads the name of a store, as a person gives it:
//
//	https://ACCOUNT.blob.core.windows.net/CONTAINER[/PREFIX][?SAS]
//	http://127.0.0.1:PORT/ACCOUNT/CONTAINER[/PREFIX]
//	file:///FOLDER
//	FOLDER
//
// Any https host serves; plain http only reaches loopback addresses. What has no
// "scheme://" in front is a folder, also C:\FOLDER and \\SERVER\SHARE. A SAS in the
// query is kept as a secret, see SAS; no error repeats any part of it.
func ParseLocation(s string) (Location, error) {
	switch scheme, rest, ok := strings.Cut(s, "://"); {
	case !ok || strings.ContainsAny(scheme, `/\`):
		return parseFolder(s)
	case strings.EqualFold(scheme, "https"):
		return parseAzure("https", rest)
	case strings.EqualFold(scheme, "http"):
		return parseAzure("http", rest)
	case strings.EqualFold(scheme, "file"):
		return parseFileURL(rest)
	default:
		return Location{}, fmt.Errorf("store %q: there is no driver for it: give https://ACCOUNT.blob.core.windows.net/CONTAINER or a folder", scheme+"://")
	}
}

// AzureLocation is the location of a container in the public Azure cloud, as a
// manifest names it. The names are checked by Validate.
func AzureLocation(account, container string) Location {
	return Location{
		Kind:      Azure,
		Endpoint:  "https://" + account + ".blob.core.windows.net",
		Account:   account,
		Container: container,
	}
}

// SAS is the shared access signature that came with the URL, without a question mark;
// "" if there was none. It is a secret.
func (l Location) SAS() string { return l.sas }

// ContainerURL is the URL of an Azure container, without its SAS.
func (l Location) ContainerURL() string { return l.Endpoint + "/" + l.Container }

// String is the location as ParseLocation reads it, without its SAS.
func (l Location) String() string {
	switch {
	case l.Kind == Dir:
		return l.Path
	case l.Kind == Azure && l.Prefix != "":
		return l.ContainerURL() + "/" + l.Prefix
	case l.Kind == Azure:
		return l.ContainerURL()
	default:
		return "no store"
	}
}

// GoString keeps the SAS out of %#v.
func (l Location) GoString() string { return fmt.Sprintf("store.Location(%q)", l.String()) }

// Validate reports what is wrong with a location that ParseLocation did not make.
func (l Location) Validate() error {
	got, err := ParseLocation(l.String())
	if err != nil {
		return err
	}
	if l.sas = ""; got != l {
		return fmt.Errorf("store %q is not well formed", l.String())
	}
	return nil
}

func parseFolder(s string) (Location, error) {
	switch {
	case s == "":
		return Location{}, errors.New("store: the name is empty")
	case strings.ContainsRune(s, 0):
		return Location{}, fmt.Errorf("store %q: a path has no zero byte", s)
	case s == "~", strings.HasPrefix(s, "~/"), strings.HasPrefix(s, `~\`):
		return Location{}, fmt.Errorf("store %q: only a shell expands ~: give the whole path", s)
	case strings.Contains(s, ".blob.core.windows.net/"): // and perhaps a SAS: do not repeat it
		return Location{}, errors.New("store: the URL lacks its scheme: write https:// in front")
	}
	for _, scheme := range []string{"http", "https", "file"} {
		if head, _, ok := strings.Cut(s, ":"); ok && strings.EqualFold(head, scheme) {
			return Location{}, fmt.Errorf("store: %s: wants two slashes after it: %s://", scheme, scheme)
		}
	}
	return Location{Kind: Dir, Path: s}, nil
}

// parseFileURL reads what follows file:// (RFC 8089).
func parseFileURL(rest string) (Location, error) {
	host, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if strings.ContainsAny(path, "?#") {
		return Location{}, errors.New("store: a file URL has no query: write ? as %3F and # as %23")
	}
	path, err := url.PathUnescape(path)
	if err != nil {
		return Location{}, fmt.Errorf("store: file URL: %w", err)
	}
	if path == "" {
		return Location{}, errors.New("store: the file URL names no folder: write file:///FOLDER")
	}
	local := host == "" || strings.EqualFold(host, "localhost")
	switch {
	case runtime.GOOS == "windows" && !local:
		path = `\\` + host + filepath.FromSlash(path)
	case runtime.GOOS == "windows" && filepath.VolumeName(path[1:]) != "":
		path = filepath.FromSlash(path[1:])
	case !local:
		return Location{}, fmt.Errorf("store: a file URL does not reach host %q: write file:///FOLDER", host)
	}
	return parseFolder(path)
}

// parseAzure reads what follows scheme://.
func parseAzure(scheme, rest string) (Location, error) {
	rest, query, _ := strings.Cut(rest, "?")
	if strings.Contains(rest+query, "#") {
		return Location{}, errors.New("store: the URL has a #fragment; a container's has none")
	}
	authority, path, _ := strings.Cut(rest, "/")
	host, ip, err := parseAuthority(authority)
	if err != nil {
		return Location{}, err
	}
	if scheme == "http" && !ip.IsLoopback() {
		return Location{}, fmt.Errorf("store %s://%s: plain http only reaches a loopback address: write https", scheme, host)
	}
	l := Location{Kind: Azure, Endpoint: scheme + "://" + host}
	if ip.IsValid() {
		l.Account, path, _ = strings.Cut(path, "/")
		l.Endpoint += "/" + l.Account
	} else {
		l.Account, _, _ = strings.Cut(host, ".")
		l.Account, _, _ = strings.Cut(l.Account, ":")
	}
	if !validLabel(l.Account) {
		return Location{}, fmt.Errorf("store %s: %q is no account name: an IP address is followed by /ACCOUNT/CONTAINER", l.Endpoint, l.Account)
	}
	l.Container, l.Prefix, _ = strings.Cut(strings.TrimRight(path, "/"), "/")
	if err := checkContainer(l.Container); err != nil {
		return Location{}, fmt.Errorf("store %s: %w", l.Endpoint, err)
	}
	if l.Prefix != "" && (!ValidName(l.Prefix) || len(l.Prefix) > maxPrefix) {
		return Location{}, fmt.Errorf("store %s: prefix %q: it is made of a-z, 0-9, - and /, and has at most %d characters", l.ContainerURL(), l.Prefix, maxPrefix)
	}
	if l.sas, err = parseSAS(query); err != nil {
		return Location{}, fmt.Errorf("store %s: %w", l, err)
	}
	return l, nil
}

// parseAuthority returns HOST[:PORT] in its one spelling, and the address if the host
// is one. Whatever else an URL allows there (user, zone, escapes) it refuses.
func parseAuthority(s string) (string, netip.Addr, error) {
	if strings.Contains(s, "@") {
		return "", netip.Addr{}, errors.New("store: the URL has a user or a password before @; a container's has none")
	}
	host, port := strings.ToLower(s), ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", netip.Addr{}, fmt.Errorf("store: %q is no port", port)
		}
		port = ":" + strconv.FormatUint(n, 10)
	}
	bare, bracketed := strings.CutPrefix(host, "[")
	ip, err := netip.ParseAddr(strings.TrimSuffix(bare, "]"))
	if err == nil && ip.Zone() == "" && ip.Is6() == bracketed {
		if bracketed {
			return "[" + ip.String() + "]" + port, ip, nil
		}
		return ip.String() + port, ip, nil
	}
	if host == "localhost" {
		return "", netip.Addr{}, errors.New("store: write 127.0.0.1 for localhost: an emulator's URL is http://127.0.0.1:PORT/ACCOUNT/CONTAINER")
	}
	for label := range strings.SplitSeq(host, ".") {
		if !validLabel(label) {
			return "", netip.Addr{}, fmt.Errorf("store: %q is no host name", host)
		}
	}
	return host + port, netip.Addr{}, nil
}

// validLabel reports whether s is a label of a host name (RFC 1123), in lower case.
// Account names are narrower (3 to 24 letters and digits); private endpoints and
// custom domains are not.
func validLabel(s string) bool {
	return s != "" && len(s) <= 63 && ValidName(s) && !strings.Contains(s, "/")
}

// checkContainer applies Azure's rules for container names.
func checkContainer(s string) error {
	switch {
	case s == "":
		return errors.New("the URL names no container: add /CONTAINER")
	case len(s) < 3 || len(s) > 63:
		return fmt.Errorf("container %q: a name has 3 to 63 characters", s)
	case !validLabel(s) || strings.Contains(s, "--"):
		return fmt.Errorf("container %q: a name is made of a-z, 0-9 and single hyphens within", s)
	}
	return nil
}

// parseSAS returns the query if it is a shared access signature. Its errors repeat
// nothing of it.
func parseSAS(query string) (string, error) {
	if query == "" {
		return "", nil
	}
	values, err := url.ParseQuery(query)
	if err != nil || strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("what follows the question mark is not a well-formed query")
	}
	if values.Get("sig") == "" {
		return "", errors.New("what follows the question mark is no shared access signature: it has no sig=")
	}
	return query, nil
}
