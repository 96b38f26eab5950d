package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"satchel/snapshot"
)

// showProgress draws a bar on standard error while work is under way, if a person looks
// at it. moved is what is said of the bytes that the store took or gave. stop erases it and returns when nothing is drawn any more.
func (a *app) showProgress(p *snapshot.Progress, moved string) (stop func()) {
	f, ok := a.screen.(*os.File)
	if !ok || a.Quiet || a.JSON || !isTerminal(a.screen) {
		return func() {}
	}
	began, end, ended := a.now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				width, _, err := term.GetSize(int(f.Fd()))
				if err != nil {
					width = 80
				}
				fmt.Fprint(f, "\r"+bar(p, moved, a.now().Sub(began), width-1)+"\x1b[K")
			case <-end:
				fmt.Fprint(f, "\r\x1b[K")
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

// bar is one line of at most width columns: bytes, files, rate, what went to or came from the
// store and, once all is found, the part done and an estimate.
func bar(p *snapshot.Progress, moved string, elapsed time.Duration, width int) string {
	done, all := p.Bytes.Load(), p.AllBytes.Load()
	rate := float64(done) / max(elapsed.Seconds(), 0.001)
	text := fmt.Sprintf("%s of %s · %s of %s files · %s/s", size(done), size(all), thousands(p.Files.Load()), thousands(p.AllFiles.Load()), size(int64(rate)))
	if n := p.Stored.Load(); n > 0 {
		text += " · " + size(n) + " " + moved
	}
	if p.Done.Load() && all > 0 {
		part := min(float64(done)/float64(all), 1)
		if rate > 0 && part < 1 {
			text += " · " + seconds(time.Duration(float64(all-done)/rate*float64(time.Second))) + " left"
		}
		if room := width - utf8.RuneCountInString(text) - 9; room >= 10 {
			n := int(part * float64(min(room, 30)))
			text = fmt.Sprintf("[%s%s] %3.0f%% %s", strings.Repeat("#", n), strings.Repeat("-", min(room, 30)-n), part*100, text)
		}
	}
	if r := []rune(text); len(r) > width {
		text = string(r[:max(width, 0)])
	}
	return text
}
