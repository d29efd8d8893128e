package admin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
)

// exchangesEnv names the file to which every exchange of these tests is appended, one
// JSON object per line. The tests in openapitest, a separate module, set it and check
// each exchange against the OpenAPI document.
const exchangesEnv = "LATCHKEY_EXCHANGES"

// exchange is a request below the prefix and its answer.
type exchange struct {
	Test     string
	Method   string
	Target   string // path and query as they were sent
	Header   http.Header
	Body     []byte
	Pattern  string            // the route's; empty if there is none
	Params   map[string]string // the parameters of the path
	Status   int
	Answered http.Header
	Answer   []byte
}

var exchanges = sync.OnceValues(func() (*os.File, error) {
	name := os.Getenv(exchangesEnv)
	if name == "" {
		return nil, nil
	}
	return os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
})

// record writes an exchange for the check against the OpenAPI document.
func record(t testing.TB, sent *http.Request, body string, got *reply) {
	t.Helper()
	x := exchange{
		Test: t.Name(), Method: sent.Method, Target: strings.TrimPrefix(sent.URL.RequestURI(), prefix), Header: sent.Header, Body: []byte(body),
		Status: got.StatusCode, Answered: got.Header, Answer: []byte(got.Body),
	}
	below := sent.Clone(t.Context())
	var err error
	below.URL, err = url.Parse(x.Target)
	require.NoError(t, err)
	x.Pattern, x.Params = admin.Find(below)
	if x.Pattern == "" && got.StatusCode != http.StatusNotFound && got.StatusCode != http.StatusMethodNotAllowed {
		t.Fatalf("%s %s is not a route and was answered with %d", sent.Method, sent.URL.Path, got.StatusCode)
	}
	file, err := exchanges()
	require.NoError(t, err)
	if file == nil {
		return
	}
	line, err := json.Marshal(x)
	require.NoError(t, err)
	_, err = file.Write(append(line, '\n')) // one write per line, so that concurrent lines do not mix
	require.NoError(t, err)
}
