package index

import "testing"

func TestStatFresh(t *testing.T) {
	const second = 1_000_000_000
	was := Stat{Size: 10, Mtime: 50 * second, Ctime: 60 * second, Inode: 7, Beside: 8, Mode: 0o644, Read: 100 * second}
	for _, test := range []struct {
		name string
		was  func(*Stat)
		now  func(*Stat)
		want bool
	}{
		{"unchanged", nil, nil, true},
		{"read at another time", nil, func(s *Stat) { s.Read = 0 }, true},
		{"size", nil, func(s *Stat) { s.Size++ }, false},
		{"later mtime", nil, func(s *Stat) { s.Mtime++ }, false},
		{"earlier mtime", nil, func(s *Stat) { s.Mtime-- }, false},
		{"ctime", nil, func(s *Stat) { s.Ctime++ }, false},
		{"inode", nil, func(s *Stat) { s.Inode++ }, false},
		{"beside", nil, func(s *Stat) { s.Beside++ }, false},
		{"mode", nil, func(s *Stat) { s.Mode = 0o600 }, false},
		{"no ctime now", nil, func(s *Stat) { s.Ctime = 0 }, true},
		{"no ctime then", func(s *Stat) { s.Ctime = 0 }, nil, true},
		{"no inode now", nil, func(s *Stat) { s.Inode = 0 }, true},
		{"no inode then", func(s *Stat) { s.Inode = 0 }, nil, true},
		{"nothing beside now", nil, func(s *Stat) { s.Beside = 0 }, false},
		{"never read", func(s *Stat) { s.Read = 0 }, nil, false},
		{"before 1970", func(s *Stat) { s.Mtime = -5 * second }, func(s *Stat) { s.Mtime = -5 * second }, true},
		{"before 1970, never read", func(s *Stat) { *s = Stat{Mtime: -5 * second} }, func(s *Stat) { *s = Stat{Mtime: -5 * second} }, false},
		{"mtime two seconds old", func(s *Stat) { s.Mtime = 98 * second }, func(s *Stat) { s.Mtime = 98 * second }, true},
		{"mtime not two seconds old", func(s *Stat) { s.Mtime = 98*second + 1 }, func(s *Stat) { s.Mtime = 98*second + 1 }, false},
		{"mtime of the future", func(s *Stat) { s.Mtime = 1000 * second }, func(s *Stat) { s.Mtime = 1000 * second }, false},
		{"ctime not two seconds old", func(s *Stat) { s.Ctime = 99 * second }, func(s *Stat) { s.Ctime = 99 * second }, true},
	} {
		a, b := was, was
		if test.was != nil {
			test.was(&a)
		}
		if test.now != nil {
			test.now(&b)
		}
		if got := a.Fresh(b); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if (Stat{}).Fresh(Stat{}) {
		t.Error("nothing is fresh")
	}
}
