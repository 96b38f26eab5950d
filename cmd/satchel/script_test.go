package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/rogpeppe/go-internal/testscript"

	"satchel/snapshot/sqlite/sqlitetest"
	"satchel/snapshot/workspace/volume"
	"satchel/store"
	"satchel/store/storetest/azurite"
	"satchel/store/storetest/entra"
)

func TestMain(m *testing.M) {
	sqlitetest.Main()
	testscript.Main(m, map[string]func(){
		"satchel":           func() { satchel() },
		"satchel-dying":     func() { satchel(dies) },
		"satchel-lied-to":   func() { satchel(lies) },
		"satchel-overtaken": func() { satchel(overtaken) },
		"satchel-unplugged": func() { satchel(unplugged) },
		"satchel-held":      func() { satchel(holds) },

		"satchel-on-clear-disk":    func() { satchel(on(volume.Off)) },
		"satchel-on-changing-disk": func() { satchel(on(volume.Converting)) },
		"satchel-on-unknown-disk":  func() { satchel(on(volume.Unknown)) },
	})
}

// raceQuickly keeps a program that is built to look for races from sleeping a second at its end.
const raceQuickly = "atexit_sleep_ms=0"

// satchel is the program, with passphrases that cost less.
func satchel(set ...func(*app)) {
	set = append(append([]func(*app){on(volume.Encrypted)}, set...), func(a *app) { a.scrypt = 10 }, clock)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, set...))
}

// on makes every disk of this computer one that is encrypted, or not.
func on(s volume.State) func(*app) {
	return func(a *app) {
		a.encryption = func(context.Context, string) volume.Answer {
			return volume.Answer{State: s, Volume: "disk0", Why: "as the test has it"}
		}
	}
}

// clock stops this computer's clock and the store's at $NOW, if it is set.
func clock(a *app) {
	now, err := time.Parse(time.RFC3339, a.getenv("NOW"))
	if err != nil {
		return
	}
	a.now = now.Local
	wrap := a.wrap
	a.wrap = func(s store.Store) store.Store {
		if wrap != nil {
			s = wrap(s)
		}
		return &stopped{s, now}
	}
}

type stopped struct {
	store.Store
	now time.Time
}

func (s *stopped) Now() time.Time { return s.now }

// dies ends the process without a word at the first Put of a name that begins with DIES_AT:
// before it if DIES is "before", else when the object is in the store.
func dies(a *app) {
	a.wrap = func(s store.Store) store.Store { return &dying{s, a.getenv("DIES_AT"), a.getenv("DIES") == "before"} }
}

// overtaken runs the command $MEANWHILE at the first Get of a pack, before it.
func overtaken(a *app) {
	a.wrap = func(s store.Store) store.Store { return &late{Store: s, meanwhile: a.getenv("MEANWHILE")} }
}

type late struct {
	store.Store
	meanwhile string
	once      sync.Once
}

func (l *late) Get(ctx context.Context, name string, off, n int64) ([]byte, error) {
	if strings.HasPrefix(name, "t/") || strings.HasPrefix(name, "d/") {
		l.once.Do(func() {
			if out, err := exec.Command("sh", "-ec", l.meanwhile).CombinedOutput(); err != nil {
				panic(fmt.Sprintf("%s: %v\n%s", l.meanwhile, err, out))
			}
		})
	}
	return l.Store.Get(ctx, name, off, n)
}

// holds lets nothing be deleted, as a store with a retention policy of its own does.
func holds(a *app) { a.wrap = func(s store.Store) store.Store { return held{s} } }

type held struct{ store.Store }

func (held) Delete(_ context.Context, name string) error {
	return fmt.Errorf("delete %s: %w", name, store.ErrHeld)
}

// unplugged takes the folder of the store away at the first Put.
func unplugged(a *app) {
	a.wrap = func(s store.Store) store.Store { return &gone{s, a.getenv("SATCHEL_STORE")} }
}

type gone struct {
	store.Store
	at string
}

func (g *gone) Put(ctx context.Context, name string, data []byte) error {
	if err := os.Rename(g.at, g.at+".away"); err != nil {
		return err
	}
	return g.Store.Put(ctx, name, data)
}

// lies acknowledges each Put of a name that begins with LIES_AT, and keeps nothing of it; or, if LIES
// is "short", half, or if it is "other", other bytes.
func lies(a *app) {
	a.wrap = func(s store.Store) store.Store { return &lying{s, a.getenv("LIES_AT"), a.getenv("LIES")} }
}

