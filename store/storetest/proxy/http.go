package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// exchanges passes a connection's requests on, one after the other.
func (p *Proxy) exchanges(c net.Conn) {
	from := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(from)
		if err != nil || !p.exchange(c, req) {
			return
		}
	}
}

func kindOf(r *http.Request) Kind {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodGet && q.Get("comp") == "list":
		return List
	case q.Get("restype") != "" || q.Get("comp") != "":
		return Other
	}
	switch r.Method {
	case http.MethodPut:
		return Put
	case http.MethodGet:
		return Get
	case http.MethodHead:
		return Head
	case http.MethodDelete:
		return Delete
	}
	return Other
}

// exchange is one request and its answer. It reports whether the connection goes on.
func (p *Proxy) exchange(c net.Conn, req *http.Request) bool {
	f := p.strike(kindOf(req))
	switch f.Effect {
	case Mute:
		p.hold(c)
		return false
	case Answer:
		return answer(c, req, f)
	}
	server, ok := p.dial() // one each: the server may close one that waits
	if !ok {
		abort(c)
		return false
	}
	defer p.untrack(server)
	if f.Effect == ResetRequest {
		req.Body = io.NopCloser(io.LimitReader(req.Body, f.N))
	}
	to := bufio.NewWriter(server)
	written := invite(c, req) && req.Write(to) == nil // not, if the body is cut
	to.Flush()
	if f.Effect == ResetRequest || !written {
		abort(c)
		abort(server)
		return false
	}
	return p.respond(c, server, req, f)
}

func (p *Proxy) respond(c, server net.Conn, req *http.Request, f Fault) bool {
	resp, err := http.ReadResponse(bufio.NewReader(server), req)
	if err != nil {
		abort(c)
		return false
	}
	defer resp.Body.Close()
	if f.Effect == Pass {
		return resp.Write(c) == nil && !req.Close && !resp.Close
	}
	raw, head, err := serialise(resp)
	if err != nil {
		abort(c)
		return false
	}
	return p.spoil(c, req, raw, head, f)
}

// spoil does to an answer, whose first head bytes are its headers, what the fault says.
func (p *Proxy) spoil(c net.Conn, req *http.Request, raw []byte, head int, f Fault) bool {
	whole := int64(len(raw))
	switch f.Effect {
	case ResetAnswer:
		c.Write(raw[:min(f.N, whole)])
		abort(c)
	case MuteLanded:
		p.hold(c)
	case StallBody:
		c.Write(raw[:min(int64(head)+f.N, whole)])
		p.hold(c)
	case Half:
		cut := head + (len(raw)-head)/2
		if head == len(raw) {
			cut = head / 2
		}
		c.Write(raw[:cut])
		c.Close()
	case Drip:
		_, err := (&dripper{c, f.N, f.Pause, p.done}).Write(raw)
		return err == nil
	case AnswerLanded:
		return answer(c, req, f)
	}
	return false
}

// invite lets a client that waits for it send the request's body.
func invite(c net.Conn, req *http.Request) bool {
	if req.Header.Get("Expect") == "" {
		return true
	}
	req.Header.Del("Expect")
	_, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
	return err == nil
}

// answer answers in the server's place.
func answer(c net.Conn, req *http.Request, f Fault) bool {
	waits := req.Header.Get("Expect") != "" // it sends no body, or we could not tell that from a request
	if !waits {
		io.Copy(io.Discard, req.Body)
	}
	body := ""
	if req.Method != http.MethodHead {
		body = "<?xml version=\"1.0\"?><Error><Code>" + f.Code + "</Code><Message>By the proxy of a test.</Message></Error>"
	}
	h := fmt.Sprintf("HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n", f.Status, http.StatusText(f.Status),
		time.Now().UTC().Format(http.TimeFormat), len(body))
	for name, value := range map[string]string{"Retry-After": f.RetryAfter, "x-ms-error-code": f.Code} {
		if value != "" {
			h += name + ": " + value + "\r\n"
		}
	}
	if waits {
		h += "Connection: close\r\n"
	}
	_, err := io.WriteString(c, h+"\r\n"+body)
	return err == nil && !waits && !req.Close
}

// serialise returns an answer as it is sent, with its length in the headers, and how many
// bytes its headers are.
func serialise(resp *http.Response) (raw []byte, head int, err error) {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, 0, err
	}
	if resp.Request.Method != http.MethodHead {
		resp.ContentLength, resp.TransferEncoding = int64(len(body)), nil
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var b bytes.Buffer
	if err := resp.Write(&b); err != nil {
		return nil, 0, err
	}
	return b.Bytes(), b.Len() - len(body), nil
}
