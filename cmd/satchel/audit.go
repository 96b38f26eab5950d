package main

import (
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"satchel/restore"
	"satchel/snapshot/when"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/ledger"
	"satchel/store/pack"
	"satchel/store/seal"
)

type auditCmd struct {
	Since string `placeholder:"TIME" help:"Begin here, such as 30d or 2026-10-01."`
	CSV   bool   `name:"csv" help:"Print CSV, for a spreadsheet."`
}

func (auditCmd) Help() string {
	return `Prints the journal: who did what, when, and from which computer. It is the ledger itself, read from its first entry,
each signature and the whole chain verified; a journal that is not whole ends with 6. Pushes, prunes, keys, computers and
gates that were overridden are always in it. What is read (pull, restore, cat, dump) is, where the manifest has audit_reads,
which is so by default with require_azure_ad_auth.

Example:
  satchel audit --since 30d
  satchel audit --json > journal.jsonl
  satchel audit --csv > journal.csv`
}

func (c auditCmd) Run(a *app) error {
	if c.CSV && a.JSON {
		return usageError{errors.New("--csv and --json: one of the two")}
	}
	a.raw = c.CSV
	return a.reading(func(s *session) error {
		var since int64
		if c.Since != "" {
			from, err := when.Parse(c.Since, a.now())
			if err != nil {
				return usageError{fmt.Errorf("--since: %w", err)}
			}
			if h, m, sec := from.Clock(); h == 23 && m == 59 && sec == 59 { // a day is named by its end, and meant from its begin
				from = from.Truncate(time.Second).Add(time.Second).AddDate(0, 0, -1)
			}
			since = from.UnixNano()
		}
		print, end := s.journalPrinter(c.CSV)
		err := s.access.Log.Events(a.ctx, func(e ledger.Event) error {
			if e.Void == "" && e.Time < since {
				return nil
			}
			line, err := s.journalLine(e)
			if err != nil {
				return err
			}
			return print(line)
		})
		return errors.Join(err, end())
	})
}

// journalLine is an entry in words.
type journalLine struct {
	ledger.Event
	what   string
	about  string // what it was done to
	detail ledger.Detail
	count  uint64
	gone   bool // the detail was deleted
}

// journalLine finds the words, and the detail where an entry has one.
func (s *session) journalLine(e ledger.Event) (line journalLine, err error) {
	line = journalLine{Event: e, what: "void"}
	if e.Void != "" {
		line.about = e.Void
		return line, nil
	}
	line.what, line.about, line.count = s.journalWords(e)
	if c, ok := e.Content.(*ledger.AuditContent); ok {
		line.detail, err = s.access.Log.ReadDetail(s.a.ctx, *c)
		if line.gone = errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrNoContainer); line.gone {
			err = nil
		}
		line.about = line.detail.Where
		if line.detail.Snapshot != (pack.ID{}) {
			line.about = fmt.Sprintf("snapshot %x", line.detail.Snapshot[:4])
		}
	}
	return line, err
}

// journalWords says what an entry does, to what, and to how many files or objects.
func (s *session) journalWords(e ledger.Event) (what, about string, n uint64) {
	name := func(id seal.ID) string {
		m, _ := s.state().Member(id)
		return m.Principal.Name
	}
	ids := func(list []pack.ID) string {
		var words []string
		for _, id := range list {
			words = append(words, hex.EncodeToString(id[:4]))
		}
		return "snapshot " + strings.Join(words, ", ")
	}
	switch c := e.Content.(type) {
	case *ledger.GenesisContent:
		return "init", "the repository", uint64(len(c.Principals))
	case *ledger.CommitContent:
		if c.Flags&ledger.FlagSafety != 0 {
			return "keep for undo", fmt.Sprintf("snapshot %x of %s", c.Snapshot[:4], c.Name), c.Files
		}
		return "push", fmt.Sprintf("snapshot %x of %s", c.Snapshot[:4], c.Name), c.Files
	case *ledger.RegisterContent:
		return "upload", "packs", uint64(len(c.Packs))
	case *ledger.ForgetContent:
		return "forget", ids(c.Snapshots), uint64(len(c.Snapshots))
	case *ledger.UnforgetContent:
		var list []pack.ID
		for _, v := range c.Snapshots {
			list = append(list, v.ID)
		}
		return "unforget", ids(list), uint64(len(list))
	case *ledger.HoldContent:
		if c.Released {
			return "release", ids([]pack.ID{c.Snapshot}), 0
		}
		return "hold", ids([]pack.ID{c.Snapshot}) + ": " + c.Reason, 0
	case *ledger.TagContent:
		if c.Removed {
			return "untag", ids([]pack.ID{c.Snapshot}) + ": " + c.Tag, 0
		}
		return "tag", ids([]pack.ID{c.Snapshot}) + ": " + c.Tag, 0
	case *ledger.CondemnContent:
		return "prune", "objects", uint64(len(c.Names))
	case *ledger.CheckpointContent:
		return "checkpoint", fmt.Sprintf("entries up to %d", c.Covers), 0
	case *ledger.EnrolContent:
		return "enrol", fmt.Sprintf("%v %s: %s", c.Principal.Kind, c.Principal.Name, rightWords(c.Principal.Rights)), 0
	case *ledger.RevokeContent:
		return "revoke", strings.TrimSuffix(name(c.Principal)+": "+c.Reason, ": "), 0
	case *ledger.KeyringContent:
		return "rotate", fmt.Sprintf("generation %d", c.Generation), uint64(len(c.Principals))
	case *ledger.MemberContent:
		return "change", fmt.Sprintf("%s: %s", c.Name, rightWords(c.Rights)), 0
	case *ledger.AuditContent:
		return c.What.String(), "", c.Count
	}
	return fmt.Sprintf("entry of kind %d", e.Kind), "", 0
}

