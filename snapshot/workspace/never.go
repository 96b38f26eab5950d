package workspace

import (
	"regexp"
	"strings"
)

const alwaysOut = "never travels"

// never is never, but for conflict copies where these rules take them.
func (r *Rules) never(name string, dir bool) (reason string) {
	if r.conflicts && IsConflict(name) {
		return ""
	}
	return never(name, dir)
}

// never says why no path with an element of this name travels, "" if it may.
func never(name string, dir bool) (reason string) {
	if name == "" {
		return ""
	}
	switch name[0] {
	case '.':
		switch {
		case strings.EqualFold(name, ".git"):
			return "it is git's own"
		case strings.HasPrefix(name, ".satchel-tmp-"), strings.HasPrefix(name, ".satchel-stage-"):
			return "it is a leftover of satchel's"
		}
	}
	if IsConflict(name) {
		return "it is a conflict copy; once resolved, under a name of its own, it travels"
	}
	if !dir && isLock(name) {
		return "it is the lock file of an open document"
	}
	return ""
}

var conflictCopy = regexp.MustCompile(`\.conflict-.+-[0-9]{8}T[0-9]{6}Z(-[0-9]+)?(\.[^.]*)?$`)

// IsConflict reports whether a file or folder of this name is the other side's version of one
// that two devices changed: snapshot.ConflictName makes such names.
func IsConflict(name string) bool {
	return strings.Contains(name, ".conflict-") && conflictCopy.MatchString(name)
}

// isLock reports whether Microsoft Office or LibreOffice makes files of this name
// beside a document that is open.
func isLock(name string) bool {
	return strings.HasPrefix(name, "~$") && len(name) > 2 ||
		strings.HasPrefix(name, ".~lock.") && strings.HasSuffix(name, "#")
}

// isLockOf reports whether lock stands beside the document while it is open. Excel
// puts "~$" before the name; Word puts it in the place of the first two characters,
// if the name is long.
func isLockOf(lock, document string) bool {
	if rest, ok := strings.CutPrefix(lock, "~$"); ok {
		return rest == document || len(rest) > 4 && strings.HasSuffix(document, rest) &&
			len([]rune(document))-len([]rune(rest)) <= 2
	}
	return lock == ".~lock."+document+"#"
}

// sidecars are the suffixes of the files that SQLite keeps beside a database.
var sidecars = []string{"-wal", "-shm", "-journal"}

// databaseOf returns the name of the database that a file of this name may belong to.
func databaseOf(name string) (database, suffix string, ok bool) {
	for _, suffix := range sidecars {
		if database, ok := strings.CutSuffix(name, suffix); ok && database != "" {
			return database, suffix, true
		}
	}
	return "", "", false
}
