package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"satchel/index"
	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/retention"
	"satchel/snapshot/sqlite"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/access"
	"satchel/store/azure"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

// Exit codes, DESIGN §9.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitIncomplete  = 3
	exitBehind      = 4
	exitWouldLose   = 5
	exitDamaged     = 6
	exitDenied      = 7
	exitGate        = 8
	exitNone        = 10
	exitWrongKey    = 12
	exitInterrupted = 130
)

// behindError is snapshot.ErrBehind with who and when.
type behindError struct {
	who       string
	when      int64
	id        pack.ID
	now       time.Time
	workspace string
	base      bool // this folder has one
}

func (e *behindError) Error() string {
	return fmt.Sprintf("behind: %s pushed snapshot %x of %s on %s (%s), which this folder does not have", e.who, e.id[:4], quoted(e.workspace), moment(e.when), ago(e.now.Sub(time.Unix(0, e.when))))
}
func (e *behindError) Unwrap() error { return snapshot.ErrBehind }

// shrunk is snapshot.ErrShrunk with how much is gone.
type shrunk struct {
	root      string
	now, then uint64 // files
}

func (e *shrunk) Error() string {
	if e.now == 0 {
		return fmt.Sprintf("every file is gone: the last snapshot has %s, %s has none of them", count(e.then, "file"), e.root)
	}
	return fmt.Sprintf("more than a fifth of the files are gone: the last snapshot has %s, %s has %s", count(e.then, "file"), e.root, thousands(int64(e.now)))
}
func (e *shrunk) Unwrap() error { return snapshot.ErrShrunk }

// wouldLose lists what a pull or restore would overwrite.
type wouldLose struct {
	conflicts []restore.Conflict
	hint      string
}

func (e *wouldLose) Error() string {
	return fmt.Sprintf("would lose local changes in %s; nothing was touched", count(len(e.conflicts), "file"))
}

// report prints an error with what to do next, and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	code, hint := explain(a, err)
	text := err.Error()
	if code == exitInterrupted {
		text = "interrupted"
	}
	if a.JSON {
		a.json("error", map[string]any{"code": code, "text": text, "hint": hint, "paths": paths(err)})
		return code
	}
	for i, p := range paths(err) {
		if i == 20 && !a.Verbose {
			fmt.Fprintf(a.err, "  … and %s more (--verbose lists all)\n", thousands(int64(len(paths(err))-i)))
			break
		}
		fmt.Fprintf(a.err, "  %s %s\n", quoted(p["path"]), p["reason"])
	}
	if (errors.Is(err, errIncomplete) || errors.Is(err, errUnheld) || errors.Is(err, errSpared)) && a.Quiet {
		return code // the paths were named
	}
	fmt.Fprintf(a.err, "satchel: %s\n", text)
	if hint != "" {
		fmt.Fprintf(a.err, "  %s\n", hint)
	}
	return code
}

// paths are the files that an error is about, each with what is wrong with it.
func paths(err error) []map[string]string {
	out := []map[string]string{}
	if lose := (*wouldLose)(nil); errors.As(err, &lose) {
		for _, c := range lose.conflicts {
			out = append(out, map[string]string{"path": c.Local, "reason": c.Reason})
		}
	}
	if open := (*restore.InUseError)(nil); errors.As(err, &open) {
		for _, c := range open.Databases {
			out = append(out, map[string]string{"path": c.Local, "reason": c.Reason})
		}
	}
	if damage := (*restore.DamageError)(nil); errors.As(err, &damage) {
		for _, p := range damage.Paths {
			out = append(out, map[string]string{"path": p, "reason": "is damaged in the repository"})
		}
	}
	return out
}

