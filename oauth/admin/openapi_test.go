package admin_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
)

// TestDocument: the document describes the routes of the table, their parameters
// and no others.
func TestDocument(t *testing.T) {
	type parameter struct {
		Ref  string `json:"$ref"`
		Name string
		In   string
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ Parameters []parameter }

		Components struct{ Parameters map[string]parameter }
	}
	require.NoError(t, json.Unmarshal(admin.Document(), &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)

	var inTable, inDocument []string
	for _, entry := range admin.Table() {
		inTable = append(inTable, entry.Method+" "+entry.Pattern+" "+strings.Join(sorted(entry.Query), " "))
	}
	for pattern, item := range doc.Paths {
		for method, operation := range item {
			var query []string
			for _, p := range operation.Parameters {
				if p.Ref != "" {
					require.Contains(t, doc.Components.Parameters, path.Base(p.Ref))
					p = doc.Components.Parameters[path.Base(p.Ref)]
				}
				if p.In == "query" {
					query = append(query, p.Name)
				}
				if p.In == "path" {
					require.Contains(t, pattern, "{"+p.Name+"}")
				}
			}
			inDocument = append(inDocument, strings.ToUpper(method)+" "+pattern+" "+strings.Join(sorted(query), " "))
		}
	}
	require.ElementsMatch(t, inTable, inDocument)
}

func sorted(texts []string) []string {
	texts = append([]string{}, texts...)
	sort.Strings(texts)
	return texts
}

// schema is a schema of the document.
type schema struct {
	Ref         string `json:"$ref"`
	Description string
	Format      string
	Items       *schema
	Properties  map[string]schema
}

// TestDocumentConventions: every part has a description, and the name of a member says
// whether it is an instant.
func TestDocumentConventions(t *testing.T) {
	var doc struct {
		Components struct {
			Parameters map[string]struct{ Description string }
			Schemas    map[string]schema
		}
	}
	require.NoError(t, json.Unmarshal(admin.Document(), &doc))
	for name, parameter := range doc.Components.Parameters {
		require.NotEmpty(t, parameter.Description, name)
		require.NotContains(t, doc.Components.Schemas, name, "generated clients have a type for each schema")
	}
	members := 0
	var check func(name string, s schema, input bool)
	check = func(name string, s schema, input bool) {
		if s.Ref != "" {
			return
		}
		require.NotEmpty(t, s.Description, name)
		if !input { // a request may have a date for an instant
			require.Equal(t, strings.HasSuffix(name, "_at"), s.Format == "date-time", name)
		}
		require.NotRegexp(t, `_(off|disabled)$`, name, "a flag is not negative")
		for member, property := range s.Properties {
			members++
			check(name+"."+member, property, input)
		}
		if s.Items != nil && s.Items.Properties != nil {
			check(name+"[]", *s.Items, input)
		}
	}
	for name, s := range doc.Components.Schemas {
		check(name, s, strings.HasSuffix(name, "Input") || name == "KeyPatch" || name == "Rotation")
	}
	require.Greater(t, members, 100)
}

func TestDocumentIsServed(t *testing.T) {
	r := newRig(t)
	got := r.do("nobody at all", "GET", "/openapi.json", "").Wants(http.StatusOK)
	require.Equal(t, string(admin.Document()), got.Body)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	r.do("", "HEAD", "/openapi.json", "").Wants(http.StatusOK)
}

// TestProblemsAreExplained: PROBLEMS.md has a section for each code, and no others.
func TestProblemsAreExplained(t *testing.T) {
	page, err := os.ReadFile("PROBLEMS.md")
	require.NoError(t, err)
	source, err := os.ReadFile("export_test.go")
	require.NoError(t, err)
	codes := regexp.MustCompile(`(?m)^\tCode\w+ += "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, codes, strings.Count(string(source), "\tCode"))
	require.Len(t, codes, strings.Count(string(page), "\n## "))
	for _, code := range codes {
		require.Contains(t, string(page), "\n## "+code[1]+"\n")
	}
}
