package dir

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Synced returns the name of the program that copies the folder path between devices,
// such as "OneDrive", or "". Such a program takes two devices' files of one name for a
// conflict and keeps both, so that a repository there forks without a word.
//
// It looks at the folder and all those above it: the OneDrive variables of the
// environment, well-known names, and the marker files that such programs leave. It can
// miss one (a renamed Nextcloud folder whose marker is gone, Documents in iCloud), and
// an innocent folder named Dropbox is taken for one.
func Synced(path string) string { return synced(path, os.Getenv) }

func synced(path string, getenv func(string) string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	if name := syncedPath(abs, getenv); name != "" {
		return name
	}
	if real := resolve(abs); real != abs {
		return syncedPath(real, getenv)
	}
	return ""
}

// resolve follows symbolic links in the part of path that is there.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolve(parent), filepath.Base(path))
}

func syncedPath(path string, getenv func(string) string) string {
	for _, env := range []string{"OneDrive", "OneDriveCommercial", "OneDriveConsumer"} {
		if dir := getenv(env); dir != "" && within(path, dir) {
			return "OneDrive"
		}
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		if name := byElement(filepath.Base(dir)); name != "" {
			return name
		}
		if name := byMarker(dir); name != "" {
			return name
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// within reports whether path is dir or lies under it; Windows and macOS do not tell
// upper from lower case.
func within(path, dir string) bool {
	path, dir = filepath.Clean(path), filepath.Clean(dir)
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		path, dir = strings.ToLower(path), strings.ToLower(dir)
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// elements are names of folders, in lower case, alone or before " - Clinic", " (old)"; and
// those under macOS's CloudStorage, which go on after the hyphen.
var elements = []struct{ element, name string }{
	{"onedrive", "OneDrive"},
	{"onedrive-", "OneDrive"},
	{"dropbox", "Dropbox"},
	{"dropbox-", "Dropbox"},
	{"google drive", "Google Drive"},
	{"googledrive", "Google Drive"},
	{"googledrive-", "Google Drive"},
	{"my drive", "Google Drive"},
	{"mobile documents", "iCloud Drive"},
	{"iclouddrive", "iCloud Drive"},
	{"icloud drive", "iCloud Drive"},
	{"nextcloud", "Nextcloud"},
	{"nextcloud-", "Nextcloud"},
	{"owncloud", "ownCloud"},
	{"synologydrive", "Synology Drive"},
	{"box sync", "Box"},
	{"box-box", "Box"},
	{"pclouddrive", "pCloud"},
	{"pcloud drive", "pCloud"},
	{"proton drive", "Proton Drive"},
	{"protondrive-", "Proton Drive"},
	{"megasync", "MEGA"},
	{"resilio sync", "Resilio Sync"},
	{"syncthing", "Syncthing"},
}

func byElement(element string) string {
	element = strings.ToLower(element)
	for _, e := range elements {
		rest, ok := strings.CutPrefix(element, e.element)
		if ok && (rest == "" || strings.HasSuffix(e.element, "-") || strings.HasPrefix(rest, " - ") || strings.HasPrefix(rest, " (")) {
			return e.name
		}
	}
	return ""
}

// markers are what the programs leave in the folders that they synchronise.
var markers = []struct{ pattern, name string }{
	{".dropbox", "Dropbox"},
	{".dropbox.cache", "Dropbox"},
	{".stfolder", "Syncthing"},
	{".stignore", "Syncthing"},
	{".sync", "Resilio Sync"},
	{".sync_*.db", "Nextcloud"},
	{"._sync_*.db", "Nextcloud"},
	{".nextcloudsync.log", "Nextcloud"},
	{".owncloudsync.log", "ownCloud"},
	{".tmp.drivedownload", "Google Drive"},
	{".megaignore", "MEGA"},
	{".SynologyWorkingDirectory", "Synology Drive"},
}

func byMarker(dir string) string {
	list, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range list {
		if e.Name() == ".dropbox" && e.IsDir() {
			continue // Dropbox's own state, in the home folder
		}
		for _, m := range markers {
			if ok, _ := filepath.Match(m.pattern, e.Name()); ok {
				return m.name
			}
		}
	}
	return ""
}
