// Package azurite runs Azurite, the emulator of Azure Blob Storage, for tests.
//
//	srv := azurite.Start(t, azurite.Options{})
//	url := srv.URL + "/" + srv.Container(t) // a store's URL; the container is not made yet
//	t.Setenv("AZURE_STORAGE_KEY", srv.Key)
//
// It needs Node.js and npm. The first call on a machine installs one pinned version under
// the user's cache directory, 127 MB, which takes a quarter of a minute and the network;
// later ones start in about a second. A server listens on a free port of 127.0.0.1, keeps
// everything in memory and ends with its test, also if that is killed.
//
// What Azurite does not do (versioning, soft delete, immutability) needs a fake transport.
package azurite

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/store/storetest/npm"
)

// The account that every Azurite has, and its published key.
const (
	Account = "devstoreaccount1"
	Key     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Options say what a server speaks.
type Options struct {
	TLS   bool // https, with a certificate of the test's own
	OAuth bool // takes the bearer tokens of Server.Token too; implies TLS
}

// Server is a running Azurite.
type Server struct {
	URL     string // of the account's blob service in path style, without a final slash
	Account string
	Key     string
	CAs     *x509.CertPool // trust these for https; nil without
	CAFile  string         // the same as a PEM file, for SSL_CERT_FILE; "" without
}

// patience is how long a server may take to start on a busy machine.
const patience = 2 * time.Minute

// Start runs a server until the test ends. It ends the test if it cannot.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	script := install(t)
	dir := t.TempDir()
	args := []string{
		"--require", preload(t, dir), script,
		"--blobHost", "127.0.0.1", "--blobPort", "0",
		"--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry",
	}
	srv := &Server{Account: Account, Key: Key}
	if opts.TLS || opts.OAuth {
		cert := makeCertificate(t, dir)
		args = append(args, "--cert", cert.file, "--key", cert.keyFile)
		srv.CAs, srv.CAFile = cert.pool, cert.file
	}
	if opts.OAuth {
		args = append(args, "--oauth", "basic")
	}
	srv.URL = run(t, dir, args) + "/" + Account
	return srv
}

// Container returns a new name for a container, which is not made.
func (s *Server) Container(t testing.TB) string {
	return "test-" + strings.ToLower(rand.Text()[:12])
}

// Transport returns a transport that trusts the server's certificate and uses no proxy.
// Its idle connections are closed when the test ends.
func (s *Server) Transport(t testing.TB) *http.Transport {
	tr := &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}
	if s.CAs != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: s.CAs}
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// preload is a module that ends the process when its standard input ends: a test that is
// killed runs no cleanup, but its pipes close.
func preload(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "preload.js")
	const code = "process.stdin.on('end', () => process.exit(0)).resume();\n"
	if err := os.WriteFile(path, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run starts node and returns scheme://host:port once the server listens.
func run(t testing.TB, dir string, args []string) string {
	t.Helper()
	cmd := exec.Command(npm.Find(t, "node"), args...)
	out := &output{listening: make(chan string, 1)}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("azurite: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("azurite's last words:\n%s", out)
		}
	})
	select {
	case url := <-out.listening:
		return url
	case <-ended:
		t.Fatalf("azurite ended before it listened:\n%s", out)
	case <-time.After(patience):
		t.Fatalf("azurite does not listen after %v:\n%s", patience, out)
	}
	return ""
}

var listens = regexp.MustCompile(`successfully listens on (https?://[0-9.:]+)`)

// output takes what the server prints: it finds the address and keeps the end.
type output struct {
	listening chan string // gets the address once

	mu    sync.Mutex
	tail  bytes.Buffer // guarded by mu
	found bool         // guarded by mu
}

var _ io.Writer = (*output)(nil)

const tailSize = 16 << 10 // bytes

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail.Write(p)
	if m := listens.FindSubmatch(o.tail.Bytes()); m != nil && !o.found {
		o.found = true
		o.listening <- string(m[1])
	}
	o.tail.Next(max(o.tail.Len()-tailSize, 0))
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tail.String()
}
