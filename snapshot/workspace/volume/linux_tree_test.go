package volume

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// A tree is a Linux as its /proc, /sys and /dev tell: a file's content by name, or "-> TARGET" for a link.
type tree map[string]string

func (t tree) fs() fstest.MapFS {
	out := fstest.MapFS{}
	for name, content := range t {
		f := &fstest.MapFile{Data: []byte(content), Mode: 0o444}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			f = &fstest.MapFile{Data: []byte(target), Mode: 0o777 | fs.ModeSymlink}
		}
		out[name] = f
	}
	return out
}

// disk has a partition 8:2 of sda, an LVM volume 253:1 on LUKS 253:0 on it, and LVM 253:2 on nothing.
func disk(mounts string, more tree) tree {
	out := tree{
		"proc/self/mountinfo": mounts,
		"sys/dev/block/8:2":   "-> ../../devices/pci0/block/sda/sda2",
		"sys/dev/block/253:0": "-> ../../devices/virtual/block/dm-0",
		"sys/dev/block/253:1": "-> ../../devices/virtual/block/dm-1",
		"sys/dev/block/253:2": "-> ../../devices/virtual/block/dm-2",

		"sys/devices/pci0/block/sda/size":               "500118192\n",
		"sys/devices/pci0/block/sda/sda2/partition":     "2\n",
		"sys/devices/virtual/block/dm-0/dm/uuid":        "CRYPT-LUKS2-0f3c2b5e8d1f4a6b9c7d1e2f3a4b5c6d-luks-root\n",
		"sys/devices/virtual/block/dm-0/slaves/sda2":    "-> ../../../../pci0/block/sda/sda2",
		"sys/devices/virtual/block/dm-1/dm/uuid":        "LVM-abcdefgh12345678\n",
		"sys/devices/virtual/block/dm-1/slaves/dm-0":    "-> ../../dm-0",
		"sys/devices/virtual/block/dm-2/dm/uuid":        "LVM-zyxwvuts87654321\n",
		"sys/devices/virtual/block/dm-2/slaves/sda2":    "-> ../../../../pci0/block/sda/sda2",
		"dev/mapper/vg-root":                            "-> ../dm-1",
		"dev/dm-0":                                      "",
		"dev/dm-1":                                      "",
		"dev/dm-2":                                      "",
		"dev/sda2":                                      "",
		"sys/fs/btrfs/features/skinny_metadata":         "0\n",
		"sys/fs/btrfs/11111111-2222/devices/dm-1":       "-> ../../../../devices/virtual/block/dm-1",
		"sys/fs/btrfs/33333333-4444/devices/dm-0":       "-> ../../../../devices/virtual/block/dm-0",
		"sys/fs/btrfs/33333333-4444/devices/sda2":       "-> ../../../../devices/pci0/block/sda/sda2",
		"sys/dev/block/7:0":                             "-> ../../devices/virtual/block/loop0",
		"sys/devices/virtual/block/loop0/size":          "8\n",
		"sys/devices/virtual/block/loop0/loop/offset":   "0\n",
		"sys/dev/block/9:0":                             "-> ../../devices/virtual/block/md0",
		"sys/dev/block/259:0":                           "-> ../../devices/virtual/block/md0/md0p1",
		"sys/devices/virtual/block/md0/slaves/dm-0":     "-> ../../dm-0",
		"sys/devices/virtual/block/md0/md0p1/partition": "1\n",
	}
	for name, content := range more {
		out[name] = content
	}
	return out
}

const (
	rootLUKS  = "29 1 253:1 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw,errors=remount-ro\n"
	rootPlain = "29 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n"
)

