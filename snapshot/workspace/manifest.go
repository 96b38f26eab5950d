package workspace

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"satchel/snapshot/when"
)

// ManifestName is the manifest's place in the root of the workspace.
const ManifestName = ".gitignore-sync.json"

// ManifestVersion is the only version there is.
const ManifestVersion = "1.0"

// A Manifest is the content of [ManifestName]. Fields that are not known are kept:
// Encode writes them back in their place.
type Manifest struct {
	Version                 string
	StorageAccount          string
	Container               string
	SyncPaths               []SyncPath
	ExcludePatterns         []string
	RequireDeviceEncryption bool
	RequireAzureADAuth      bool

	// What follows is not in the manifests of others.
	Workspace         string   // random id, 32 lower-case hexadecimal digits; "" if none yet
	Store             string   // URL or folder of the store
	IncludeGitIgnored bool     // what git ignores travels too
	Secrets           []string // .gitignore notation: files whose content is kept apart; nil: DefaultSecrets
	Retention         *Retention
	AuditReads        *bool  // what is read goes into the journal; nil: if RequireAzureADAuth
	Tier              string // of new data packs in Azure: hot, cool or cold; "" is the account's

	// Unknown names the fields that are not known, with line and column.
	Unknown []string

	source []member
}

// A SyncPath is one rule: a file or a folder, and the name it travels under. The
// package documentation says what an absent field means.
type SyncPath struct {
	Local, Remote, Pattern, Description string

	source []member
}

// Retention says which snapshots of the workspace a prune keeps. An absent rule is zero.
type Retention struct {
	Last, Hourly, Daily, Weekly, Monthly, Yearly int

	Within string // as when.Duration understands it
	Tags   []string

	source []member
}

// A SyntaxError is a place in a manifest that cannot be understood.
type SyntaxError struct {
	Line, Column int // from 1; columns count characters
	Msg          string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", ManifestName, e.Line, e.Column, e.Msg)
}

// A member is a field of an object as it was read; raw is nil if the field is known.
type member struct {
	name string
	raw  json.RawMessage
}

// AuditsReads reports whether reads go into the journal.
func (m *Manifest) AuditsReads() bool {
	if m.AuditReads != nil {
		return *m.AuditReads
	}
	return m.RequireAzureADAuth
}

// A field ties a name to a *string, *bool, **bool, *int, *[]string, *[]SyncPath or **Retention. Empty ones
// are written only where they were read, unless the field is one that must be there.
type field struct {
	name string
	to   any
	must bool
}

func (m *Manifest) fields() []field {
	return []field{
		{"version", &m.Version, true},
		{"storage_account", &m.StorageAccount, false},
		{"container", &m.Container, false},
		{"sync_paths", &m.SyncPaths, false},
		{"exclude_patterns", &m.ExcludePatterns, false},
		{"require_device_encryption", &m.RequireDeviceEncryption, false},
		{"require_azure_ad_auth", &m.RequireAzureADAuth, false},
		{"workspace", &m.Workspace, false},
		{"store", &m.Store, false},
		{"include_git_ignored", &m.IncludeGitIgnored, false},
		{"secrets", &m.Secrets, false},
		{"retention", &m.Retention, false},
		{"audit_reads", &m.AuditReads, false},
		{"tier", &m.Tier, false},
	}
}

func (r *Retention) fields() []field {
	return []field{
		{"last", &r.Last, false},
		{"hourly", &r.Hourly, false},
		{"daily", &r.Daily, false},
		{"weekly", &r.Weekly, false},
		{"monthly", &r.Monthly, false},
		{"yearly", &r.Yearly, false},
		{"within", &r.Within, false},
		{"tags", &r.Tags, false},
	}
}

func (s *SyncPath) fields() []field {
	return []field{
		{"local", &s.Local, true},
		{"remote", &s.Remote, false},
		{"pattern", &s.Pattern, false},
		{"description", &s.Description, false},
	}
}