var journalColumns = []string{"entry", "time", "computer", "user", "what", "about", "count", "paths", "folder", "gate", "reason"}

// journalPrinter prints lines as JSON, as CSV or for a person.
func (s *session) journalPrinter(table bool) (print func(journalLine) error, end func() error) {
	a := s.a
	none := func() error { return nil }
	if !table {
		return func(l journalLine) error {
			if a.JSON {
				a.json("event", l.fields())
			} else {
				fmt.Fprintln(a.out, l.text())
			}
			return nil
		}, none
	}
	w := csv.NewWriter(a.bytes)
	if err := w.Write(journalColumns); err != nil {
		return func(journalLine) error { return err }, none
	}
	return func(l journalLine) error { return w.Write(l.cells()) }, func() error { w.Flush(); return w.Error() }
}

func (l journalLine) fields() map[string]any {
	paths := []string{}
	for _, p := range l.detail.Paths {
		paths = append(paths, string(p))
	}
	f := map[string]any{"entry": l.Position, "void": l.Void != "", "what": l.what, "about": l.about, "count": l.count, "paths": paths, "folder": l.detail.Where,
		"gate": l.detail.Gate, "reason": l.detail.Reason, "detail_deleted": l.gone, "time": nil, "computer": nil, "user": nil}
	if l.Void == "" {
		f["time"], f["computer"], f["user"] = stamp(l.Time), l.Author.Principal.Name, l.User
	}
	return f
}

// cells are those of a row. A text that a spreadsheet would take for a formula gets an apostrophe before it.
func (l journalLine) cells() []string {
	var paths []string
	for _, p := range l.detail.Paths {
		paths = append(paths, string(p))
	}
	when := ""
	if l.Void == "" {
		when = stamp(l.Time)
	}
	cells := []string{strconv.FormatUint(l.Position, 10), when, l.Author.Principal.Name, l.User, l.what, l.about, strconv.FormatUint(l.count, 10),
		strings.Join(paths, "\n"), l.detail.Where, l.detail.Gate, l.detail.Reason}
	for i, cell := range cells {
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			cells[i] = "'" + cell
		}
	}
	return cells
}

func (l journalLine) text() string {
	if l.Void != "" {
		return fmt.Sprintf("%6d  void: %s", l.Position, l.Void)
	}
	who := quoted(l.Author.Principal.Name)
	if l.User != "" {
		who = quoted(l.User) + " at " + who
	}
	text := fmt.Sprintf("%6d  %s  %-32s %-14s %s", l.Position, time.Unix(0, l.Time).Local().Format("2006-01-02 15:04"), who, l.what, quoted(l.about))
	if l.count > 0 {
		text += fmt.Sprintf(" (%s)", thousands(int64(l.count)))
	}
	for _, more := range []string{l.detail.Gate, l.detail.Reason} {
		if more != "" {
			text += "; " + quoted(more)
		}
	}
	for i, p := range l.detail.Paths {
		if i == shownPaths {
			return text + fmt.Sprintf("\n          … and %s more", thousands(int64(l.count)-shownPaths))
		}
		text += "\n          " + quoted(string(p))
	}
	return text
}

// shownPaths is how many of an entry's paths a person sees.
const shownPaths = 5

// read tells the journal what is about to be read, if the rules in force want that. A computer that cannot
// write there reads nothing then.
func (s *session) read(rules *workspace.Rules, what ledger.Deed, v ledger.Snapshot, paths []string, where string) error {
	if m := rules.Manifest(); s.told || m == nil || !m.AuditsReads() || len(paths) == 0 {
		return nil
	}
	if s.access.Me == nil {
		return fmt.Errorf("%s has audit_reads, and what is read has to go into the journal: %w", workspace.ManifestName, errReadOnly)
	}
	d := ledger.Detail{Snapshot: v.ID, Workspace: v.Workspace, Where: strings.ToValidUTF8(where, "?")}
	for _, p := range paths {
		d.Paths = append(d.Paths, []byte(p))
	}
	count := uint64(len(paths))
	if len(paths) == 1 && paths[0] == everything {
		count = v.Files
	}
	err := s.access.Log.Note(s.a.ctx, s.access.Me, what, count, d)
	s.told = err == nil // once, however often what follows is tried
	return err
}

// everything stands for all paths of a snapshot.
const everything = "."

// readPlan is a hook that tells the journal which files a plan is about to write.
func (s *session) readPlan(rules *workspace.Rules, what ledger.Deed, v ledger.Snapshot, where string) func(*restore.Plan) error {
	return func(p *restore.Plan) error {
		writes, _ := p.Paths()
		return s.read(rules, what, v, writes, where)
	}
}
