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