// ParseManifest reads a manifest. It is strict about types and repeated fields,
// accepts a byte order mark and CRLF, and refuses rules that are unsafe or contradict
// each other. Its errors are of type [*SyntaxError].
func ParseManifest(data []byte) (*Manifest, error) {
	t, v, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	d := &decoder{text: t, at: make(map[string]int)}
	m := new(Manifest)
	if m.source, err = d.object(v, "", m.fields()); err != nil {
		return nil, err
	}
	m.Unknown = d.unknown
	switch at, ok := d.at["version"]; {
	case !ok:
		return nil, t.errorf(v.offset, "the field %q is missing", "version")
	case m.Version != ManifestVersion:
		return nil, t.errorf(at, "version %q is not known; this satchel reads %q", m.Version, ManifestVersion)
	}
	if at, ok := d.at["workspace"]; ok && !validID(m.Workspace) {
		return nil, t.errorf(at, "a workspace id has 32 digits, 0-9 and a-f")
	}
	if at, ok := d.at["tier"]; ok && m.Tier != "hot" && m.Tier != "cool" && m.Tier != "cold" {
		return nil, t.errorf(at, "tier %q is none of hot, cool and cold", m.Tier)
	}
	if at, ok := d.at["retention.within"]; ok {
		if _, err := when.Duration(m.Retention.Within); err != nil {
			return nil, t.errorf(at, "retention.within is %v", err)
		}
	}
	for i := range m.SyncPaths {
		if _, ok := d.at[place(i, "local")]; !ok {
			return nil, t.errorf(d.at[place(i, "")], "rule %d has no field %q", i+1, "local")
		}
	}
	if _, problem := compile(m.SyncPaths); problem != nil {
		at, ok := d.at[place(problem.index, problem.field)]
		if !ok {
			at = d.at[place(problem.index, "local")]
		}
		return nil, t.errorf(at, "%v", problem)
	}
	return m, nil
}

// place is the path of a rule's field, as in messages and in decoder.at.
func place(rule int, field string) string {
	if field != "" {
		field = "." + field
	}
	return fmt.Sprintf("sync_paths[%d]%s", rule+1, field)
}

func validID(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return len(s) == 32
}

// NewWorkspaceID returns a random [Manifest.Workspace].
func NewWorkspaceID() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// A decoder turns values into fields, and remembers where each stood.
type decoder struct {
	text    *text
	at      map[string]int // by path
	unknown []string
}

func (d *decoder) object(v value, path string, fields []field) ([]member, error) {
	if v.token != json.Delim('{') {
		return nil, d.mismatch(v, path, "an object")
	}
	var source []member
members:
	for _, m := range v.members {
		here := m.name
		if path != "" {
			here = path + "." + m.name
		}
		for _, f := range fields {
			if f.name == m.name {
				d.at[here] = m.value.offset
				if err := d.set(m.value, here, f.to); err != nil {
					return nil, err
				}
				source = append(source, member{name: m.name})
				continue members
			}
		}
		line, column := d.text.position(m.offset)
		d.unknown = append(d.unknown, fmt.Sprintf("%s (line %d, column %d)", here, line, column))
		source = append(source, member{m.name, d.text.raw(m.value)})
	}
	return source, nil
}

