package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"satchel/index"
	"satchel/restore"
	"satchel/snapshot"
	"satchel/snapshot/check"
	"satchel/store/pack"
	"satchel/store/seal"
)

type checkCmd struct {
	ReadData percent `name:"read-data" help:"Read all objects too, or with =5% a part of them at random, and compare each with its name."`
	Decrypt  bool    `help:"Read everything, open it, and recompute every chunk's hash."`
}

func (checkCmd) Help() string {
	return `Looks at all that the repository is made of: the ledger with every signature, each object with its
size, the keys, and the tree of every snapshot. What is wrong is named, with the paths of the snapshots that it
hurts. A byte that changed in a file's data is found by --read-data, which compares whole objects with their names, and
by --decrypt, which opens everything.

Example:
  satchel check
  satchel check --read-data=5%
  satchel check --decrypt`
}

// percent is a part of a whole: a flag without a value is all of it.
type percent float64

// IsBool makes a flag of this type one that stands alone.
func (percent) IsBool() bool { return true }

// Decode implements kong.MapperValue.
func (p *percent) Decode(ctx *kong.DecodeContext) error {
	*p = 1
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	text := strings.TrimSuffix(ctx.Scan.Pop().String(), "%")
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 || n > 100 {
		return fmt.Errorf("%q is no percentage: give one such as 5%%", text)
	}
	*p = percent(n / 100)
	return nil
}

func (c checkCmd) Run(a *app) error {
	began := a.now()
	s, err := a.openToMend()
	if err != nil {
		return err
	}
	defer s.close()
	r, err := s.check(check.Options{ReadData: float64(c.ReadData), Decrypt: c.Decrypt})
	if err != nil {
		return err
	}
	s.sweep()
	s.printProblems(r)
	s.checked(r, a.now().Sub(began))
	if r.Damage() {
		return newDamageFound(r)
	}
	return nil
}

// sweep removes what pushes that died left half written in a folder store, when they are long dead.
func (s *session) sweep() {
	d, ok := s.store.Store.(interface {
		Sweep(context.Context, time.Duration) (int, error)
	})
	if !ok {
		return
	}
	n, err := d.Sweep(s.a.ctx, 24*time.Hour)
	if err != nil {
		s.a.note("%v", err)
	}
	if n > 0 {
		s.a.note("Removed %s that interrupted pushes had left in %s", count(n, "temporary file"), s.at)
	}
}

