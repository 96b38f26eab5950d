package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"satchel/snapshot"
	"satchel/snapshot/plain"
	"satchel/snapshot/workspace"
	"satchel/store"
	"satchel/store/azure"
	"satchel/store/ledger"
	"satchel/store/pack"
)

type importCmd struct {
	From            string `placeholder:"URL" help:"The container that the script wrote to, if the manifest names another."`
	RemoveOriginals bool   `help:"Delete the script's blobs, once the snapshot of them is read back and the same."`
	Yes             bool   `short:"y" help:"Delete them without asking."`

	Dir string `arg:"" optional:"" name:"dir" help:"The workspace folder."`
}

func (importCmd) Help() string {
	return `Takes what the script sync-push left in a container, plain blobs under the manifest's remote names, as the
first snapshot of this workspace. Each is checked against the SHA-256 that the script noted with it. Nothing in this folder is
touched: satchel pull brings the files here, beside what is here.

The originals stay, readable for whoever may read the container, until satchel import --remove-originals.

Example:
  satchel import
  satchel import --remove-originals`
}

// importTag is the word that the snapshot of an import has.
const importTag = "import"

func (c importCmd) Run(a *app) error {
	s, err := a.open(c.Dir, true)
	if err != nil {
		return err
	}
	defer s.close()
	if s.access.Me == nil {
		return errReadOnly
	}
	source, at, err := s.origin(c.From)
	if err != nil {
		return err
	}
	found, err := plain.List(a.ctx, source, s.rules)
	if err != nil {
		return err
	}
	for _, f := range found.Other {
		a.note("! %s stays as it is: the manifest does not name it", quoted(f.Name))
	}
	if len(found.Files) == 0 {
		return fmt.Errorf("%w: %s has no blob of the script's that %s names", errNoOriginals, at, s.rules.Source())
	}
	v, done := s.imported()
	var bad []plain.File
	if !done {
		if v, bad, err = s.importAll(source, found.Files); err != nil {
			return err
		}
	} else if !c.RemoveOriginals {
		return fmt.Errorf("%w: it is snapshot %s", errImported, s.described(v))
	}
	if err := c.originals(s, source, at, v, found.Files, bad); err != nil {
		return err
	}
	if len(bad) > 0 {
		return errIncomplete
	}
	return nil
}

var (
	errNoOriginals = errors.New("there is nothing to import")
	errImported    = errors.New("it was imported already")
	errNotFirst    = errors.New("the workspace has snapshots, and what is imported becomes the first")
)

// origin is the container that the script wrote to.
func (s *session) origin(from string) (store.Foreigners, store.Location, error) {
	loc, m := s.at.Location, s.rules.Manifest()
	switch {
	case from != "":
		var err error
		if loc, err = store.ParseLocation(from); err != nil {
			return nil, loc, usageError{fmt.Errorf("--from: %w", err)}
		}
	case m != nil && m.StorageAccount != "":
		loc = store.AzureLocation(m.StorageAccount, m.Container)
	}
	if loc.Kind != store.Azure {
		return nil, loc, usageError{fmt.Errorf("%s is not in Azure: name the container that the script wrote to, --from URL", loc)}
	}
	opened, err := s.a.openStore(located{Location: loc, from: "--from"}, false)
	if err != nil {
		return nil, loc, err
	}
	return opened.(*azure.Store), loc, nil
}

// imported is the snapshot that an earlier import made.
func (s *session) imported() (ledger.Snapshot, bool) {
	for _, v := range s.state().Snapshots(s.lineage.Workspace) {
		if slices.Contains(s.state().Tags(v.ID), importTag) {
			return v, true
		}
	}
	return ledger.Snapshot{}, false
}

