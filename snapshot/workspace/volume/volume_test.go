package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var ctx = context.Background()

// recorded answers each question, a program and its arguments in one line, with what it printed; what
// begins with "!" is an error.
func recorded(answers map[string]string) asks {
	return func(_ context.Context, program string, args ...string) (string, error) {
		out, ok := answers[filepath.Base(program)+" "+strings.Join(args, " ")]
		if !ok {
			return "", errors.New("executable file not found")
		}
		if why, failed := strings.CutPrefix(out, "!"); failed {
			return "", errors.New(why)
		}
		return out, nil
	}
}

// plist is what diskutil info prints of an external disk, shortened.
func plist(fileVault string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>APFSPhysicalStores</key>
	<array><dict><key>FileVault</key><true/></dict></array>
	<key>DeviceNode</key>
	<string>/dev/disk4s1</string>
	` + fileVault + `
	<key>Writable</key>
	<true/>
</dict>
</plist>
`
}

func TestFileVault(t *testing.T) {
	const (
		status, active = "fdesetup status", "fdesetup isactive"
		info           = "diskutil info -plist /Volumes/Backup"
	)
	for name, c := range map[string]struct {
		point   string
		answers map[string]string
		want    State
	}{
		"on":               {"/", map[string]string{status: "FileVault is On.\n", active: "true\n"}, Encrypted},
		"the data volume":  {"/System/Volumes/Data", map[string]string{status: "FileVault is On.\n", active: "true\n"}, Encrypted},
		"off":              {"/", map[string]string{status: "FileVault is Off.\n", active: "false\n"}, Off},
		"encrypting":       {"/", map[string]string{status: "FileVault is On.\nEncryption in progress: Percent completed = 41.2\n", active: "true\n"}, Converting},
		"decrypting":       {"/", map[string]string{status: "FileVault is Off.\nDecryption in progress: Percent completed = 3\n", active: "false\n"}, Converting},
		"no fdesetup":      {"/", nil, Unknown},
		"another word":     {"/", map[string]string{status: "", active: "perhaps\n"}, Unknown},
		"disk, on":         {"/Volumes/Backup", map[string]string{info: plist("<key>FileVault</key><true/>"), active: "false"}, Encrypted},
		"disk, off":        {"/Volumes/Backup", map[string]string{info: plist("<key>FileVault</key>\n\t<false/>"), active: "true"}, Off},
		"disk, not said":   {"/Volumes/Backup", map[string]string{info: plist("")}, Unknown},
		"disk, no boolean": {"/Volumes/Backup", map[string]string{info: plist("<key>FileVault</key><string>true</string>")}, Unknown},
		"disk, cut off":    {"/Volumes/Backup", map[string]string{info: plist("<key>FileVault</key><tru")}, Unknown},
		"disk, not found":  {"/Volumes/Backup", map[string]string{info: "!exit status 1"}, Unknown},
	} {
		if a := fileVault(ctx, recorded(c.answers), c.point); a.State != c.want || a.Volume != c.point || a.Why == "" {
			t.Errorf("%s: %v: %s, want %v", name, a.State, a.Why, c.want)
		}
	}
}

func TestBitLocker(t *testing.T) {
	ask := func(root string) string {
		return "powershell.exe -NoProfile -NonInteractive -Command (New-Object -ComObject Shell.Application).NameSpace('" + root + "').Self.ExtendedProperty('System.Volume.BitLockerProtection')"
	}
	for out, want := range map[string]State{"1\r\n": Encrypted, "2\r\n": Off, "3\r\n": Converting, "4\r\n": Converting, "5\r\n": Off, "8\r\n": Off,
		"0\r\n": Unknown, "6\r\n": Unknown, "7\r\n": Unknown, "\r\n": Unknown, "11": Unknown, "!exit status 1": Unknown} {
		if a := bitLocker(ctx, recorded(map[string]string{ask(`C:\`): out}), "powershell.exe", `C:\`); a.State != want || a.Volume != `C:\` || a.Why == "" {
			t.Errorf("%q: %v: %s, want %v", out, a.State, a.Why, want)
		}
	}
	if a := bitLocker(ctx, recorded(map[string]string{ask(`C:\kim''s\`): "1"}), "powershell.exe", `C:\kim's\`); a.State != Encrypted {
		t.Error("a quote:", a)
	}
	if a := bitLocker(ctx, recorded(map[string]string{ask(`\\nas\kim\`): "1"}), "powershell.exe", `\\nas\kim\`); a.State != Unknown {
		t.Error("a share:", a)
	}
}

// What is not there yet lies where the nearest folder above it does.
func TestExisting(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Skipf("no links here: %v", err)
	}
	for _, below := range []string{"", "new", "new/er", "link/new", "link"} {
		if got, err := existing(filepath.Join(dir, filepath.FromSlash(below))); got != dir || err != nil {
			t.Errorf("%s: %s, %v", below, got, err)
		}
	}
}

// On this computer, whichever it is, there is an answer.
func TestLook(t *testing.T) {
	a := Look(ctx, filepath.Join(t.TempDir(), "to", "come"))
	t.Logf("%v: %s: %s", a.State, a.Volume, a.Why)
	if a.Volume == "" || a.Why == "" || a.String() == "" {
		t.Errorf("%+v", a)
	}
}