// openToMend opens a repository that may be too damaged for its ledger to be read.
func (a *app) openToMend() (*session, error) {
	s := &session{a: a}
	if err := s.openUnsynced("", false); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// check runs a check and keeps what it noted.
func (s *session) check(o check.Options) (*check.Report, error) {
	a := s.a
	var seed [8]byte
	if _, err := io.ReadFull(a.rand, seed[:]); err != nil {
		return nil, err
	}
	var err error
	if o.Note, err = s.health(); err != nil {
		return nil, err
	}
	var p snapshot.Progress
	stop := a.showProgress(&p, "read")
	defer stop()
	o.Log, o.Index, o.Me, o.Seed, o.Progress = s.access.Log, s.index, s.access.Me, binary.BigEndian.Uint64(seed[:]), &p
	r, err := check.Run(a.ctx, o)
	if errors.Is(err, index.ErrTorn) {
		s.index.Close()
		if err := s.openIndex(); err != nil {
			return nil, err
		}
		o.Index = s.index
		r, err = check.Run(a.ctx, o)
	}
	if rotated := (*seal.GenerationError)(nil); errors.As(err, &rotated) {
		if err := s.access.Sync(a.ctx); err != nil {
			return nil, err
		}
		r, err = check.Run(a.ctx, o)
	}
	return r, errors.Join(err, o.Note.Save())
}

// printProblems lists what a check found.
func (s *session) printProblems(r *check.Report) {
	for _, p := range r.Problems {
		kind, mark := "damage", "!"
		if p.Severity == check.Notice {
			kind, mark = "notice", "-"
		}
		if s.a.JSON {
			s.a.json(kind, map[string]any{"object": p.Object, "text": p.What, "paths": hurtFields(p.Hurts)})
			continue
		}
		if kind == "notice" && s.a.Quiet {
			continue
		}
		object := p.Object
		if object == "" {
			object = "lost"
		}
		fmt.Fprintf(s.a.out, "%s %s: %s\n", mark, quoted(object), p.What)
		s.printHurts(p.Hurts)
	}
	for _, o := range r.Unregistered {
		s.a.debug("not registered: %s, %s", o.Name, size(o.Size))
	}
}

// printHurts lists paths that cannot be restored.
func (s *session) printHurts(hs []check.Hurt) {
	for i, h := range hs {
		if i == 50 && !s.a.Verbose {
			fmt.Fprintf(s.a.out, "    … and %s more (--verbose lists all)\n", thousands(int64(len(hs)-i)))
			return
		}
		fmt.Fprintf(s.a.out, "    %s in %s\n", s.hurtPath(h.Path), s.snapshotWords(h.Snapshots()))
	}
}

// hurtPath is what a Hurt's path says, in words.
func (s *session) hurtPath(path string) string {
	switch dir, isDir := strings.CutSuffix(path, "/"); {
	case path == "":
		return "the manifest"
	case path == "/":
		return "everything"
	case isDir:
		return "all of " + quoted(s.localName(dir)) + "/"
	}
	return quoted(s.localName(path))
}

// snapshotWords names up to three snapshots, or says how many they are.
func (s *session) snapshotWords(ids []pack.ID) string {
	if len(ids) > 3 {
		return fmt.Sprintf("%s, %x to %x", count(len(ids), "snapshot"), ids[0][:4], ids[len(ids)-1][:4])
	}
	var words []string
	for _, id := range ids {
		words = append(words, hex.EncodeToString(id[:4]))
	}
	return "snapshot " + strings.Join(words, ", ")
}

func hurtFields(hs []check.Hurt) []map[string]any {
	out := []map[string]any{}
	for _, h := range hs {
		out = append(out, map[string]any{"path": h.Path, "snapshots": ids(h.Snapshots())})
	}
	return out
}

// checked is the summary of a check.
func (s *session) checked(r *check.Report, took time.Duration) {
	a := s.a
	left := int64(0)
	for _, o := range r.Unregistered {
		left += o.Size
	}
	damaged, notices := tally(r)
	if a.JSON {
		a.json("summary", map[string]any{"store": s.at.String(), "damaged": damaged, "notices": notices, "snapshots": r.Snapshots, "entries": r.Entries,
			"packs": r.Packs, "packs_opened": r.Opened, "objects": r.Objects, "bytes": r.Bytes, "objects_read": r.Read, "bytes_read": r.ReadBytes,
			"unregistered": len(r.Unregistered), "bytes_unregistered": left, "requests": s.store.requests(), "seconds": took.Seconds()})
		return
	}
	a.say("%s in %s: %s, %s, %s, %s in all", count(r.Objects, "object"), s.at, count(r.Snapshots, "snapshot"), entries(int(r.Entries)), count(r.Packs, "pack"), size(r.Bytes))
	opened := ""
	if r.Opened > 0 {
		opened = ", every frame of " + count(r.Opened, "pack") + " opened"
	}
	a.say("%s read whole (%s)%s · %s · %s", count(r.Read, "object"), size(r.ReadBytes), opened, count(s.store.requests(), "request"), seconds(took))
	if len(r.Unregistered) > 0 {
		a.say("%s of %s belong to no snapshot: a push that did not end, here or elsewhere, left them.", count(len(r.Unregistered), "object"), size(left))
	}
	switch {
	case damaged == 0 && len(r.Damaged) > 0:
		a.say("Nothing that a snapshot needs is damaged.")
	case damaged == 0:
		a.say("Nothing is damaged.")
	}
}

// entries counts entries of the ledger.
func entries(n int) string {
	if n == 1 {
		return "1 ledger entry"
	}
	return thousands(int64(n)) + " ledger entries"
}

// tally counts the problems of a report.
func tally(r *check.Report) (damaged, notices int) {
	for _, p := range r.Problems {
		if p.Severity == check.Damage {
			damaged++
		} else {
			notices++
		}
	}
	return damaged, notices
}

// damageFound ends a command that has listed what is damaged.
type damageFound struct{ text, hint string }

func (e *damageFound) Error() string { return e.text }

// newDamageFound says what can be done about it.
func newDamageFound(r *check.Report) error {
	damaged, _ := tally(r)
	hurt := map[string]bool{}
	ofLedger := false
	for _, p := range r.Problems {
		for _, h := range p.Hurts {
			hurt[h.Path] = true
		}
		ofLedger = ofLedger || p.Severity == check.Damage && strings.HasPrefix(p.Object, "l/")
	}
	e := &damageFound{text: fmt.Sprintf("the repository is damaged in %s; %s cannot be restored from every snapshot", count(damaged, "place"), count(len(hurt), "path"))}
	if len(hurt) == 0 {
		e.text = fmt.Sprintf("the repository is damaged in %s; no path of a snapshot is lost", count(damaged, "place"))
	}
	switch {
	case ofLedger:
		e.hint = "satchel repair ledger puts back what this computer has kept"
	case len(r.Damaged)+len(r.Lost) > 0:
		e.hint = "satchel repair packs, on the computer that has the files, saves what can be saved"
	}
	return e
}

// health is what this computer has noted of the repository's.
func (s *session) health() (*check.Note, error) {
	place, err := s.a.place()
	if err != nil {
		return nil, err
	}
	return check.OpenNote(check.NotePath(place.State, s.access.Repository.String()))
}

// noteDamage notes the packs that an error calls damaged, so that the next push sends again what
// it has of them.
func (s *session) noteDamage(err error) error {
	var many *restore.DamageError
	var one *pack.Error
	var packs []pack.Key
	if errors.As(err, &many) {
		packs = many.Packs
	}
	if errors.As(err, &one) {
		packs = append(slices.Clip(packs), one.Pack)
	}
	_, nerr := s.addDamaged(packs)
	return errors.Join(err, nerr)
}

// addDamaged notes damaged packs, and reports whether any of them is news.
func (s *session) addDamaged(packs []pack.Key) (news bool, err error) {
	if len(packs) == 0 {
		return false, nil
	}
	note, err := s.health()
	if err != nil {
		return false, err
	}
	for _, k := range packs {
		news = news || !note.Damaged()[k]
	}
	note.Add(packs...)
	return news, note.Save()
}

// damagedElsewhere tells of packs that turned out to be damaged where nothing was lost by it.
func (s *session) damagedElsewhere(packs []pack.Key) {
	news, err := s.addDamaged(packs)
	if err != nil {
		s.a.note("%v", err)
	}
	if news {
		s.a.note("Damage that cost nothing, as what was wanted lies elsewhere too: %s (satchel check)", count(len(packs), "pack"))
	}
}
