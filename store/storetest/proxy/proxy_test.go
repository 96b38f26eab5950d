package proxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"satchel/store/storetest/proxy"
)

// server answers each request with its body, or with 1,000 bytes, and counts those that it
// has heard to the end.
func server(t *testing.T, tls bool) (*httptest.Server, *atomic.Int64) {
	var whole atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		whole.Add(1)
		if len(body) == 0 {
			body = bytes.Repeat([]byte("x"), 1000)
		}
		w.Write(body)
	}))
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, &whole
}

func do(t *testing.T, c *http.Client, method, url, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

func TestEffects(t *testing.T) {
	const sent = "0123456789"
	for _, tt := range []struct {
		fault  proxy.Fault
		status int    // 0: none
		body   string // what arrives of it
		fails  bool
		landed int64
	}{
		{proxy.Fault{Effect: proxy.Pass}, 200, sent, false, 1},
		{proxy.Fault{Effect: proxy.ResetRequest, N: 4}, 0, "", true, 0},
		{proxy.Fault{Effect: proxy.ResetAnswer, N: 5}, 0, "", true, 1},
		{proxy.Fault{Effect: proxy.Mute}, 0, "", true, 0},
		{proxy.Fault{Effect: proxy.MuteLanded}, 0, "", true, 1},
		{proxy.Fault{Effect: proxy.StallBody, N: 3}, 200, "012", true, 1},
		{proxy.Fault{Effect: proxy.Half}, 200, "01234", true, 1},
		{proxy.Fault{Effect: proxy.Drip, N: 50, Pause: time.Millisecond}, 200, sent, false, 1},
		{proxy.Fault{Effect: proxy.Answer, Status: 503, RetryAfter: "1"}, 503, "", false, 0},
		{proxy.Fault{Effect: proxy.AnswerLanded, Status: 500}, 500, "", false, 1},
	} {
		t.Run(fmt.Sprint(tt.fault.Effect), func(t *testing.T) {
			s, landed := server(t, false)
			p := proxy.Start(t, s.URL)
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			c := &http.Client{Transport: tr, Timeout: 5 * time.Second}
			if tt.fault.Effect == proxy.Mute || tt.fault.Effect == proxy.MuteLanded || tt.fault.Effect == proxy.StallBody {
				c.Timeout = 200 * time.Millisecond
			}
			tt.fault.Kind = proxy.Put
			p.Add(tt.fault)
			status, body, err := do(t, c, "PUT", p.URL, sent)
			if status != tt.status || (err != nil) != tt.fails || tt.body != "" && body != tt.body {
				t.Errorf("%d, %q, %v", status, body, err)
			}
			if n := landed.Load(); n != tt.landed {
				t.Errorf("the server has done %d", n)
			}
			if p.Struck() != 1 || p.Seen(proxy.Put) != 1 {
				t.Errorf("struck %d of %d", p.Struck(), p.Seen(proxy.Put))
			}
			c.Timeout = 5 * time.Second
			if status, body, err := do(t, c, "PUT", p.URL, sent); status != 200 || body != sent || err != nil {
				t.Errorf("the next: %d, %q, %v", status, body, err)
			}
		})
	}
}

func TestFaultsStrikeTheirKindInTurn(t *testing.T) {
	s, _ := server(t, false)
	p := proxy.Start(t, s.URL)
	p.Add(proxy.Fault{Kind: proxy.Get, After: 1, Times: 2, Effect: proxy.Answer, Status: 429}, proxy.Fault{Kind: proxy.List, Times: -1, Effect: proxy.Answer, Status: 500})
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var got []int
	for range 4 {
		status, _, err := do(t, c, "GET", p.URL, "")
		list, _, lerr := do(t, c, "GET", p.URL+"?comp=list", "")
		if err != nil || lerr != nil {
			t.Fatal(err, lerr)
		}
		got = append(got, status, list)
	}
	if fmt.Sprint(got) != "[200 500 429 500 429 500 200 500]" {
		t.Error(got)
	}
	p.Heal()
	if list, _, err := do(t, c, "GET", p.URL+"?comp=list", ""); list != 200 || err != nil {
		t.Error(list, err)
	}
	if p.Seen(proxy.Any) != 9 || p.Seen(proxy.List) != 5 || p.Struck() != 6 {
		t.Errorf("%d, %d lists, struck %d", p.Seen(proxy.Any), p.Seen(proxy.List), p.Struck())
	}
}

func TestBytesOfTLS(t *testing.T) {
	s, landed := server(t, true)
	p := proxy.Start(t, s.URL)
	c := s.Client()
	defer c.CloseIdleConnections()
	p.Add(proxy.Fault{Kind: proxy.Conn, Effect: proxy.ResetRequest, N: 700},
		proxy.Fault{Kind: proxy.Conn, Effect: proxy.ResetAnswer, N: 100},
		proxy.Fault{Kind: proxy.Conn, Effect: proxy.Refuse})
	for range 3 {
		if _, _, err := do(t, c, "PUT", p.URL, strings.Repeat("y", 10_000)); err == nil {
			t.Error("the fault did not strike")
		}
	}
	if status, body, err := do(t, c, "PUT", p.URL, "body"); status != 200 || body != "body" || err != nil || landed.Load() != 1 {
		t.Errorf("%d, %q, %v; the server has done %d", status, body, err, landed.Load())
	}
	p.Partition()
	if _, _, err := do(t, c, "GET", p.URL, ""); err == nil {
		t.Error("a request passes the partition")
	}
	p.Heal()
	if _, _, err := do(t, c, "GET", p.URL, ""); err != nil {
		t.Error(err)
	}
}

// The same seed strikes the same requests at the same bytes.
func TestRandomIsTheSeeds(t *testing.T) {
	run := func(seed uint64) (log string) {
		s, _ := server(t, false)
		p := proxy.Start(t, s.URL)
		p.Random(seed, 2, proxy.Fault{Effect: proxy.ResetAnswer, N: 1500}, proxy.Fault{Effect: proxy.Answer, Status: 503})
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for range 30 {
			status, body, err := do(t, c, "GET", p.URL, "")
			log += fmt.Sprint(status, len(body), err != nil, " ")
		}
		return log
	}
	a, b, other := run(1), run(1), run(2)
	if a != b || a == other || !strings.Contains(a, "503") || !strings.Contains(a, "true") {
		t.Errorf("\n%s\n%s\n%s", a, b, other)
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	s, _ := server(t, false)
	before := runtime.NumGoroutine()
	t.Run("a test", func(t *testing.T) {
		p := proxy.Start(t, s.URL)
		p.Add(proxy.Fault{Kind: proxy.Get, Effect: proxy.Mute}, proxy.Fault{Kind: proxy.Get, Effect: proxy.StallBody})
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 50 * time.Millisecond}
		for range 2 {
			var timeout interface{ Timeout() bool }
			if _, _, err := do(t, c, "GET", p.URL, ""); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Error(err)
			}
		}
	})
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}