type lying struct {
	store.Store
	at, how string
}

func (l *lying) Put(ctx context.Context, name string, data []byte) error {
	if !strings.HasPrefix(name, l.at) {
		return l.Store.Put(ctx, name, data)
	}
	switch l.how {
	case "short":
		return l.Store.Put(ctx, name, data[:len(data)/2])
	case "other":
		data = slices.Clone(data)
		data[len(data)/2] ^= 1
		return l.Store.Put(ctx, name, data)
	}
	return nil
}

type dying struct {
	store.Store
	at     string
	before bool
}

func (d *dying) Put(ctx context.Context, name string, data []byte) error {
	at := strings.HasPrefix(name, d.at)
	if at && d.before {
		os.Exit(137)
	}
	err := d.Store.Put(ctx, name, data)
	if at {
		os.Exit(137)
	}
	return err
}

// TestScript runs the stories of testdata/script; each has a folder store's name in
// $STORE and is at the device "office".
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                commands,
		Condition:           condition,
		Setup: func(e *testscript.Env) error {
			e.Setenv("STORE", filepath.Join(e.WorkDir, "store"))
			return setup(e)
		},
	})
}

// TestAzureScript runs the stories of testdata/azure, each with a container of its own,
// not made yet, in $STORE, $SATCHEL_STORE and $CONTAINER.
func TestAzureScript(t *testing.T) {
	srv := azurite.Start(t, azurite.Options{})
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "azure"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                commands,
		Condition:           condition,
		Setup: func(e *testscript.Env) error {
			c := srv.Container(t)
			e.Setenv("CONTAINER", c)
			e.Setenv("STORE", srv.URL+"/"+c)
			e.Setenv("SATCHEL_STORE", srv.URL+"/"+c)
			e.Setenv("AZURE_STORAGE_KEY", srv.Key)
			return setup(e)
		},
	})
}

// TestEntraScript runs the stories of testdata/entra: the store is an Azurite over TLS that takes
// sign-ins alone, and Entra ID is on loopback too.
func TestEntraScript(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere SSL_CERT_FILE makes no certificate a trusted one")
	}
	srv, authority := azurite.Start(t, azurite.Options{OAuth: true}), entra.Start(t)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "entra"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                commands,
		Condition:           condition,
		Setup: func(e *testscript.Env) error {
			certs := filepath.Join(e.WorkDir, "certs.pem")
			one, err := os.ReadFile(srv.CAFile)
			other, oerr := os.ReadFile(authority.CAFile)
			if err := errors.Join(err, oerr, os.WriteFile(certs, append(one, other...), 0o600)); err != nil {
				return err
			}
			e.Setenv("CONTAINER", srv.Container(t))
			e.Setenv("STORE", srv.URL+"/"+e.Getenv("CONTAINER"))
			e.Setenv("SATCHEL_STORE", e.Getenv("STORE"))
			e.Setenv("KEY", srv.Key)
			e.Setenv("PROXY", proxy.URL)
			e.Setenv("TENANT", entra.Tenant)
			e.Setenv("APP", entra.App)
			e.Setenv("SECRET", entra.Secret)
			e.Setenv("SSL_CERT_FILE", certs)
			e.Setenv("AZURE_AUTHORITY_HOST", authority.URL)
			e.Setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1") // nobody asks the machine that runs the test
			e.Setenv("IDENTITY_HEADER", "none")
			return setup(e)
		},
	})
}

func setup(e *testscript.Env) error {
	e.Setenv("GORACE", raceQuickly)
	e.Values[programs{}] = map[string]*sqlitetest.Process{}
	fixture, err := os.ReadFile(filepath.Join("..", "..", "snapshot", "workspace", "testdata", "manifest-1.0.json"))
	if err != nil {
		return err
	}
	// Azurite's key is all that it takes over plain http.
	keyed := bytes.Replace(fixture, []byte(`"require_azure_ad_auth": true`), []byte(`"require_azure_ad_auth": false`), 1)
	if err := errors.Join(os.WriteFile(filepath.Join(e.WorkDir, "manifest-1.0.json"), fixture, 0o600), os.WriteFile(filepath.Join(e.WorkDir, "manifest-keyed.json"), keyed, 0o600)); err != nil {
		return err
	}
	for k, v := range deviceEnv(e.WorkDir, "office") {
		e.Setenv(k, v)
	}
	e.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(e.WorkDir, "gitconfig"))
	e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	e.Setenv("TZ", "UTC")
	return os.WriteFile(filepath.Join(e.WorkDir, "gitconfig"), []byte("[user]\n\tname = Kim\n\temail = kim@clinic.example\n[init]\n\tdefaultBranch = main\n"), 0o600)
}

