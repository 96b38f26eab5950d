// Command satchel carries what git ignores from one computer to the next: it captures a
// workspace as an immutable, sealed snapshot in a folder or in Azure Blob Storage, and puts
// any snapshot back.
//
// main assembles: each command is a file of its own, with its help, its flags and its Run;
// session.go opens store, keys, ledger and index for it; errors.go turns errors into words,
// hints and exit codes. Nothing imports this package.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is stamped by the release build.
var version = "0.1.0-dev"

// cli is what can be typed. Those of every day come first.
type cli struct {
	globals

	Push      pushCmd      `cmd:"" group:"daily" help:"Save this workspace as a new snapshot."`
	Pull      pullCmd      `cmd:"" group:"daily" help:"Bring this workspace to the newest snapshot."`
	Status    statusCmd    `cmd:"" group:"daily" help:"Am I safe to leave? Am I behind?"`
	Restore   restoreCmd   `cmd:"" group:"daily" help:"Put files of any snapshot back, here or elsewhere."`
	Undo      undoCmd      `cmd:"" group:"daily" help:"Go back to before the last pull, restore or undo."`
	Snapshots snapshotsCmd `cmd:"" group:"daily" help:"List the snapshots." aliases:"log"`

	Leave     leaveCmd     `cmd:"" group:"other" help:"Push, and prove that nothing stays on this computer alone."`
	Arrive    arriveCmd    `cmd:"" group:"other" help:"Pull, and tell what changed and by whom."`
	Init      initCmd      `cmd:"" group:"other" help:"Make a repository, and a manifest for this folder."`
	Ls        lsCmd        `cmd:"" group:"other" help:"List the files of a snapshot."`
	Cat       catCmd       `cmd:"" group:"other" help:"Print a file of a snapshot."`
	Diff      diffCmd      `cmd:"" group:"other" help:"What differs between two snapshots, or a snapshot and the files here."`
	History   historyCmd   `cmd:"" group:"other" help:"The versions of a file or folder."`
	Find      findCmd      `cmd:"" group:"other" help:"Which snapshots have paths that match."`
	Dump      dumpCmd      `cmd:"" group:"other" help:"Write a snapshot as a tar archive."`
	Prune     pruneCmd     `cmd:"" group:"other" help:"Let old snapshots go, and free what they held."`
	Forget    forgetCmd    `cmd:"" group:"other" help:"Let single snapshots go."`
	Unforget  unforgetCmd  `cmd:"" group:"other" help:"Bring forgotten snapshots back."`
	Hold      holdCmd      `cmd:"" group:"other" help:"Keep a snapshot whatever a policy says."`
	Tag       tagCmd       `cmd:"" group:"other" help:"Put a word on a snapshot."`
	Stats     statsCmd     `cmd:"" group:"other" help:"How much the repository holds, and what a month costs."`
	Import    importCmd    `cmd:"" group:"other" help:"Take over what the script sync-push left in a container."`
	Login     loginCmd     `cmd:"" group:"other" help:"Sign in to Azure, once per computer."`
	Check     checkCmd     `cmd:"" group:"other" help:"Prove that the repository is whole, or say what is not."`
	Repair    repairCmd    `cmd:"" group:"other" help:"Mend what check found, as far as that can be done."`
	Key       keyCmd       `cmd:"" group:"other" help:"What opens the repository: passphrases, recovery codes, keys."`
	Device    deviceCmd    `cmd:"" group:"other" help:"The computers that belong to the repository."`
	Audit     auditCmd     `cmd:"" group:"other" help:"The journal: who did what, when and from where."`
	Rehydrate rehydrateCmd `cmd:"" group:"other" help:"Bring packs back from Azure's archive tier."`
	Version   versionCmd   `cmd:"" group:"other" help:"Print the version."`

	Doctor doctorCmd `cmd:"" group:"other" help:"Check the store, the way there and how the account is set up."`
	Azure  azureCmd  `cmd:"" group:"other" help:"Print what makes a storage account for satchel."`

	Completion completionCmd `cmd:"" group:"other" help:"Print what lets a shell complete commands and flags."`
	Man        manCmd        `cmd:"" group:"other" help:"Print the manual as a man page."`
	Complete   completeCmd   `cmd:"" group:"other" hidden:""`
}

