package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"satchel/snapshot/stats"
)

// ran is a line of the file in which this computer keeps what its commands asked of the store, for
// satchel stats alone. Losing it loses nothing else.
type ran struct {
	Time     time.Time   `json:"time"`
	Command  string      `json:"command"`
	Requests int64       `json:"requests"`
	Calls    stats.Calls `json:"calls"`
}

// maxRuns is how long the file grows, in bytes, before its older half goes.
const maxRuns = 64 << 10

func (s *session) runsPath() (string, error) {
	place, err := s.a.place()
	return filepath.Join(place.State, s.access.Repository.String(), "runs.jsonl"), err
}

// noteRun adds what this command asked of the store.
func (s *session) noteRun() error {
	path, err := s.runsPath()
	if err != nil || s.store == nil || s.store.requests() == 0 {
		return err
	}
	line, err := json.Marshal(ran{s.a.now().UTC(), s.a.command, s.store.requests(), s.store.made()})
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxRuns {
		if b, err := os.ReadFile(path); err == nil {
			b = b[len(b)/2:]
			if err := os.WriteFile(path, b[bytes.IndexByte(b, '\n')+1:], 0o600); err != nil {
				return err
			}
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// runs are what this computer's commands asked of the store, oldest first; lines that cannot be
// understood are passed over.
func (s *session) runs() (out []ran) {
	path, err := s.runsPath()
	if err != nil {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(b) {
		var r ran
		if json.Unmarshal(line, &r) == nil {
			out = append(out, r)
		}
	}
	return out
}