func condition(cond string) (bool, error) {
	if cond == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// deviceEnv is what makes a process one of a computer of that name.
func deviceEnv(work, name string) map[string]string {
	home := filepath.Join(work, "devices", name)
	return map[string]string{"HOME": home, "USERPROFILE": home, "APPDATA": filepath.Join(home, "roaming"),
		"LOCALAPPDATA": filepath.Join(home, "local"), "SATCHEL_DEVICE": name, "SATCHEL_PASSPHRASE": ""}
}

var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"device":   cmdDevice,
	"code":     cmdCode,
	"exit":     cmdExit,
	"put":      cmdPut,
	"random":   cmdRandom,
	"sqlite":   cmdSQLite,
	"table":    cmdTable,
	"sql":      cmdSQL,
	"query":    cmdQuery,
	"program":  cmdProgram,
	"flip":     cmdFlip,
	"same":     cmdSame,
	"json":     cmdJSON,
	"requests": cmdRequests,
	"sas":      cmdSAS,
	"glob":     cmdGlob,
	"blob":     cmdBlob,
	"tier":     cmdTier,
	"archive":  cmdArchive,
}

// device NAME: from here on, another computer.
func cmdDevice(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "device NAME")
	env := deviceEnv(ts.Getenv("WORK"), args[0])
	ts.Check(os.MkdirAll(env["HOME"], 0o700))
	for k, v := range env {
		ts.Setenv(k, v)
	}
}

// code NAME: whoever sits here has the recovery code that was given to the device NAME.
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "code DEVICE")
	found, err := filepath.Glob(filepath.Join(ts.Getenv("WORK"), "devices", args[0], ".config", "satchel", "*", "recovery-code.txt"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d recovery codes on %s", len(found), args[0])
	}
	ts.Setenv("SATCHEL_PASSPHRASE", strings.TrimSpace(ts.ReadFile(found[0])))
}

// exit CODE PROGRAM…: it ends with this code.
func cmdExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Check(err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// put FILE TEXT: writes a file and the folders above it.
func cmdPut(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "put FILE TEXT")
	write(ts, args[0], []byte(args[1]+"\n"))
}

// random FILE BYTES SEED: bytes that do not compress.
func cmdRandom(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "random FILE BYTES SEED")
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var seed [32]byte
	copy(seed[:], args[2])
	b := make([]byte, n)
	rand.NewChaCha8(seed).Read(b)
	write(ts, args[0], b)
}

// sqlite FILE TEXT: a database file of one page, as far as its header goes.
func cmdSQLite(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "sqlite FILE TEXT")
	page := make([]byte, 4096)
	copy(page, "SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20") // page size, versions, fractions
	page[31] = 1                                                      // pages
	copy(page[200:], args[1])
	write(ts, args[0], page)
}

// sql FILE SQL: a program opens the database, runs this, and closes it.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "sql FILE SQL")
	db, err := sqlitetest.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// query FILE SQL WANT: a program finds one row, of one value.
func cmdQuery(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "query FILE SQL WANT")
	db, err := sqlitetest.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	var got string
	err = db.QueryRow(args[1]).Scan(&got)
	ts.Check(errors.Join(err, db.Close()))
	if got != args[2] {
		ts.Fatalf("%s says %q, not %q", args[0], got, args[2])
	}
}

// programs are those that a script has started, by the database that they have open.
type programs struct{}

// program opens FILE MODE SQL: another process runs this and keeps the database open; program
// closes FILE, and program crashes FILE: it ends.
func cmdProgram(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.Value(programs{}).(map[string]*sqlitetest.Process)
	switch {
	case !neg && len(args) == 4 && args[0] == "opens":
		path := ts.MkAbs(args[1])
		p, err := sqlitetest.Launch(sqlitetest.Order{Path: path, Mode: args[2], Do: "exec", SQL: args[3]})
		ts.Check(err)
		ts.Defer(p.Kill)
		running[path] = p
	case !neg && len(args) == 2 && args[0] == "closes":
		_, err := running[ts.MkAbs(args[1])].End()
		ts.Check(err)
	case !neg && len(args) == 2 && args[0] == "crashes":
		running[ts.MkAbs(args[1])].Kill()
	default:
		ts.Fatalf("usage: program opens FILE MODE SQL, or program closes FILE, or program crashes FILE")
	}
}

