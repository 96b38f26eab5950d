package volume

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// system is a Linux as far as it tells what lies below a path.
type system struct {
	root    fs.FS                                // its /
	zfs     func(dataset string) (string, error) // the property "encryption"
	fscrypt func(path string) bool               // the directory's content is encrypted by the file system
}

// maxLayers is how many devices may lie upon each other.
const maxLayers = 16

// look finds the volume of an absolute path without links.
func (s system) look(name string, layers int) Answer {
	if layers > maxLayers {
		return unknown(name, "more than %d layers, or a circle", maxLayers)
	}
	if s.fscrypt(name) {
		return Answer{Encrypted, name, "fscrypt"}
	}
	m, ok := s.mountOf(name)
	if !ok {
		return unknown(name, "/proc/self/mountinfo does not say where it lies")
	}
	switch {
	case m.kind == "ecryptfs":
		return Answer{Encrypted, m.point, "eCryptfs"}
	case m.kind == "zfs":
		return s.dataset(m)
	case m.kind == "btrfs":
		return s.btrfs(m, layers)
	case m.kind == "overlay":
		return s.overlay(m, layers)
	case strings.HasPrefix(m.device, "0:"):
		return unknown(m.point, "%s is no local disk", m.kind)
	}
	dir, err := s.real("sys/dev/block/" + m.device)
	if err != nil {
		return unknown(m.point, "the device %s of %s is not in /sys", m.device, m.source)
	}
	return s.device(dir, layers)
}

func (s system) dataset(m mount) Answer {
	switch v, err := s.zfs(m.source); {
	case err != nil:
		return unknown(m.source, "zfs: %v", err)
	case v == "" || v == "-":
		return unknown(m.source, "zfs says %q", v)
	case v == "off":
		return Answer{Off, m.source, "the dataset has encryption=off"}
	default:
		return Answer{Encrypted, m.source, "ZFS, " + v}
	}
}

// btrfs finds the devices of a file system that may span several, by the one that was mounted.
func (s system) btrfs(m mount, layers int) Answer {
	source, err := s.real(strings.TrimPrefix(m.source, "/"))
	if err != nil {
		return unknown(m.source, "%v", err)
	}
	systems, err := fs.ReadDir(s.root, "sys/fs/btrfs")
	if err != nil {
		return unknown(m.source, "%v", err)
	}
	for _, system := range systems {
		devices := path.Join("sys/fs/btrfs", system.Name(), "devices")
		if _, err := fs.Lstat(s.root, path.Join(devices, path.Base(source))); err == nil {
			return s.all(devices, m.source, layers)
		}
	}
	return unknown(m.source, "/sys/fs/btrfs does not know it")
}

// overlay looks at where the upper layer is written, if it can be seen from here: in a container it
// usually cannot.
func (s system) overlay(m mount, layers int) Answer {
	upper, ok := m.option("upperdir")
	if !ok {
		return unknown(m.point, "an overlay without an upper layer")
	}
	if _, err := fs.Stat(s.root, strings.TrimPrefix(upper, "/")); err != nil {
		return unknown(m.point, "an overlay whose upper layer %s is not visible here", upper)
	}
	return s.look(upper, layers+1)
}

// device judges a block device, a folder below /sys/devices.
func (s system) device(dir string, layers int) Answer {
	name := path.Base(dir)
	if layers > maxLayers {
		return unknown(name, "more than %d layers, or a circle", maxLayers)
	}
	if uuid, ok := s.line(dir + "/dm/uuid"); ok && crypt(uuid) {
		return Answer{Encrypted, name, "dm-crypt"}
	}
	if file, ok := s.line(dir + "/loop/backing_file"); ok {
		if strings.HasSuffix(file, " (deleted)") {
			return unknown(name, "its file %s cannot be found", file)
		}
		return s.look(file, layers+1)
	}
	if _, ok := s.line(dir + "/partition"); ok {
		return s.device(path.Dir(dir), layers+1)
	}
	return s.all(dir+"/slaves", name, layers)
}

// all is the answer of all devices in a folder of links together; without any, volume lies on
// nothing that encrypts.
func (s system) all(dir, volume string, layers int) Answer {
	below, err := fs.ReadDir(s.root, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unknown(volume, "%v", err)
	}
	worst := Answer{Off, volume, "it lies on no layer that encrypts"}
	for i, link := range below {
		real, err := s.real(path.Join(dir, link.Name()))
		a := unknown(link.Name(), "%v", err)
		if err == nil {
			a = s.device(real, layers+1)
		}
		if i == 0 || worst.State == Encrypted || a.State == Off {
			worst = a
		}
	}
	return worst
}

// line reads a file of one line below /sys.
func (s system) line(name string) (string, bool) {
	b, err := fs.ReadFile(s.root, name)
	return strings.TrimSuffix(string(b), "\n"), err == nil
}

// crypts are the targets of dm-crypt that cryptsetup sets up; VERITY and INTEGRITY, whose names begin in
// the same way, hide nothing.
var crypts = []string{"LUKS1", "LUKS2", "PLAIN", "LOOPAES", "TCRYPT", "BITLK", "FVAULT2"}

// crypt reports whether the uuid of a device-mapper device is that of an encrypted one.
func crypt(uuid string) bool {
	for _, kind := range crypts {
		if strings.HasPrefix(uuid, "CRYPT-"+kind+"-") {
			return true
		}
	}
	return false
}