func (d *decoder) set(v value, path string, to any) error {
	ok := true
	switch to := to.(type) {
	case *string:
		if *to, ok = v.token.(string); !ok {
			return d.mismatch(v, path, "a text")
		}
	case *bool:
		if *to, ok = v.token.(bool); !ok {
			return d.mismatch(v, path, "true or false")
		}
	case **bool:
		*to = new(bool)
		return d.set(v, path, *to)
	case *int:
		number, _ := v.token.(json.Number)
		n, err := strconv.ParseInt(string(number), 10, 32)
		if err != nil || n < 1 {
			return d.text.errorf(v.offset, "%s must be a whole number of at least 1, not %s", path, d.text.raw(v))
		}
		*to = int(n)
	case **Retention:
		*to = new(Retention)
		var err error
		if (*to).source, err = d.object(v, path, (*to).fields()); err != nil {
			return err
		}
	case *[]string:
		if v.token != json.Delim('[') {
			return d.mismatch(v, path, "a list of texts")
		}
		*to = make([]string, len(v.items))
		for i, item := range v.items {
			if err := d.set(item, fmt.Sprintf("%s[%d]", path, i+1), &(*to)[i]); err != nil {
				return err
			}
		}
	case *[]SyncPath:
		if v.token != json.Delim('[') {
			return d.mismatch(v, path, "a list of rules")
		}
		*to = make([]SyncPath, len(v.items))
		for i, item := range v.items {
			s := &(*to)[i]
			d.at[place(i, "")] = item.offset
			var err error
			if s.source, err = d.object(item, place(i, ""), s.fields()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *decoder) mismatch(v value, path, want string) error {
	if path == "" {
		path = "the manifest"
	}
	return d.text.errorf(v.offset, "%s must be %s, not %s", path, want, v.kind())
}

// Encode writes the manifest in the shape of existing ones: two spaces, fields in the
// order in which they were read, new ones last.
func (m *Manifest) Encode() []byte {
	var b bytes.Buffer
	encodeObject(&b, "", m.fields(), m.source)
	b.WriteByte('\n')
	return b.Bytes()
}

func encodeObject(b *bytes.Buffer, indent string, fields []field, source []member) {
	inner := indent + "  "
	empty := true
	begin := func(name string) {
		if empty {
			b.WriteString("{\n" + inner)
		} else {
			b.WriteString(",\n" + inner)
		}
		empty = false
		encodeString(b, name)
		b.WriteString(": ")
	}
	known := make(map[string]any, len(fields))
	for _, f := range fields {
		known[f.name] = f.to
	}
	written := make(map[string]bool, len(source))
	for _, s := range source {
		begin(s.name)
		if s.raw != nil {
			json.Indent(b, s.raw, inner, "  ") // it was read as JSON
		} else {
			encodeField(b, inner, known[s.name])
		}
		written[s.name] = true
	}
	for _, f := range fields {
		if !written[f.name] && (f.must || !isZero(f.to)) {
			begin(f.name)
			encodeField(b, inner, f.to)
		}
	}
	if empty {
		b.WriteString("{}")
		return
	}
	b.WriteString("\n" + indent + "}")
}

func encodeField(b *bytes.Buffer, indent string, from any) {
	switch v := from.(type) {
	case *string:
		encodeString(b, *v)
	case *bool:
		fmt.Fprint(b, *v)
	case **bool:
		fmt.Fprint(b, **v)
	case *int:
		fmt.Fprint(b, *v)
	case **Retention:
		encodeObject(b, indent, (*v).fields(), (*v).source)
	case *[]string:
		encodeList(b, indent, len(*v), func(i int, _ string) { encodeString(b, (*v)[i]) })
	case *[]SyncPath:
		encodeList(b, indent, len(*v), func(i int, inner string) {
			encodeObject(b, inner, (*v)[i].fields(), (*v)[i].source)
		})
	}
}

func encodeList(b *bytes.Buffer, indent string, n int, item func(i int, indent string)) {
	if n == 0 {
		b.WriteString("[]")
		return
	}
	inner := indent + "  "
	for i := range n {
		if i == 0 {
			b.WriteString("[\n" + inner)
		} else {
			b.WriteString(",\n" + inner)
		}
		item(i, inner)
	}
	b.WriteString("\n" + indent + "]")
}

func encodeString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	enc.Encode(s) // a string always encodes
	b.Truncate(b.Len() - 1)
}

func isZero(field any) bool {
	switch v := field.(type) {
	case *string:
		return *v == ""
	case *bool:
		return !*v
	case **bool:
		return *v == nil
	case *int:
		return *v == 0
	case **Retention:
		return *v == nil
	case *[]string:
		return len(*v) == 0
	case *[]SyncPath:
		return len(*v) == 0
	}
	return true
}