func TestLinux(t *testing.T) {
	for name, c := range map[string]struct {
		mounts string
		more   tree
		path   string // /home/kim/w if empty
		want   State
		why    string
	}{
		"LVM on LUKS":           {mounts: rootLUKS, want: Encrypted, why: "dm-crypt"},
		"LVM on a plain disk":   {mounts: "29 1 253:2 / / rw - ext4 /dev/mapper/vg-home rw\n", want: Off},
		"a plain partition":     {mounts: rootPlain, want: Off, why: "no layer that encrypts"},
		"LUKS alone":            {mounts: "29 1 253:0 / / rw - xfs /dev/dm-0 rw\n", want: Encrypted},
		"BitLocker, opened":     {mounts: "29 1 253:0 / / rw - ntfs3 /dev/dm-0 rw\n", more: tree{"sys/devices/virtual/block/dm-0/dm/uuid": "CRYPT-BITLK-1-x\n"}, want: Encrypted},
		"verity hides nothing":  {mounts: rootLUKS, more: tree{"sys/devices/virtual/block/dm-0/dm/uuid": "CRYPT-VERITY-1-x\n"}, want: Off},
		"integrity hides none":  {mounts: rootLUKS, more: tree{"sys/devices/virtual/block/dm-0/dm/uuid": "CRYPT-INTEGRITY-x\n"}, want: Off},
		"a kind of tomorrow":    {mounts: rootLUKS, more: tree{"sys/devices/virtual/block/dm-0/dm/uuid": "CRYPT-LUKS23-x\n"}, want: Off},
		"RAID of LUKS":          {mounts: "29 1 9:0 / / rw - ext4 /dev/md0 rw\n", want: Encrypted},
		"partition of the RAID": {mounts: "29 1 259:0 / / rw - ext4 /dev/md0p1 rw\n", want: Encrypted},
		"RAID, half in clear":   {mounts: "29 1 9:0 / / rw - ext4 /dev/md0 rw\n", more: tree{"sys/devices/virtual/block/md0/slaves/sda2": "-> ../../../../pci0/block/sda/sda2"}, want: Off, why: "no layer"},
		"RAID, half not seen":   {mounts: "29 1 9:0 / / rw - ext4 /dev/md0 rw\n", more: tree{"sys/devices/virtual/block/md0/slaves/sdz": "-> ../gone"}, want: Unknown},

		"btrfs on LUKS":       {mounts: "29 1 0:27 /@ / rw - btrfs /dev/mapper/vg-root rw,subvol=/@\n", want: Encrypted},
		"btrfs, half clear":   {mounts: "29 1 0:27 / / rw - btrfs /dev/dm-0 rw\n", want: Off},
		"btrfs, not known":    {mounts: "29 1 0:27 / / rw - btrfs /dev/dm-2 rw\n", want: Unknown, why: "does not know"},
		"btrfs, no device":    {mounts: "29 1 0:27 / / rw - btrfs /dev/gone rw\n", want: Unknown},
		"ZFS":                 {mounts: "29 1 0:30 / / rw - zfs tank/home rw\n", want: Encrypted, why: "aes-256-gcm"},
		"ZFS in clear":        {mounts: "29 1 0:30 / / rw - zfs tank/clear rw\n", want: Off},
		"ZFS that says none":  {mounts: "29 1 0:30 / / rw - zfs tank/odd rw\n", want: Unknown},
		"ZFS without zfs":     {mounts: "29 1 0:30 / / rw - zfs tank/gone rw\n", want: Unknown, why: "no zfs here"},
		"eCryptfs":            {mounts: rootPlain + "30 29 0:40 / /home/kim rw - ecryptfs /home/.ecryptfs/kim rw\n", want: Encrypted},
		"fscrypt":             {mounts: rootPlain, path: "/home/fscrypt/w", want: Encrypted, why: "fscrypt"},
		"overlay":             {mounts: "29 1 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/up\\040per,workdir=/x\n31 29 253:1 / /up\\040per rw - ext4 /dev/mapper/vg-root rw\n", more: tree{"up per/x": ""}, want: Encrypted},
		"overlay in the dark": {mounts: "29 1 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/upper\n", want: Unknown, why: "not visible"},
		"overlay on itself":   {mounts: "29 1 0:50 / / rw - overlay overlay rw,upperdir=/upper\n", more: tree{"upper/x": ""}, want: Unknown, why: "circle"},
		"overlay, read only":  {mounts: "29 1 0:50 / / ro - overlay overlay ro,lowerdir=/l\n", want: Unknown},
		"memory":              {mounts: rootLUKS + "30 29 0:22 / /home rw - tmpfs tmpfs rw\n", want: Unknown, why: "tmpfs"},
		"a share":             {mounts: rootLUKS + "30 29 0:60 / /home/kim rw - cifs //nas/kim rw\n", want: Unknown, why: "cifs"},
		"a FUSE":              {mounts: rootLUKS + "30 29 0:61 / /home/kim rw - fuse.sshfs nas: rw\n", want: Unknown},

		"loop on LUKS":         {mounts: rootLUKS + "30 29 7:0 / /home/kim rw - ext4 /dev/loop0 rw\n", more: tree{"sys/devices/virtual/block/loop0/loop/backing_file": "/var/image\n"}, want: Encrypted},
		"loop on a plain disk": {mounts: rootPlain + "30 29 7:0 / /home/kim rw - ext4 /dev/loop0 rw\n", more: tree{"sys/devices/virtual/block/loop0/loop/backing_file": "/var/image\n"}, want: Off},
		"loop on itself":       {mounts: rootPlain + "30 29 7:0 / /home/kim rw - ext4 /dev/loop0 rw\n", more: tree{"sys/devices/virtual/block/loop0/loop/backing_file": "/home/kim/image\n"}, want: Unknown, why: "circle"},
		"loop on what is gone": {mounts: rootLUKS + "30 29 7:0 / /home/kim rw - ext4 /dev/loop0 rw\n", more: tree{"sys/devices/virtual/block/loop0/loop/backing_file": "/image (deleted)\n"}, want: Unknown},
		"the longest mount":    {mounts: rootLUKS + "30 29 8:2 / /home rw - ext4 /dev/sda2 rw\n", want: Off},
		"not half a name":      {mounts: rootLUKS + "30 29 8:2 / /home/ki rw - ext4 /dev/sda2 rw\n", want: Encrypted},
		"the mount itself":     {mounts: rootLUKS + "30 29 8:2 / /home/kim/w rw - ext4 /dev/sda2 rw\n", want: Off},
		"the later mount":      {mounts: "29 1 8:2 / / rw - ext4 /dev/sda2 rw\n" + rootLUKS, want: Encrypted},
		"a name with a space":  {mounts: rootPlain + "30 29 253:1 / /home/kim\\040m rw - ext4 /dev/x rw\n", path: "/home/kim m/w", want: Encrypted},
		"a device not in /sys": {mounts: "29 1 8:99 / / rw - ext4 /dev/sdz rw\n", want: Unknown, why: "8:99"},
		"no mounts":            {mounts: "garbage\n\n- -\n", want: Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			if c.path == "" {
				c.path = "/home/kim/w"
			}
			s := system{root: disk(c.mounts, c.more).fs(), fscrypt: func(p string) bool { return p == "/home/fscrypt/w" }, zfs: recordedZFS}
			if a := s.look(c.path, 0); a.State != c.want || !strings.Contains(a.Why, c.why) || a.Volume == "" {
				t.Errorf("%v (%s: %s), want %v for %q", a.State, a.Volume, a.Why, c.want, c.why)
			}
		})
	}
}

