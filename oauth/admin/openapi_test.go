package admin_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
)

var spec = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromData(admin.Document())
})

// checked are answers that need no second look: most refusals are alike.
var checked sync.Map

// checkContract checks an answer, and the request of a successful one, against
// the OpenAPI document.
func checkContract(t testing.TB, sent *http.Request, body string, got *reply) {
	t.Helper()
	doc, err := spec()
	require.NoError(t, err)
	below := sent.Clone(t.Context())
	below.URL, err = url.Parse(strings.TrimPrefix(sent.URL.RequestURI(), prefix))
	require.NoError(t, err)
	pattern, params := admin.Find(below)
	if pattern == "" {
		problem := doc.Components.Schemas["Problem"].Value
		if got.StatusCode == http.StatusNotFound || got.StatusCode == http.StatusMethodNotAllowed {
			if sent.Method == http.MethodHead {
				return
			}
			var value any
			got.into(&value)
			require.NoError(t, problem.VisitJSON(value, openapi3.EnableJSONSchema2020()))
			return
		}
		t.Fatalf("%s %s is no route and was answered with %d", sent.Method, sent.URL.Path, got.StatusCode)
	}
	alike := fmt.Sprint(sent.Method, pattern, got.StatusCode, got.Header["Content-Type"], got.Header["Cache-Control"], string(got.body))
	if _, known := checked.LoadOrStore(alike, true); known && got.StatusCode >= 400 {
		return
	}
	item := doc.Paths.Value(pattern)
	require.NotNil(t, item, "%s is not in the document", pattern)
	method := sent.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	operation := item.GetOperation(method)
	require.NotNil(t, operation, "%s %s is not in the document", sent.Method, pattern)
	below.Body = io.NopCloser(strings.NewReader(body))
	request := &openapi3filter.RequestValidationInput{
		Request: below, PathParams: params, QueryParams: below.URL.Query(),
		Route:   &routers.Route{Spec: doc, Path: pattern, PathItem: item, Method: method, Operation: operation},
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, ExcludeResponseBody: sent.Method == http.MethodHead},
	}
	if got.StatusCode < 300 {
		require.NoError(t, openapi3filter.ValidateRequest(t.Context(), request), "%s %s %s", sent.Method, sent.URL, body)
	}
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: got.StatusCode, Header: got.Header,
		Body: io.NopCloser(bytes.NewReader(got.body)), Options: request.Options,
	}), "%s %s -> %d %s", sent.Method, sent.URL, got.StatusCode, got.body)
}

// TestDocument checks the document itself: it is valid OpenAPI 3.1, and it
// describes the routes of the table, their parameters and no others.
func TestDocument(t *testing.T) {
	doc, err := spec()
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	require.True(t, doc.IsOpenAPI31OrLater())

	var inTable, inDocument []string
	for _, entry := range admin.Table() {
		inTable = append(inTable, entry.Method+" "+entry.Pattern+" "+strings.Join(sorted(entry.Query), " "))
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			var query []string
			for _, parameter := range operation.Parameters {
				if parameter.Value.In == "query" {
					query = append(query, parameter.Value.Name)
				}
				if parameter.Value.In == "path" {
					require.Contains(t, path, "{"+parameter.Value.Name+"}")
				}
			}
			inDocument = append(inDocument, method+" "+path+" "+strings.Join(sorted(query), " "))
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
	got := r.do("nobody at all", "GET", "/openapi.json", "").wants(http.StatusOK)
	require.Equal(t, string(admin.Document()), string(got.body))
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	r.do("", "HEAD", "/openapi.json", "").wants(http.StatusOK)
}

// TestProblemsAreExplained: the page that a problem's type leads to has a
// chapter for each code of the source.
func TestProblemsAreExplained(t *testing.T) {
	page, err := os.ReadFile("PROBLEMS.md")
	require.NoError(t, err)
	source, err := os.ReadFile("problem.go")
	require.NoError(t, err)
	codes := regexp.MustCompile(`(?m)^\tCode\w+ += "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, codes, strings.Count(string(source), "\tCode"))
	require.Len(t, codes, strings.Count(string(page), "\n## "))
	for _, code := range codes {
		require.Contains(t, string(page), "\n## "+code[1]+"\n")
	}
}