// table FILE NAME ROWS: the database has this table with so many rows; without ROWS it has none of
// that name.
func cmdTable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: table FILE NAME [ROWS]")
	}
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	db, err := sql.Open("sqlite", path)
	ts.Check(err)
	defer db.Close()
	statements := []string{"DROP TABLE IF EXISTS " + args[1]}
	if len(args) == 3 {
		statements = append(statements, "CREATE TABLE "+args[1]+" (n)", "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT "+args[2]+") INSERT INTO "+args[1]+" SELECT n FROM c")
	}
	for _, s := range statements {
		_, err := db.Exec(s)
		ts.Check(err)
	}
}

func write(ts *testscript.TestScript, name string, b []byte) {
	path := ts.MkAbs(name)
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, b, 0o644))
}

// flip PATTERN: changes one byte in the middle of each file.
func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "flip PATTERN")
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no file is %s", args[0])
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		ts.Check(err)
		b[len(b)/3] ^= 0x20
		ts.Check(os.WriteFile(f, b, 0o600))
	}
}

// glob PATTERN VAR: the one file that matches.
func cmdGlob(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "glob PATTERN VAR")
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%d files are %s", len(files), args[0])
	}
	ts.Setenv(args[1], files[0])
}

// same A B [BUT…]: two folders hold the same, with the same modes and, of files, times; but
// for some names.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] same A B [but...]")
	}
	a, err := contents(ts.MkAbs(args[0]), args[2:])
	ts.Check(err)
	b, err := contents(ts.MkAbs(args[1]), args[2:])
	ts.Check(err)
	var differ []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if a[name] != b[name] {
			differ = append(differ, fmt.Sprintf("%s: %q and %q", name, a[name], b[name]))
		}
		delete(b, name)
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		differ = append(differ, fmt.Sprintf("%s: only in %s", name, args[1]))
	}
	switch {
	case neg && len(differ) == 0:
		ts.Fatalf("%s and %s are the same", args[0], args[1])
	case !neg && len(differ) > 0:
		ts.Fatalf("%s and %s differ:\n%s", args[0], args[1], strings.Join(differ, "\n"))
	}
}

// contents describes each path below a folder.
func contents(root string, but []string) (map[string]string, error) {
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if slices.Contains(but, name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			out[name] = info.Mode().String()
		case d.Type() == fs.ModeSymlink:
			out[name], err = os.Readlink(path)
		default:
			var b []byte
			b, err = os.ReadFile(path)
			out[name] = fmt.Sprintf("%v %v %s", info.Mode(), info.ModTime().UnixNano(), b)
		}
		return err
	})
	return out, err
}

var jsonLine = regexp.MustCompile(`^([a-z_]+)(?:\[(\d+)\])?$`)

// json TYPE[N] FIELD VALUE: what the last command printed has, in the Nth line (from 0; else
// the last) of that message_type, this field with a value that is matched by VALUE as a whole.
// json TYPE[N] FIELD -> VAR keeps the value. ! json TYPE: there is no such line.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	m := jsonLine.FindStringSubmatch(args[0])
	if m == nil || neg != (len(args) == 1) {
		ts.Fatalf("usage: json TYPE[N] FIELD VALUE, or json TYPE[N] FIELD -> VAR, or ! json TYPE")
	}
	var lines []map[string]json.RawMessage
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var v map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			ts.Fatalf("not JSON: %s", line)
		}
		if string(v["message_type"]) == strconv.Quote(m[1]) {
			lines = append(lines, v)
		}
	}
	n := len(lines) - 1
	if m[2] != "" {
		n, _ = strconv.Atoi(m[2])
	}
	if neg {
		if len(lines) > 0 {
			ts.Fatalf("%d lines of type %s", len(lines), m[1])
		}
		return
	}
	if n < 0 || n >= len(lines) {
		ts.Fatalf("%d lines of type %s", len(lines), m[1])
	}
	raw, ok := lines[n][args[1]]
	if !ok {
		ts.Fatalf("no field %s", args[1])
	}
	value := string(bytes.Trim(raw, `"`))
	if len(args) == 4 && args[2] == "->" {
		ts.Setenv(args[3], value)
		return
	}
	if re := regexp.MustCompile("^(?:" + args[2] + ")$"); len(args) != 3 || !re.MatchString(value) {
		ts.Fatalf("%s is %s, not %s", args[1], value, args[2])
	}
}

