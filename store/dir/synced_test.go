package dir

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSynced(t *testing.T) {
	none := func(string) string { return "" }
	for _, tt := range []struct {
		path string // below a folder of the test's
		make string // made first; ends in a slash for a folder
		want string
	}{
		{"backup", "", ""},
		{"OneDrive/backup", "", "OneDrive"},
		{"OneDrive - Clinic North/a/backup", "", "OneDrive"},
		{"Library/CloudStorage/OneDrive-Personal/backup", "", "OneDrive"},
		{"Library/CloudStorage/GoogleDrive-me@example.org/My Drive/backup", "", "Google Drive"},
		{"Library/Mobile Documents/com~apple~CloudDocs/backup", "", "iCloud Drive"},
		{"iCloudDrive/backup", "", "iCloud Drive"},
		{"My Drive/backup", "", "Google Drive"},
		{"dropbox (old)/backup", "", "Dropbox"},
		{"Nextcloud/backup", "", "Nextcloud"},
		{"onedriver/backup", "", ""},
		{"my dropboxes/backup", "", ""},
		{"x/backup", "x/.dropbox", "Dropbox"},
		{"x/backup", "x/.dropbox/", ""}, // as in the home folder
		{"x/backup", "x/.stfolder/", "Syncthing"},
		{"x/y/backup", "x/.sync_1a2b.db", "Nextcloud"},
		{"x/backup", "y/.stfolder/", ""},
	} {
		root := t.TempDir()
		if tt.make != "" {
			path := filepath.Join(root, tt.make)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			var err error
			if tt.make[len(tt.make)-1] == '/' {
				err = os.Mkdir(path, 0o700)
			} else {
				err = os.WriteFile(path, nil, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := synced(filepath.Join(root, filepath.FromSlash(tt.path)), none); got != tt.want {
			t.Errorf("%s with %q: %q, want %q", tt.path, tt.make, got, tt.want)
		}
	}
}

func TestSyncedByEnvironment(t *testing.T) {
	root := t.TempDir()
	getenv := func(name string) string {
		if name == "OneDriveCommercial" {
			return filepath.Join(root, "Clinic Files")
		}
		return ""
	}
	if got := synced(filepath.Join(root, "Clinic Files", "backup"), getenv); got != "OneDrive" {
		t.Errorf("within the variable's folder: %q", got)
	}
	if got := synced(filepath.Join(root, "Clinic Files 2"), getenv); got != "" {
		t.Errorf("beside the variable's folder: %q", got)
	}
}

func TestSyncedThroughASymlink(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "Dropbox"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "Dropbox"), filepath.Join(root, "link")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if got := synced(filepath.Join(root, "link", "not", "yet"), func(string) string { return "" }); got != "Dropbox" {
		t.Errorf("%q, want Dropbox", got)
	}
}
