// Package volume tells whether the volume under a folder is encrypted: what a device that is lost
// or stolen shows of the files there to whoever finds it.
//
//	a := volume.Look(ctx, "/home/kim/clinic")
//	if a.State != volume.Encrypted {
//		return fmt.Errorf("%s: %s", a.Volume, a.Why)
//	}
//
// It asks the system, needs no administrator, and changes nothing:
//
//	Linux    dm-crypt (LUKS and its kin) below LVM, RAID, loop devices, btrfs and overlays; ZFS; fscrypt; eCryptfs
//	macOS    FileVault
//	Windows  BitLocker and device encryption, as the shell shows them
//
// What it cannot see it calls Unknown and never Encrypted: network shares, memory, disks that encrypt
// themselves, clouds that encrypt below the machine. It does not look at swap, at who knows the
// key, or at how strong it is. Everything here is safe for concurrent use.
package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// State is what is known of a volume. Only Encrypted is good enough for patients' data.
type State int

const (
	Unknown    State = iota
	Encrypted        // whoever has the disk and not the key reads nothing
	Off              // it is not encrypted, or the key lies beside it
	Converting       // it is being encrypted or decrypted: a part of it is in the clear
)

var states = [...]string{"unknown", "encrypted", "not encrypted", "being encrypted or decrypted"}

func (s State) String() string { return states[s] }

// Answer is what Look found.
type Answer struct {
	State
	Volume string // as the system calls it
	Why    string // what tells, in a few words
}

// unknown is an Answer that could not be had.
func unknown(volume, format string, a ...any) Answer {
	return Answer{Unknown, volume, fmt.Sprintf(format, a...)}
}

// Look asks the system for the volume that path lies on, or would lie on once it is made. What goes
// wrong is an Answer too: Unknown, and why.
func Look(ctx context.Context, path string) Answer {
	there, err := existing(path)
	if err != nil {
		return unknown(path, "%v", err)
	}
	return look(ctx, there)
}

// existing is the absolute path, without links, of path or of the nearest folder above it that is there.
func existing(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for {
		real, err := filepath.EvalSymlinks(path)
		if err == nil || !os.IsNotExist(err) || path == filepath.Dir(path) {
			return real, err
		}
		path = filepath.Dir(path)
	}
}
