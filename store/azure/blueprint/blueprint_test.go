package blueprint

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/store/storetest/bicep"
)

var update = flag.Bool("update", false, "write the golden files")

const jane = "11111111-2222-3333-4444-555555555555"

var cases = map[string]Params{
	"plain": {},
	"named": {Account: "clinicbackup"},
	"full": {Account: "clinicbackup", Group: "clinic-rg", Container: "patients", Location: "westeurope", Redundancy: "Standard_GZRS", NoVersioning: true, KeepDays: 90, CoolDays: -1, LogDays: 365,
		Addresses: []string{"8.8.8.8", "9.9.9.0/24"}, Subnet: "/subscriptions/sub/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/s",
		People: []string{jane, "99999999-2222-3333-4444-555555555555"}, KeyVault: "clinic-keys", Tags: map[string]string{"owner": "Dr. Doe", "data": "PHI"}},
	"private": {Account: "clinicbackup", Subnet: "/subscriptions/sub/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/s"},
}

// The texts are those of the golden files, and a parser takes the Bicep.
func TestTemplates(t *testing.T) {
	for name, p := range cases {
		text, err := Bicep(p)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".bicep", text)
		if problems := bicep.Parse(t, text); len(problems) > 0 {
			t.Errorf("%s: %q", name, problems)
		}
		if text, err = Commands(p); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".az", text)
	}
	if problems := bicep.Parse(t, "param a string = 'x'\nresource b = {\n"); len(problems) == 0 {
		t.Error("the parser takes anything")
	}
}

func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// Each symbol that the Bicep uses as a parent or a scope is declared, and each parameter used.
func TestBicepNamesWhatItDeclares(t *testing.T) {
	declared := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:resource|param|var) (\w+)`).FindAllStringSubmatch(bicepFile(t), -1) {
		declared[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^  (?:parent|scope): (\w+)$`).FindAllStringSubmatch(bicepFile(t), -1) {
		if !declared[m[1]] {
			t.Errorf("%s is not declared", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:param|var) (\w+)`).FindAllStringSubmatch(bicepFile(t), -1) {
		if n := len(regexp.MustCompile(`\b`+m[1]+`\b`).FindAllString(bicepFile(t), -1)); n < 2 {
			t.Errorf("%s is not used", m[1])
		}
	}
}

func bicepFile(t *testing.T) string {
	t.Helper()
	text, err := Bicep(Params{Account: "clinicbackup"})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// No rule of either deletes a blob of a repository, or cools more than data packs.
func TestNoRuleHarmsARepository(t *testing.T) {
	for name, p := range cases {
		text, err := Commands(p)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^echo '(.*)' > satchel-lifecycle.json$`).FindStringSubmatch(text)
		var policy struct {
			Rules []struct {
				Definition struct {
					Filters struct{ PrefixMatch []string }
					Actions struct{ BaseBlob map[string]any }
				}
			}
		}
		if m == nil || json.Unmarshal([]byte(m[1]), &policy) != nil || len(policy.Rules) == 0 {
			t.Fatalf("%s: no policy in %q", name, m)
		}
		for _, r := range policy.Rules {
			for action := range r.Definition.Actions.BaseBlob {
				if action != "tierToCool" || !slices.Equal(r.Definition.Filters.PrefixMatch, []string{"satchel/d/"}) {
					t.Errorf("%s: %s of %v", name, action, r.Definition.Filters.PrefixMatch)
				}
			}
		}
	}
	base := regexp.MustCompile(`(?s)baseBlob: \{(.*?)\n      \}`).FindAllStringSubmatch(bicepFile(t), -1)
	if len(base) != 1 || strings.Contains(base[0][1], "delete") || strings.Contains(base[0][1], "Archive") {
		t.Errorf("%q", base)
	}
}

// The commands mean the same in bash and in PowerShell: nothing is continued, escaped or a variable.
func TestCommandsForBothShells(t *testing.T) {
	for name, p := range cases {
		text, err := Commands(p)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			plain := regexp.MustCompile(`"\$\(az [^"()]*\)`).ReplaceAllString(line, `"`)
			if line != "" && !strings.HasPrefix(line, "#") && (strings.ContainsAny(plain, "`\\$&;|") || strings.Contains(plain, " @")) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

func TestParamsThatAreNone(t *testing.T) {
	for _, p := range []Params{
		{Account: "Clinic"}, {Account: "a'b"}, {Account: "ab"}, {Group: "a b"}, {Group: "$(x)"}, {Container: "A"}, {Location: "East US 2"}, {Redundancy: "GRS"},
		{KeepDays: 3}, {LogDays: 10}, {Subnet: "default"}, {KeyVault: "1x"}, {People: []string{"jane@clinic.example"}},
		{Addresses: []string{"10.0.0.1"}}, {Addresses: []string{"8.8.8.8/32"}}, {Addresses: []string{"2001:db8::1"}}, {Addresses: []string{"home"}},
		{Tags: map[string]string{"a": "$(x)"}}, {Tags: map[string]string{"it's": "x"}},
	} {
		for _, f := range []func(Params) (string, error){Bicep, Commands} {
			if text, err := f(p); err == nil {
				t.Errorf("%+v: %s", p, text)
			}
		}
	}
}