// importAll makes a snapshot of the originals but for those that are damaged, which it returns. They pass through a
// folder inside the workspace, so that they never lie on another volume than it does.
func (s *session) importAll(source store.Foreigners, files []plain.File) (v ledger.Snapshot, bad []plain.File, err error) {
	if w, known := s.state().Workspace(s.lineage.Workspace); known && len(w.Heads) > 0 {
		return v, nil, errNotFirst
	}
	stage, err := os.MkdirTemp(s.root, ".satchel-stage-import-*")
	if err != nil {
		return v, nil, err
	}
	defer os.RemoveAll(stage)
	root, err := os.OpenRoot(stage)
	if err != nil {
		return v, nil, err
	}
	defer root.Close()
	if bad, err = plain.Fetch(s.a.ctx, source, files, root); err != nil {
		return v, nil, err
	}
	for _, f := range bad {
		s.a.problem(f.Local, "the blob has other bytes than the script noted; it is left out, and stays in the container")
	}
	if len(bad) == len(files) {
		return v, nil, fmt.Errorf("%w: every blob is damaged", errNoOriginals)
	}
	id, err := s.pushStage(stage)
	if err != nil {
		return v, nil, err
	}
	v, _ = s.state().Snapshot(id)
	content := ledger.TagContent{Snapshot: id, Tag: importTag}
	return v, bad, s.append(ledger.TagKind, func(*ledger.State) any { return content })
}

// pushStage pushes what the folder stage holds as a snapshot of this workspace, by this folder's manifest.
func (s *session) pushStage(stage string) (id pack.ID, err error) {
	if err := s.begin(); err != nil {
		return id, err
	}
	there := filepath.Join(stage, workspace.ManifestName)
	if m := s.rules.Manifest(); m != nil {
		if _, err := os.Lstat(there); err != nil { // else it was imported itself, and goes by its own rules
			if err := os.WriteFile(there, m.Encode(), 0o600); err != nil {
				return id, err
			}
		}
	}
	push, err := s.push(nil)
	if err != nil {
		return id, err
	}
	place, err := s.a.place()
	if err != nil {
		return id, err
	}
	push.Safety = nil
	if push.Rules, err = workspace.Load(s.a.ctx, stage, nil); err != nil {
		return id, err
	}
	if push.Lineage, err = snapshot.OpenLineage(place.State, s.access.Repository, stage); err != nil {
		return id, err
	}
	push.Lineage.Workspace = s.lineage.Workspace
	defer func() {
		err = errors.Join(err, s.index.PutDirs(push.Lineage.StateKey(), nil, []string{""}), push.Lineage.Discard())
	}()
	began := s.a.now()
	out, err := push.Run(s.a.ctx)
	if err != nil {
		return id, err
	}
	s.summary(out, s.a.now().Sub(began))
	return out.Snapshot, nil
}

// originals reads the snapshot back, and then deletes the script's blobs, or says how to.
func (c importCmd) originals(s *session, source store.Foreigners, at store.Location, v ledger.Snapshot, files, bad []plain.File) error {
	a := s.a
	files = slices.DeleteFunc(files, func(f plain.File) bool {
		return slices.ContainsFunc(bad, func(b plain.File) bool { return b.Name == f.Name })
	})
	same, unlike, err := plain.Verify(a.ctx, s.reader, v.Root, files)
	if err != nil {
		return err
	}
	for _, f := range unlike {
		a.note("! %s: snapshot %x does not have these very bytes (a database and its -wal become one image there); it stays in the container", quoted(f.Name), v.ID[:4])
	}
	if !c.RemoveOriginals {
		a.say("Read back and compared: %s.\nThe originals in %s are still there for whoever may read it. To delete them, and their older versions: satchel import --remove-originals\n"+
			"What is here was not touched: satchel pull brings the files here", count(len(same), "file"), at)
		return nil
	}
	if !c.Yes && !a.agree(fmt.Sprintf("Delete %s of the script's in %s, with all older versions?", count(len(same), "blob"), at)) {
		return &needsYes{fmt.Sprintf("%s of the script's in %s would be deleted", count(len(same), "blob"), at)}
	}
	removed, err := plain.Remove(a.ctx, source, same)
	if err != nil {
		return err
	}
	if a.JSON {
		a.json("removed", map[string]any{"blobs": removed.Blobs, "bytes": removed.Bytes, "kept": removed.Kept, "days": removed.Days})
	}
	a.say("Deleted %s, %s, versions included.", count(removed.Blobs, "blob"), size(removed.Bytes))
	if removed.Kept > 0 {
		a.say("Soft delete keeps %s for up to %s more, readable for whoever may restore deleted blobs. Nothing but time, or an owner of the account, ends that.",
			count(removed.Kept, "deleted blob"), count(removed.Days, "day"))
	}
	return nil
}
