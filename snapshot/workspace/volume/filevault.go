package volume

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// asks runs a program of the system and returns what it prints, whatever it ends with.
type asks func(ctx context.Context, program string, args ...string) (string, error)

// fileVault judges the volume that is mounted at point.
func fileVault(ctx context.Context, ask asks, point string) Answer {
	if point == "/" || point == "/System/Volumes/Data" {
		return systemVolume(ctx, ask, point)
	}
	out, err := ask(ctx, "/usr/sbin/diskutil", "info", "-plist", point)
	if out == "" && err != nil {
		return unknown(point, "diskutil: %v", err)
	}
	switch on, known, err := plistBool(out, "FileVault"); {
	case err != nil:
		return unknown(point, "diskutil: %v", err)
	case !known:
		return unknown(point, "diskutil says nothing of FileVault")
	case on:
		return Answer{Encrypted, point, "FileVault"}
	}
	return Answer{Off, point, "FileVault is off there"}
}

// systemVolume judges the volume that the Mac starts from, and the one with its users' data. (fdesetup(8):
// isactive prints true or false, and ends with 1 for false; status tells of a conversion that is under way.)
func systemVolume(ctx context.Context, ask asks, point string) Answer {
	status, _ := ask(ctx, "/usr/bin/fdesetup", "status")
	if strings.Contains(status, "in progress") {
		return Answer{Converting, point, firstLineWith(status, "in progress")}
	}
	out, err := ask(ctx, "/usr/bin/fdesetup", "isactive")
	switch strings.TrimSpace(out) {
	case "true":
		return Answer{Encrypted, point, "FileVault"}
	case "false":
		return Answer{Off, point, "FileVault is off"}
	}
	if err == nil {
		err = errors.New("no answer")
	}
	return unknown(point, "fdesetup: %v", err)
}

func firstLineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// plistBool finds a boolean of the outermost dictionary of an XML property list.
func plistBool(text, key string) (value, found bool, err error) {
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = true
	depth, match := 0, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return false, false, nil
		} else if err != nil {
			return false, false, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
			if depth == 3 && match && (t.Name.Local == "true" || t.Name.Local == "false") {
				return t.Name.Local == "true", true, nil
			}
			match = false
			if depth == 3 && t.Name.Local == "key" {
				var k string
				if err := d.DecodeElement(&k, &t); err != nil {
					return false, false, err
				}
				depth--
				match = k == key
			}
		case xml.EndElement:
			depth--
		}
	}
}
