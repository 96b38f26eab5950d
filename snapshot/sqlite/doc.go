// Package sqlite takes a consistent image of a live SQLite database, and helps to put one
// back safely.
//
//	img, err := sqlite.Open(ctx, path, sqlite.Options{Stage: stage})
//	if errors.Is(err, sqlite.ErrNotDatabase) { … }    // a plain file; so is ErrDamaged's
//	defer img.Close()
//	_, err = io.Copy(w, img)                          // as slowly as w takes it: no lock is held
//	err = errors.Join(err, img.Unchanged())           // ErrChanged: once more
//
// A plain copy of a database in use is torn, and integrity_check does not always see it. So
// Open finds a moment at which the database is whole, and holds it no longer than it takes to
// copy within the machine:
//
//	the database                         how its image comes about
//	WAL mode, closed (no -wal)           the file itself; Unchanged compares
//	rollback mode, idle for 2 s          the file itself, looked at under a lock; Unchanged compares
//	WAL mode, open                       the pages of one read transaction, into a private file
//	rollback mode, being written         copied without a lock; what differs is corrected under one
//	left by a crash (hot journal, or     database and journal copied, compared, and recovered
//	a -wal without -shm)                 in private
//
// Images keep the layout of the pages: one of a database that nobody uses is its file byte for
// byte (above 1 GiB all but the page that SQLite keeps free for its locks), so that days
// deduplicate. What is in the -wal and -journal is in the image; they do not travel.
//
// # What the owner of the database notices
//
// In WAL mode a writer never waits; while the pages are copied (200 MB: 0.6 to 0.9 s on two busy
// cores) a checkpoint cannot be completed, and a program that closes the database cannot remove
// its -wal. In rollback mode a commit waits while file and copy are compared (200 MB in the page
// cache: 35 to 60 ms; seen by a writer on two overloaded cores, 0.2 to 0.5 s), and a program
// without a busy timeout may be told SQLITE_BUSY. Nothing is made, written, checkpointed or rolled
// back in the database's folder. One hole, not on Linux: if the last program closes a WAL database
// between our look and SQLite's, SQLite leaves an empty -wal, which is harmless.
//
// # Limits
//
//   - Locks on a network file system cannot be trusted: the image is taken all the same, and
//     its Remote is set.
//   - Locks are those of the open file on Linux. On macOS, closing any descriptor of the database in
//     this process drops them: nothing else should open it meanwhile. A change in spite
//     of the lock shows in the file's times, and the image is taken again.
//   - macOS: on volumes without locks SQLite makes a NAME.lock beside the database while it reads.
//   - Windows tells the times of an open file late: in rollback mode the database is
//     always copied.
//   - A program that keeps the lock to itself (locking_mode=EXCLUSIVE) is ErrBusy to the end.
//   - The process must not use SQLite otherwise: the kind of locks is chosen once, and a
//     connection that writes would find our -shm, which is read-only.
//
// # Putting one back
//
// A new database beside the old -wal reads as damaged, and a program that has the old one open
// goes on writing to it wherever it is. So, each step undone in reverse:
//
//  1. stage the new database on the same disk; CheckImage it; sync it; note the intent durably
//  2. InUse: whoever it names ends it here
//  3. move the old database away, then what Sidecars finds beside it: the database first, so that
//     nobody opens it without its -wal
//  4. rename the new database in
//  5. sync the folder; clear the intent
//
// Everything is safe for concurrent use; an Image is for one goroutine.
package sqlite