// globals are the flags that every command takes.
type globals struct {
	Dir       string `short:"C" name:"directory" placeholder:"DIR" help:"Work in DIR instead of here." type:"path"`
	Store     string `placeholder:"URL|FOLDER" help:"Where the repository is: https://ACCOUNT.blob.core.windows.net/CONTAINER, or a folder. Also SATCHEL_STORE."`
	Workspace string `placeholder:"NAME|ID" help:"Which workspace of the repository this folder is."`
	JSON      bool   `name:"json" help:"Print JSON lines."`
	Quiet     bool   `short:"q" help:"Print nothing but lists and errors."`
	Verbose   bool   `short:"v" help:"Print more."`

	Tier string `placeholder:"TIER" default:"" enum:",hot,cool,cold" help:"Where new data packs lie in Azure: hot, cool or cold. Also the manifest's tier."`

	Auth        string `placeholder:"HOW" default:"auto" enum:"auto,browser,device-code,cli,environment,workload,managed-identity,key,sas,connection-string" help:"How to sign in to Azure: auto, browser, device-code, cli, environment, workload, managed-identity, key, sas or connection-string."`
	Interactive bool   `hidden:"" help:"As --auth browser."`
	Tenant      string `placeholder:"ID" help:"Sign in to this tenant. Also AZURE_TENANT_ID."`
	Client      string `placeholder:"ID" help:"Sign in as this application. Also AZURE_CLIENT_ID."`
	Wait        bool   `help:"Wait up to ten minutes for a new role in Azure."`
	AnyHost     bool   `hidden:"" help:"Send the sign-in to a host that is not one of Azure's."`

	Connections   int       `placeholder:"N" help:"How many packs go to the store at once (2)."`
	LimitUpload   bandwidth `placeholder:"RATE" help:"Send no more than so many bytes a second, such as 500K or 2M."`
	LimitDownload bandwidth `placeholder:"RATE" help:"Receive no more than that."`
}

// scriptNames are the commands of the script that satchel replaces. Help does not show them.
var scriptNames = map[string]string{"init-sync": "init", "sync-push": "push", "sync-pull": "pull", "sync-status": "status"}

// memory is where garbage is collected earlier rather than let it grow, in bytes: a command stays
// below 500 MiB in a repository of ten million chunks.
const memory = 320 << 20

func main() {
	ballast := frugal()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second interrupt ends the process at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	runtime.KeepAlive(ballast)
	os.Exit(code)
}

// run is the program with its arguments and streams; it returns the exit code. Tests change
// the app with set.
func run(ctx context.Context, args []string, stdin *os.File, stdout, stderr io.Writer, set ...func(*app)) int {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memory + ballastSize)
	}
	var c cli
	a := newApp(ctx, &c.globals, stdin, stdout, stderr)
	for _, f := range set {
		f(a)
	}
	exit := -1
	parser, err := kong.New(&c, kong.Name("satchel"), kong.Writers(stdout, stderr), kong.Exit(func(code int) {
		if exit < 0 {
			exit = code
		}
	}),
		kong.Description("Carries what git ignores from one computer to the next: push before you leave, pull when you arrive."),
		kong.ExplicitGroups([]kong.Group{{Key: "daily", Title: "Every day:"}, {Key: "other", Title: "Now and then:"}}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, NoExpandSubcommands: true, WrapUpperBound: 100}))
	if err != nil {
		panic(err) // the structure above is wrong
	}
	if i := slices.Index(args, "--"); i >= 0 {
		a.forced = len(args) - i - 1
	}
	k, err := parser.Parse(spelled(args))
	if exit >= 0 {
		return exit // help was printed
	}
	if parse := (*kong.ParseError)(nil); errors.As(err, &parse) && parse.Context.Selected() != nil {
		a.command = parse.Context.Selected().Name
	}
	if err != nil {
		return a.report(usageError{err})
	}
	a.command = k.Selected().Name
	if err := a.checkLimits(); err != nil {
		return a.report(err)
	}
	return a.report(k.Run(a))
}

// spelled puts what kong knows in the place of what people and old scripts type.
func spelled(args []string) []string {
	if len(args) == 0 {
		return []string{"--help"}
	}
	switch args[0] {
	case "help":
		return append(slices.Clone(args[1:]), "--help")
	case "--version":
		return []string{"version"}
	}
	i := slices.IndexFunc(args, func(arg string) bool { return arg == "--" || scriptNames[arg] != "" })
	if i < 0 || args[i] == "--" || i > 0 && !strings.HasPrefix(args[0], "-") {
		return args
	}
	args = slices.Clone(args)
	args[i] = scriptNames[args[i]]
	return args
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// errIncomplete ends a command that did its work, but could not read everything.
var errIncomplete = errors.New("done, but not everything could be read")

// errUnheld ends one that did its work, but could not put everything here.
var errUnheld = errors.New("done, but this computer cannot hold everything")

// errSpared: databases stay as they are here, as those that were saved are damaged.
var errSpared = errors.New("done, but a database that was saved is damaged, and was not put in place")
