// Package workspace decides which paths of a folder travel, under which names, and
// reads them in order. It writes nothing, and opens no files but the manifest, those
// named CACHEDIR.TAG, and, where a journal stands beside one, a database for its first
// 16 bytes.
//
//	rules, err := workspace.Load(ctx, root, nil) // manifest, else git, else everything
//	tree, err := rules.Open()
//	list, err := tree.ReadDir("")                // then each entry that is a folder
//	remote, ok := rules.Remote("data/patients.db")
//	verdict, err := rules.Why(ctx, "logs/old.txt")
//
// # Where the rules come from
//
//	1  .gitignore-sync.json in the root          "manifest .gitignore-sync.json"
//	2  else the snapshot's copy of it, if given  "the snapshot's manifest"
//	3  else, in a git work tree                  "what git ignores"
//	4  else                                      "the whole folder"
//
// # What a manifest says
//
//	local                a file, or a folder with all that is below it; "" or "." is the
//	                     root. It is a folder if it ends in a slash or is one on disk.
//	remote               its name in the snapshot; absent: as local; "." is the root
//	pattern              for folders: a doublestar glob against the path below the folder;
//	                     absent: **/*, which matches dotfiles and keeps empty folders
//	exclude_patterns     lines of a .gitignore in the root; they override every rule
//	secrets              the same notation: files whose content is kept apart, whose mode
//	                     is their owner's alone, and that cat shows only if asked twice;
//	                     absent: .env*, *.pem, *.key
//	include_git_ignored  also what git ignores, under its own names
//	require_device_encryption
//	                     the folder lies on an encrypted disk, or nothing is read or written
//	audit_reads          pull, restore, cat and dump tell the journal which paths; as
//	                     require_azure_ad_auth if absent
//	retention            which snapshots a prune keeps: last, hourly, daily, weekly, monthly,
//	                     yearly (numbers), within (such as "90d"), tags; the rules add up
//	tier                 where new data packs lie in Azure: hot, cool or cold
//
// Rules add up: a file travels if any rule takes it, and the most specific of those
// (the longest local path, then the first) names it. Paths are slash separated and
// below the root; "..", absolute paths, drive letters and .git are errors, and so are
// two rules onto one remote name, and two files that would meet at one.
//
// # What never travels
//
//	.git                              git's own, at any depth
//	.satchel-tmp-* .satchel-stage-*   satchel's leftovers
//	NAME-wal -shm -journal            beside a NAME that is an SQLite database
//	~$* .~lock.*#                     an office program has the document open
//	NAME.conflict-DEVICE-TIME.EXT     a conflict copy, until it is resolved
//
// The manifest itself always does.
//
// # What git ignores
//
// It is git's own answer: untracked files that its rules ignore, tracked files that
// they ignore too, and, as git does not look into repositories inside the work tree,
// the same question asked in each of those (submodules included). A nested
// repository that the outer one ignores and that has no remote is taken whole, as
// nothing else carries it. From this answer satchel leaves out what a tool makes again:
// node_modules, Python environments and bytecode, caches that are named or marked as
// such, cargo's target; see [Rules.Rebuildable]. A manifest's own rules take even that,
// unless it is excluded.
//
// Names are bytes: one that is not valid UTF-8 passes through as it is. Case counts.
// A [Rules] is immutable after [Rules.LeaveOut] and safe for concurrent use, as is a
// [Tree]. The package follows no symbolic link below the root and does not watch:
// git's answer is as old as the Rules.
package workspace
