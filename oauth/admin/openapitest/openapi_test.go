package openapitest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"
)

// TestDocument: the document is valid OpenAPI 3.1. A test of package admin compares
// its routes with those of the handler.
func TestDocument(t *testing.T) {
	doc := document(t)
	require.NoError(t, doc.Validate(t.Context()))
	require.True(t, doc.IsOpenAPI31OrLater())
}

func document(t *testing.T) *openapi3.T {
	t.Helper()
	text, err := os.ReadFile("../openapi.json") // a test of package admin compares it with what is served
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	return doc
}

// exchange is a request below the prefix and its answer, as package admin's
// tests write them.
type exchange struct {
	Test     string
	Method   string
	Target   string
	Header   http.Header
	Body     []byte
	Pattern  string
	Params   map[string]string
	Status   int
	Answered http.Header
	Answer   []byte
}

func (x *exchange) String() string {
	return fmt.Sprintf("%s: %s %s %s -> %d %s", x.Test, x.Method, x.Target, x.Body, x.Status, x.Answer)
}

// leastExchanges is the minimum number of recorded exchanges. If there are fewer, some
// tests were not recorded.
const leastExchanges = 3000

// TestExchanges runs the tests of package admin and checks each answer, and the
// request of each successful one, against the OpenAPI document.
func TestExchanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "exchanges")
	run := exec.CommandContext(t.Context(), "go", "test", "-count=1", ".")
	run.Dir = ".."
	run.Env = append(os.Environ(), "LATCHKEY_EXCHANGES="+file)
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)

	recording, err := os.Open(file)
	require.NoError(t, err)
	defer recording.Close()
	doc, all := document(t), 0
	checked := make(map[string]bool) // most refusals are equal; each is checked once
	succeeded := make(map[string]bool)
	for lines := bufio.NewReader(recording); ; all++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		require.NoError(t, err)
		var x exchange
		require.NoError(t, json.Unmarshal(line, &x), "%s", line)
		alike := fmt.Sprint(x.Method, x.Pattern, x.Status, x.Answered["Content-Type"], x.Answered["Cache-Control"], string(x.Answer))
		if checked[alike] && x.Status >= 400 {
			continue
		}
		checked[alike] = true
		check(t, doc, &x)
		if x.Status < 300 {
			succeeded[x.Method+" "+x.Pattern] = true
		}
	}
	t.Logf("%d exchanges, %d different ones", all, len(checked))
	require.Greater(t, all, leastExchanges)
	for pattern, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			require.True(t, succeeded[method+" "+pattern], "no %s %s succeeded", method, pattern)
		}
	}
}

func check(t *testing.T, doc *openapi3.T, x *exchange) {
	t.Helper()
	if x.Pattern == "" {
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, x.Status, "no route: %s", x)
		if x.Method == http.MethodHead {
			return
		}
		var value any
		require.NoError(t, json.Unmarshal(x.Answer, &value), "%s", x)
		problem := doc.Components.Schemas["Problem"].Value
		require.NoError(t, problem.VisitJSON(value, openapi3.EnableJSONSchema2020()), "%s", x)
		return
	}
	item := doc.Paths.Value(x.Pattern)
	require.NotNil(t, item, "%s is not in the document", x.Pattern)
	method := x.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	operation := item.GetOperation(method)
	require.NotNil(t, operation, "%s %s is not in the document", x.Method, x.Pattern)
	target, err := url.Parse(x.Target)
	require.NoError(t, err)
	request := &openapi3filter.RequestValidationInput{
		Request: (&http.Request{
			Method: x.Method, URL: target, Header: x.Header, Body: io.NopCloser(strings.NewReader(string(x.Body))), ContentLength: int64(len(x.Body)),
		}).WithContext(t.Context()),
		PathParams: x.Params, QueryParams: target.Query(),
		Route:   &routers.Route{Spec: doc, Path: x.Pattern, PathItem: item, Method: method, Operation: operation},
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, ExcludeResponseBody: x.Method == http.MethodHead},
	}
	if x.Status < 300 {
		require.NoError(t, openapi3filter.ValidateRequest(t.Context(), request), "%s", x)
	}
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: x.Status, Header: x.Answered,
		Body: io.NopCloser(bytes.NewReader(x.Answer)), Options: request.Options,
	}), "%s", x)
}