// explain finds the exit code of an error and the next step.
func explain(a *app, err error) (code int, hint string) {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	var usage usageError
	var shut *gateError
	var lacks *lacksRight
	var many *ambiguous
	var cloud *azure.Error
	var newer *seal.GenerationError
	var weak *seal.WeakPassphraseError
	var behind *behindError
	var lose *wouldLose
	var left *conflictsLeft
	var open *restore.InUseError
	var found *damageFound
	var unsafe *notSafe
	var much *needsYes
	var gate *secretRefused
	switch {
	case is(context.Canceled) || a.ctx.Err() != nil:
		if a.command == "push" || a.command == "leave" {
			hint = "What the store has acknowledged is not sent again."
		}
		return exitInterrupted, hint
	case errors.As(err, &shut):
		return exitGate, shut.hint(runtime.GOOS)
	case errors.As(err, &gate):
		return exitGate, gate.hint
	case errors.As(err, &usage):
		return exitUsage, strings.TrimSpace("satchel "+a.command) + " --help"
	case errors.As(err, &many):
		return exitFailed, "Say which one it is: --workspace NAME"
	case errors.As(err, &unsafe):
		return exitIncomplete, unsafe.hint
	case is(errIncomplete):
		return exitIncomplete, "What is listed above is not in the snapshot as it is on disk. The snapshot is marked."
	case is(errSpared):
		return exitIncomplete, "satchel history PATH lists older ones; satchel restore --force PATH puts the damaged one in place all the same"
	case is(errUnheld):
		return exitIncomplete, "What is listed above is in the snapshot, and stays there: the next push from here does not remove it"
	case errors.As(err, &behind) && !behind.base:
		return exitBehind, "Pull first: satchel pull. If this folder is another workspace than that one, rename it, or give it a workspace id of its own in " + workspace.ManifestName
	case is(snapshot.ErrBehind):
		return exitBehind, "Pull first: satchel pull"
	case is(snapshot.ErrNothing):
		return exitFailed, "satchel status --why PATH says why a path stays here; satchel init proposes a manifest"
	case is(snapshot.ErrShrunk):
		return exitFailed, "If they are meant to be gone: satchel push --yes. If not: satchel restore"
	case errors.As(err, &much) && a.command == "prune":
		return exitFailed, "satchel prune --dry-run lists what would go, with the same flags. If it is meant: satchel prune --yes"
	case errors.As(err, &much):
		return exitFailed, "If it is meant: --yes"
	case is(errHead):
		return exitFailed, "Push first: then it is not the newest any more. To let the whole workspace go: satchel forget --all --yes"
	case is(errHeld):
		return exitFailed, "Release it first: satchel hold ID --release"
	case is(retention.ErrGone):
		return exitFailed, "Nothing was changed. satchel snapshots lists what there is"
	case is(errNoOriginals):
		return exitFailed, "Name the container that the script wrote to: --from URL. The manifest must name what is in it: satchel status --why PATH"
	case is(errImported):
		return exitFailed, "To delete what it was made of: satchel import --remove-originals"
	case is(errNotFirst):
		return exitFailed, "Import into a folder of its own, as a workspace of its own: satchel import --from URL FOLDER"
	case is(errNoUndo):
		return exitFailed, "satchel undo --list says what was done here; satchel snapshots what the repository has"
	case errors.As(err, &left):
		return exitBehind, "Compare them, keep what is right, delete or rename the .conflict- copies; then satchel push"
	case errors.As(err, &lose):
		return exitWouldLose, lose.hint
	case errors.As(err, &open):
		return exitWouldLose, "Close the program, then try again"
	case errors.As(err, &found):
		return exitDamaged, found.hint
	case is(ledger.ErrRollback):
		return exitDamaged, "The store was rolled back or replaced. Nothing is written until a person has looked; this device still has its copy of the ledger."
	case is(sqlite.ErrDamaged, sqlite.ErrNotDatabase):
		return exitDamaged, "The database was damaged already when it was saved; another snapshot may have it whole: satchel history PATH. As it is: satchel restore --force --to DIR PATH"
	case is(ledger.ErrDamaged, access.ErrDamaged, pack.ErrDamaged, snapshot.ErrMissing, snapshot.ErrTree):
		return exitDamaged, "The repository is damaged at the place named. Nothing was written over; other snapshots may be whole: satchel snapshots"
	case is(errNoSnapshot) && (a.command == "pull" || a.command == "status"):
		return exitFailed, "Push first, from the computer that has the files"
	case is(errNoSnapshot, errForgotten):
		return exitFailed, "satchel snapshots --all lists what the repository has"
	case is(access.ErrOther):
		return exitDamaged, "If that is meant, use another folder or --store; keys and history of the old one stay on this computer"
	case is(ledger.ErrTooNew, seal.ErrTooNew):
		return exitFailed, "Install a newer satchel on this computer"
	case errors.As(err, &newer):
		return exitFailed, fmt.Sprintf("The keys were changed (generation %d) and this computer has not been given the new ones", newer.Generation)
	case is(access.ErrVanished) && a.at.Kind == store.Azure:
		return exitNone, "The account may keep a deleted container for some days, but not once a new one has its name: in the portal, Containers, Show deleted containers. If it is gone for good, remove the file named above; what then begins there is a new repository"
	case is(access.ErrVanished):
		return exitNone, "Bring it back: plug the disk in, mount the share, move it to where it was. If it is gone for good, remove the file named above; what then begins there is a new repository"
	case is(access.ErrNoRepository) && is(store.ErrNoContainer) && a.at.Kind == store.Azure:
		return exitNone, noneHint(a) + ". If somebody deleted it, the account may keep it for some days, but not once a new one has its name: in the portal, Containers, Show deleted containers"
	case is(access.ErrNoRepository):
		return exitNone, noneHint(a)
	case is(store.ErrNoContainer) && a.at.Kind == store.Azure:
		return exitNone, "The container was deleted meanwhile. The account may keep it for some days: in the portal, Containers, Show deleted containers. Do not make a new one of its name before"
	case is(store.ErrNoContainer):
		return exitNone, "Bring it back (plug the disk in, mount the share), then try again: what the store has acknowledged is not sent again"
	case is(access.ErrNotEmpty):
		return exitFailed, "Give the repository an empty place of its own: another folder or container, or a prefix. What an earlier init left can be deleted by hand if nobody has pushed there"
	case errors.As(err, &lacks):
		return exitDenied, "An admin grants it: satchel device grant " + quoted(lacks.device) + " " + lacks.right
	case is(access.ErrRevoked):
		return exitDenied, "An admin took it out of the repository. If that was a mistake, remove its device.key and pull with the passphrase or recovery code: it joins anew"
	case is(access.ErrLastWay):
		return exitFailed, "Add another one first: satchel key add passphrase, or satchel key add recovery"
	case is(access.ErrNotAllowed):
		return exitDenied, "Give the passphrase or a recovery code, which may: at a terminal, or as SATCHEL_PASSPHRASE (or _FILE, _COMMAND)"
	case is(access.ErrSecret):
		return exitWrongKey, "Check it (upper and lower case count), or use the other of the two"
	case is(access.ErrNoSecret):
		return exitWrongKey, "Give it once, to join: at a terminal, or as SATCHEL_PASSPHRASE (or _FILE, _COMMAND)"
	case errors.As(err, &weak):
		return exitUsage, ""
	case is(store.ErrUnsafe):
		return exitFailed, "Use a folder on a local disk of another kind, or Azure Blob Storage itself"
	case is(store.ErrDenied):
		if errors.As(err, &cloud) {
			return exitDenied, cloudHint(cloud, runtime.GOOS)
		} else if a.at.Kind == store.Azure {
			return exitDenied, "The role Storage Blob Data Contributor is missing, or a SAS that may create (sp=rcl)"
		}
		return exitDenied, "Check who may read and write there"
	case is(ledger.ErrBusy, index.ErrBusy):
		return exitFailed, "Wait for it to end, then try again"
	case is(ledger.ErrClock):
		return exitFailed, "Check this computer's clock and the other devices'"
	case is(ledger.ErrCloned):
		return exitFailed, "Give this computer an identity of its own: remove its device.key (see the message's path) and join again"
	case errors.As(err, &cloud):
		return exitFailed, cloudHint(cloud, runtime.GOOS)
	}
	return exitFailed, ""
}

// noneHint says how a repository comes to be where there is none.
func noneHint(a *app) string {
	switch {
	case a.at.builtin && a.command == "pull":
		return "No store is named. Name the one that the other computer pushes to: --store, SATCHEL_STORE or " + workspace.ManifestName
	case a.at.builtin:
		return "No store is named, and this computer has pushed nothing yet. Begin with: satchel push"
	case a.Store != "":
		return "If there should be one, check the name. To make one, run satchel init --store " + quoted(a.at.String())
	}
	return "If there should be one, check the name, which comes from " + a.at.from + ". To make one, run satchel init"
}