// sasEnd is when the signatures of the tests end: late.
var sasEnd = time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)

var saidRequests = regexp.MustCompile(`(\d+) requests?|"requests":(\d+)`)

// requests N: the last command said that it needed no more than N.
func cmdRequests(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "requests N")
	limit, err := strconv.Atoi(args[0])
	ts.Check(err)
	m := saidRequests.FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no word of requests")
	}
	if n, _ := strconv.Atoi(m[1] + m[2]); n > limit {
		ts.Fatalf("%d requests, more than %d", n, limit)
	}
}

// sas RIGHTS: a shared access signature of the container in place of the key.
func cmdSAS(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "sas RIGHTS")
	q, err := sas.BlobSignatureValues{Protocol: sas.ProtocolHTTPSandHTTP, ContainerName: ts.Getenv("CONTAINER"),
		Permissions: args[0], ExpiryTime: sasEnd}.SignWithSharedKey(azureKey(ts))
	ts.Check(err)
	ts.Setenv("AZURE_STORAGE_KEY", "")
	ts.Setenv("AZURE_STORAGE_SAS_TOKEN", q.Encode())
}

// blob NAME TEXT [SHA256]: the script left a blob in the container, with this or the right hash. ! blob NAME: there is none.
func cmdBlob(ts *testscript.TestScript, neg bool, args []string) {
	client, err := container.NewClientWithSharedKeyCredential(ts.Getenv("SATCHEL_STORE"), azureKey(ts), nil)
	ts.Check(err)
	switch ctx := context.Background(); {
	case neg && len(args) == 1:
		if _, err := client.NewBlobClient(args[0]).GetProperties(ctx, nil); err == nil {
			ts.Fatalf("%s is there", args[0])
		}
	case !neg && (len(args) == 2 || len(args) == 3):
		text := []byte(args[1] + "\n")
		hash := fmt.Sprintf("%x", sha256.Sum256(text))
		if len(args) == 3 {
			hash = args[2]
		}
		_, err := client.Create(ctx, nil)
		if !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
			ts.Check(err)
		}
		_, err = client.NewBlockBlobClient(args[0]).UploadBuffer(ctx, text, &blockblob.UploadBufferOptions{Metadata: map[string]*string{"sha256": &hash}})
		ts.Check(err)
	default:
		ts.Fatalf("usage: blob NAME TEXT [SHA256], or ! blob NAME")
	}
}

// tier PREFIX TIER: some blob below the prefix lies in that tier.
func cmdTier(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] tier PREFIX TIER")
	}
	found := false
	eachBlob(ts, args[0], func(_ *container.Client, item *container.BlobItem) {
		found = found || item.Properties.AccessTier != nil && string(*item.Properties.AccessTier) == args[1]
	})
	if found == neg {
		ts.Fatalf("blobs of %s in %s: %v", args[0], args[1], found)
	}
}

// archive PREFIX: a rule of the account's moves all blobs below the prefix to the archive tier.
func cmdArchive(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "archive PREFIX")
	eachBlob(ts, args[0], func(client *container.Client, item *container.BlobItem) {
		_, err := client.NewBlobClient(*item.Name).SetTier(context.Background(), blob.AccessTierArchive, nil)
		ts.Check(err)
	})
}

func eachBlob(ts *testscript.TestScript, prefix string, f func(*container.Client, *container.BlobItem)) {
	client, err := container.NewClientWithSharedKeyCredential(ts.Getenv("SATCHEL_STORE"), azureKey(ts), nil)
	ts.Check(err)
	for pager := client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix}); pager.More(); {
		page, err := pager.NextPage(context.Background())
		ts.Check(err)
		for _, item := range page.Segment.BlobItems {
			f(client, item)
		}
	}
}

func azureKey(ts *testscript.TestScript) *container.SharedKeyCredential {
	key, err := container.NewSharedKeyCredential(azurite.Account, azurite.Key)
	ts.Check(err)
	return key
}

func need(ts *testscript.TestScript, neg bool, args []string, n int, usage string) {
	if neg || len(args) != n {
		ts.Fatalf("usage: %s", usage)
	}
}
