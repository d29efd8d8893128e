package harness

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Answer is a response, read to its end.
type Answer struct {
	*http.Response
	Body string
	T    testing.TB
}

// Member returns a member of the answer's JSON object, or nil.
func (a Answer) Member(name string) any {
	var object map[string]any
	_ = json.Unmarshal([]byte(a.Body), &object) // object stays nil if the body is not one
	return object[name]
}

func (a Answer) text(name string) string {
	text, _ := a.Member(name).(string)
	return text
}

// Code returns the error code of RFC 6749, section 5.2, or the empty string.
func (a Answer) Code() string { return a.text("error") }

// Description returns the error_description, or the empty string.
func (a Answer) Description() string { return a.text("error_description") }

// Token returns the access_token, or the empty string.
func (a Answer) Token() string { return a.text("access_token") }

// Wants checks the status.
func (a Answer) Wants(status int) Answer {
	a.T.Helper()
	require.Equal(a.T, status, a.StatusCode, a.Body)
	return a
}

// Into decodes the answer's JSON into v, which must have all its members.
func (a Answer) Into(v any) {
	a.T.Helper()
	decoder := json.NewDecoder(strings.NewReader(a.Body))
	decoder.DisallowUnknownFields()
	require.NoError(a.T, decoder.Decode(v), a.Body)
}

// NewRequest returns a request for a client. headers are pairs of name and value; a
// name may be repeated.
func NewRequest(t testing.TB, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	return with(r, headers)
}

// Incoming returns a request for a handler.
func Incoming(method, target, body string, headers ...string) *http.Request {
	return with(httptest.NewRequest(method, target, strings.NewReader(body)), headers)
}

func with(r *http.Request, headers []string) *http.Request {
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// Send sends a request and reads its answer.
func Send(t testing.TB, method, url, body string, headers ...string) Answer {
	t.Helper()
	a, err := Do(t, http.DefaultClient, NewRequest(t, method, url, body, headers...))
	require.NoError(t, err)
	return a
}

// Do sends a request and reads its answer to the end. It follows no redirect.
func Do(t testing.TB, client *http.Client, r *http.Request) (Answer, error) {
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := direct.Do(r)
	if err != nil {
		return Answer{}, err
	}
	return Read(t, response)
}

// Read reads a response to its end.
func Read(t testing.TB, response *http.Response) (Answer, error) {
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return Answer{response, string(text), t}, err
}

// Serve calls a handler without a network.
func Serve(handler http.Handler, r *http.Request) Answer {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	response := recorder.Result()
	response.Request = r
	return Answer{Response: response, Body: recorder.Body.String()}
}

// Head decodes a token's header.
func Head(t testing.TB, token string) map[string]any { return part(t, token, 0) }

// Claims decodes a token's claims without verifying anything.
func Claims(t testing.TB, token string) map[string]any { return part(t, token, 1) }

func part(t testing.TB, token string, i int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[i])
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	return members
}