func recordedZFS(dataset string) (string, error) {
	switch dataset {
	case "tank/home":
		return "aes-256-gcm", nil
	case "tank/clear":
		return "off", nil
	case "tank/odd":
		return "-", nil
	}
	return "", errors.New("no zfs here")
}

func TestLinuxWithoutProc(t *testing.T) {
	s := system{root: fstest.MapFS{}, fscrypt: func(string) bool { return false }}
	if a := s.look("/home", 0); a.State != Unknown {
		t.Error(a)
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add(rootLUKS + rootPlain)
	f.Add("30 29 0:50 / / rw - overlay overlay rw,upperdir=/upper\n")
	f.Add(" - \n29 1 253:1 / \\040 - - - -")
	f.Fuzz(func(t *testing.T, mounts string) {
		s := system{root: disk(mounts, nil).fs(), fscrypt: func(string) bool { return false }, zfs: recordedZFS}
		a := s.look("/home/kim/w", 0)
		if a.State == Encrypted && !strings.Contains(mounts, "253:") && !strings.Contains(mounts, "9:") &&
			!strings.Contains(mounts, "btrfs") && !strings.Contains(mounts, "zfs") && !strings.Contains(mounts, "ecryptfs") {
			t.Errorf("%q is encrypted: %v", mounts, a)
		}
	})
}
