package workspace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A value is a piece of JSON that knows where it stands.
type value struct {
	offset, end int     // bytes
	token       any     // string, json.Number, bool, nil, or json.Delim '{' or '['
	members     []named // of an object, in order
	items       []value // of an array
}

type named struct {
	name   string
	offset int
	value  value
}

// kind names the value's type to a person.
func (v *value) kind() string {
	switch t := v.token.(type) {
	case string:
		return "a text"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "a list"
	}
	return "null"
}

// text is a JSON document on its way to values.
type text struct {
	data []byte
	dec  *json.Decoder
}

// parseJSON reads one document and nothing after it. It refuses repeated names, and
// bytes that are not UTF-8.
func parseJSON(data []byte) (*text, value, error) {
	t := &text{data: bytes.TrimPrefix(data, []byte("\ufeff"))}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return t, value{}, t.errorf(0, "this is UTF-16; save the file as UTF-8")
	}
	for i := 0; i < len(t.data); {
		r, n := utf8.DecodeRune(t.data[i:])
		if r == utf8.RuneError && n == 1 {
			return t, value{}, t.errorf(i, "this is not UTF-8")
		}
		i += n
	}
	var raw json.RawMessage
	if err := json.Unmarshal(t.data, &raw); err != nil {
		return t, value{}, t.syntax(err)
	}
	t.dec = json.NewDecoder(bytes.NewReader(t.data))
	t.dec.UseNumber()
	v, err := t.value()
	return t, v, err
}

// value reads the next value. The document is known to be well formed.
func (t *text) value() (value, error) {
	v := value{offset: t.next()}
	token, err := t.dec.Token()
	if err != nil {
		return v, t.errorf(v.offset, "%v", err)
	}
	v.token = token
	switch token {
	case json.Delim('{'):
		seen := make(map[string]bool)
		for t.dec.More() {
			name, err := t.value()
			if err != nil {
				return v, err
			}
			member := named{name: name.token.(string), offset: name.offset}
			if seen[member.name] {
				return v, t.errorf(member.offset, "the field %q stands here twice", member.name)
			}
			seen[member.name] = true
			if member.value, err = t.value(); err != nil {
				return v, err
			}
			v.members = append(v.members, member)
		}
		_, err = t.dec.Token()
	case json.Delim('['):
		for t.dec.More() {
			item, err := t.value()
			if err != nil {
				return v, err
			}
			v.items = append(v.items, item)
		}
		_, err = t.dec.Token()
	}
	if err != nil {
		return v, t.errorf(v.offset, "%v", err)
	}
	v.end = int(t.dec.InputOffset())
	return v, nil
}

// next is where the next token begins.
func (t *text) next() int {
	at := int(t.dec.InputOffset())
	return at + len(t.data[at:]) - len(bytes.TrimLeft(t.data[at:], " \t\r\n,:"))
}

// raw is the value as it was written.
func (t *text) raw(v value) json.RawMessage { return json.RawMessage(t.data[v.offset:v.end]) }

func (t *text) errorf(offset int, format string, args ...any) *SyntaxError {
	line, column := t.position(offset)
	return &SyntaxError{Line: line, Column: column, Msg: fmt.Sprintf(format, args...)}
}

func (t *text) position(offset int) (line, column int) {
	before := t.data[:min(offset, len(t.data))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[start:])
}

// syntax gives the standard library's error a place, and words to its commonest causes.
func (t *text) syntax(err error) error {
	var e *json.SyntaxError
	if !errors.As(err, &e) {
		return t.errorf(0, "%v", err)
	}
	offset := max(int(e.Offset)-1, 0)
	msg := e.Error()
	before := bytes.TrimRight(t.data[:min(offset, len(t.data))], " \t\r\n")
	switch {
	case len(bytes.TrimSpace(t.data)) == 0:
		return t.errorf(0, "the file is empty")
	case msg == "unexpected end of JSON input":
		return t.errorf(len(t.data), "the file ends too early; is a bracket or a quotation mark missing?")
	case strings.Contains(msg, "after top-level value"):
		return t.errorf(offset, "something stands after the end")
	case bytes.HasSuffix(before, []byte(",")) && bytes.ContainsRune([]byte("]}"), rune(t.data[offset])):
		return t.errorf(len(before)-1, "a comma before the closing bracket")
	case strings.Contains(msg, "in string escape code"):
		msg += `; a backslash is written \\, and paths take / on every system`
	case strings.Contains(msg, "after object key:value pair"), strings.Contains(msg, "after array element"):
		msg += "; is a comma missing before it?"
	}
	return t.errorf(offset, "%s", msg)
}
